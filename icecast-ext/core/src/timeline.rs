//! A mount's epochs in order: what is held, titles, times, preludes, sync points, splices. No bytes.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::address::{Epoch, Offset, Position, Window};

/// A title, in force from an offset on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Title {
    /// The first byte it belongs to.
    pub at: Offset,
    /// The text of the ICY block, as the source's server wrote it (`StreamTitle='…';…`), without padding.
    pub text: Bytes,
}

/// What stands between an epoch and the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Splice {
    /// Where the earlier epoch ends.
    pub end: Offset,
    /// The next epoch, and its first sync point.
    pub to: Position,
    /// The minter says that `to` follows `end` (R-SPLICE-1).
    pub declared: bool,
}

/// One epoch, or the part of it that one unbroken pull gave.
#[derive(Debug, Clone)]
pub struct Run {
    /// Its name.
    pub epoch: Epoch,
    /// What is held.
    pub window: Window,
    /// In order; the one in force at `window.first` is kept.
    pub titles: VecDeque<Title>,
    /// When the byte at an offset arrived: origin's clock, ms since 1970, one a tick.
    pub times: VecDeque<(Offset, u64)>,
    /// Preludes, each in force from its offset on; the one in force at `window.first` is kept.
    pub preludes: VecDeque<(Offset, Bytes)>,
    /// Where a late joiner may start.
    pub syncs: VecDeque<Offset>,
    /// Set once the epoch has ended and its successor has a sync point.
    pub splice: Option<Splice>,
    /// Ended, whether or not a successor is known yet.
    pub ended: bool,
}

/// A mount's epochs, the oldest first. Never more than the back buffer holds, and the splices of [`Timeline::PAST`] more.
#[derive(Debug, Default)]
pub struct Timeline {
    pub(crate) runs: VecDeque<Run>,
    pub(crate) burst: u64,
}

impl Timeline {
    /// Ended epochs whose splice is remembered after their bytes have gone, so that a late client learns what it lost.
    pub const PAST: usize = 64;

    /// A mount that holds nothing yet. `burst`: bytes before the edge at which a live join starts.
    #[must_use]
    pub fn new(burst: u64) -> Self {
        Self {
            runs: VecDeque::new(),
            burst,
        }
    }

    // ---- the writer's side: one writer, everything in order of offsets ----

    /// A new run begins at (epoch, first); the one before ends at its edge. Its splice is completed by the new run's first
    /// sync point ([`Timeline::sync`]) or by [`Timeline::splice_to`].
    pub fn begin(&mut self, epoch: Epoch, first: Offset, declared: bool) {
        let _ = (epoch, first, declared);
        todo!()
    }

    /// The current run ends at its edge; what follows is not known yet.
    pub fn end(&mut self) {
        todo!()
    }

    /// `bytes` more are held; the first of them arrived at `ms`.
    pub fn grow(&mut self, bytes: u64, ms: u64) {
        let _ = (bytes, ms);
        todo!()
    }

    /// A title. Never placed below the edge already published: it moves up to it (R-TITLE-2). The same text again is nothing.
    pub fn title(&mut self, at: Offset, text: Bytes) {
        let _ = (at, text);
        todo!()
    }

    /// A late joiner may start at `at`.
    pub fn sync(&mut self, at: Offset) {
        let _ = at;
        todo!()
    }

    /// `bytes` are the prelude from `at` on.
    pub fn prelude(&mut self, at: Offset, bytes: Bytes) {
        let _ = (at, bytes);
        todo!()
    }

    /// The parent relay says where the splice into the current run leads.
    pub fn splice_to(&mut self, to: Position) {
        let _ = to;
        todo!()
    }

    /// The oldest `bytes` held are gone.
    pub fn evict(&mut self, bytes: u64) {
        let _ = bytes;
        todo!()
    }

    // ---- the readers' side ----

    /// The runs held, the oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.iter()
    }

    /// The edge.
    #[must_use]
    pub fn edge(&self) -> Option<Position> {
        self.runs
            .back()
            .map(|run| Position::new(run.epoch, run.window.next))
    }

    /// What `Stream-Window` says now.
    #[must_use]
    pub fn window(&self) -> Option<crate::field::StreamWindow> {
        todo!()
    }
}
