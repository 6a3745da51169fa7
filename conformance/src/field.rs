//! `Stream-Offset`, `Stream-Window` and `Link`, read as RFC 9651 and RFC 8288 say.

use crate::structured::{Bare, count, dictionary, get, item, known, text};

/// A position: an epoch as it is written, and an offset.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Position {
    /// 22 characters, if R-ADDR-4 is met.
    pub epoch: String,
    /// In canonical bytes.
    pub offset: u64,
}

impl Position {
    /// One of an epoch.
    #[must_use]
    pub fn new(epoch: &str, offset: u64) -> Self {
        Self {
            epoch: epoch.to_owned(),
            offset,
        }
    }

    /// So many bytes further on.
    #[must_use]
    pub fn plus(&self, bytes: usize) -> Self {
        Self::new(&self.epoch, self.offset + bytes as u64)
    }

    /// As `Resume-Offset` has it.
    #[must_use]
    pub fn ask(&self) -> String {
        format!("{};epoch=\"{}\"", self.offset, self.epoch)
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "({}, {})", self.epoch, self.offset)
    }
}

/// `Stream-Offset`. Names are taken as they are written; R-ADDR-4 has a case of its own.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamOffset {
    /// Where the first byte after the prelude stands.
    pub at: Position,
    /// Octets of body before it.
    pub prelude: usize,
    /// The connection's name.
    pub session: Option<String>,
    /// Over declared splices.
    pub spliced: bool,
    /// Canonical bytes.
    pub lost: Option<u64>,
}

impl StreamOffset {
    /// Reads a value; `None` if it is malformed.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (bare, parameters) = item(value)?;
        let spliced = known(&parameters, "spliced", |value| match value {
            Bare::Boolean(is) => Some(*is),
            _ => None,
        })?;
        Some(Self {
            at: Position::new(&text(get(&parameters, "epoch")?)?, count(&bare)?),
            prelude: usize::try_from(known(&parameters, "prelude", count)?.unwrap_or(0)).ok()?,
            session: known(&parameters, "session", text)?,
            spliced: spliced.unwrap_or(false),
            lost: known(&parameters, "lost", count)?,
        })
    }
}

/// `Stream-Window`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StreamWindow {
    /// The oldest byte held.
    pub first: u64,
    /// The edge.
    pub next: u64,
    /// Bytes a second.
    pub rate: Option<u64>,
    /// The epoch at the edge.
    pub epoch: String,
}

impl StreamWindow {
    /// Reads a value; `None` if it is malformed.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let members = dictionary(value)?;
        Some(Self {
            first: count(get(&members, "first")?)?,
            next: count(get(&members, "next")?)?,
            rate: known(&members, "rate", count)?,
            epoch: text(get(&members, "epoch")?)?,
        })
    }

    /// A position in its epoch.
    #[must_use]
    pub fn at(&self, offset: u64) -> Position {
        Position::new(&self.epoch, offset)
    }
}

/// The targets of `Link` with the relation `duplicate`, as written.
#[must_use]
pub fn duplicates(value: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut rest = value;
    while let Some(open) = rest.find('<') {
        let Some(close) = rest[open..].find('>') else {
            break;
        };
        let target = &rest[open + 1..open + close];
        let after = &rest[open + close + 1..];
        // Parameters go to the next comma outside of quotes.
        let mut quoted = false;
        let end = after.find(|c| {
            quoted ^= c == '"';
            c == ',' && !quoted
        });
        let parameters = &after[..end.unwrap_or(after.len())];
        let relation = parameters.split(';').find_map(|part| {
            let (name, value) = part.split_once('=')?;
            name.trim()
                .eq_ignore_ascii_case("rel")
                .then(|| value.trim().trim_matches('"'))
        });
        if relation.is_some_and(|names| {
            names
                .split(' ')
                .any(|name| name.eq_ignore_ascii_case("duplicate"))
        }) {
            out.push(target.to_owned());
        }
        rest = end.map_or("", |end| &after[end + 1..]);
    }
    out
}

#[cfg(test)]
mod tests {
    use icecast_ext_spec::vector;

    use super::*;
    use crate::reference::names::is_name;

    #[test]
    fn reads_stream_offset_as_the_vectors_say() {
        for case in vector::parse().unwrap().stream_offset {
            let names = |read: &StreamOffset| {
                is_name(&read.at.epoch) && read.session.as_deref().is_none_or(is_name)
            };
            let both = |read: &StreamOffset| !(read.spliced && read.lost.is_some());
            let read = StreamOffset::parse(&case.input).filter(|read| names(read) && both(read));
            let expected = case.expect.ok().map(|it| StreamOffset {
                at: Position::new(&it.epoch, it.offset),
                prelude: usize::try_from(it.prelude).unwrap(),
                session: it.session,
                spliced: it.spliced,
                lost: it.lost,
            });
            assert_eq!(read, expected, "{}", case.id);
        }
    }

    #[test]
    fn reads_stream_window_as_the_vectors_say() {
        for case in vector::parse().unwrap().stream_window {
            let read = StreamWindow::parse(&case.input)
                .filter(|read| is_name(&read.epoch) && read.first <= read.next);
            let expected = case.expect.ok().map(|it| StreamWindow {
                first: it.first,
                next: it.next,
                rate: it.rate,
                epoch: it.epoch,
            });
            assert_eq!(read, expected, "{}", case.id);
        }
    }

    #[test]
    fn reads_link_as_the_vectors_say() {
        for case in vector::parse().unwrap().link {
            assert_eq!(Ok(duplicates(&case.input)), case.expect, "{}", case.id);
        }
    }
}
