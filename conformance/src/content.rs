//! What the suite's own sources send: streams in which every byte says where it stands.
//!
//! A stream is codec headers and then units of one size, each of which carries its number and the stream's seed, and is
//! filled from both. So any byte can be computed, a slice can be found, and a wrong byte is seen.

mod ogg;
mod unit;
mod webm;

pub use ogg::{Page, pages};

/// Bytes a second of every stream: the burst of a join is then less than two seconds.
pub const RATE: u64 = 40_000;

/// A format of the suite's streams.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Format {
    /// MPEG audio layer III, 320 kbit/s, 48 kHz: frames of 960 bytes.
    Mpeg,
    /// Opus in Ogg: two header pages, then a packet a page.
    Opus,
    /// WebM: a header, then clusters of one block.
    Webm,
    /// A format that nobody knows.
    Unknown,
}

impl Format {
    /// `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Mpeg => "audio/mpeg",
            Self::Opus => "application/ogg",
            Self::Webm => "audio/webm",
            Self::Unknown => "audio/x-conformance",
        }
    }

    /// The end of a mount's name.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Mpeg => "mp3",
            Self::Opus => "opus",
            Self::Webm => "webm",
            Self::Unknown => "bin",
        }
    }
}

/// A stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    format: Format,
    seed: u16,
}

impl Content {
    /// A stream that differs from those with another seed in every unit.
    #[must_use]
    pub fn new(format: Format, seed: u16) -> Self {
        Self { format, seed }
    }

    /// Its format.
    #[must_use]
    pub fn format(&self) -> Format {
        self.format
    }

    /// The codec headers with which it begins.
    #[must_use]
    pub fn head(&self) -> Vec<u8> {
        match self.format {
            Format::Mpeg | Format::Unknown => Vec::new(),
            Format::Opus => ogg::head(self.seed),
            Format::Webm => webm::head(),
        }
    }

    /// The length of a unit.
    #[must_use]
    pub fn unit_length(&self) -> usize {
        self.unit(0).len()
    }

    fn unit(&self, number: u64) -> Vec<u8> {
        match self.format {
            Format::Mpeg => unit::mpeg(self.seed, number),
            Format::Unknown => unit::plain(self.seed, number),
            Format::Opus => ogg::unit(self.seed, number),
            Format::Webm => webm::unit(self.seed, number),
        }
    }

    /// The bytes from an index on.
    #[must_use]
    pub fn bytes(&self, from: u64, count: usize) -> Vec<u8> {
        let head = self.head();
        let length = self.unit_length() as u64;
        let mut out = Vec::with_capacity(count);
        let mut at = from;
        while out.len() < count {
            let left = count - out.len();
            let (piece, skip) = match at.checked_sub(head.len() as u64) {
                None => (head.clone(), at),
                Some(body) => (self.unit(body / length), body % length),
            };
            let skip = usize::try_from(skip).unwrap_or(usize::MAX).min(piece.len());
            let take = (piece.len() - skip).min(left);
            out.extend_from_slice(&piece[skip..skip + take]);
            at += take as u64;
        }
        out
    }

    /// Where a slice stands; `None` if it is not one of this stream. It needs [`Content::enough`] bytes to be found.
    #[must_use]
    pub fn find(&self, slice: &[u8]) -> Option<u64> {
        let head = self.head().len();
        let length = self.unit_length();
        let starts = slice.len().saturating_sub(unit::MARKED).min(length + head);
        for at in 0..=starts {
            let Some(number) = self.number(&slice[at..]) else {
                continue;
            };
            let unit = head as u64 + number * length as u64;
            if let Some(index) = unit.checked_sub(at as u64)
                && self.bytes(index, slice.len()) == slice
            {
                return Some(index);
            }
        }
        None
    }

    /// Whether the head of any of its units is in a slice, whatever else is.
    #[must_use]
    pub fn is_in(&self, slice: &[u8]) -> bool {
        (0..slice.len().saturating_sub(unit::MARKED)).any(|at| {
            let number = self.number(&slice[at..]);
            number.is_some_and(|number| slice[at..].starts_with(&self.unit(number)[..unit::MARKED]))
        })
    }

    /// The number of the unit with which a slice begins.
    fn number(&self, slice: &[u8]) -> Option<u64> {
        match self.format {
            Format::Mpeg => unit::mpeg_number(slice),
            Format::Unknown => unit::plain_number(slice),
            Format::Opus => ogg::number(slice),
            Format::Webm => webm::number(slice),
        }
    }

    /// How many bytes a slice needs to be found for certain.
    #[must_use]
    pub fn enough(&self) -> usize {
        self.head().len() + 2 * self.unit_length()
    }

    /// Whether a decoder can start at an index, if it has the headers.
    #[must_use]
    pub fn is_sync(&self, index: u64) -> bool {
        let head = self.head().len() as u64;
        self.format == Format::Unknown
            || index
                .checked_sub(head)
                .is_some_and(|body| body % self.unit_length() as u64 == 0)
    }
}

/// The first difference of two slices, in words; `None` if one begins with the other.
#[must_use]
pub fn difference(expected: &[u8], observed: &[u8]) -> Option<String> {
    let at = expected
        .iter()
        .zip(observed)
        .position(|(one, other)| one != other)?;
    let show = |bytes: &[u8]| {
        let piece: Vec<_> = bytes[at..]
            .iter()
            .take(8)
            .map(|byte| format!("{byte:02x}"))
            .collect();
        piece.join(" ")
    };
    Some(format!(
        "byte {at} on is {} instead of {}",
        show(observed),
        show(expected)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Format; 4] = [Format::Mpeg, Format::Opus, Format::Webm, Format::Unknown];

    #[test]
    fn slices_are_found_wherever_they_begin() {
        for format in ALL {
            let content = Content::new(format, 77);
            let enough = content.enough();
            for from in (0..3000).chain([1 << 20, (1 << 32) + 5]) {
                let slice = content.bytes(from, enough);
                assert_eq!(content.find(&slice), Some(from), "{format:?} at {from}");
            }
        }
    }

    #[test]
    fn a_wrong_byte_and_another_stream_are_seen() {
        for format in ALL {
            let content = Content::new(format, 1);
            let mut slice = content.bytes(5000, 4000);
            assert_eq!(Content::new(format, 2).find(&slice), None);
            slice[3999] ^= 1;
            assert_eq!(content.find(&slice), None, "{format:?}");
            slice.remove(3999);
            assert_eq!(content.find(&slice), Some(5000));
            assert!(content.is_in(&slice) && !Content::new(format, 2).is_in(&slice));
        }
    }

    #[test]
    fn says_where_slices_differ() {
        assert_eq!(difference(b"abc", b"abcd"), None);
        assert_eq!(
            difference(b"abc", b"aXc").unwrap(),
            "byte 1 on is 58 63 instead of 62 63"
        );
    }
}
