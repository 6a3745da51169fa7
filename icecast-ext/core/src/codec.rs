//! Where frames, pages and clusters begin, and what a late joiner must be told first.

mod mpeg;
mod ogg;
mod webm;

use bytes::Bytes;

use crate::address::Offset;

/// The families of formats that a stream can be in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// MPEG-1/2/2.5 audio, layers I to III
    Mpeg,
    /// AAC in ADTS
    Adts,
    /// Ogg: Vorbis, Opus, FLAC, any multiplex, chained
    Ogg,
    /// WebM and Matroska
    Webm,
    /// Anything else: no sync points, no prelude
    Opaque,
}

impl Format {
    /// From a `Content-Type`, parameters ignored.
    #[must_use]
    pub fn from_content_type(value: &[u8]) -> Self {
        let _ = value;
        todo!()
    }

    /// A stock listener's decoder goes on when a new epoch follows in the same response.
    #[must_use]
    pub fn continues_across_splice(self) -> bool {
        matches!(self, Self::Mpeg | Self::Adts | Self::Ogg | Self::Opaque)
    }
}

/// What the tracker saw, in order of offsets.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Mark {
    /// A late joiner may start with the byte at this offset, after the prelude in force there.
    Sync(Offset),
    /// From this offset on, a late joiner is first sent these bytes. Empty where the stream at this offset begins with
    /// its own headers, or needs none.
    Prelude(Offset, Bytes),
}

/// Follows a stream's bytes in any split, and never fails: what it cannot read has no marks.
#[derive(Debug)]
pub struct Tracker {
    format: Format,
    at: Offset,
}

impl Tracker {
    /// Begins at `at`, which may be in the middle of a frame, page or cluster. `prelude` is what was in force there, if the
    /// caller knows (a relay does).
    #[must_use]
    pub fn new(format: Format, at: Offset, prelude: Option<Bytes>) -> Self {
        let _ = prelude;
        Self { format, at }
    }

    /// Feeds the bytes that follow; marks come out in order.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Mark>) {
        let _ = (bytes, out, self.format);
        todo!()
    }

    /// The end of the last whole frame or page, for formats that have them and while the tracker is in step: bytes from
    /// here on are a beginning. Otherwise the end of what was fed. Never more than 64 KiB behind it.
    #[must_use]
    pub fn whole(&self) -> Offset {
        self.at
    }
}

/// How many bytes at the start of a join's body are codec headers that the server put there (a whole Ogg header group or
/// the WebM header up to the first cluster), so that the bytes after them can be looked for in a buffer. Zero if it
/// begins with anything else; `None` while more bytes are needed.
#[must_use]
pub fn leading_headers(format: Format, body: &[u8]) -> Option<usize> {
    let _ = (format, body);
    todo!()
}
