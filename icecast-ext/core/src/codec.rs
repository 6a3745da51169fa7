//! Where frames, pages and clusters begin, and what a late joiner must be told first.

mod ebml;
mod mpeg;
mod ogg;
mod page;
mod vorbis;
mod webm;

use bytes::Bytes;

pub use vorbis::{CELL, Canonical};

use crate::address::Offset;

/// Bytes that a [`Tracker`] copies at once, so that a large feed does not become a large buffer.
const PIECE: usize = 32 * 1024;

/// Sync points are at least this many bytes apart, but for those where a stream starts anew.
const SPACING: u64 = 1024;

/// A prelude with more bytes is not kept; a stream that needs it has no sync points but its start.
const PRELUDE_MAX: usize = 1024 * 1024;

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
        let essence = value.split(|&b| b == b';').next().unwrap_or_default();
        let essence = essence.trim_ascii().to_ascii_lowercase();
        match essence.as_slice() {
            b"audio/mpeg" | b"audio/mp3" | b"audio/mpa" | b"audio/mpeg3" | b"audio/mp2"
            | b"audio/x-mpeg" | b"audio/x-mp3" | b"audio/x-mpeg-3" | b"audio/mpa-robust" => {
                Self::Mpeg
            }
            b"audio/aac"
            | b"audio/aacp"
            | b"audio/x-aac"
            | b"audio/x-aacp"
            | b"audio/aac-adts"
            | b"audio/vnd.dlna.adts"
            | b"audio/x-hx-aac-adts" => Self::Adts,
            b"application/ogg" | b"application/x-ogg" | b"audio/ogg" | b"audio/x-ogg"
            | b"video/ogg" | b"video/x-ogg" | b"audio/opus" | b"audio/vorbis"
            | b"audio/x-vorbis" | b"audio/speex" => Self::Ogg,
            b"video/webm" | b"audio/webm" | b"video/x-matroska" | b"audio/x-matroska"
            | b"video/matroska" | b"audio/matroska" => Self::Webm,
            _ => Self::Opaque,
        }
    }

    /// A stock listener's decoder goes on when a new epoch follows in the same response.
    #[must_use]
    pub fn continues_across_splice(self) -> bool {
        matches!(self, Self::Mpeg | Self::Adts | Self::Ogg | Self::Opaque)
    }

    /// A late joiner is sent something before the stream's own bytes. Servers put no ICY blocks into such a stream: it has a
    /// place for titles itself (R-ICY-2).
    #[must_use]
    pub const fn has_preludes(self) -> bool {
        matches!(self, Self::Ogg | Self::Webm)
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

impl Mark {
    fn sync(at: u64) -> Self {
        Self::Sync(Offset::ZERO.saturating_add(at))
    }

    fn prelude(at: u64, bytes: impl Into<Bytes>) -> Self {
        Self::Prelude(Offset::ZERO.saturating_add(at), bytes.into())
    }
}

/// What reads one family. `step` looks at the bytes from offset `at` on and says how many of them are done with (perhaps
/// none, if only its state changed), or `None` while it needs more. What it says must not depend on how much more there is.
#[derive(Debug)]
enum Machine {
    Frames(mpeg::Frames),
    Ogg(Box<ogg::Ogg>),
    Webm(Box<webm::Webm>),
    Opaque,
}

impl Machine {
    fn step(&mut self, buf: &[u8], at: u64, out: &mut Vec<Mark>) -> Option<usize> {
        match self {
            Self::Frames(frames) => frames.step(buf, at, out),
            Self::Ogg(ogg) => ogg.step(buf, at, out),
            Self::Webm(webm) => webm.step(buf, at, out),
            Self::Opaque => (!buf.is_empty()).then_some(buf.len()),
        }
    }

    /// What is held is the beginning of a frame or page, and not just something that looks like one.
    fn holds_back(&self) -> bool {
        match self {
            Self::Frames(frames) => frames.in_step(),
            Self::Ogg(ogg) => ogg.in_step(),
            Self::Webm(_) | Self::Opaque => false,
        }
    }

    /// Headers that began with the first byte are still being collected.
    fn collects_from_start(&self) -> bool {
        match self {
            Self::Ogg(ogg) => ogg.collects_from() == Some(0),
            Self::Webm(webm) => webm.collects_from() == Some(0),
            Self::Frames(_) | Self::Opaque => false,
        }
    }
}

/// Follows a stream's bytes in any split, and never fails: what it cannot read has no marks.
///
/// The marks depend on the bytes and on where it began, never on how the bytes were split. A mark may come out when bytes
/// after it have already been fed, so its offset may be below an earlier [`Tracker::whole`]. Where a stream needs a prelude
/// that is not known, there are no sync points until it starts anew. Memory: one partial page (64 KiB) and, while headers
/// go by, at most 1 MiB of them.
///
/// ```
/// use icecast_ext_core::{address::Offset, codec::{Format, Mark, Tracker}};
///
/// // three MPEG-1 layer III frames, 128 kbit/s at 44.1 kHz: 417 bytes each
/// let mut frame = vec![0xff, 0xfb, 0x90, 0x64];
/// frame.resize(417, 0);
/// let mut tracker = Tracker::new(Format::Mpeg, Offset::ZERO, None);
/// let mut marks = Vec::new();
/// tracker.feed(&frame.repeat(3), &mut marks);
/// tracker.feed(&frame[..100], &mut marks);
/// assert_eq!(marks, [Mark::Sync(Offset::ZERO)]);
/// assert_eq!(tracker.whole().get(), 3 * 417);
/// ```
#[derive(Debug)]
pub struct Tracker {
    machine: Machine,
    /// Fed, but not done with.
    held: Vec<u8>,
    /// The offset of what is held.
    at: u64,
    /// The largest end of whole units so far.
    whole: u64,
}

impl Tracker {
    /// Begins at `at`, which may be in the middle of a frame, page or cluster. `prelude` is what was in force there, if the
    /// caller knows (a relay does); no mark is made of it.
    #[must_use]
    pub fn new(format: Format, at: Offset, prelude: Option<Bytes>) -> Self {
        let prelude = prelude.unwrap_or_default();
        let machine = match format {
            Format::Mpeg | Format::Adts => Machine::Frames(mpeg::Frames::default()),
            Format::Ogg => Machine::Ogg(Box::new(ogg::Ogg::new(at.get(), &prelude))),
            Format::Webm => Machine::Webm(Box::new(webm::Webm::new(&prelude))),
            Format::Opaque => Machine::Opaque,
        };
        Self {
            machine,
            held: Vec::new(),
            at: at.get(),
            whole: at.get(),
        }
    }

    /// Feeds the bytes that follow; marks come out in order.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<Mark>) {
        for piece in bytes.chunks(PIECE) {
            self.held.extend_from_slice(piece);
            let mut done = 0;
            while let Some(n) = self.machine.step(
                self.held.get(done..).unwrap_or_default(),
                self.at + done as u64,
                out,
            ) {
                done += n;
            }
            self.held.drain(..done.min(self.held.len()));
            self.at += done as u64;
        }
        let held = if self.machine.holds_back() {
            0
        } else {
            self.held.len() as u64
        };
        self.whole = self.whole.max(self.at + held);
    }

    /// How often an Ogg stream has been broken so far: a page had a wrong checksum, or was not where it should be.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        match &self.machine {
            Machine::Ogg(ogg) => ogg.damaged,
            _ => 0,
        }
    }

    /// The end of the last whole frame or page, for formats that have them and while the tracker is in step: bytes from
    /// here on are a beginning. Otherwise the end of what was fed. Never more than 64 KiB behind it, and never less than
    /// it was.
    #[must_use]
    pub fn whole(&self) -> Offset {
        Offset::ZERO.saturating_add(self.whole)
    }
}

/// How many bytes at the start of a join's body are codec headers that the server put there (a whole Ogg header group or
/// the WebM header up to the first cluster), so that the bytes after them can be looked for in a buffer. Zero if it
/// begins with anything else; `None` while more bytes are needed.
#[must_use]
pub fn leading_headers(format: Format, body: &[u8]) -> Option<usize> {
    if !matches!(format, Format::Ogg | Format::Webm) {
        return Some(0);
    }
    let mut tracker = Tracker::new(format, Offset::ZERO, None);
    let mut marks = Vec::new();
    for piece in body.chunks(PIECE) {
        tracker.feed(piece, &mut marks);
        let headers = marks.iter().find_map(|mark| match mark {
            Mark::Prelude(at, bytes) if !bytes.is_empty() => Some((at.get(), bytes.len())),
            _ => None,
        });
        if let Some((at, len)) = headers {
            // Pages of another stream between the headers: then this is not what a server puts in front.
            return Some(if at == len as u64 { len } else { 0 });
        }
        if tracker.at > 0 && !tracker.machine.collects_from_start() {
            return Some(0);
        }
    }
    None
}
