//! A look at the listeners of all loops, asked for from outside: where they stand, and whether the loops still answer.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use icecast_ext_core::address::Offset;
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::timeline::{RunId, Timeline};

use crate::engine::{Engine, Message};

/// Parts that a window is divided into.
pub const PARTS: usize = 24;

/// Where a mount's listeners stand: how many are in each [`PARTS`]th of what is held, the oldest first. Relay feeds count.
pub type Places = [u32; PARTS];

/// A question to every loop. Loops answer when they come to it; who asked looks from time to time.
#[derive(Debug)]
pub struct Survey {
    asked: Instant,
    /// A bit for each loop that has not answered.
    pending: AtomicU64,
    /// Whether places are wanted; if not, a loop answers and that is all.
    places: bool,
    found: Mutex<HashMap<u64, Places>>,
}

impl Survey {
    pub(crate) fn new(loops: usize, places: bool) -> Self {
        let pending = if loops >= 64 {
            u64::MAX
        } else {
            (1 << loops) - 1
        };
        Self {
            asked: Instant::now(),
            pending: AtomicU64::new(pending),
            places,
            found: Mutex::default(),
        }
    }

    /// How long the slowest loop has owed its answer; `None` once all have answered.
    #[must_use]
    pub fn owed(&self) -> Option<Duration> {
        (self.pending.load(Ordering::Acquire) != 0).then(|| self.asked.elapsed())
    }

    /// Where the listeners of `mount` stood, as far as loops have answered.
    #[must_use]
    pub fn places(&self, mount: &crate::Mount) -> Places {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        found.get(&mount.id()).copied().unwrap_or_default()
    }

    pub(crate) const fn wants_places(&self) -> bool {
        self.places
    }

    pub(crate) fn add(&self, mount: u64, places: &Places) {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let all = found.entry(mount).or_default();
        for (all, more) in all.iter_mut().zip(places) {
            *all = all.saturating_add(*more);
        }
    }

    pub(crate) fn answered(&self, index: usize) {
        self.pending
            .fetch_and(!(1 << (index % 64)), Ordering::AcqRel);
    }
}

impl Engine {
    /// Asks every loop where its listeners stand; with `places` false, only whether it still answers. Cheap: a loop looks at
    /// each of its listeners once.
    #[must_use]
    pub fn survey(&self, places: bool) -> Arc<Survey> {
        let survey = Arc::new(Survey::new(self.shared.loops.len(), places));
        for handle in &self.shared.loops {
            handle.post(Message::Survey(Arc::clone(&survey)));
        }
        survey
    }

    /// For how long the ticker has been at one round of its mounts; zero while it waits for the next.
    #[must_use]
    pub fn ticker_busy(&self) -> Duration {
        self.shared.ticker.busy()
    }
}

/// The runs of a mount, laid end to end.
#[derive(Debug)]
pub(crate) struct Ruler {
    /// Name, epoch's first and next byte held, and where the run begins on the ruler.
    runs: Vec<(RunId, Offset, Offset, u64)>,
    length: u64,
}

impl Ruler {
    pub(crate) fn of(timeline: &Timeline) -> Self {
        let mut length = 0;
        let runs = timeline.runs().map(|run| {
            let begins = length;
            length += run.window.len();
            (run.id, run.window.first, run.window.next, begins)
        });
        Self {
            runs: runs.collect(),
            length,
        }
    }

    /// Which part of what is held a listener is in. One that has not been sent anything is not looked for.
    pub(crate) fn part(&self, cursor: &Cursor) -> Option<usize> {
        let id = cursor.run()?;
        let (_, first, next, begins) = self.runs.iter().rev().find(|(run, ..)| *run == id)?;
        let at = cursor.at().offset.min(*next);
        let along = begins + at.since(*first).unwrap_or(0);
        let part = u128::from(along) * PARTS as u128 / u128::from(self.length.max(1));
        usize::try_from(part).ok().map(|part| part.min(PARTS - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_survey_is_owed_until_every_loop_has_answered() {
        let survey = Survey::new(2, true);
        survey.answered(1);
        assert!(survey.owed().is_some());
        survey.answered(0);
        assert_eq!(survey.owed(), None);
        assert!(Survey::new(64, false).owed().is_some());
    }
}
