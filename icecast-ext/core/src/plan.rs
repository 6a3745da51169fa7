//! What a listener is sent from there.

use std::num::NonZeroU32;

use bytes::Bytes;

use crate::address::Position;
use crate::timeline::Timeline;

/// What comes next for a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// So many canonical bytes from the cursor's position on. At least one, all of them held.
    Audio(u64),
    /// Bytes without an address: an ICY block, a prelude after a splice, the head of a frame. To be sent whole.
    Overhead(Bytes),
    /// Nothing until the edge moves (or, for a feed, until the next tick).
    Wait,
    /// The response ends.
    End(End),
}

/// Why a response ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The epoch ended and the client resumes by itself (R-SPLICE-3), or its decoder cannot go on.
    Epoch,
    /// The position has left the window.
    Evicted,
}

/// A listener's place in a mount and in its response. Small and `Copy`: a step that was not sent is a cursor not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    at: Position,
    // the owner adds: icy { metaint, left, shown }, feed { left in frame, next event }, aware, continues
}

impl Cursor {
    /// Canonical bytes alone. `aware`: ends at an epoch's end; others are carried on if `continues`.
    #[must_use]
    pub fn plain(at: Position, aware: bool, continues: bool) -> Self {
        let _ = (aware, continues);
        Self { at }
    }

    /// With ICY blocks every `metaint` bytes; for an aware client they say `StreamAt` too (R-ICY-4).
    #[must_use]
    pub fn icy(at: Position, metaint: NonZeroU32, aware: bool, continues: bool) -> Self {
        let _ = (metaint, aware, continues);
        Self { at }
    }

    /// The relay feed. `format` is the content of the FORMAT frame's field lines.
    #[must_use]
    pub fn feed(at: Position) -> Self {
        Self { at }
    }

    /// Where the next canonical byte comes from.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.at
    }

    /// What comes next, at most `max` bytes of audio, and the cursor after it. `tick` counts the mount's ticks: a feed that
    /// waits says KEEPALIVE once in each. `fields` are the lines of a FORMAT frame.
    #[must_use]
    pub fn step(&self, timeline: &Timeline, max: u64, tick: u32, fields: &[u8]) -> (Step, Self) {
        let _ = (timeline, max, tick, fields);
        todo!()
    }

    /// The cursor after `n` bytes of a [`Step::Audio`] that was sent in part.
    #[must_use]
    pub fn sent(&self, n: u64) -> Self {
        let _ = n;
        todo!()
    }
}
