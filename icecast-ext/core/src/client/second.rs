//! Another connection beside the one that audio comes from, or is expected from (R-CLIENT-14 to R-CLIENT-18).

use std::time::Duration;

use super::answer::Entry;
use super::ask::{Ask, For};
use super::event::{Event, Trouble};
use super::options::{Conn, Request};
use super::reading::Reading;
use super::{Client, State};

/// An answer was good for nothing better than a loss: so long may the other relay take to give the exact byte.
const GRACE: Duration = Duration::from_secs(2);
/// A relay to be moved to is behind: so long is the one before still read.
const CATCH_UP: Duration = Duration::from_secs(2);

/// The other connection.
#[derive(Debug)]
pub(super) enum Second {
    None,
    /// This relay is to be asked: a move.
    Due(usize),
    Asking(Ask),
    /// Its bytes so far were heard from the first one already.
    Reading(Box<Reading>),
}

/// What there is to do about it.
pub(super) enum Beside {
    Ask(Request),
    Until(Duration),
    /// To be looked at again.
    Changed,
}

impl Second {
    pub(super) fn conn(&self) -> Option<Conn> {
        match self {
            Self::None | Self::Due(_) => None,
            Self::Asking(ask) => Some(ask.conn),
            Self::Reading(reading) => Some(reading.conn),
        }
    }

    /// So many bytes more were heard from the first connection.
    pub(super) fn overtaken(&mut self, bytes: u64) {
        if let Self::Reading(reading) = self {
            reading.overtaken(bytes);
        }
    }
}

impl Client {
    /// What to do about the second connection while there is a first.
    pub(super) fn poll_second(&mut self, now: Duration) -> Beside {
        match (&self.state, &self.second) {
            (State::Asking(_), Second::None) => match self.race_at {
                Some(at) if at <= now => self.ask_rival(now),
                at => Beside::Until(at.unwrap_or(Duration::MAX)),
            },
            (_, Second::None) => Beside::Until(Duration::MAX),
            (_, Second::Due(relay)) => {
                let (ask, request) = self.ask(now, *relay, For::Move);
                self.second = Second::Asking(ask);
                Beside::Ask(request)
            }
            (_, Second::Asking(ask)) if ask.until <= now => {
                let trouble = Trouble::Silent(now.saturating_sub(ask.sent));
                self.second_trouble(now, trouble, now);
                Beside::Changed
            }
            (_, Second::Asking(ask)) => Beside::Until(ask.until),
            (_, Second::Reading(reading)) => {
                let silent = reading.silent_at(self.options.silence);
                let behind = reading.opened + CATCH_UP;
                if silent <= now {
                    self.second_trouble(now, Trouble::Silent(self.options.silence), now);
                    return Beside::Changed;
                }
                if behind <= now {
                    self.take_second(now);
                    return Beside::Changed;
                }
                Beside::Until(silent.min(behind))
            }
        }
    }

    /// Nobody has answered for a while.
    fn ask_rival(&mut self, now: Duration) -> Beside {
        match self.relays.rival(now) {
            Some((ready, relay)) if ready <= now => {
                let (ask, request) = self.ask(now, relay, For::Position);
                self.second = Second::Asking(ask);
                Beside::Ask(request)
            }
            rival => {
                self.race_at = rival.map(|(ready, _)| ready);
                Beside::Changed
            }
        }
    }

    /// Whether the answer of this connection is taken as it is, or something better may still come from the other one. So many
    /// bytes were heard since it was asked for.
    pub(super) fn is_enough(&self, conn: Conn, entry: &Entry, since: u64) -> bool {
        // Who went on hearing an epoch has not come to its end.
        let ended = matches!(entry, Entry::Spliced(_)) && since > 0;
        if entry.is_exact() && !ended {
            return true;
        }
        let hopes = match (&self.state, &self.second) {
            (_, Second::None) => return true,
            (State::Reading(_), _) => return false,
            (State::Asking(ask), Second::Asking(_)) if ask.conn != conn => ask.relay,
            (_, Second::Asking(ask)) => ask.relay,
            (_, Second::Due(_) | Second::Reading(_)) => return true,
        };
        // It had its chance since the last audio.
        self.relays.get(hopes).tries > 0
    }

    /// An answer is not taken: it is good for a loss, and the other relay may do better.
    pub(super) fn inexact(&mut self, now: Duration, first: bool) {
        match first {
            true => self.trouble(now, Trouble::Inexact, now),
            false => self.second_trouble(now, Trouble::Inexact, now),
        }
        let untried = |(_, relay)| self.relays.get(relay).tries == 0;
        if !self.relays.rival(now).is_some_and(untried) {
            self.race_at = None;
        }
        if let State::Asking(ask) = &mut self.state {
            ask.until = ask.until.min(now + GRACE);
        }
    }

    /// One of two has answered: the other one is too slow.
    pub(super) fn close_loser(&mut self, now: Duration, winner: Conn) {
        let loser = match (&self.state, &self.second) {
            (State::Asking(ask), _) if ask.conn != winner => Some(*ask),
            (_, Second::Asking(ask)) if ask.conn != winner => Some(*ask),
            _ => None,
        };
        if let Some(ask) = loser {
            let waited = now.saturating_sub(ask.sent);
            self.relays.answered(ask.relay, waited);
        }
        self.second = Second::None;
    }

    /// The first connection is of no more use, or the second has caught up: the second is the first now. False: there is none.
    pub(super) fn take_second(&mut self, now: Duration) -> bool {
        match std::mem::replace(&mut self.second, Second::None) {
            Second::None => return false,
            Second::Due(relay) => {
                self.relays.choose(relay);
                self.state = State::Idle { at: now };
            }
            Second::Asking(ask) => {
                self.relays.choose(ask.relay);
                self.race_at = self.options.race.map(|after| (ask.sent + after).max(now));
                self.state = State::Asking(ask);
            }
            Second::Reading(reading) => {
                self.relays.choose(reading.relay);
                self.heard.open(&reading);
                self.state = State::Reading(reading);
                self.settle();
            }
        }
        true
    }

    /// The second connection is of no more use.
    pub(super) fn second_trouble(&mut self, now: Duration, trouble: Trouble, not_before: Duration) {
        let relay = match std::mem::replace(&mut self.second, Second::None) {
            Second::None => return,
            Second::Due(relay) => relay,
            Second::Asking(ask) => ask.relay,
            Second::Reading(reading) => reading.relay,
        };
        if matches!(self.state, State::Reading(_)) {
            self.relays.spurned(relay, now, trouble.clone(), not_before);
            return self.stayed(relay, trouble);
        }
        self.out.push(Event::Refused {
            url: self.relays.get(relay).shown.clone(),
            why: trouble.clone(),
        });
        self.relays.failed(relay, now, trouble, not_before);
        // All were asked once: from now on not all at once.
        let next = self.relays.rival(now);
        let tries = next.map_or(0, |(_, relay)| self.relays.get(relay).tries);
        self.race_at = Some(match tries.checked_sub(1) {
            None => now,
            Some(again) => now + self.dice.pause(again.into()),
        });
    }
}
