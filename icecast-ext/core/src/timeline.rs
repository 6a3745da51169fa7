//! A mount's epochs in order: what is held, titles, times, preludes, sync points, splices. No bytes.
//!
//! The writer publishes a chunk in this order, under one lock: what begins in it ([`Timeline::sync`],
//! [`Timeline::prelude`], [`Timeline::title`], [`Timeline::time`], each at or after the edge), then [`Timeline::grow`],
//! then [`Timeline::evict`].

mod parts;
mod past;
mod remains;
mod run;

use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;

use crate::address::{Epoch, Offset, Position};
use crate::codec::Format;
use crate::field::StreamWindow;
use remains::Remains;

pub use parts::Parts;
pub use past::Span;
pub(crate) use remains::Titled;
pub use run::{BLIND, MAX_PRELUDES, MAX_TITLE, MAX_TITLES, Run, RunId, Splice, Title};

/// What is known of a run when it begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Begin {
    /// Its epoch.
    pub epoch: Epoch,
    /// Its first byte.
    pub first: Offset,
    /// The minter says that it follows the run before (R-SPLICE-1).
    pub declared: bool,
    /// Decides where a listener may start, and whether one is carried over from the run before.
    pub format: Format,
    /// For the relay feed's FORMAT frame: how often the mount publishes.
    pub tick_ms: u32,
    /// For the relay feed's FORMAT frame: field lines, `name: value CRLF`.
    pub fields: Bytes,
}

/// A mount's epochs, the oldest first. Never more than the back buffer holds, and the splices of [`Timeline::PAST`] more.
///
/// Two runs may be of one epoch: a relay that lost its upstream for a while holds what it had before and what came after.
#[derive(Debug, Default)]
pub struct Timeline {
    pub(crate) runs: VecDeque<Run>,
    past: VecDeque<Span>,
    /// Of runs in `past`, as far as it is kept; the oldest first.
    remains: VecDeque<Remains>,
    pub(crate) burst: u64,
    ids: u32,
}

impl Timeline {
    /// Ended runs whose splice is remembered after their bytes have gone, so that a late client learns what it lost.
    pub const PAST: usize = 64;

    /// A mount that holds nothing yet. `burst`: bytes before the edge at which a live join starts.
    #[must_use]
    pub fn new(burst: u64) -> Self {
        Self {
            burst,
            ..Self::default()
        }
    }

    /// Live joins start so many bytes before the edge from now on.
    pub fn set_burst(&mut self, burst: u64) {
        self.burst = burst;
    }

    /// FORMAT frames of the runs that are held say this from now on.
    pub fn set_tick(&mut self, tick_ms: u32) {
        for run in &mut self.runs {
            run.tick_ms = tick_ms;
        }
    }

    // ---- the writer's side: one writer, everything in order of offsets ----

    /// A run begins; the one before ends at its edge. The splice between them is settled once the new run's first sync
    /// point is held, or [`BLIND`] bytes without one, or the first byte of an opaque format; or by
    /// [`Timeline::splice_to`].
    ///
    /// A run that goes on where the current one stopped is the current one: a healed or resumed pull. A run that never
    /// got a byte vanishes when another begins; the splice into that one is declared only if both were.
    ///
    /// Returns the current run's id; a new one if this is a new run.
    pub fn begin(&mut self, begin: Begin) -> RunId {
        let mut declared = begin.declared;
        while let Some(run) = self.runs.back_mut() {
            if run.epoch == begin.epoch && run.window.next == begin.first {
                run.ended = false;
                run.tick_ms = begin.tick_ms;
                run.fields = begin.fields;
                return run.id;
            }
            if run.window.next != run.start {
                run.ended = true;
                break;
            }
            declared &= run.declared;
            self.runs.pop_back();
        }
        self.ids = self.ids.saturating_add(1);
        let id = RunId(NonZeroU32::new(self.ids).unwrap_or(NonZeroU32::MIN));
        self.runs.push_back(Run::new(id, begin, declared));
        id
    }

    /// The current run ends at its edge; what follows is not known yet.
    pub fn end(&mut self) {
        if let Some(run) = self.runs.back_mut() {
            run.ended = true;
        }
    }

    /// `bytes` more are held.
    pub fn grow(&mut self, bytes: u64) {
        if let Some(run) = self.runs.back_mut() {
            run.window.next = run.window.next.saturating_add(bytes);
            self.settle();
        }
    }

    /// The byte at `at` arrived at `ms`: origin's clock, ms since 1970. A mark at or below the last one is nothing; a clock
    /// that goes back stands still.
    pub fn time(&mut self, at: Offset, ms: u64) {
        if let Some(run) = self.runs.back_mut() {
            run.time(at, ms);
        }
    }

    /// A title. Never placed below the edge already published, nor where another one is: it moves up (R-TITLE-2). The same
    /// text again is nothing; nor is one that a relay feed repeats when it is resumed. Before the run's first byte it may be
    /// below it: a relay is told the titles before its start.
    pub fn title(&mut self, at: Offset, text: Bytes) {
        if let Some(run) = self.runs.back_mut() {
            run.title(at, text);
        }
    }

    /// A late joiner may start at `at`.
    pub fn sync(&mut self, at: Offset) {
        if let Some(run) = self.runs.back_mut()
            && at >= run.window.first
            && run.syncs.back().is_none_or(|last| *last < at)
        {
            run.syncs.push_back(at);
            self.settle();
        }
    }

    /// All that is held is from a journal, which may lack the last that was sent.
    pub fn recalled(&mut self) {
        if let Some(run) = self.runs.back_mut() {
            run.recalled = Some(run.window.next);
        }
    }

    /// `bytes` are the prelude from `at` on.
    pub fn prelude(&mut self, at: Offset, bytes: Bytes) {
        if let Some(run) = self.runs.back_mut() {
            run.prelude(at, bytes);
        }
    }

    /// The parent relay says where the splice into the current run leads, and whether that is `seamless`.
    pub fn splice_to(&mut self, to: Position, seamless: bool) {
        if let Some(run) = self.runs.back_mut()
            && run.epoch == to.epoch
        {
            run.told = Some(to.offset);
            run.seamless = seamless;
            self.settle();
        }
    }

    /// The oldest `bytes` held are gone.
    pub fn evict(&mut self, bytes: u64) {
        let mut left = bytes;
        for run in &mut self.runs {
            if left == 0 {
                break;
            }
            left -= run.evict(left);
        }
        while self.runs.len() > 1
            && let Some(run) = self.runs.front()
            && run.window.is_empty()
            && run.splice.is_some()
        {
            let entry = self.past.back().and_then(|before| before.splice);
            self.past.push_back(Span::from(run));
            if let Some(run) = self.runs.pop_front() {
                let remains = Remains::of(run, entry.map(|splice| splice.to.offset));
                self.remains.push_back(remains);
                self.forget_remains();
            }
        }
        while self.past.len() > Self::PAST {
            self.past.pop_front();
        }
    }

    /// Settles the splice into the current run, if its place is known, and the one into the run before: that has ended for
    /// good now, and without a sync point it has nothing but its end for a listener of the run before it.
    fn settle(&mut self) {
        let Some(run) = self.runs.back().filter(|run| run.window.next != run.start) else {
            return;
        };
        let (last, entry) = (self.runs.len() - 1, run.entry());
        if let Some(before) = last.checked_sub(1) {
            self.settle_at(before, self.runs[before].window.next);
        }
        if let Some(entry) = entry {
            self.settle_at(last, entry);
        }
    }

    fn settle_at(&mut self, index: usize, offset: Offset) {
        let Some(before) = index.checked_sub(1) else {
            return;
        };
        if self.runs[before].splice.is_some() {
            return;
        }
        let run = &self.runs[index];
        let to = Position::new(run.epoch, offset);
        // Within an epoch a position means itself, on either side of a gap.
        let declared = run.declared && run.epoch != self.runs[before].epoch;
        let seamless = declared && run.seamless;
        let run = &mut self.runs[before];
        run.splice = Some(Splice {
            end: run.window.next,
            to,
            declared,
            seamless,
        });
    }

    // ---- the readers' side ----

    /// The runs held, the oldest first.
    pub fn runs(&self) -> impl DoubleEndedIterator<Item = &Run> {
        self.runs.iter()
    }

    /// The run of this name, while it is held.
    #[must_use]
    pub fn run(&self, id: RunId) -> Option<&Run> {
        let last = self.runs.back().filter(|run| run.id == id);
        last.or_else(|| {
            let at = self.runs.binary_search_by_key(&id, |run| run.id).ok()?;
            self.runs.get(at)
        })
    }

    /// Bytes held, of all runs.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.runs.iter().map(|run| run.window.len()).sum()
    }

    /// Bytes held that had arrived more than `window` before the edge did.
    #[must_use]
    pub fn older_than(&self, window: Duration) -> u64 {
        let Some((index, offset)) = self.ago(window) else {
            return 0;
        };
        let whole = self.runs.iter().take(index).map(|run| run.window.len());
        let part = offset.since(self.runs[index].window.first).unwrap_or(0);
        whole.sum::<u64>() + part
    }

    /// The edge.
    #[must_use]
    pub fn edge(&self) -> Option<Position> {
        self.runs
            .back()
            .map(|run| Position::new(run.epoch, run.window.next))
    }

    /// One of this mount's epochs, whether or not its bytes are still held.
    #[must_use]
    pub fn knows(&self, epoch: Epoch) -> bool {
        self.runs.iter().any(|run| run.epoch == epoch)
            || self.past.iter().any(|span| span.epoch == epoch)
    }

    /// What `Stream-Window` says now.
    #[must_use]
    pub fn window(&self) -> Option<StreamWindow> {
        self.runs.back().map(|run| StreamWindow {
            epoch: run.epoch,
            window: run.window,
            rate: run.rate(),
        })
    }

    /// When the edge arrived.
    pub(crate) fn edge_time(&self) -> Option<u64> {
        let last = self.runs.iter().rev().find_map(|run| run.times.back());
        last.map(|(_, ms)| *ms)
    }

    /// The run (its index) and offset that arrived `back` before the edge. `None` if that is no longer held.
    pub(crate) fn ago(&self, back: Duration) -> Option<(usize, Offset)> {
        let back = u64::try_from(back.as_millis()).ok()?;
        let target = self.edge_time()?.checked_sub(back)?;
        let found = self.runs.iter().enumerate().rev().find_map(|(index, run)| {
            let after = run.times.partition_point(|(_, ms)| *ms <= target);
            let (offset, _) = run.times.get(after.checked_sub(1)?)?;
            Some((index, *offset))
        });
        found.filter(|(index, offset)| self.runs[*index].window.reaches(*offset))
    }
}
