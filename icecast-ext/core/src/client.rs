//! The resuming client as a state machine: which relay to ask for what, and what its answer means.
//!
//! The caller owns the connections and the clock. It asks [`Client::poll`] what to do, reports what it read, and takes
//! [`Event`]s out. Time is a [`Duration`] since any moment of the caller's choosing, by a clock that never goes back.
//!
//! ```text
//!           Step::Connect(request)            Step::Read / Wait
//! caller ◀──────────────────────── Client ◀──▶ poll(now)
//!        ───head, body, end, failed──▶ │
//!        ◀─────── poll_event ──────────┘
//! ```
//!
//! There are two connections at most (R-CLIENT-15): while an answer is slow to begin, and while a move goes on. Each call names the
//! connection that it speaks of, and what is said of one that is of no use any more counts for nothing.
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
mod fare;
mod history;
pub mod http;
mod link;
mod moves;
mod options;
mod reading;
mod relays;
mod second;
mod stitch;
mod titles;
mod trouble;
mod witness;

use std::time::Duration;

use bytes::Bytes;

use crate::address::Position;

use answer::{Answer, Asked, Entry};
use ask::{Ask, For};
use backoff::Dice;
use event::Out;
use moves::Moving;
use reading::{Heard, Reading};
use relays::Relays;
use second::{Beside, Second};

pub use answer::{Head, MAX_SKIP};
pub use event::{Event, GaveUp, Loss, Move, Note, Outcome, Proven, Stats, Title, Trouble, Why};
pub use options::{ClientError, Conn, Options, Request, Start, Step};
pub use relays::MAX_RELAYS;

#[derive(Debug)]
enum State {
    /// Until the next request.
    Idle { at: Duration },
    /// The request is out.
    Asking(Ask),
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
    /// The connection that audio comes from, or is expected from.
    state: State,
    /// Another one, while that one is slow or is to be left.
    second: Second,
    /// When to ask another relay besides.
    race_at: Option<Duration>,
    moving: Option<Moving>,
    outcome: Option<Outcome>,
    /// Connections asked for so far.
    conns: u64,
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
            second: Second::None,
            race_at: None,
            moving: None,
            outcome: None,
            conns: 0,
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
            Event::Anchored { at, .. } | Event::Spliced { to: at, .. } => self.told = Some(*at),
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

    /// Bytes of audio in events that were not taken yet.
    #[must_use]
    pub const fn held(&self) -> usize {
        self.out.held
    }

    /// Whether anything is expected from this connection: it is to be closed if not.
    #[must_use]
    pub fn uses(&self, conn: Conn) -> bool {
        self.first() == Some(conn) || self.second.conn() == Some(conn)
    }

    /// The connection that audio comes from, or is expected from.
    #[must_use]
    pub fn first(&self) -> Option<Conn> {
        match &self.state {
            State::Asking(ask) => Some(ask.conn),
            State::Reading(reading) => Some(reading.conn),
            State::Idle { .. } | State::Ended => None,
        }
    }

    /// What to do at `now`.
    pub fn poll(&mut self, now: Duration) -> Step {
        loop {
            let (dead, until) = match &mut self.state {
                State::Ended => return Step::Ended,
                State::Idle { at } => {
                    let at = *at;
                    let end = self
                        .outage
                        .zip(self.options.give_up_after)
                        .map(|(since, limit)| since + limit);
                    if end.is_some_and(|end| end <= now) {
                        self.state = State::Ended;
                        continue;
                    }
                    if at > now {
                        let until = end.map_or(at, |end| end.min(at));
                        return Step::Wait { until };
                    }
                    return Step::Connect(self.ask_first(now));
                }
                State::Asking(ask) => (ask.until, ask.until),
                State::Reading(reading) => {
                    reading.stitch_if_due(now, &mut self.heard, &mut self.out);
                    let silent = reading.silent_at(self.options.silence);
                    (
                        silent,
                        reading.stitch_due().map_or(silent, |due| due.min(silent)),
                    )
                }
            };
            self.settle();
            if dead <= now {
                self.trouble(now, Trouble::Silent(self.patience()), now);
                continue;
            }
            match self.poll_second(now) {
                Beside::Ask(request) => return Step::Connect(request),
                Beside::Until(other) => {
                    let until = until.min(other);
                    return Step::Read { until };
                }
                Beside::Changed => {}
            }
        }
    }

    fn ask_first(&mut self, now: Duration) -> Request {
        let rejoin = self.heard.position.is_some() && self.relays.refused_twice();
        let what = if rejoin { For::Rejoin } else { For::Position };
        let (ask, request) = self.ask(now, self.relays.index(), what);
        self.state = State::Asking(ask);
        let race = self.options.race.filter(|_| !rejoin);
        self.race_at = race.map(|after| now.saturating_add(after));
        request
    }

    /// How long nothing came from where audio is expected, when that is too long.
    fn patience(&self) -> Duration {
        match &self.state {
            State::Asking(ask) => ask.until.saturating_sub(ask.sent),
            _ => self.options.silence,
        }
    }

    /// The head of this connection's answer, interim ones left out.
    pub fn head(&mut self, now: Duration, conn: Conn, head: &Head<'_>) {
        let (ask, first) = match (&self.state, &self.second) {
            (State::Asking(ask), _) if ask.conn == conn => (*ask, true),
            (_, Second::Asking(ask)) if ask.conn == conn => (*ask, false),
            _ => return,
        };
        if matches!(head.status, 200 | 412) {
            let url = self.relays.get(ask.relay).url.clone();
            let base = head.url.map_or(url, str::to_owned);
            head.links()
                .iter()
                .for_each(|link| self.relays.learn(ask.relay, &base, link));
        }
        let asked = Asked {
            position: self.heard.position,
            heard: self.heard.any,
            history: !self.heard.history.is_empty(),
            rejoin: ask.rejoin,
            evidence: ask.evidence,
            past: &self.heard.past,
        };
        if head.status == 412 {
            let behind = head.is_behind(self.heard.position);
            self.relays.refused(ask.relay, behind);
        }
        let since = self.heard.total - ask.heard;
        let limit = self.options.max_prelude as u64;
        let accepted = head.read().and_then(|answer| {
            let entry = asked.entry(answer.offset.as_ref(), answer.proof)?;
            match answer.offset.map_or(0, |offset| offset.prelude) {
                long if long > limit => Err(Trouble::Prelude(long)),
                _ => Ok((asked.notes(&answer, &entry, since), entry, answer)),
            }
        });
        match accepted {
            // It was behind, and is not any more: what was asked for may be to be had after all.
            Ok((_, entry, _))
                if ask.rejoin && !matches!(entry, Entry::Continue(_)) && self.relays.ask_anew() =>
            {
                self.state = State::Idle { at: now };
            }
            Ok((_, entry, _)) if !self.is_enough(conn, &entry, since) => self.inexact(now, first),
            Ok((notes, entry, answer)) => {
                notes
                    .into_iter()
                    .for_each(|note| self.out.push(Event::Note(note)));
                self.accept(now, &ask, head, answer, entry);
            }
            Err(trouble) => {
                let wait = self.dice.at_least(head.retry_after());
                let not_before = now.saturating_add(wait);
                match first {
                    true => self.trouble(now, trouble, not_before),
                    false => self.second_trouble(now, trouble, not_before),
                }
            }
        }
    }

    /// The answer to `ask` is put to use.
    fn accept(&mut self, now: Duration, ask: &Ask, head: &Head<'_>, answer: Answer, entry: Entry) {
        if let Some(session) = answer.offset.and_then(|offset| offset.session) {
            self.relays.opened(ask.relay, session);
        }
        let took = now.saturating_sub(ask.sent);
        self.relays.answered(ask.relay, took);
        let since = self.since(ask.relay).unwrap_or(ask.sent);
        let shown = self.relays.get(ask.relay).shown.clone();
        let anchored = matches!(entry, Entry::Anchored(..));
        let mut reading = Reading::new(now, (ask, shown, since), head, answer, entry);
        if matches!(self.state, State::Reading(_)) {
            // An answer that begins by an offset is known to skip them.
            if anchored {
                reading.overtaken(self.heard.total - ask.heard);
            }
            self.second = Second::Reading(Box::new(reading));
            return;
        }
        self.close_loser(now, ask.conn);
        self.relays.choose(ask.relay);
        self.heard.open(&reading);
        self.state = State::Reading(Box::new(reading));
    }

    /// Bytes of this connection's body, transfer coding removed.
    pub fn body(&mut self, now: Duration, conn: Conn, bytes: Bytes) {
        let (heard, out) = (&mut self.heard, &mut self.out);
        match (&mut self.state, &mut self.second) {
            (State::Reading(reading), second) if reading.conn == conn => {
                let before = heard.total;
                reading.feed(now, bytes, heard, out);
                second.overtaken(heard.total - before);
                self.settle();
            }
            (_, Second::Reading(reading)) if reading.conn == conn => {
                reading.feed(now, bytes, heard, out);
                if reading.has_caught_up() {
                    self.take_second(now);
                }
            }
            _ => {}
        }
    }

    /// This connection's body has ended as HTTP says.
    pub fn end(&mut self, now: Duration, conn: Conn) {
        self.over(now, conn, Trouble::Closed);
    }

    /// There is no answer from this connection, or its body broke off.
    pub fn failed(&mut self, now: Duration, conn: Conn, why: impl Into<String>) {
        let reads = match (&self.state, &self.second) {
            (State::Reading(reading), _) if reading.conn == conn => true,
            (_, second) => matches!(second, Second::Reading(reading) if reading.conn == conn),
        };
        let why = why.into();
        let trouble = match reads {
            true => Trouble::Broke(why),
            false => Trouble::Unreachable(why),
        };
        self.over(now, conn, trouble);
    }

    /// Audio has come: the outage is over, and a move as well.
    fn settle(&mut self) {
        let State::Reading(reading) = &self.state else {
            return;
        };
        if reading.told == 0 {
            return;
        }
        self.arrived();
        if self.outage.take().is_some() {
            self.failures = 0;
            self.relays.forgive();
        }
    }
}
