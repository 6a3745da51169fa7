//! What a listener is sent from there.

mod feed;
mod icy;
mod wire;

use std::num::{NonZeroU32, NonZeroU64};

use bytes::Bytes;

use crate::address::{Offset, Position};
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
    /// All that was asked for has been sent.
    Complete,
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
    /// At the end of this run, and of all after it, it waits until somebody says where it goes on.
    led: Option<RunId>,
    anchored: Option<Anchored>,
    body: Body,
}

/// A stock player that will come back, and whose body is counted: it is carried across declared splices alone (R-STOCK-19).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Anchored {
    /// It takes a FIN for the end of the stream, and an RST for a fault of the network (R-STOCK-21).
    pub reset: bool,
    /// Bytes of body until the last one that it asked for; `None`: there is none.
    pub left: Option<NonZeroU64>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Body {
    Plain,
    Icy(Icy),
    Feed(Feed),
    /// Nothing more.
    Complete,
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
            led: None,
            anchored: None,
            body,
        }
    }

    /// Of a listener whom another server moves, and has in `run` now: at the end of that it waits to be moved
    /// ([`Cursor::carried`]), whatever follows here. An aware client's answer ends all the same.
    #[must_use]
    pub const fn led(self, run: RunId) -> Self {
        Self {
            led: Some(run),
            ..self
        }
    }

    /// Of a stock player that comes back.
    #[must_use]
    pub fn anchored(self, anchored: Anchored) -> Self {
        Self {
            anchored: Some(anchored),
            ..self
        }
    }

    /// Goes on with ICY blocks where an earlier response stopped: `left` audio bytes stand before the next block (at most
    /// `metaint`), and the title at `shown` has been named.
    #[must_use]
    pub fn within_icy(self, left: u32, shown: Option<Offset>) -> Self {
        let Body::Icy(icy) = self.body else {
            return self;
        };
        let left = left.min(icy.metaint.get());
        Self {
            body: Body::Icy(Icy { left, shown, ..icy }),
            ..self
        }
    }

    /// After bytes of body that were sent before the cursor's.
    #[must_use]
    pub fn after(mut self, bytes: u64) -> Self {
        self.spend(bytes);
        self
    }

    /// Its response ends with an RST where it is to come back (R-STOCK-21).
    #[must_use]
    pub const fn resets(&self) -> bool {
        matches!(self.anchored, Some(Anchored { reset: true, .. }))
    }

    /// A stock player that comes back if its response ends.
    #[must_use]
    pub const fn is_anchored(&self) -> bool {
        self.anchored.is_some()
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
    /// phase goes on; an anchored player is none any more. `None` where it cannot: an aware client resumes by itself, some
    /// decoders do not go on, a body with an end would have another, and a prelude (`prelude`: one is needed) has no place
    /// between ICY blocks (R-ICY-2).
    #[must_use]
    pub fn carried(&self, to: Position, prelude: bool) -> Option<Self> {
        let mut after = *self;
        match &mut after.body {
            Body::Plain | Body::Complete => {}
            Body::Icy(_) if prelude => return None,
            Body::Icy(icy) => icy.forget(),
            Body::Feed(_) => return None,
        }
        (after.at, after.run, after.anchored) = (to, None, None);
        // Whichever run that is.
        after.led = self.led.map(|_| RunId::from_number(NonZeroU32::MIN));
        let ends = self
            .anchored
            .is_some_and(|anchored| anchored.left.is_some());
        (!self.aware && !ends && self.continues).then_some(after)
    }

    /// What comes next, at most `max` bytes of audio (at least 1), and the cursor after it. `tick` counts the mount's
    /// ticks: a feed that waits says KEEPALIVE once in each.
    #[must_use]
    pub fn step(&self, timeline: &Timeline, max: u64, tick: u32) -> (Step, Self) {
        let mut after = *self;
        let left = self.anchored.and_then(|anchored| anchored.left);
        let max = left.map_or(max, |left| left.get().min(max)).max(1);
        let step = match (after.advance(timeline, max, tick), left) {
            (Step::Overhead(bytes), Some(left)) => {
                let whole = bytes.len() as u64 <= left.get();
                let most = if whole {
                    bytes.len()
                } else {
                    left.get() as usize
                };
                after.spend(most as u64);
                Step::Overhead(bytes.slice(..most))
            }
            (step, _) => step,
        };
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
        self.spend(n);
        match &mut self.body {
            Body::Plain | Body::Complete => {}
            Body::Icy(icy) => icy.pass(n),
            Body::Feed(feed) => feed.pass(n),
        }
    }

    /// So many bytes of body less are left of what was asked for.
    fn spend(&mut self, n: u64) {
        if let Some(Anchored {
            left: Some(left), ..
        }) = &mut self.anchored
        {
            match NonZeroU64::new(left.get().saturating_sub(n)) {
                Some(less) => *left = less,
                None => self.body = Body::Complete,
            }
        }
    }

    fn advance(&mut self, timeline: &Timeline, max: u64, tick: u32) -> Step {
        if self.body == Body::Complete {
            return Step::End(End::Complete);
        }
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
            Body::Plain | Body::Complete => held.min(max),
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
        if self.led.is_some_and(|run| run <= span.id) && !self.aware {
            return Step::Wait;
        }
        let Some(splice) = span.splice else {
            return Step::Wait;
        };
        let Some(next) = timeline.span(index + 1) else {
            return Step::Wait;
        };
        // Where an undeclared splice leads, nobody else knows: what came after could not be counted (R-STOCK-19).
        let lost = self.anchored.is_some() && !splice.declared;
        let continues = self.continues || splice.seamless;
        if self.aware || lost || !continues || next.format != span.format {
            return Step::End(End::Epoch);
        }
        let run = (timeline.run_of(index + 1)).filter(|_| !splice.seamless);
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
