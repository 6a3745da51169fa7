//! A relay, clients of other relays, and a source; stepped by ticks of 250 ms.

use std::collections::BTreeMap;
use std::time::Duration;

use icecast_ext_core::anchor::{Collector, Evidence, Index, Place, SKEW, Unproven};

use crate::station::{Dice, Station};

/// Milliseconds.
const TICK: i64 = 250;
/// A relay joins its upstream with a burst, as a client joins its relay.
const BURST: usize = 65_536;
/// Ticks for which a request is held.
const HOLD: usize = 40;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Plan {
    pub(crate) station: Station,
    pub(crate) seed: u64,
    /// Bytes a second, in the mean.
    pub(crate) rate: usize,
    /// Bitrates vary by song.
    pub(crate) variable: bool,
    /// Seconds on air.
    pub(crate) seconds: usize,
    /// Seconds that the relay holds.
    pub(crate) window: usize,
    /// Clients that listen at any time.
    pub(crate) clients: usize,
    /// Seconds by which clocks are off beyond the bound; 0: within it.
    pub(crate) beyond: usize,
}

/// What came of the trials.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    pub(crate) trials: u64,
    pub(crate) right: u64,
    pub(crate) wrong: u64,
    /// Found, but the clients had to wait.
    pub(crate) held: u64,
    /// Missed, although the byte was there, by reason.
    pub(crate) missed: BTreeMap<String, u64>,
    /// Missed, and no wonder: the byte was not there.
    pub(crate) not_there: u64,
    /// Where the client had heard a minute, and the relay holds it: right, and all.
    pub(crate) minute: (u64, u64),
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.trials += other.trials;
        self.right += other.right;
        self.wrong += other.wrong;
        self.held += other.held;
        self.not_there += other.not_there;
        self.minute.0 += other.minute.0;
        self.minute.1 += other.minute.1;
        for (why, times) in &other.missed {
            *self.missed.entry(why.clone()).or_default() += times;
        }
    }

    /// Right, of those whose byte was there.
    pub(crate) fn share(&self) -> f64 {
        self.right as f64 / (self.trials - self.not_there).max(1) as f64
    }
}

struct Client {
    collector: Collector,
    /// The first byte that it heard, and the next one.
    from: usize,
    at: usize,
    /// The tick at which it leaves.
    until: usize,
}

/// A client that was cut and comes to the relay.
struct Trial {
    evidence: Evidence,
    /// The next byte that it lacks.
    truth: u64,
    /// Bytes that it had heard.
    heard: u64,
    asks: usize,
}

pub(crate) struct World {
    plan: Plan,
    dice: Dice,
    stream: Vec<u8>,
    /// Bytes sent at each tick.
    sent: Vec<usize>,
    /// Ticks by which bytes come later to the relay, and to the clients.
    lag: usize,
    delay: usize,
    index: Index,
    /// What the relay holds.
    held: (usize, usize),
    clients: Vec<Client>,
    trials: Vec<Trial>,
    tally: Tally,
}

/// Runs a world to its end.
pub(crate) fn run(plan: Plan) -> Tally {
    let mut world = World::new(plan);
    for tick in world.begins()..world.sent.len() {
        world.relay(tick);
        world.listen(tick);
        world.ask(tick);
    }
    world.tally
}

impl World {
    fn new(plan: Plan) -> Self {
        let mut dice = Dice::new(plan.seed);
        let ticks = plan.seconds * 4;
        let stream = plan
            .station
            .air(&mut dice, plan.rate, plan.seconds * plan.rate * 2);
        let (mut sent, mut at, mut pace) = (Vec::with_capacity(ticks), 0, plan.rate / 4);
        for tick in 0..ticks {
            if plan.variable && tick % 200 == 0 {
                pace = dice.between(plan.rate / 8, plan.rate * 3 / 8);
            }
            at += pace;
            sent.push(at);
        }
        let (lag, delay) = (dice.between(0, 33), dice.between(0, 9));
        let begins = lag + delay + BURST * 4 / plan.rate * 2 + 1;
        let first = sent[begins - lag].saturating_sub(BURST);
        Self {
            index: Index::new(first as u64, SKEW),
            held: (first, first),
            clients: Vec::new(),
            trials: Vec::new(),
            tally: Tally::default(),
            plan,
            dice,
            stream,
            sent,
            lag,
            delay,
        }
    }

    /// The tick at which the relay joins.
    fn begins(&self) -> usize {
        self.lag + self.delay + BURST * 4 / self.plan.rate * 2 + 1
    }

    fn now(tick: usize) -> Duration {
        Duration::from_millis(tick as u64 * TICK.unsigned_abs())
    }

    /// The relay gets what was sent `lag` ago.
    fn relay(&mut self, tick: usize) {
        let edge = self.sent[tick - self.lag];
        let (first, next) = self.held;
        self.index.push(&self.stream[next..edge], Self::now(tick));
        let first = first.max(edge.saturating_sub(self.plan.window * self.plan.rate));
        self.index.evict(first as u64);
        self.held = (first, edge);
    }

    /// Clients come, hear what was sent `delay` ago, are cut somewhere in it, and go.
    fn listen(&mut self, tick: usize) {
        let edge = self.sent[tick - self.delay];
        while self.clients.len() < self.plan.clients {
            let from = edge.saturating_sub(BURST);
            self.clients.push(Client {
                collector: Collector::default(),
                from,
                at: from,
                until: tick + self.dice.magnitude(4 * 20, 4 * 2_400),
            });
        }
        for client in &mut self.clients {
            let cut = self.dice.between(client.at, edge + 1);
            client
                .collector
                .feed(&self.stream[client.at..cut], Self::now(tick));
            let evidence = client.collector.evidence(Self::now(tick), Duration::ZERO);
            if let Some(mut evidence) = evidence.filter(|_| self.dice.once_in(2)) {
                let away = self.dice.magnitude(1, 4 * 120);
                let error = error(&mut self.dice, &self.plan, self.lag, self.delay);
                let age = (away as i64 * TICK + error).max(0);
                evidence.age = Duration::from_millis(age.unsigned_abs());
                // A clock that would have to go back below zero is not off by so much.
                let error = age - away as i64 * TICK;
                if self.plan.beyond > 0 || within(error, self.lag, self.delay) {
                    self.trials.push(Trial {
                        evidence,
                        truth: cut as u64,
                        heard: (cut - client.from) as u64,
                        asks: tick + away,
                    });
                }
            }
            client
                .collector
                .feed(&self.stream[cut..edge], Self::now(tick));
            client.at = edge;
        }
        self.clients.retain(|client| tick < client.until);
    }

    /// Those whose time has come ask the relay, and ask again while it holds them.
    fn ask(&mut self, tick: usize) {
        let Self {
            trials,
            index,
            held,
            stream,
            tally,
            plan,
            ..
        } = self;
        let (first, next) = *held;
        let bytes = |from: u64, len: u64| {
            let (from, to) = (from as usize, (from + len) as usize);
            (first <= from && to <= next)
                .then(|| &stream[from..to])
                .into_iter()
        };
        trials.retain(|trial| {
            if tick < trial.asks {
                return true;
            }
            let found = index.find(&trial.evidence, Self::now(trial.asks), bytes);
            let waited = tick - trial.asks;
            let result = match found {
                Ok(Place::Ahead(_)) if waited < HOLD => return true,
                Ok(Place::Ahead(_)) => Err(Unproven::Ahead),
                Ok(Place::Held(at)) => Ok(at),
                Err(why) => Err(why),
            };
            let before = trial.truth.checked_sub(first as u64);
            let minute = (plan.rate * 60) as u64;
            let settled = trial.heard >= minute && before.is_some_and(|before| before >= minute);
            tally.count(trial, result, waited, before.is_some(), settled);
            false
        });
    }
}

impl Tally {
    fn count(
        &mut self,
        trial: &Trial,
        result: Result<u64, Unproven>,
        waited: usize,
        there: bool,
        settled: bool,
    ) {
        self.trials += 1;
        let right = result == Ok(trial.truth);
        match result {
            Ok(_) if right => {
                self.right += 1;
                self.held += u64::from(waited > 0);
            }
            Ok(_) => self.wrong += 1,
            Err(_) if !there => self.not_there += 1,
            Err(why) => *self.missed.entry(why.to_string()).or_default() += 1,
        }
        if settled {
            self.minute.0 += u64::from(right);
            self.minute.1 += 1;
        }
    }
}

/// By how many milliseconds a client's age is wrong: mostly little, at times as much as is allowed.
fn error(dice: &mut Dice, plan: &Plan, lag: usize, delay: usize) -> i64 {
    let (low, high) = allowed(lag, delay);
    let any = |dice: &mut Dice, low: i64, high: i64| {
        low + dice.between(0, (high - low + 1) as usize) as i64
    };
    if plan.beyond > 0 {
        let more = any(dice, 1, plan.beyond as i64 * 1000);
        return if dice.once_in(2) {
            low - more
        } else {
            high + more
        };
    }
    match dice.between(0, 10) {
        0 => low,
        1 => high,
        2..5 => any(dice, low, high),
        _ => any(dice, low.max(-500), high.min(500)),
    }
}

/// The age's errors with which the clock's bound holds. A byte arrives at most a tick after it could.
fn allowed(lag: usize, delay: usize) -> (i64, i64) {
    let apart = (delay as i64 - lag as i64) * TICK;
    let skew = SKEW.as_millis() as i64 - TICK;
    (apart - skew, apart + skew)
}

fn within(error: i64, lag: usize, delay: usize) -> bool {
    let (low, high) = allowed(lag, delay);
    (low..=high).contains(&error)
}
