//! Moves that are called for.

use std::time::Duration;

use super::event::{Event, Outcome, Trouble};
use super::options::{ClientError, Conn};
use super::second::Second;
use super::{Client, State};

/// A move that goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moving {
    to: usize,
    since: Duration,
    /// Connections before this one are older.
    first: Conn,
}

impl Client {
    /// Moves to this relay, which is learned if it is new. With [`super::Options::race`] audio goes on from where it comes until the
    /// other relay has caught up (R-CLIENT-18), and stays there if it cannot. Otherwise, and where no offset says
    /// what the next byte is, the connection is cut first, and the move is an outage like any other.
    ///
    /// [`Client::outcome`] tells how it ended. A move that goes on is given up for this one.
    ///
    /// # Errors
    /// If `url` is none, or too long, or one too many; if the client has ended.
    pub fn move_to(&mut self, now: Duration, url: &str) -> Result<(), ClientError> {
        let relay = self.relays.given(url)?;
        self.go(now, relay)
    }

    /// Moves to the best of the other relays.
    ///
    /// # Errors
    /// If none is known; if the client has ended.
    pub fn move_on(&mut self, now: Duration) -> Result<(), ClientError> {
        let (_, relay) = self.relays.rival(now).ok_or(ClientError::NoOther)?;
        self.go(now, relay)
    }

    /// How the last move ended; once.
    pub fn outcome(&mut self) -> Option<Outcome> {
        self.outcome.take()
    }

    fn go(&mut self, now: Duration, relay: usize) -> Result<(), ClientError> {
        self.outcome = None;
        self.moving = None;
        match &mut self.state {
            State::Ended => return Err(ClientError::Ended),
            State::Reading(reading) if reading.told > 0 => {
                if reading.relay == relay {
                    self.second = Second::None;
                    self.outcome = Some(Outcome::Stayed(Trouble::Here));
                    return Ok(());
                }
                if self.heard.position.is_some() && self.options.race.is_some() {
                    self.start(now, relay);
                    self.second = Second::Due(relay);
                    return Ok(());
                }
            }
            State::Reading(reading) => {
                reading.end(now, &mut self.heard, &mut self.out);
                self.settle();
            }
            State::Idle { .. } | State::Asking(_) => {}
        }
        self.start(now, relay);
        self.second = Second::None;
        self.outage.get_or_insert(now);
        self.relays.choose(relay);
        self.state = State::Idle { at: now };
        Ok(())
    }

    fn start(&mut self, now: Duration, relay: usize) {
        self.moving = Some(Moving {
            to: relay,
            since: now,
            first: Conn(self.conns),
        });
    }

    /// Since when audio from this relay is wanted.
    pub(super) fn since(&self, relay: usize) -> Option<Duration> {
        let moving = self.moving.filter(|moving| moving.to == relay);
        moving.map(|moving| moving.since).or(self.outage)
    }

    /// Audio has come from the first connection.
    pub(super) fn arrived(&mut self) {
        let (Some(moving), State::Reading(reading)) = (self.moving, &self.state) else {
            return;
        };
        if reading.conn < moving.first {
            return;
        }
        match self.heard.moved.take() {
            Some(moved) if reading.relay == moving.to => {
                self.moving = None;
                self.outcome = Some(Outcome::Moved(moved));
            }
            _ => {
                let why = self.relays.last(moving.to).unwrap_or(Trouble::Here);
                self.stayed(moving.to, why);
            }
        }
    }

    /// The move to this relay came to nothing.
    pub(super) fn stayed(&mut self, relay: usize, why: Trouble) {
        self.moving = None;
        self.out.push(Event::Stayed {
            url: self.relays.get(relay).shown.clone(),
            why: why.clone(),
        });
        self.outcome = Some(Outcome::Stayed(why));
    }
}
