//! Hears a peer, and finds out whether its bytes are ours.

use std::time::Duration;

use bytes::{Buf as _, BytesMut};

use super::Aliases;
use crate::address::{Epoch, Offset, Position};
use crate::anchor::{Collector, Evidence, Index, Place};
use crate::buffer::Ring;
use crate::resume::HOLD;
use crate::timeline::RunId;

/// Between two questions where the peer's bytes stand here.
const PACE: Duration = Duration::from_secs(1);
/// Bytes of the peer that wait for ours. A peer that is further ahead is not followed.
const MAX_WAITING: usize = 4 << 20;

/// The run that grows here.
#[derive(Clone, Copy)]
pub(crate) struct Own<'a> {
    pub(crate) run: RunId,
    pub(crate) epoch: Epoch,
    pub(crate) index: &'a Index,
    pub(crate) ring: &'a Ring,
}

impl<'a> Own<'a> {
    /// Up to `len` bytes of the run from `at` on.
    fn bytes(&self, at: u64, len: u64) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        let (ring, run) = (self.ring, self.run);
        let at = Offset::new(at).into_iter();
        at.flat_map(move |at| ring.bytes(Some(run), at, len))
    }
}

/// What has become of an alias.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// The two are proven to be one: this byte of the peer's is this one of ours.
    Proven {
        /// The peer's.
        theirs: Position,
        /// Ours.
        ours: Position,
    },
    /// They are not, and nothing is known of them any more.
    Refuted {
        /// The peer's first byte that contradicts.
        theirs: Position,
        /// Our epoch.
        ours: Epoch,
    },
}

/// What is heard of one peer. Time is that of [`Index::push`].
#[derive(Debug)]
pub struct Follower {
    /// Between the two anchors.
    proof: Duration,
    /// The peer's next byte.
    next: Option<Position>,
    collector: Collector,
    question: Option<Question>,
    /// When it was last asked.
    asked: Option<Duration>,
    /// Bytes of the peer up to `next` that are not compared yet: from the end of what is, or from the question's place.
    waiting: BytesMut,
    matched: Option<Matched>,
}

/// Where does the peer's byte stand here?
#[derive(Debug)]
struct Question {
    evidence: Evidence,
    asked: Duration,
    /// The byte.
    next: Position,
}

/// A place that an anchor has proven, and what was compared from there on.
#[derive(Debug)]
struct Matched {
    run: RunId,
    since: Duration,
    theirs: Position,
    ours: Position,
    len: u64,
    /// Of the stretch, once it is proven.
    proven: Option<u64>,
}

impl Matched {
    /// Where the next byte stands that is to be compared.
    fn end(&self) -> Offset {
        self.ours.offset.saturating_add(self.len)
    }
}

/// The peer's byte at which it is another stream than our epoch.
struct Contradiction {
    theirs: Position,
    ours: Epoch,
}

impl Follower {
    /// `proof`: time between the two anchors. The less it is, the longer may the repeats be that deceive it.
    #[must_use]
    pub fn new(proof: Duration) -> Self {
        Self {
            proof,
            next: None,
            collector: Collector::default(),
            question: None,
            asked: None,
            waiting: BytesMut::new(),
            matched: None,
        }
    }

    /// The peer's next byte, if it is heard without a hole.
    #[must_use]
    pub const fn next(&self) -> Option<Position> {
        self.next
    }

    /// Bytes of the peer wait for ours.
    #[must_use]
    pub fn waits(&self) -> bool {
        self.matched.is_some() && !self.waiting.is_empty()
    }

    /// The peer sends `bytes`, the first of which stands `at`, by its own names.
    pub(crate) fn hear(
        &mut self,
        own: Own<'_>,
        aliases: &mut Aliases,
        at: Position,
        bytes: &[u8],
        now: Duration,
    ) -> Option<News> {
        if self.next != Some(at) {
            self.begin(aliases);
        }
        let offset = at.offset.checked_add(bytes.len() as u64);
        self.next = offset.map(|offset| Position::new(at.epoch, offset));
        if self.next.is_none() || aliases.is_refuted(at.epoch, own.epoch) {
            self.forget();
            return None;
        }
        self.collector.feed(bytes, now);
        if self.matched.is_some() || self.question.is_some() {
            self.waiting.extend_from_slice(bytes);
        }
        if self.waiting.len() > MAX_WAITING {
            self.begin(aliases);
            return None;
        }
        let news = self.settle(own, aliases, now);
        if self.question.is_none() && self.is_to_ask(now) {
            self.ask(now);
        }
        news
    }

    /// More of ours may have come.
    pub(crate) fn settle(
        &mut self,
        own: Own<'_>,
        aliases: &mut Aliases,
        now: Duration,
    ) -> Option<News> {
        let settled = self.compare(own, aliases).and_then(|()| {
            let news = self.answer(own, aliases, now)?;
            self.compare(own, aliases).map(|()| news)
        });
        match settled {
            Ok(news) => news,
            Err(Contradiction { theirs, ours }) => {
                aliases.refute(theirs.epoch, ours);
                self.forget();
                Some(News::Refuted { theirs, ours })
            }
        }
    }

    /// The peer says nothing more, for now. If it goes on where it stopped, so does this.
    pub(crate) fn gone(&self, aliases: &mut Aliases) {
        if let Some(number) = self.matched.as_ref().and_then(|matched| matched.proven) {
            aliases.close(number);
        }
    }

    /// What comes does not follow what came.
    pub(crate) fn begin(&mut self, aliases: &mut Aliases) {
        self.gone(aliases);
        self.forget();
        self.next = None;
    }

    fn forget(&mut self) {
        self.collector.forget();
        (self.question, self.matched) = (None, None);
        self.waiting.clear();
    }

    fn is_to_ask(&self, now: Duration) -> bool {
        let since = |then: Duration| now.saturating_sub(then);
        self.asked.is_none_or(|asked| since(asked) >= PACE)
            && match &self.matched {
                None => true,
                Some(matched) => matched.proven.is_none() && since(matched.since) >= self.proof,
            }
    }

    fn ask(&mut self, now: Duration) {
        self.asked = Some(now);
        let evidence = self.collector.evidence(now, Duration::ZERO);
        let asked = evidence.zip(self.next).map(|(evidence, next)| Question {
            evidence,
            asked: now,
            next,
        });
        self.question = asked;
        if self.matched.is_none() {
            self.waiting.clear();
        }
    }

    /// Compares what waits with what has come here.
    fn compare(&mut self, own: Own<'_>, aliases: &mut Aliases) -> Result<(), Contradiction> {
        let Some(matched) = &mut self.matched else {
            return Ok(());
        };
        let from = matched.end();
        let mut done = 0;
        let waiting = self.waiting.len() as u64;
        for ours in own.ring.bytes(Some(matched.run), from, waiting) {
            let theirs = &self.waiting[done..][..ours.len()];
            if ours != theirs {
                let mut pairs = ours.iter().zip(theirs);
                let same = pairs.position(|(ours, theirs)| ours != theirs);
                let same = matched.len + (done + same.unwrap_or(0)) as u64;
                let theirs = matched.theirs.offset.saturating_add(same);
                return Err(Contradiction {
                    theirs: Position::new(matched.theirs.epoch, theirs),
                    ours: matched.ours.epoch,
                });
            }
            done += ours.len();
        }
        self.waiting.advance(done);
        matched.len += done as u64;
        let (run, here) = (matched.run, matched.end().get());
        let known = matched
            .proven
            .is_none_or(|number| aliases.grow(number, done as u64));
        let evicted = run == own.run && !self.waiting.is_empty() && here < own.index.next();
        if run != own.run {
            // That run has ended. What was compared stays known.
            self.gone(aliases);
            (self.question, self.matched) = (None, None);
            self.waiting.clear();
        } else if evicted || !known {
            // The bytes to compare with are gone.
            self.gone(aliases);
            self.forget();
        }
        Ok(())
    }

    /// Looks whether the question has an answer.
    fn answer(
        &mut self,
        own: Own<'_>,
        aliases: &mut Aliases,
        now: Duration,
    ) -> Result<Option<News>, Contradiction> {
        let Some(question) = self.question.take() else {
            return Ok(None);
        };
        let held = |from, len| own.bytes(from, len);
        let place = own.index.find(&question.evidence, question.asked, held);
        let at = match place {
            Ok(Place::Held(at)) => Offset::new(at),
            Ok(Place::Ahead(_)) if now.saturating_sub(question.asked) < HOLD => {
                self.question = Some(question);
                return Ok(None);
            }
            _ => None,
        };
        let theirs = question.next;
        let contradiction = Contradiction {
            theirs,
            ours: own.epoch,
        };
        match (at, &mut self.matched) {
            (None, None) => self.waiting.clear(),
            (None, Some(_)) => {}
            (Some(at), None) => {
                self.matched = Some(Matched {
                    run: own.run,
                    since: question.asked,
                    theirs,
                    ours: Position::new(own.epoch, at),
                    len: 0,
                    proven: None,
                });
            }
            (Some(at), Some(matched)) => {
                let heard = theirs.offset.since(matched.theirs.offset);
                if heard.is_none() || heard != at.since(matched.ours.offset) {
                    return Err(contradiction);
                }
                if heard > Some(matched.len) {
                    // Of what was found to be there not all was compared: it is not held any more.
                    return Ok(None);
                }
                let number = aliases.add(matched.theirs, matched.ours, matched.len);
                matched.proven = Some(number.ok_or(contradiction)?);
                let ours = Position::new(own.epoch, at);
                return Ok(Some(News::Proven { theirs, ours }));
            }
        }
        Ok(None)
    }
}
