//! A timeline taken apart, so that another process goes on with it: cursors name the same runs there.

use super::{MAX_PRELUDES, MAX_TITLE, MAX_TITLES, Run, Span, Timeline};

/// All that a [`Timeline`] is.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Parts {
    /// Runs whose bytes are gone, the oldest first.
    pub past: Vec<Span>,
    /// Runs, the oldest first.
    pub runs: Vec<Run>,
    /// The last run's number that was given.
    pub ids: u32,
}

impl Timeline {
    /// A copy of everything.
    #[must_use]
    pub fn parts(&self) -> Parts {
        Parts {
            past: self.past.iter().copied().collect(),
            runs: self.runs.iter().cloned().collect(),
            ids: self.ids,
        }
    }

    /// The timeline that was taken apart. `None` if no timeline can have been: something is out of order, or there is more of it
    /// than is ever kept.
    #[must_use]
    pub fn from_parts(burst: u64, parts: Parts) -> Option<Self> {
        let spans = parts.past.iter().copied();
        let spans: Vec<Span> = spans.chain(parts.runs.iter().map(Span::from)).collect();
        let whole = parts.past.len() <= Self::PAST
            && rises(spans.iter().map(|span| span.id))
            && spans
                .last()
                .is_none_or(|last| last.id.number().get() <= parts.ids)
            && spans.iter().all(|span| span.first <= span.next)
            && parts.runs.iter().all(is_whole);
        whole.then(|| Self {
            runs: parts.runs.into(),
            past: parts.past.into(),
            remains: std::collections::VecDeque::new(),
            burst,
            ids: parts.ids,
        })
    }
}

fn is_whole(run: &Run) -> bool {
    let sorted_ms = run.times.iter().is_sorted_by_key(|(_, ms)| *ms);
    run.start <= run.window.first
        && run.titles.len() <= MAX_TITLES
        && run.titles.iter().all(|title| title.text.len() <= MAX_TITLE)
        && rises(run.titles.iter().map(|title| title.at))
        && sorted_ms
        && rises(run.times.iter().map(|(at, _)| *at))
        && run.preludes.len() <= MAX_PRELUDES
        && rises(run.preludes.iter().map(|(at, _)| *at))
        && rises(run.syncs.iter().copied())
}

fn rises<T: PartialOrd>(values: impl Iterator<Item = T>) -> bool {
    values.is_sorted_by(|a, b| a < b)
}
