//! A connection is of no more use: who is asked next, and when?

use std::time::Duration;

use super::event::{Event, Trouble};
use super::{Client, Conn, State};
use crate::field::Miss;

/// A connection shorter than this was a hasty one.
const HASTY: Duration = Duration::from_secs(1);
/// So many hasty connections in a row, and the next one waits.
const MAX_HASTY: u32 = 10;

impl Client {
    /// A connection has ended.
    pub(super) fn over(&mut self, now: Duration, conn: Conn, trouble: Trouble) {
        if self.second.conn() == Some(conn) {
            return self.second_trouble(now, trouble, now);
        }
        if self.first() != Some(conn) {
            return;
        }
        let mut trouble = trouble;
        if let State::Reading(reading) = &mut self.state {
            reading.end(now, &mut self.heard, &mut self.out);
            // A run that was heard elsewhere, and further than this relay has it: it would answer so again and again.
            if trouble == Trouble::Closed && reading.only_repeats() {
                trouble = Trouble::Past;
            }
            self.settle();
        }
        self.trouble(now, trouble, now);
    }

    /// The first connection is of no more use, and its relay not to be asked before then.
    pub(super) fn trouble(&mut self, now: Duration, trouble: Trouble, not_before: Duration) {
        let (event, lasted) = match &self.state {
            State::Reading(reading) => {
                let event = Event::Cut {
                    url: reading.shown.clone(),
                    why: trouble.clone(),
                };
                let lasted = (reading.told > 0).then(|| now.saturating_sub(reading.opened));
                (event, lasted)
            }
            _ => {
                let event = Event::Refused {
                    url: self.relays.current().shown.clone(),
                    why: trouble.clone(),
                };
                (event, None)
            }
        };
        self.out.push(event);
        self.outage.get_or_insert(now);
        let relay = self.relays.index();
        let gave_audio = lasted.filter(|_| matches!(trouble, Trouble::Closed | Trouble::Broke(_)));
        match gave_audio {
            // An epoch's end is no fault of the relay's.
            Some(lasted) if lasted >= HASTY && trouble == Trouble::Closed => {}
            Some(_) => self.relays.fell(relay, now, &trouble),
            None => self.relays.failed(relay, now, trouble.clone(), not_before),
        }
        if self.take_second(now) {
            return;
        }
        let at = match gave_audio {
            // It is asked again first, and at once (R-CLIENT-13).
            Some(lasted) => {
                self.hasty = if lasted < HASTY { self.hasty + 1 } else { 0 };
                if self.hasty > MAX_HASTY {
                    now + self.dice.pause(0)
                } else {
                    now
                }
            }
            None => match self.next_relay(now, relay, &trouble) {
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

    fn next_relay(&mut self, now: Duration, before: usize, trouble: &Trouble) -> Option<Duration> {
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
