//! Where an answer starts. Pure: no clock, no I/O.

use std::time::Duration;

use bytes::Bytes;

use crate::address::{Offset, Position};
use crate::field::{From, Miss, Resume, StreamOffset};
use crate::timeline::Timeline;

/// How far ahead of the edge a position is waited for, in audio (R-AHEAD-1).
pub const AHEAD: Duration = Duration::from_secs(30);
/// How long a request ahead of the edge is held (R-AHEAD-1).
pub const HOLD: Duration = Duration::from_secs(10);
/// Bytes a second that [`AHEAD`] is counted in while the rate is unknown.
pub const RATE: u64 = 16_000;

/// An answer's start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Start {
    /// The first canonical byte.
    pub at: Position,
    /// Sent before it. Empty for an exact resume, and for a relay feed.
    pub prelude: Bytes,
    /// Why there.
    pub kind: Kind,
}

/// Why an answer starts where it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// The byte asked for.
    Exact,
    /// The byte that a declared splice puts in the place of the one asked for.
    Spliced,
    /// A join: nothing was asked for.
    Join,
    /// What was asked for is gone; so many canonical bytes are lost, where known.
    Miss {
        /// Canonical bytes between the position asked for and `at`.
        lost: Option<u64>,
    },
}

/// No start: the answer is not 200.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    /// Ahead of the edge by no more than [`AHEAD`]: to be held up to [`HOLD`], then 412 (R-AHEAD-1).
    #[error("offset {asked} is ahead of the edge {next}")]
    Soon {
        /// What was asked for, in the epoch that a declared splice leads to.
        asked: Offset,
        /// The edge.
        next: Offset,
    },
    /// Further ahead: 412 at once (R-AHEAD-2).
    #[error("offset {asked} is more than 30 s ahead of the edge {next}")]
    Ahead {
        /// What was asked for, in the epoch that a declared splice leads to.
        asked: Offset,
        /// The edge.
        next: Offset,
    },
    /// A miss, and `miss=fail`: 412 (R-MISS-4).
    #[error("the position asked for is not held")]
    Missed,
    /// Nothing is held yet that an answer could start with: to be held, then 503.
    #[error("nothing is held yet")]
    Empty,
    /// It would have to wait, and as many requests wait as may: 503 (R-SEC-2).
    #[error("as many requests wait as may")]
    Crowded,
}

impl Start {
    /// What `Stream-Offset` says.
    #[must_use]
    pub fn field(&self) -> StreamOffset {
        StreamOffset {
            at: self.at,
            prelude: self.prelude.len() as u64,
            session: None,
            spliced: self.kind == Kind::Spliced,
            lost: match self.kind {
                Kind::Miss { lost } => lost,
                _ => None,
            },
        }
    }
}

/// A byte of the timeline: the span it is in, and its offset there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Spot {
    span: usize,
    offset: Offset,
}

impl Spot {
    fn new(span: usize, offset: Offset) -> Self {
        Self { span, offset }
    }
}

/// What was followed from the position asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Way {
    Straight,
    /// Splices, of which each leads to the very byte.
    Seamless,
    Spliced,
}

/// Where a position asked for is.
enum Place {
    /// Held, or the edge, or the end of a run whose successor is not known yet (R-SPLICE-9).
    Held { spot: Spot, way: Way },
    /// Gone, or never had. `asked` is the place that is missed.
    Gone { asked: Spot, resume: Spot },
    /// Not here yet.
    Ahead(Refusal),
    /// Of an epoch that nobody here has heard of.
    Unknown,
}

impl Timeline {
    /// Where a listener's answer starts. For a request without any of our fields, `asked.from` is `Live`.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn start(&self, asked: &Resume) -> Result<Start, Refusal> {
        self.decide(asked, false)
    }

    /// Where a relay feed starts: exact bytes without a sync point; without a position, the oldest byte held. The end of a
    /// run that is held is exact too: the feed itself tells of the splice.
    ///
    /// # Errors
    /// See [`Refusal`].
    pub fn start_feed(&self, asked: Option<&Resume>) -> Result<Start, Refusal> {
        match asked {
            Some(asked) => self.decide(asked, true),
            None => self.begin_at(self.oldest(true)?, Kind::Join, true),
        }
    }

    fn decide(&self, asked: &Resume, feed: bool) -> Result<Start, Refusal> {
        let position = match asked.from {
            From::Live => return self.begin_at(self.live(feed)?, Kind::Join, feed),
            From::Shift(back) => return self.begin_at(self.shifted(back, feed)?, Kind::Join, feed),
            From::At(position) => position,
        };
        if self.runs.is_empty() {
            return Err(Refusal::Empty);
        }
        let missed = |spot: Result<Spot, Refusal>, from: Option<Spot>| {
            let spot = spot?;
            let lost = from.and_then(|from| self.distance(from, spot));
            self.begin_at(spot, Kind::Miss { lost }, feed)
        };
        match self.place(position, feed) {
            Place::Ahead(refusal) => Err(refusal),
            Place::Held { spot, way } => {
                if let Some(live) = self.too_late(spot, asked.max_lag, feed) {
                    return match asked.miss {
                        Miss::Fail => Err(Refusal::Missed),
                        Miss::Oldest | Miss::Live => missed(Ok(live), Some(spot)),
                    };
                }
                let kind = match way {
                    Way::Straight => Kind::Exact,
                    Way::Seamless | Way::Spliced => Kind::Spliced,
                };
                // The decoder has had all that comes before the very byte (R-SPLICE-10).
                self.begin_at(spot, kind, feed || way == Way::Seamless)
            }
            // A child takes all there is of a stream that it does not know (R-FEED-16).
            Place::Unknown if feed && asked.miss == Miss::Oldest => missed(self.oldest(feed), None),
            Place::Unknown if asked.miss != Miss::Fail => missed(self.live(feed), None),
            Place::Gone {
                asked: from,
                resume,
            } if asked.miss == Miss::Oldest => {
                missed(self.onward(resume, Some(position), feed), Some(from))
            }
            Place::Gone { asked: from, .. } if asked.miss == Miss::Live => {
                missed(self.live(feed), Some(from))
            }
            Place::Unknown | Place::Gone { .. } => Err(Refusal::Missed),
        }
    }

    fn begin_at(&self, spot: Spot, kind: Kind, bare: bool) -> Result<Start, Refusal> {
        let run = self.run_of(spot.span).ok_or(Refusal::Empty)?;
        let prelude = if bare || kind == Kind::Exact {
            Bytes::new()
        } else {
            run.prelude_at(spot.offset)
        };
        let at = Position::new(run.epoch, spot.offset);
        Ok(Start { at, prelude, kind })
    }

    /// Follows the splices from the position asked for to where it is now.
    fn place(&self, asked: Position, feed: bool) -> Place {
        let Some(mut index) = self.find(asked) else {
            return Place::Unknown;
        };
        let (mut offset, mut way) = (asked.offset, Way::Straight);
        // Each turn is one splice further, or a parent relay has told of a ring of them.
        for _ in 0..=Self::PAST + self.runs.len() {
            let Some(span) = self.span(index) else { break };
            let spot = Spot::new(index, offset);
            if offset < span.first {
                let resume = Spot::new(index, span.first);
                return Place::Gone {
                    asked: spot,
                    resume,
                };
            }
            let held = feed && self.run_of(index).is_some();
            let splice = match span.splice {
                Some(splice) if offset > span.next || (offset == span.next && !held) => splice,
                _ if offset > span.next => return Place::Ahead(self.ahead(offset, span.next)),
                _ => return Place::Held { spot, way },
            };
            index += 1;
            if splice.declared {
                let beyond = offset.since(span.next).unwrap_or(0);
                offset = splice.to.offset.saturating_add(beyond);
                let to = Position::new(splice.to.epoch, offset);
                index = self.find(to).unwrap_or(index);
                way = match (way, splice.seamless) {
                    (Way::Straight | Way::Seamless, true) => Way::Seamless,
                    _ => Way::Spliced,
                };
            } else if splice.to.epoch != span.epoch {
                let resume = Spot::new(index, splice.to.offset);
                return Place::Gone {
                    asked: spot,
                    resume,
                };
            }
        }
        Place::Unknown
    }

    /// A position beyond what is known: soon to be, or too far.
    pub(crate) fn ahead(&self, asked: Offset, next: Offset) -> Refusal {
        let rate = self.runs.back().and_then(|run| run.rate()).unwrap_or(RATE);
        let near = rate.saturating_mul(AHEAD.as_secs());
        if asked.since(next).is_some_and(|bytes| bytes <= near) {
            Refusal::Soon { asked, next }
        } else {
            Refusal::Ahead { asked, next }
        }
    }

    /// Where to go live instead, if `spot` lags more than allowed. Never back.
    fn too_late(&self, spot: Spot, max: Option<Duration>, feed: bool) -> Option<Spot> {
        let max = max?.as_millis();
        let then = self.run_of(spot.span)?.time_at(spot.offset)?;
        let lag = self.edge_time()?.saturating_sub(then);
        let live = (u128::from(lag) > max).then(|| self.live(feed).ok())??;
        ((live.span, live.offset) > (spot.span, spot.offset)).then_some(live)
    }

    /// A join: the burst, then live.
    fn live(&self, feed: bool) -> Result<Spot, Refusal> {
        let run = self.runs.back().ok_or(Refusal::Empty)?;
        let target = run
            .window
            .next
            .saturating_sub(self.burst)
            .max(run.window.first);
        let offset = if feed { Some(target) } else { run.join(target) };
        let span = self.span_index(self.runs.len() - 1);
        offset
            .map(|offset| Spot { span, offset })
            .ok_or(Refusal::Empty)
    }

    /// A join `back` in time: the oldest byte held, if it is further back than that.
    fn shifted(&self, back: Duration, feed: bool) -> Result<Spot, Refusal> {
        let Some((held, offset)) = self.ago(back) else {
            return self.oldest(feed);
        };
        let span = self.span_index(held);
        let offset = if feed {
            Some(offset)
        } else {
            self.runs[held].join(offset)
        };
        match offset {
            Some(offset) => Ok(Spot { span, offset }),
            None => self.onward(Spot::new(span + 1, Offset::ZERO), None, feed),
        }
    }

    fn oldest(&self, feed: bool) -> Result<Spot, Refusal> {
        self.onward(Spot::new(self.span_index(0), Offset::ZERO), None, feed)
    }

    /// The first place from `spot` on, in the timeline's order, where an answer may start. In the epoch of `missed` not
    /// before that (R-MISS-9).
    fn onward(&self, spot: Spot, missed: Option<Position>, feed: bool) -> Result<Spot, Refusal> {
        let held = spot.span.saturating_sub(self.span_index(0));
        for (index, run) in self.runs.iter().enumerate().skip(held) {
            let span = self.span_index(index);
            let entry = self.entry(span);
            let target = match entry {
                _ if span == spot.span => spot.offset,
                Some(entry) => entry,
                None => run.window.first,
            };
            let floor = missed.filter(|missed| missed.epoch == run.epoch);
            let floor = floor.map_or(run.window.first, |missed| missed.offset);
            let target = target.max(floor).max(run.window.first);
            let start = if feed {
                let last = index + 1 == self.runs.len();
                (target < run.window.next || (last && target == run.window.next)).then_some(target)
            } else if entry == Some(target) && target < run.window.next {
                // A splice leads to a place where a listener may start, whether or not there is a mark.
                entry
            } else {
                run.sync_from(target)
            };
            if let Some(offset) = start {
                return Ok(Spot::new(span, offset));
            }
        }
        Err(Refusal::Empty)
    }

    /// Where the splice into a span leads.
    fn entry(&self, index: usize) -> Option<Offset> {
        let before = self.span(index.checked_sub(1)?)?;
        before.splice.map(|splice| splice.to.offset)
    }

    /// Canonical bytes between two places, where declared splices or one epoch make that known.
    fn distance(&self, from: Spot, to: Spot) -> Option<u64> {
        let (mut span, mut offset, mut total) = (self.span(from.span)?, from.offset, 0);
        let epoch = self.span(to.span)?.epoch;
        let mut index = from.span;
        while span.epoch != epoch {
            let splice = span.splice?;
            if splice.declared {
                total += span.next.since(offset).unwrap_or(0);
                let beyond = offset.since(span.next).unwrap_or(0);
                offset = splice.to.offset.saturating_add(beyond);
            } else if splice.to.epoch != span.epoch {
                return None;
            }
            index += 1;
            span = self.span(index)?;
        }
        Some(total + to.offset.since(offset)?)
    }
}
