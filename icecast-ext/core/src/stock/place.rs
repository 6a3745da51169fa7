//! Which byte of the stream is byte N of a body. A pure function of the anchor and of what all relays of the stream agree on:
//! titles, splices, preludes (R-STOCK-11). What this server does not know for certain is no place.

use std::num::NonZeroU32;

use bytes::Bytes;

use super::Anchor;
use crate::address::{Offset, Position};
use crate::icy;
use crate::timeline::{Span, Splice, Timeline, Titled};

/// Where a body goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Place {
    /// The next canonical byte.
    pub(super) at: Position,
    /// Stands before it: the rest of an ICY block or of a prelude.
    pub(super) owed: Bytes,
    /// If there are ICY blocks in the body.
    pub(super) icy: Option<Phase>,
}

/// Between two ICY blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Phase {
    /// Audio before the next block.
    pub(super) left: u32,
    /// The last title that was named.
    pub(super) shown: Option<Offset>,
}

impl Place {
    fn plain(at: Position, owed: Bytes) -> Self {
        Self {
            at,
            owed,
            icy: None,
        }
    }
}

impl Timeline {
    /// Where byte `body` of the anchor's join is; beyond the edge, at least how far. `None`: nobody here can say.
    pub(super) fn place_of(&self, anchor: &Anchor, body: u64) -> Option<Place> {
        let index = self.find(anchor.at)?;
        match (body.checked_sub(anchor.body), anchor.metaint) {
            (None, metaint) => {
                let before = usize::try_from(anchor.body - body).ok()?;
                let prelude = self.prelude_before(index, anchor.at.offset)?;
                let owed = prelude.slice(prelude.len().checked_sub(before)?..);
                let icy = metaint.map(|metaint| Phase {
                    left: metaint.get(),
                    shown: None,
                });
                Some(Place {
                    at: anchor.at,
                    owed,
                    icy,
                })
            }
            (Some(left), None) => self.plain_place(index, anchor.at, left),
            (Some(left), Some(metaint)) => {
                let walk = Walk {
                    at: anchor.at.offset,
                    metaint,
                    phase: Phase {
                        left: metaint.get(),
                        shown: None,
                    },
                    left,
                };
                self.icy_place(index, walk)
            }
        }
    }

    /// The splice over which a stock player's body is carried from a span (R-STOCK-19), and the span it leads to.
    pub(super) fn carries(&self, index: usize, span: &Span) -> Option<(Splice, usize)> {
        let splice = span.splice.filter(|splice| splice.declared)?;
        let next = self.span(index + 1)?;
        let continues = span.format.continues_across_splice() || splice.seamless;
        let carried = continues && next.format == span.format;
        carried.then_some((splice, index + 1))
    }

    fn plain_place(&self, mut index: usize, from: Position, mut left: u64) -> Option<Place> {
        let mut at = from;
        loop {
            let span = self.span(index)?;
            let to = Position::new(at.epoch, at.offset.checked_add(left)?);
            let Some(here) = span.next.since(at.offset).filter(|here| left > *here) else {
                return Some(Place::plain(to, Bytes::new()));
            };
            let Some((splice, next)) = self.carries(index, &span) else {
                return Some(Place::plain(to, Bytes::new()));
            };
            left -= here;
            (index, at) = (next, splice.to);
            if splice.seamless {
                continue;
            }
            let prelude = self.prelude_before(index, at.offset)?;
            match usize::try_from(left) {
                Ok(sent) if sent < prelude.len() => {
                    return Some(Place::plain(at, prelude.slice(sent..)));
                }
                _ => left -= prelude.len() as u64,
            }
        }
    }

    fn icy_place(&self, mut index: usize, mut walk: Walk) -> Option<Place> {
        loop {
            let (span, titles) = (self.span(index)?, self.titled(index)?);
            if walk.at < titles.from {
                return None;
            }
            let here = |walk: &Walk, at: Offset, owed| Place {
                at: Position::new(span.epoch, at),
                owed,
                icy: Some(walk.phase),
            };
            let (from, owed) = (walk.at, walk.through(&titles));
            if titles.doubtful(from, walk.at) {
                return None;
            }
            if let Some(owed) = owed {
                return Some(here(&walk, walk.at, owed));
            }
            match self.carries(index, &span) {
                Some((splice, next)) => {
                    // Icecast's formats with blocks have no preludes.
                    walk.at = splice.to.offset;
                    walk.phase.shown = None;
                    index = next;
                }
                // In a gap there may have been titles.
                None if span
                    .splice
                    .is_some_and(|splice| splice.to.epoch == span.epoch) =>
                {
                    return None;
                }
                // Beyond the edge, or an end: how many blocks would stand there makes no difference.
                None => {
                    let at = walk.at.checked_add(walk.left)?;
                    return Some(here(&walk, at, Bytes::new()));
                }
            }
        }
    }
}

/// A body with ICY blocks, walked along.
#[derive(Debug)]
struct Walk {
    /// The next canonical byte.
    at: Offset,
    metaint: NonZeroU32,
    phase: Phase,
    /// Bytes of body still to go.
    left: u64,
}

impl Walk {
    /// Walks to the place, or to the end of what the run has. `Some`: there, with what is left of the block that it is in.
    fn through(&mut self, titles: &Titled<'_>) -> Option<Bytes> {
        let period = u64::from(self.metaint.get());
        // Titles at or before `at`. The walk passes each once: to look for it again at each block takes longer than the walk.
        let mut reached = titles.list.partition_point(|title| title.at <= self.at);
        loop {
            let held = titles.next.since(self.at).unwrap_or(0);
            let audio = u64::from(self.phase.left).min(self.left).min(held);
            self.at = self.at.saturating_add(audio);
            self.left -= audio;
            self.phase.left = self.phase.left.saturating_sub(u32::try_from(audio).ok()?);
            if self.left == 0 {
                return Some(Bytes::new());
            }
            // A block is sent once the byte after it is there: until then its title may still change.
            if self.phase.left > 0 || held == audio {
                return None;
            }
            let rest = titles.list.range(reached..);
            reached += rest.take_while(|title| title.at <= self.at).count();
            let title = reached.checked_sub(1).and_then(|i| titles.list.get(i));
            let text = match title.filter(|title| self.phase.shown != Some(title.at)) {
                Some(title) => &title.text[..],
                None => &[],
            };
            let block = 1 + text.len().div_ceil(16) as u64 * 16;
            self.phase = Phase {
                left: self.metaint.get(),
                shown: title.map(|title| title.at).or(self.phase.shown),
            };
            if self.left < block {
                let sent = usize::try_from(self.left).ok()?;
                self.left = 0;
                return Some(icy::block(text).slice(sent..));
            }
            self.left -= block;
            // Until another title there are but empty blocks, and every one before the last byte held has been sent.
            let quiet = match titles.list.get(reached) {
                Some(next) => next.at.since(self.at)?.div_ceil(period) - 1,
                None => u64::MAX,
            };
            let held = titles.next.since(self.at).unwrap_or(0);
            let blocks = quiet
                .min(self.left / (period + 1))
                .min(held.saturating_sub(1) / period);
            self.at = self.at.saturating_add(blocks * period);
            self.left -= blocks * (period + 1);
        }
    }
}
