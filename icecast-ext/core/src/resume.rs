//! Where an answer starts. Pure: no clock, no I/O.

use std::time::Duration;

use bytes::Bytes;

use crate::address::{Offset, Position};
use crate::field::{Resume, StreamOffset};
use crate::timeline::Timeline;

/// How far ahead of the edge a position is waited for, in audio (R-AHEAD-1).
pub const AHEAD: Duration = Duration::from_secs(30);
/// How long a request ahead of the edge is held (R-AHEAD-1).
pub const HOLD: Duration = Duration::from_secs(10);

/// An answer's start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// The first canonical byte.
    pub at: Position,
    /// Sent before it. Empty for an exact resume.
    pub prelude: Bytes,
    /// Why there.
    pub kind: Kind,
}

/// Why an answer starts where it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The byte asked for.
    Exact,
    /// The byte that a declared splice puts in the place of the one asked for.
    Spliced,
    /// A join: nothing was asked for.
    Join,
    /// What was asked for is gone; so many canonical bytes are lost, where known.
    Miss {
        /// Canonical bytes between the position asked for and `at`.
        lost: Option<u64>,
    },
}

/// No start: the answer is not 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Ahead of the edge by no more than [`AHEAD`]: to be held up to [`HOLD`], then 412 (R-AHEAD-1).
    #[error("offset {asked} is ahead of the edge {next}")]
    Soon {
        /// What was asked for.
        asked: Offset,
        /// The edge.
        next: Offset,
    },
    /// Further ahead: 412 at once (R-AHEAD-2).
    #[error("offset {asked} is more than 30 s ahead of the edge {next}")]
    Ahead {
        /// What was asked for.
        asked: Offset,
        /// The edge.
        next: Offset,
    },
    /// A miss, and `miss=fail`: 412 (R-MISS-4).
    #[error("the position asked for is not held")]
    Missed,
    /// Nothing is held yet: to be held, then 503.
    #[error("nothing is held yet")]
    Empty,
}

impl Start {
    /// What `Stream-Offset` says.
    #[must_use]
    pub fn field(&self) -> StreamOffset {
        StreamOffset {
            at: self.at,
            prelude: self.prelude.len() as u64,
            session: None,
            spliced: self.kind == Kind::Spliced,
            lost: match self.kind {
                Kind::Miss { lost } => lost,
                _ => None,
            },
        }
    }
}

impl Timeline {
    /// Where a listener's answer starts. For a request without any of our fields, `asked.from` is `Live`.
    pub fn start(&self, asked: &Resume) -> Result<Start, Refusal> {
        let _ = asked;
        todo!()
    }

    /// Where a relay feed starts: exact bytes without a sync point; without a position, the oldest byte held.
    pub fn start_feed(&self, asked: Option<&Resume>) -> Result<Start, Refusal> {
        let _ = asked;
        todo!()
    }
}
