//! What a listener is sent from there.

mod feed;
mod icy;
mod wire;

use std::num::NonZeroU32;

use bytes::Bytes;

use crate::address::Position;
use crate::timeline::{RunId, Span, Timeline};
use feed::Feed;
use icy::Icy;

/// What comes next for a listener.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// So many canonical bytes from [`Cursor::at`] of the cursor that was asked, in the run that [`Cursor::run`] of the
    /// cursor after it names. At least one, all of them held.
    Audio(u64),
    /// Bytes without an address: an ICY block, a prelude after a splice, the head of a frame. To be sent whole. Empty where
    /// a listener is carried across a splice that needs no prelude.
    Overhead(Bytes),
    /// Nothing until the edge moves (or, for a feed, until the next tick).
    Wait,
    /// The response ends.
    End(End),
}

/// Why a response ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// The epoch ended and the client resumes by itself (R-SPLICE-3), or its decoder cannot go on.
    Epoch,
    /// The position has left the window.
    Evicted,
}

/// A listener's place in a mount and in its response. Small and `Copy`: a step that was not sent is a cursor not kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cursor {
    at: Position,
    run: Option<RunId>,
    /// Ends at the end of a run.
    aware: bool,
    /// May be carried across a splice.
    continues: bool,
    body: Body,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    Plain,
    Icy(Icy),
    Feed(Feed),
}

impl Cursor {
    /// Canonical bytes alone. `aware`: ends at an epoch's end; others are carried on if `continues`
    /// ([`crate::codec::Format::continues_across_splice`]) and the format stays the same.
    #[must_use]
    pub fn plain(at: Position, aware: bool, continues: bool) -> Self {
        Self::new(at, aware, continues, Body::Plain)
    }

    /// With ICY blocks every `metaint` bytes; for an aware client they say `StreamAt` too (R-ICY-4).
    #[must_use]
    pub fn icy(at: Position, metaint: NonZeroU32, aware: bool, continues: bool) -> Self {
        Self::new(at, aware, continues, Body::Icy(Icy::new(metaint)))
    }

    /// The relay feed.
    #[must_use]
    pub fn feed(at: Position) -> Self {
        Self::new(at, true, false, Body::Feed(Feed::new()))
    }

    fn new(at: Position, aware: bool, continues: bool, body: Body) -> Self {
        Self {
            at,
            run: None,
            aware,
            continues,
            body,
        }
    }

    /// Where the next canonical byte comes from.
    #[must_use]
    pub const fn at(&self) -> Position {
        self.at
    }

    /// The run that [`Cursor::at`] is in. Known after the first step.
    #[must_use]
    pub const fn run(&self) -> Option<RunId> {
        self.run
    }

    /// A player that knows nothing of us: it is carried where others end and resume.
    #[must_use]
    pub const fn is_stock(&self) -> bool {
        !self.aware && !matches!(self.body, Body::Feed(_))
    }

    /// The cursor of a stock listener that goes on at `to` in a stream of the same format, of another mount perhaps. An ICY
    /// phase goes on. `None` where it cannot: an aware client resumes by itself, some decoders do not go on, and a
    /// prelude (`prelude`: one is needed) has no place between ICY blocks (R-ICY-2).
    #[must_use]
    pub fn carried(&self, to: Position, prelude: bool) -> Option<Self> {
        let mut after = *self;
        match &mut after.body {
            Body::Plain => {}
            Body::Icy(_) if prelude => return None,
            Body::Icy(icy) => icy.forget(),
            Body::Feed(_) => return None,
        }
        (after.at, after.run) = (to, None);
        (!self.aware && self.continues).then_some(after)
    }

    /// What comes next, at most `max` bytes of audio (at least 1), and the cursor after it. `tick` counts the mount's
    /// ticks: a feed that waits says KEEPALIVE once in each.
    #[must_use]
    pub fn step(&self, timeline: &Timeline, max: u64, tick: u32) -> (Step, Self) {
        let mut after = *self;
        let step = after.advance(timeline, max.max(1), tick);
        (step, after)
    }

    /// The cursor after the first `n` bytes of a [`Step::Audio`], asked of the cursor before that step.
    #[must_use]
    pub fn sent(&self, n: u64) -> Self {
        let mut after = *self;
        after.pass(n);
        after
    }

    fn pass(&mut self, n: u64) {
        self.at.offset = self.at.offset.saturating_add(n);
        match &mut self.body {
            Body::Plain => {}
            Body::Icy(icy) => icy.pass(n),
            Body::Feed(feed) => feed.pass(n),
        }
    }

    fn advance(&mut self, timeline: &Timeline, max: u64, tick: u32) -> Step {
        let found = match self.run {
            Some(id) => timeline.find_id(id),
            None => timeline.find(self.at),
        };
        let Some((index, span)) = found.and_then(|i| Some((i, timeline.span(i)?))) else {
            return Step::End(End::Evicted);
        };
        if self.at.offset < span.first {
            return Step::End(End::Evicted);
        }
        self.run = Some(span.id);
        let held = span.next.since(self.at.offset).unwrap_or(0);
        let audio = match &mut self.body {
            Body::Feed(_) => return self.feed_step(timeline, index, &span, max, tick),
            _ if held == 0 => return self.at_end(timeline, index, &span),
            Body::Plain => held.min(max),
            Body::Icy(icy) => match timeline.run_of(index) {
                Some(run) if icy.is_due() => {
                    return Step::Overhead(icy.block(run, self.at.offset, self.aware));
                }
                _ => icy.until_due().min(held).min(max),
            },
        };
        self.pass(audio);
        Step::Audio(audio)
    }

    /// At the end of a run, or at the edge.
    fn at_end(&mut self, timeline: &Timeline, index: usize, span: &Span) -> Step {
        let Some(splice) = span.splice else {
            return Step::Wait;
        };
        let Some(next) = timeline.span(index + 1) else {
            return Step::Wait;
        };
        if self.aware || !self.continues || next.format != span.format {
            return Step::End(End::Epoch);
        }
        let run = timeline.run_of(index + 1);
        let prelude = run.map(|run| run.prelude_at(splice.to.offset));
        let prelude = prelude.unwrap_or_default();
        if let Body::Icy(icy) = &mut self.body {
            // A prelude has no place between blocks that are counted in audio (R-ICY-2).
            if !prelude.is_empty() {
                return Step::End(End::Epoch);
            }
            icy.forget();
        }
        self.at = splice.to;
        self.run = Some(next.id);
        Step::Overhead(prelude)
    }
}
