//! What is kept of a run whose bytes are gone. A stock player's body is counted by all that was in it: titles, and the prelude
//! with which it was carried into the run (R-STOCK-23).

use std::collections::VecDeque;

use bytes::Bytes;

use super::{Run, RunId, Timeline, Title};
use crate::address::Offset;

/// Bytes that are kept of all such runs; the oldest run's go first.
const MAX_BYTES: usize = 64 << 10;

/// Of one run.
#[derive(Debug)]
pub(super) struct Remains {
    id: RunId,
    titles: VecDeque<Title>,
    titles_from: Offset,
    recalled: Option<Offset>,
    next: Offset,
    /// In force where the splice into the run leads; `None`: forgotten.
    prelude: Option<(Offset, Bytes)>,
}

impl Remains {
    /// `entry`: where the splice into the run leads.
    pub(super) fn of(run: Run, entry: Option<Offset>) -> Self {
        let known = |at: &Offset| run.preludes.front().is_some_and(|(from, _)| from <= at);
        let prelude = entry.filter(known).map(|at| (at, run.prelude_at(at)));
        Self {
            id: run.id,
            prelude,
            titles_from: run.titles_from,
            recalled: run.recalled,
            next: run.window.next,
            titles: run.titles,
        }
    }

    fn bytes(&self) -> usize {
        let titles: usize = self.titles.iter().map(|title| title.text.len()).sum();
        titles + self.prelude.as_ref().map_or(0, |(_, bytes)| bytes.len())
    }
}

/// The titles of a run, and its end so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Titled<'a> {
    pub(crate) list: &'a VecDeque<Title>,
    /// From here on all are known.
    pub(crate) from: Offset,
    /// [`Run::recalled`]
    recalled: Option<Offset>,
    pub(crate) next: Offset,
}

/// So many bytes may have been sent before a crash that are not in the journal: those of a few ticks. Who has more has come back
/// since, and got them from us.
const DOUBT: u64 = 16 << 10;

impl Titled<'_> {
    /// Whether a body that goes from one byte to the other may have had a title elsewhere than it is known to be.
    pub(crate) fn doubtful(&self, from: Offset, to: Offset) -> bool {
        let sent = |end: &Offset| from < *end && *end < to && to <= end.saturating_add(DOUBT);
        let Some(end) = self.recalled.filter(sent) else {
            return false;
        };
        let after = self.list.partition_point(|title| title.at < end);
        self.list.get(after).is_some_and(|title| title.at < to)
    }
}

impl Timeline {
    fn remains_of(&self, index: usize) -> Option<&Remains> {
        let id = self.span(index)?.id;
        self.remains.iter().find(|remains| remains.id == id)
    }

    /// The titles of a span; `None` if they are forgotten.
    pub(crate) fn titled(&self, index: usize) -> Option<Titled<'_>> {
        if let Some(run) = self.run_of(index) {
            return Some(Titled {
                list: &run.titles,
                from: run.titles_from,
                recalled: run.recalled,
                next: run.window.next,
            });
        }
        let remains = self.remains_of(index)?;
        Some(Titled {
            list: &remains.titles,
            from: remains.titles_from,
            recalled: remains.recalled,
            next: remains.next,
        })
    }

    /// The prelude of a body that begins at `at` in a span, or is carried there; `None` if it is forgotten.
    pub(crate) fn prelude_before(&self, index: usize, at: Offset) -> Option<Bytes> {
        if !self.span(index)?.format.has_preludes() {
            return Some(Bytes::new());
        }
        if let Some(run) = self.run_of(index) {
            let known = run.preludes.front().is_some_and(|(from, _)| *from <= at);
            return known.then(|| run.prelude_at(at));
        }
        let (entry, bytes) = self.remains_of(index)?.prelude.as_ref()?;
        (*entry == at).then(|| bytes.clone())
    }

    /// Forgets the oldest, if they are too many.
    pub(super) fn forget_remains(&mut self) {
        let mut held: usize = self.remains.iter().map(Remains::bytes).sum();
        while self.remains.len() > Self::PAST || held > MAX_BYTES {
            let Some(gone) = self.remains.pop_front() else {
                break;
            };
            held -= gone.bytes();
        }
    }
}
