//! What peers call the bytes that are held here.

use std::time::Duration;

use super::Buffer;
use crate::address::Position;
use crate::alias::{Aliases, Follower, Named, News, Own};
use crate::field::{From, Resume};
use crate::resume::{Kind, Refusal, Start};

impl Buffer {
    /// A peer sends bytes, the first of which stands `at` by its own names. `now`: ms by the clock of [`Buffer::grow`].
    pub fn hear(
        &mut self,
        follower: &mut Follower,
        at: Position,
        bytes: &[u8],
        now: u64,
    ) -> Option<News> {
        let ours = self.timeline.knows(at.epoch);
        let (own, aliases) = self.own_and_aliases();
        let Some(own) = own.filter(|_| !ours) else {
            // It has our own names, or there is nothing here.
            follower.begin(aliases);
            return None;
        };
        follower.hear(own, aliases, at, bytes, Duration::from_millis(now))
    }

    /// Compares what has come here since with what a peer has sent.
    pub fn settle(&mut self, follower: &mut Follower, now: u64) -> Option<News> {
        let (own, aliases) = self.own_and_aliases();
        follower.settle(own?, aliases, Duration::from_millis(now))
    }

    fn own_and_aliases(&mut self) -> (Option<Own<'_>>, &mut Aliases) {
        let run = self.indexed.and_then(|run| self.timeline.run(run));
        let own = run.map(|run| Own {
            run: run.id,
            epoch: run.epoch,
            index: &self.index,
            ring: &self.ring,
        });
        (own, &mut self.aliases)
    }

    /// A peer is not heard any more, for now.
    pub fn peer_gone(&mut self, follower: &Follower) {
        follower.gone(&mut self.aliases);
    }

    /// What peers call the bytes that are held.
    #[must_use]
    pub const fn aliases(&self) -> &Aliases {
        &self.aliases
    }

    pub(super) fn evict_aliases(&mut self) {
        let runs = |at: Position| {
            let mut runs = self.timeline.runs();
            runs.any(|run| run.epoch == at.epoch && run.window.reaches(at.offset))
        };
        self.aliases.evict(runs);
    }

    /// Where the answer to a listener starts that asks for a position of a peer's (R-ALIAS-4), and whether it is exactly the next
    /// byte. `None`: nobody knows that position here.
    #[must_use]
    pub fn start_by_alias(&self, asked: &Resume) -> Option<(Result<Start, Refusal>, bool)> {
        let timeline = &self.timeline;
        let From::At(at) = asked.from else {
            return None;
        };
        if timeline.knows(at.epoch) {
            return None;
        }
        match self.aliases.find(at)? {
            Named::Own(own) => {
                let mut start = timeline.start(&Resume {
                    from: From::At(own),
                    ..*asked
                });
                let exact = start.as_ref().is_ok_and(|start| start.kind == Kind::Exact);
                if let (Ok(start), true) = (&mut start, exact) {
                    // To whoever knows no aliases it is the continuation in another epoch, which it is.
                    start.kind = Kind::Spliced;
                }
                Some((start, exact))
            }
            Named::Soon { own, edge } => match timeline.ahead(own.offset, edge.offset) {
                soon @ Refusal::Soon { .. } => Some((Err(soon), false)),
                _ => None,
            },
        }
    }
}
