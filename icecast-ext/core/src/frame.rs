//! The frames of the relay feed.
//!
//! Type, length, value, with the variable-length integers of RFC 9000 section 16: the capsules of RFC 9297 section 3.2.
//!
//! ```abnf
//! frame     = type length value               ; type, length: varint; length: octets of the value
//! format    = epoch-16 at tick *field-line    ; 0
//! prelude   = at *OCTET                       ; 1
//! data      = at 1*65536OCTET                 ; 2
//! title     = at *4080OCTET                   ; 3
//! time      = at ms                           ; 4
//! keepalive = at                              ; 5
//! splice    = flags at epoch-16 at            ; 6, flags: OCTET
//! at        = varint                          ; an offset; tick, ms: varint
//! ```

mod decoder;
mod wire;

use bytes::Bytes;

use crate::address::{Epoch, Offset, Position};

/// `Accept` and `Content-Type` of the relay feed.
pub const MEDIA_TYPE: &str = "application/vnd.icecast-ext.relay";
/// No frame's value is longer (R-FEED-3).
pub const MAX_FRAME: u64 = 1 << 20;
/// No DATA frame holds more bytes (R-FEED-10).
pub const MAX_DATA: u64 = 1 << 16;

pub use decoder::Decoder;

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
    /// 6: flags (1: declared, 2: seamless), end of the epoch, the next epoch (16) and its first sync point. FORMAT follows.
    Splice {
        /// By the minter.
        declared: bool,
        /// By content (R-SPLICE-10).
        seamless: bool,
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
    /// Appends the frame. What is over the limits of its type is not cut: a receiver will refuse it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        wire::encode(self, out);
    }

    /// The head of a DATA frame whose `len` bytes the caller sends itself.
    #[must_use]
    pub fn data_head(offset: Offset, len: u64) -> Bytes {
        let mut out = Vec::with_capacity(16);
        wire::data_head(offset, len, &mut out);
        out.into()
    }

    /// Reads the frame at the start of `input`, whole and without regard to order, as a journal's reader wants it.
    /// `Ok(None)`: more bytes are needed. Otherwise its length, and the frame unless its type is unknown.
    ///
    /// # Errors
    /// If it is too long or malformed.
    pub fn decode(input: &Bytes) -> Result<Option<(Option<Self>, usize)>, FrameError> {
        wire::decode(input)
    }
}
