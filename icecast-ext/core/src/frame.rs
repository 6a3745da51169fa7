//! The frames of the relay feed.
//!
//! Type, length, value, with the variable-length integers of RFC 9000 section 16: the capsules of RFC 9297 section 3.2.

use bytes::Bytes;

use crate::address::{Epoch, Offset, Position};

/// `Accept` and `Content-Type` of the relay feed.
pub const MEDIA_TYPE: &str = "application/vnd.icecast-ext.relay";
/// No frame's value is longer.
pub const MAX_FRAME: u64 = 1 << 20;

/// A frame of the relay feed (and of the journal).
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// 0: epoch (16), offset of the byte that comes next, tick in ms, then field lines `name: value CRLF`.
    Format {
        /// The epoch.
        epoch: Epoch,
        /// The byte that comes next.
        offset: Offset,
        /// The sender's tick: KEEPALIVE or DATA come at least so often.
        tick_ms: u32,
        /// `Content-Type` and `icy-*` fields.
        fields: Bytes,
    },
    /// 1: the prelude in force from an offset on.
    Prelude {
        /// From here on.
        at: Offset,
        /// Codec headers.
        bytes: Bytes,
    },
    /// 2: canonical bytes. Never empty; contiguous.
    Data {
        /// Of the first of them.
        offset: Offset,
        /// The bytes.
        bytes: Bytes,
    },
    /// 3: a title in force from an offset on; the text of an ICY block.
    Title {
        /// From here on.
        at: Offset,
        /// `StreamTitle='…';…`
        text: Bytes,
    },
    /// 4: the byte at an offset arrived at this time.
    Time {
        /// The byte.
        at: Offset,
        /// Origin's clock, ms since 1970.
        ms: u64,
    },
    /// 5: nothing new; the edge.
    Keepalive {
        /// The edge.
        next: Offset,
    },
    /// 6: flags (1: declared), end of the epoch, the next epoch (16) and its first sync point. FORMAT follows.
    Splice {
        /// By the minter.
        declared: bool,
        /// Where the epoch ends.
        end: Offset,
        /// What follows.
        to: Position,
    },
}
/// Why a feed cannot be read on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FrameError {
    /// Over [`MAX_FRAME`] (R-FEED-3).
    #[error("a frame of {0} bytes is over the limit (R-FEED-3)")]
    TooLong(u64),
    /// A value that does not fit its type (R-FEED-4).
    #[error("{0} (R-FEED-4)")]
    Malformed(&'static str),
    /// A frame that cannot stand here (R-FEED-5).
    #[error("{0} (R-FEED-5)")]
    OutOfOrder(&'static str),
}

impl Frame {
    /// Appends the frame.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }

    /// The head of a DATA frame whose `len` bytes the caller sends itself.
    #[must_use]
    pub fn data_head(offset: Offset, len: u64) -> Bytes {
        let _ = (offset, len);
        todo!()
    }
}

/// Cuts a feed into frames, in any split, and holds it to the order of section "Relay feed": FORMAT first, DATA
/// contiguous, events neither before the last byte sent nor out of order, SPLICE followed by its FORMAT. Unknown types
/// are skipped.
#[derive(Debug, Default)]
pub struct Decoder {
    _state: (),
}

impl Decoder {
    /// Feeds bytes; frames come out in order. DATA comes out in parts as it arrives, so that a long frame delays nobody.
    pub fn feed(&mut self, input: Bytes, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        let _ = (input, out);
        todo!()
    }
}
