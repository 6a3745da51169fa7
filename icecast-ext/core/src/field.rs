//! The extension's fields: parsed once at the edge, encoded by the same types.
//!
//! They are Structured Fields (RFC 9651): unknown parameters and members are ignored, a known one that is malformed makes
//! the field malformed.

mod anchor;
mod link;
mod resume;
mod sf;
mod stream;

use std::time::Duration;

use crate::address::{Epoch, Position, Session, Window};

pub use anchor::{MAX_RESUME_ANCHOR, Proof};
pub use link::{MAX_DUPLICATES, duplicates, encode_duplicates};

/// The request field of [`Resume`].
pub const RESUME_OFFSET: &str = "Resume-Offset";
/// The request field of [`crate::anchor::Evidence`].
pub const RESUME_ANCHOR: &str = "Resume-Anchor";
/// The response field of [`StreamOffset`].
pub const STREAM_OFFSET: &str = "Stream-Offset";
/// The response field of [`StreamWindow`].
pub const STREAM_WINDOW: &str = "Stream-Window";
/// The response field of [`Proof`].
pub const STREAM_PROOF: &str = "Stream-Proof";

/// What to do when the byte asked for cannot be given (R-MISS-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Miss {
    /// Start with the oldest byte held.
    #[default]
    Oldest,
    /// Start as a new listener does.
    Live,
    /// 412.
    Fail,
}

/// Where a request wants to start.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// As a new listener does: the burst, then live.
    Live,
    /// The byte after the last one received.
    At(Position),
    /// What arrived so long ago (`_shift`).
    Shift(Duration),
}

/// `Resume-Offset`, or its query forms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resume {
    /// Where to start.
    pub from: From,
    /// If that is gone.
    pub miss: Miss,
    /// The lag, in arrival time, beyond which live is preferred.
    pub max_lag: Option<Duration>,
    /// The session of the client's last answer.
    pub session: Option<Session>,
}

/// `Stream-Offset`: where the first byte after the prelude stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamOffset {
    /// The first canonical byte of the body.
    pub at: Position,
    /// Body bytes before it, which have no address.
    pub prelude: u64,
    /// To be sent back on the next request.
    pub session: Option<Session>,
    /// The answer continues the position asked for across declared splices: nothing is lost.
    pub spliced: bool,
    /// Bytes between the position asked for and this one, where the server knows.
    pub lost: Option<u64>,
}

/// `Stream-Window`: what can be asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamWindow {
    /// The epoch at the edge.
    pub epoch: Epoch,
    /// What is held of it.
    pub window: Window,
    /// Bytes a second, over the last minute or less; absent while unknown.
    pub rate: Option<u64>,
}

/// A field is malformed. The answer is 400, naming the field (R-FIELD-3, R-ANCHOR-5).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why} ({})", if *field == RESUME_ANCHOR { "R-ANCHOR-5" } else { "R-FIELD-3" })]
pub struct FieldError {
    /// The field's or query parameter's name.
    pub field: &'static str,
    /// What is wrong with it.
    pub why: String,
}
