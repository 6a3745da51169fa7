//! Titles by their place in the timeline, those included whose run's bytes are gone: a stock player's body is counted by all the
//! titles that were in it (R-STOCK-23).

use std::collections::VecDeque;

use super::{Run, Timeline, Title};
use crate::address::Offset;

/// Bytes of titles that are kept of runs whose bytes are gone; the oldest run's go first.
const MAX_BYTES: usize = 64 << 10;

/// Of a run whose bytes are gone.
#[derive(Debug)]
pub(super) struct Titles {
    list: VecDeque<Title>,
    from: Offset,
    next: Offset,
}

impl Titles {
    pub(super) fn of(run: Run) -> Self {
        Self {
            list: run.titles,
            from: run.titles_from,
            next: run.window.next,
        }
    }

    fn bytes(&self) -> usize {
        self.list.iter().map(|title| title.text.len()).sum()
    }
}

/// The titles of a run, and its end so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Titled<'a> {
    pub(crate) list: &'a VecDeque<Title>,
    /// From here on all are known.
    pub(crate) from: Offset,
    pub(crate) next: Offset,
}

impl<'a> Titled<'a> {
    /// The title in force at `at`.
    pub(crate) fn at(&self, at: Offset) -> Option<&'a Title> {
        let reached = self.list.partition_point(|title| title.at <= at);
        self.list.get(reached.checked_sub(1)?)
    }
}

impl Timeline {
    /// The titles of a span; `None` if they are forgotten.
    pub(crate) fn titled(&self, index: usize) -> Option<Titled<'_>> {
        if let Some(run) = self.run_of(index) {
            return Some(Titled {
                list: &run.titles,
                from: run.titles_from,
                next: run.window.next,
            });
        }
        let id = self.span(index)?.id;
        let (_, titles) = self.past_titles.iter().find(|(run, _)| *run == id)?;
        Some(Titled {
            list: &titles.list,
            from: titles.from,
            next: titles.next,
        })
    }

    /// Forgets those that are too many.
    pub(super) fn forget_titles(&mut self) {
        let mut held: usize = self.past_titles.iter().map(|(_, of)| of.bytes()).sum();
        while self.past_titles.len() > Self::PAST || held > MAX_BYTES {
            let Some((_, gone)) = self.past_titles.pop_front() else {
                break;
            };
            held -= gone.bytes();
        }
    }
}
