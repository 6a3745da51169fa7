//! An index of chunks for each run that is held.

use std::collections::VecDeque;
use std::time::Duration;

use super::Ring;
use crate::address::{Offset, Position};
use crate::anchor::{Evidence, Index, SKEW, Unproven};
use crate::timeline::{RunId, Timeline};

/// The indexes, the oldest run's first.
#[derive(Debug, Default)]
pub(super) struct Places(VecDeque<(RunId, Index)>);

impl Places {
    /// A run begins at `first`, or the current one goes on.
    pub(super) fn begin(&mut self, run: RunId, first: Offset) {
        if self.0.back().is_none_or(|(last, _)| *last != run) {
            self.0.push_back((run, Index::new(first.get(), SKEW)));
        }
    }

    /// Bytes of the last run that follow arrived at `now`, ms.
    pub(super) fn push(&mut self, bytes: &[u8], now: u64) {
        if let Some((_, index)) = self.0.back_mut() {
            index.push(bytes, Duration::from_millis(now));
        }
    }

    /// What the timeline holds no more is forgotten.
    pub(super) fn evict(&mut self, timeline: &Timeline) {
        self.0.retain_mut(|(run, index)| {
            let held = timeline.run(*run).map(|run| run.window.first.get());
            held.inspect(|first| index.evict(*first)).is_some()
        });
    }

    /// The place after the client's last byte, in whichever run.
    pub(super) fn find(
        &self,
        timeline: &Timeline,
        ring: &Ring,
        evidence: &Evidence,
        asked: u64,
    ) -> Result<Position, Unproven> {
        let asked = Duration::from_millis(asked);
        let mut found = None;
        let mut why = Unproven::Unknown;
        for (id, index) in self.0.iter().rev() {
            let Some(run) = timeline.run(*id) else {
                continue;
            };
            let held = |at, len| {
                Offset::new(at)
                    .into_iter()
                    .flat_map(move |at| ring.bytes(*id, at, len))
            };
            match index.find(evidence, asked, held) {
                Ok(place) => {
                    let offset = Offset::new(place.at()).ok_or(Unproven::Unknown)?;
                    // A run that has ended gets no further.
                    if run.ended && offset > run.window.next {
                        why = Unproven::Ahead;
                    } else if found.replace(Position::new(run.epoch, offset)).is_some() {
                        return Err(Unproven::Ambiguous);
                    }
                }
                Err(Unproven::Unknown) => {}
                Err(other) if why == Unproven::Unknown => why = other,
                Err(_) => {}
            }
        }
        found.ok_or(why)
    }
}
