//! `Stream-Offset`, `Stream-Window` and `Link`, read as RFC 9651 and RFC 8288 say.

/// A bare item of a structured field.
#[derive(Clone, PartialEq, Debug)]
pub enum Bare {
    /// sf-integer
    Integer(i64),
    /// sf-decimal
    Decimal(f64),
    /// sf-string
    String(String),
    /// sf-token
    Token(String),
    /// sf-binary, as written.
    Binary(String),
    /// sf-boolean
    Boolean(bool),
    /// An inner list, of which nothing is used here.
    List,
}

/// Parameters, the last of each name.
pub type Parameters = Vec<(String, Bare)>;

/// A reader of structured fields.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn spaces(&mut self, tabs: bool) {
        while let Some(b' ' | b'\t') = self.0.first() {
            if self.0[0] == b'\t' && !tabs {
                break;
            }
            self.0 = &self.0[1..];
        }
    }

    fn eat(&mut self, octet: u8) -> bool {
        let is = self.0.first() == Some(&octet);
        if is {
            self.0 = &self.0[1..];
        }
        is
    }

    fn take(&mut self, accepts: impl Fn(u8) -> bool) -> String {
        let length = self.0.iter().take_while(|octet| accepts(**octet)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        crate::http::latin(taken)
    }

    fn key(&mut self) -> Option<String> {
        let first = self.0.first()?;
        (first.is_ascii_lowercase() || *first == b'*').then(|| {
            self.take(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-.*".contains(&c))
        })
    }

    fn bare(&mut self) -> Option<Bare> {
        match self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b':' => {
                self.eat(b':');
                let inner = self.take(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c));
                self.eat(b':').then_some(Bare::Binary(inner))
            }
            b'?' => {
                self.eat(b'?');
                let is = self.eat(b'1');
                (is || self.eat(b'0')).then_some(Bare::Boolean(is))
            }
            first if first.is_ascii_alphabetic() || *first == b'*' => {
                let accepts =
                    |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&c);
                Some(Bare::Token(self.take(accepts)))
            }
            _ => None,
        }
    }

    /// A member's value: an item or an inner list.
    fn member(&mut self) -> Option<Bare> {
        if !self.eat(b'(') {
            return self.bare();
        }
        loop {
            self.spaces(false);
            if self.eat(b')') {
                return Some(Bare::List);
            }
            self.bare()?;
            self.parameters()?;
        }
    }

    fn number(&mut self) -> Option<Bare> {
        let minus = self.eat(b'-');
        let whole = self.take(|c| c.is_ascii_digit());
        if self.eat(b'.') {
            let part = self.take(|c| c.is_ascii_digit());
            let fits = (1..=12).contains(&whole.len()) && (1..=3).contains(&part.len());
            let value: f64 = format!("{whole}.{part}").parse().ok()?;
            return fits.then_some(Bare::Decimal(if minus { -value } else { value }));
        }
        let value: i64 = whole.parse().ok()?;
        (whole.len() <= 15).then_some(Bare::Integer(if minus { -value } else { value }))
    }

    fn string(&mut self) -> Option<Bare> {
        self.eat(b'"');
        let mut out = String::new();
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'"' => return Some(Bare::String(out)),
                b'\\' => match rest.split_first()? {
                    (escaped @ (b'"' | b'\\'), rest) => {
                        out.push(char::from(*escaped));
                        self.0 = rest;
                    }
                    _ => return None,
                },
                b' '..=b'~' => out.push(char::from(*first)),
                _ => return None,
            }
        }
    }

    fn parameters(&mut self) -> Option<Parameters> {
        let mut out = Parameters::new();
        while self.eat(b';') {
            self.spaces(false);
            let key = self.key()?;
            let value = if self.eat(b'=') {
                self.bare()?
            } else {
                Bare::Boolean(true)
            };
            out.retain(|(name, _)| *name != key);
            out.push((key, value));
        }
        Some(out)
    }
}

/// An Item with its parameters (RFC 9651 section 4.2.3). `None` if it is none.
#[must_use]
pub fn item(value: &str) -> Option<(Bare, Parameters)> {
    let mut reader = Reader(value.as_bytes());
    reader.spaces(false);
    let bare = reader.bare()?;
    let parameters = reader.parameters()?;
    reader.spaces(false);
    reader.0.is_empty().then_some((bare, parameters))
}

/// A Dictionary of Items, its members' parameters left out (section 4.2.2). `None` if it is none.
#[must_use]
pub fn dictionary(value: &str) -> Option<Parameters> {
    let mut reader = Reader(value.as_bytes());
    let mut out = Parameters::new();
    reader.spaces(false);
    while !reader.0.is_empty() {
        let key = reader.key()?;
        let value = if reader.eat(b'=') {
            reader.member()?
        } else {
            Bare::Boolean(true)
        };
        reader.parameters()?;
        out.retain(|(name, _)| *name != key);
        out.push((key, value));
        reader.spaces(true);
        if reader.0.is_empty() {
            break;
        }
        if !reader.eat(b',') {
            return None;
        }
        reader.spaces(true);
        if reader.0.is_empty() {
            return None;
        }
    }
    Some(out)
}

fn get<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a Bare> {
    parameters
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

fn count(value: &Bare) -> Option<u64> {
    match value {
        Bare::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

fn text(value: &Bare) -> Option<String> {
    match value {
        Bare::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// A member that may be absent, but not of another type.
fn known<T>(
    parameters: &Parameters,
    name: &str,
    read: impl Fn(&Bare) -> Option<T>,
) -> Option<Option<T>> {
    match get(parameters, name) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}

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
