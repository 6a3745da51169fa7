//! The resuming client as a state machine: which relay to ask for what, and what its answer means.
//!
//! The caller owns the connection and the clock. It asks [`Client::poll`] what to do, reports what it read, and takes
//! [`Event`]s out. Time is a [`Duration`] since any moment of the caller's choosing, by a clock that never goes back.
//!
//! ```text
//!           Step::Connect(request)            Step::Read / Wait
//! caller ◀──────────────────────── Client ◀──▶ poll(now)
//!        ───head, body, end, failed──▶ │
//!        ◀─────── poll_event ──────────┘
//! ```
//!
//! What an answer means takes effect with its first audio byte: the position, a loss, a prelude. An answer that is cut
//! before has changed nothing, and another relay may do better (R-RESUME-7).
//!
//! Memory is bounded by [`Options::history`], [`Options::max_prelude`], 256 KiB of burst while stitching, and the events of
//! what was fed since they were last taken.

mod answer;
mod ask;
mod backoff;
mod event;
mod history;
pub mod http;
mod link;
mod options;
mod reading;
mod relays;
mod stitch;
mod titles;
mod witness;

use std::time::Duration;

use bytes::Bytes;

use crate::address::Position;
use crate::field::{Miss, RESUME_ANCHOR};

use answer::{Asked, Entry};
use backoff::Dice;
use event::Out;
use reading::{Heard, Reading};
use relays::Relays;

pub use answer::{Head, MAX_SKIP};
pub use event::{Event, GaveUp, Loss, Note, Stats, Title, Trouble, Why};
pub use options::{ClientError, Options, Request, Start, Step};
pub use relays::MAX_RELAYS;

/// A connection shorter than this was a hasty one.
const HASTY: Duration = Duration::from_secs(1);
/// So many hasty connections in a row, and the next one waits.
const MAX_HASTY: u32 = 10;

#[derive(Debug)]
enum State {
    /// Until the next request.
    Idle { at: Duration },
    /// The request is out. `rejoin`: it gave up the position. `evidence`: it says what was heard.
    Asking {
        until: Duration,
        rejoin: bool,
        evidence: bool,
    },
    /// The answer comes in.
    Reading(Box<Reading>),
    /// Over.
    Ended,
}

/// One listener of one stream, whatever relay it is connected to.
#[derive(Debug)]
pub struct Client {
    options: Options,
    relays: Relays,
    dice: Dice,
    state: State,
    heard: Heard,
    out: Out,
    /// The position after the last event that the caller took.
    told: Option<Position>,
    /// Failures in a row.
    failures: u32,
    hasty: u32,
    /// Since when there is no audio.
    outage: Option<Duration>,
}

impl Client {
    /// `relays`: URLs of one stream, the preferred one first. `seed`: random, so that a thousand clients do not come back in
    /// step.
    pub fn new(
        relays: impl IntoIterator<Item = String>,
        options: Options,
        seed: u64,
    ) -> Result<Self, ClientError> {
        let relays: Vec<String> = relays.into_iter().collect();
        options.check(&relays)?;
        let start = match options.start {
            Start::Live => None,
            Start::At(position) => Some(position),
        };
        Ok(Self {
            heard: Heard::new(start, &options),
            relays: Relays::new(relays, options.max_relays, options.max_url),
            dice: Dice::new(seed),
            state: State::Idle { at: Duration::ZERO },
            out: Out::default(),
            told: start,
            failures: 0,
            hasty: 0,
            outage: None,
            options,
        })
    }

    /// What happened next. To be called until `None` after each other call.
    pub fn poll_event(&mut self) -> Option<Event> {
        let event = self.out.pop()?;
        match &event {
            Event::Joined { at, .. } | Event::Stitched { at } | Event::Lost(Loss { at, .. }) => {
                self.told = *at
            }
            Event::Anchored { at } | Event::Spliced { to: at, .. } => self.told = Some(*at),
            Event::Audio(bytes) => {
                self.told = self.told.map(|at| {
                    Position::new(at.epoch, at.offset.saturating_add(bytes.len() as u64))
                });
            }
            _ => {}
        }
        Some(event)
    }

    /// Where the byte after the last [`Event::Audio`] taken stands: [`Start::At`] for a client that goes on later. Unknown at
    /// servers that have no offsets.
    #[must_use]
    pub const fn position(&self) -> Option<Position> {
        self.told
    }

    /// What has happened so far, events not yet taken included.
    #[must_use]
    pub const fn stats(&self) -> Stats {
        self.out.stats
    }

    /// The relays, given and learned, without credentials.
    pub fn relays(&self) -> impl Iterator<Item = &str> {
        self.relays.urls()
    }

    /// After [`Step::Ended`]: why.
    #[must_use]
    pub fn gave_up(&self) -> Option<GaveUp> {
        matches!(self.state, State::Ended).then(|| self.relays.verdict())
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Duration) -> Step {
        loop {
            match &mut self.state {
                State::Ended => return Step::Ended,
                State::Idle { at } => {
                    let at = *at;
                    let end = self
                        .outage
                        .zip(self.options.give_up_after)
                        .map(|(since, limit)| since + limit);
                    if end.is_some_and(|end| end <= now) {
                        self.state = State::Ended;
                    } else if at <= now {
                        let rejoin = self.heard.position.is_some() && self.relays.refused_twice();
                        let until = now + self.options.silence;
                        let request = self.request(now, rejoin);
                        let evidence = request
                            .fields
                            .iter()
                            .any(|(name, _)| *name == RESUME_ANCHOR);
                        self.state = State::Asking {
                            until,
                            rejoin,
                            evidence,
                        };
                        return Step::Connect(request);
                    } else {
                        return Step::Wait {
                            until: end.map_or(at, |end| end.min(at)),
                        };
                    }
                }
                State::Asking { until, .. } if *until > now => return Step::Read { until: *until },
                State::Asking { .. } => {
                    self.trouble(now, Trouble::Silent(self.options.silence), now)
                }
                State::Reading(reading) => {
                    reading.stitch_if_due(now, &mut self.heard, &mut self.out);
                    let silent = reading.silent_at(self.options.silence);
                    let until = reading.stitch_due().map_or(silent, |due| due.min(silent));
                    self.settle();
                    if silent > now {
                        return Step::Read { until };
                    }
                    self.trouble(now, Trouble::Silent(self.options.silence), now);
                }
            }
        }
    }

    /// The head of the answer, interim ones left out.
    pub fn head(&mut self, now: Duration, head: &Head<'_>) {
        let State::Asking {
            rejoin, evidence, ..
        } = self.state
        else {
            return;
        };
        if matches!(head.status, 200 | 412) {
            let base = head
                .url
                .map_or_else(|| self.relays.current().url.clone(), str::to_owned);
            head.links()
                .iter()
                .for_each(|link| self.relays.learn(&base, link));
        }
        let asked = Asked {
            position: self.heard.position,
            heard: self.heard.any,
            history: !self.heard.history.is_empty(),
            rejoin,
            evidence,
            past: &self.heard.past,
        };
        if head.status == 412 {
            self.relays.refused(head.is_behind(self.heard.position));
        }
        let limit = self.options.max_prelude as u64;
        let accepted = head.read().and_then(|answer| {
            let entry = asked.entry(answer.offset.as_ref(), answer.proof)?;
            match answer.offset.map_or(0, |offset| offset.prelude) {
                long if long > limit => Err(Trouble::Prelude(long)),
                _ => Ok((asked.notes(&answer, &entry), entry, answer)),
            }
        });
        match accepted {
            // It was behind, and is not any more: what was asked for may be to be had after all.
            Ok((_, entry, _))
                if rejoin && !matches!(entry, Entry::Continue(_)) && self.relays.ask_anew() =>
            {
                self.state = State::Idle { at: now };
            }
            Ok((notes, entry, answer)) => {
                notes
                    .into_iter()
                    .for_each(|note| self.out.push(Event::Note(note)));
                if let Some(session) = answer.offset.and_then(|offset| offset.session) {
                    self.relays.opened(session);
                }
                self.heard.open(now, head);
                let shown = self.relays.current().shown.clone();
                let reading = Reading::new(now, self.relays.index(), shown, answer, entry);
                self.state = State::Reading(Box::new(reading));
            }
            Err(trouble) => {
                if trouble == Trouble::Past {
                    // Whatever it is asked for, it may go on to answer with what was heard: `live` is left, as after two refusals.
                    self.relays.refused(true);
                }
                let wait = self.dice.at_least(head.retry_after());
                self.trouble(now, trouble, now.saturating_add(wait));
            }
        }
    }

    /// Bytes of the body, transfer coding removed.
    pub fn body(&mut self, now: Duration, bytes: Bytes) {
        if let State::Reading(reading) = &mut self.state {
            reading.feed(now, bytes, &mut self.heard, &mut self.out);
            self.settle();
        }
    }

    /// The body has ended as HTTP says.
    pub fn end(&mut self, now: Duration) {
        self.over(now, Trouble::Closed);
    }

    /// There is no answer, or its body broke off.
    pub fn failed(&mut self, now: Duration, why: impl Into<String>) {
        let why = why.into();
        self.over(
            now,
            match self.state {
                State::Reading(_) => Trouble::Broke(why),
                _ => Trouble::Unreachable(why),
            },
        );
    }

    fn over(&mut self, now: Duration, trouble: Trouble) {
        match &mut self.state {
            State::Idle { .. } | State::Ended => return,
            State::Asking { .. } => {}
            State::Reading(reading) => {
                reading.end(now, &mut self.heard, &mut self.out);
                self.settle();
            }
        }
        self.trouble(now, trouble, now);
    }

    /// Audio has come: the outage is over.
    fn settle(&mut self) {
        if matches!(&self.state, State::Reading(reading) if reading.told > 0)
            && self.outage.take().is_some()
        {
            self.failures = 0;
            self.relays.forgive();
        }
    }

    /// The connection is of no more use: who is asked next, and when?
    fn trouble(&mut self, now: Duration, trouble: Trouble, not_before: Duration) {
        let (event, lasted) = match &self.state {
            State::Reading(reading) => {
                let event = Event::Cut {
                    url: reading.shown.clone(),
                    why: trouble.clone(),
                };
                (
                    event,
                    (reading.told > 0).then(|| now.saturating_sub(reading.opened)),
                )
            }
            _ => (
                Event::Refused {
                    url: self.relays.current().shown.clone(),
                    why: trouble.clone(),
                },
                None,
            ),
        };
        self.out.push(event);
        self.outage.get_or_insert(now);
        let at = match (lasted, &trouble) {
            // It gave audio, so it is asked again first, and at once: an epoch's end looks like this.
            (Some(lasted), Trouble::Closed | Trouble::Broke(_)) => {
                self.hasty = if lasted < HASTY { self.hasty + 1 } else { 0 };
                if self.hasty > MAX_HASTY {
                    now + self.dice.pause(0)
                } else {
                    now
                }
            }
            _ => match self.next_relay(now, &trouble, not_before) {
                Some(at) => at,
                None => {
                    self.state = State::Ended;
                    return;
                }
            },
        };
        if at > now {
            self.out.push(Event::Waiting {
                why: trouble,
                pause: at - now,
            });
        }
        self.state = State::Idle { at };
    }

    fn next_relay(
        &mut self,
        now: Duration,
        trouble: &Trouble,
        not_before: Duration,
    ) -> Option<Duration> {
        let before = self.relays.index();
        self.relays.failed(trouble.clone(), not_before);
        if self.options.miss == Miss::Fail && self.relays.position_is_gone() {
            return None;
        }
        let (ready, asked) = self.relays.advance(now)?;
        if *trouble == Trouble::Status(412) && !asked {
            return Some(ready);
        }
        self.failures = self.failures.saturating_add(1);
        if self.failures == 1 && self.relays.index() != before {
            return Some(ready);
        }
        Some(ready.max(now + self.dice.pause(self.failures.saturating_sub(2))))
    }
}
