//! The places in a server's document whose values are ours to say. Every other byte of it stays as it is.

use std::ops::Range;

/// Documents over this size are passed on as they are.
pub(crate) const MAX_DOCUMENT: usize = 16 << 20;
/// Elements, objects and arrays within each other, at most.
pub(super) const MAX_DEPTH: usize = 64;
/// No honest count is higher: whoever says so is taken to say nothing.
const MAX_COUNT: u64 = 1_000_000_000_000_000;

/// What a place says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// Who listens now: on a mount, or in all.
    Listeners,
    /// The most that a mount's source has had.
    Peak,
    /// Listeners that were too slow for a mount.
    Slow,
    /// Bytes that a mount's listeners were sent.
    Sent,
    /// `http://HOST:PORT` before a mount's path.
    Base,
    /// Connections that are open.
    Clients,
    /// Connections and requests so far.
    Connections,
    /// Listeners so far.
    Joins,
}

impl What {
    /// By the name that Icecast gives it in a source.
    pub(super) fn of_source(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"listeners" | b"Listeners" => Self::Listeners,
            b"listener_peak" => Self::Peak,
            b"slow_listeners" => Self::Slow,
            b"total_bytes_sent" => Self::Sent,
            b"listenurl" => Self::Base,
            _ => return None,
        })
    }

    /// By the name that Icecast gives it beside the sources.
    pub(super) fn of_server(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"listeners" => Self::Listeners,
            b"clients" => Self::Clients,
            b"connections" | b"client_connections" => Self::Connections,
            b"listener_connections" => Self::Joins,
            _ => return None,
        })
    }
}

/// One place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) what: What,
    pub(crate) at: Range<usize>,
}

/// A mount, as a document has it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Source {
    /// As the server names it, not percent-encoded.
    pub(crate) mount: String,
    /// When its source came, as the server writes it; empty if the document does not say.
    pub(crate) started: String,
    pub(crate) places: Vec<Place>,
}

impl Source {
    /// What the document says there, if that can be.
    pub(crate) fn count(&self, document: &[u8], what: What) -> Option<u64> {
        let place = self.places.iter().rev().find(|place| place.what == what)?;
        count(document.get(place.at.clone())?)
    }
}

/// All of a document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Places {
    pub(crate) sources: Vec<Source>,
    /// When the server started, as it writes it; empty if the document does not say.
    pub(crate) started: String,
    /// Beside the sources.
    pub(crate) server: Vec<Place>,
}

/// A count that can be: digits alone, and no more than there can be.
pub(crate) fn count(text: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|count| *count <= MAX_COUNT)
}

/// The length of `http://HOST:PORT` or `https://HOST:PORT` at the start of a URL whose path begins with a slash.
pub(super) fn base_length(url: &[u8]) -> Option<usize> {
    let rest = url
        .strip_prefix(b"http://")
        .or_else(|| url.strip_prefix(b"https://"))?;
    let path = rest.iter().position(|byte| *byte == b'/')?;
    Some(url.len() - rest.len() + path)
}

/// Changes to a document, applied at once.
#[derive(Debug, Default)]
pub(crate) struct Edits(Vec<(Range<usize>, Vec<u8>)>);

impl Edits {
    pub(crate) fn put(&mut self, at: Range<usize>, text: impl Into<Vec<u8>>) {
        self.0.push((at, text.into()));
    }

    /// The document with the changes. Of two that overlap, the first counts.
    pub(crate) fn apply(mut self, document: &[u8]) -> Vec<u8> {
        self.0.sort_by_key(|(at, _)| (at.start, at.end));
        let mut out = Vec::with_capacity(document.len() + 64 * self.0.len());
        let mut from = 0;
        for (at, text) in self.0 {
            if at.start < from || at.end > document.len() || at.start > at.end {
                continue;
            }
            out.extend_from_slice(&document[from..at.start]);
            out.extend_from_slice(&text);
            from = at.end;
        }
        out.extend_from_slice(&document[from..]);
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_that_cannot_be_is_none() {
        assert_eq!(count(b" 12\n"), Some(12));
        for lie in [
            "",
            "-1",
            "1e3",
            "+1",
            "99999999999999999999999999999",
            "1000000000000001",
            "\u{663}",
            "nan",
        ] {
            assert_eq!(count(lie.as_bytes()), None, "{lie}");
        }
        assert_eq!(count(b"\xff"), None);
    }

    #[test]
    fn edits_leave_every_other_byte() {
        let mut edits = Edits::default();
        edits.put(4..5, "xyz");
        edits.put(0..1, "");
        edits.put(4..4, "!");
        edits.put(3..9, "never: it ends outside");
        assert_eq!(edits.apply(b"abcdef"), b"bcd!xyzf");
    }

    #[test]
    fn a_base_ends_before_the_path() {
        assert_eq!(base_length(b"http://h:8000/live"), Some(13));
        assert_eq!(base_length(b"https://[::1]/"), Some(13));
        for none in ["http://h", "/live", "ftp://h/", ""] {
            assert_eq!(base_length(none.as_bytes()), None, "{none}");
        }
    }
}
