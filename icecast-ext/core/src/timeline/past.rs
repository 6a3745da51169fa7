//! Runs by their place in the timeline, those included whose bytes are gone.

use super::{Run, RunId, Splice, Timeline};
use crate::address::{Epoch, Offset, Position};
use crate::codec::Format;

/// What is remembered of a run, held or gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    /// Its name.
    pub id: RunId,
    /// Its epoch.
    pub epoch: Epoch,
    /// What its bytes are, or were.
    pub format: Format,
    /// The oldest byte held; `next` if none is.
    pub first: Offset,
    /// The run's end so far.
    pub next: Offset,
    /// What follows it, if that is known.
    pub splice: Option<Splice>,
}

impl From<&Run> for Span {
    fn from(run: &Run) -> Self {
        Self {
            id: run.id,
            epoch: run.epoch,
            format: run.format,
            first: run.window.first,
            next: run.window.next,
            splice: run.splice,
        }
    }
}

/// Spans are counted from the oldest one remembered.
impl Timeline {
    pub(crate) fn span(&self, index: usize) -> Option<Span> {
        match index.checked_sub(self.past.len()) {
            Some(held) => self.runs.get(held).map(Span::from),
            None => self.past.get(index).copied(),
        }
    }

    /// The run of a span, if it is still there.
    pub(crate) fn run_of(&self, index: usize) -> Option<&Run> {
        self.runs.get(index.checked_sub(self.past.len())?)
    }

    /// The run that holds a position, or ends there.
    #[must_use]
    pub fn run_at(&self, position: Position) -> Option<&Run> {
        self.run_of(self.find(position)?)
    }

    /// The span of the run at `held` in `runs`.
    pub(crate) fn span_index(&self, held: usize) -> usize {
        self.past.len() + held
    }

    /// The span of this name.
    pub(crate) fn find_id(&self, id: RunId) -> Option<usize> {
        if let Some(last) = self.runs.len().checked_sub(1)
            && self.runs[last].id == id
        {
            return Some(self.span_index(last));
        }
        match self.runs.binary_search_by_key(&id, |run| run.id) {
            Ok(held) => Some(self.span_index(held)),
            Err(_) => self.past.binary_search_by_key(&id, |span| span.id).ok(),
        }
    }

    /// The span that a position belongs to: the newest one that holds it or ends there; else the current one if it is
    /// ahead of that; else the oldest one that ends after it (it is evicted, or in a gap); else the newest one of its
    /// epoch. `None`: an unknown epoch.
    pub(crate) fn find(&self, position: Position) -> Option<usize> {
        let (mut after, mut before) = (None, None);
        let mut holds = |index, first, next| {
            if position.offset > next {
                before = before.or(Some(index));
            } else if position.offset < first {
                after = Some(index);
            } else {
                return true;
            }
            false
        };
        for (held, run) in self.runs.iter().enumerate().rev() {
            let index = self.span_index(held);
            if run.epoch == position.epoch && holds(index, run.window.first, run.window.next) {
                return Some(index);
            }
        }
        for (index, span) in self.past.iter().enumerate().rev() {
            if span.epoch == position.epoch && holds(index, span.first, span.next) {
                return Some(index);
            }
        }
        let count = self.past.len() + self.runs.len();
        before
            .filter(|index| index + 1 == count)
            .or(after)
            .or(before)
    }
}
