//! The relays of a stream, and which one is next.

use std::time::Duration;

use crate::address::Session;

use super::event::{GaveUp, Trouble};
use super::link;

/// Relays beyond this number are not learned (R-SEC-8).
pub const MAX_RELAYS: usize = 16;

/// A relay, and how it has fared since the last audio from anywhere.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) url: String,
    /// Without credentials.
    pub(super) shown: String,
    /// Of its last answer: for this relay alone (R-SESS-6).
    session: Option<Session>,
    /// Answers 412.
    pub(super) refusals: u8,
    /// Those among them that were not for want of bytes still to come.
    gone: u8,
    /// Its answer to `live` was not taken.
    doubted: bool,
    /// As `Retry-After` wants it.
    not_before: Duration,
    /// Never to be asked again: it answered 400.
    hopeless: bool,
    last: Option<Trouble>,
}

/// The list, in the order it was given and learned.
#[derive(Debug)]
pub(super) struct Relays {
    list: Vec<Relay>,
    at: usize,
    most: usize,
    max_url: usize,
}

impl Relays {
    /// At most so many are learned, of URLs no longer than that.
    pub(super) fn new(urls: impl IntoIterator<Item = String>, most: usize, max_url: usize) -> Self {
        let mut relays = Self {
            list: Vec::new(),
            at: 0,
            most: most.min(MAX_RELAYS),
            max_url,
        };
        urls.into_iter().for_each(|url| relays.add(url));
        relays
    }

    fn add(&mut self, url: String) {
        let shown = link::shown(&url);
        if self.list.iter().any(|relay| relay.shown == shown) {
            return;
        }
        self.list.push(Relay {
            url,
            shown,
            session: None,
            refusals: 0,
            gone: 0,
            doubted: false,
            not_before: Duration::ZERO,
            hopeless: false,
            last: None,
        });
    }

    /// A `Link` of the current relay's answer, which came from `base`.
    pub(super) fn learn(&mut self, base: &str, reference: &str) {
        if self.list.len() >= self.most {
            return;
        }
        let url = link::resolve(&self.current().url, base, reference);
        if let Some(url) = url.filter(|url| url.len() <= self.max_url) {
            self.add(url);
        }
    }

    pub(super) fn index(&self) -> usize {
        self.at
    }

    pub(super) fn current(&self) -> &Relay {
        &self.list[self.at]
    }

    pub(super) fn session(&self) -> Option<Session> {
        self.current().session
    }

    /// The current relay names its connection.
    pub(super) fn opened(&mut self, session: Session) {
        self.list[self.at].session = Some(session);
    }

    pub(super) fn several(&self) -> bool {
        self.list.iter().filter(|relay| !relay.hopeless).count() > 1
    }

    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|relay| relay.shown.as_str())
    }

    /// Audio has come: whatever was held against a relay is forgotten.
    pub(super) fn forgive(&mut self) {
        for relay in &mut self.list {
            relay.refusals = 0;
            relay.gone = 0;
            relay.doubted = false;
            relay.not_before = Duration::ZERO;
            relay.last = None;
        }
    }

    /// The current relay has refused our position in the first round, when only the exact byte was asked for, and in the
    /// second, when anything after it would have done: it is behind. All that is left is to ask it for `live`.
    pub(super) fn refused_twice(&self) -> bool {
        self.current().refusals >= 2
    }

    /// `live` led past our position: the current relay is asked for that again, but only once. False: it was already.
    pub(super) fn ask_anew(&mut self) -> bool {
        let relay = &mut self.list[self.at];
        relay.refusals = 1;
        !std::mem::replace(&mut relay.doubted, true)
    }

    /// The current relay answered 412. `behind`: for want of bytes that are still to come.
    pub(super) fn refused(&mut self, behind: bool) {
        let relay = &mut self.list[self.at];
        relay.refusals = relay.refusals.saturating_add(1);
        relay.gone = relay.gone.saturating_add(u8::from(!behind));
    }

    /// The current relay has failed.
    pub(super) fn failed(&mut self, trouble: Trouble, not_before: Duration) {
        let relay = &mut self.list[self.at];
        relay.not_before = not_before;
        relay.hopeless |= trouble == Trouble::Status(400);
        relay.last = Some(trouble);
    }

    /// No relay has our position, as all have said twice.
    pub(super) fn position_is_gone(&self) -> bool {
        let mut alive = self.list.iter().filter(|relay| !relay.hopeless);
        alive.all(|relay| relay.gone >= 2)
    }

    /// Goes on to the relay after the current one that may be asked at `now`, or else to the one that may be asked first.
    /// Returns when, and whether it has been asked since the last audio. `None`: none is left.
    pub(super) fn advance(&mut self, now: Duration) -> Option<(Duration, bool)> {
        let n = self.list.len();
        let (_, next) = (1..=n)
            .map(|step| (step, (self.at + step) % n))
            .filter(|(_, index)| !self.list[*index].hopeless)
            .min_by_key(|(step, index)| (self.list[*index].not_before.max(now), *step))?;
        self.at = next;
        let relay = self.current();
        Some((relay.not_before.max(now), relay.last.is_some()))
    }

    /// What every relay said last.
    pub(super) fn verdict(&self) -> GaveUp {
        GaveUp {
            relays: self
                .list
                .iter()
                .map(|relay| (relay.shown.clone(), relay.last.clone()))
                .collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learned_relays_are_bounded_and_never_twice() {
        let mut relays = Relays::new(["http://A.example/live".to_owned()], MAX_RELAYS, 2048);
        relays.learn("http://a.example/live", "http://a.example:80/live");
        assert_eq!(relays.urls().count(), 1);
        for n in 0..100 {
            relays.learn("http://a.example/live", &format!("/{n}"));
        }
        assert_eq!(relays.urls().count(), MAX_RELAYS);
        assert_eq!(relays.urls().nth(1), Some("http://a.example/0"));
    }

    #[test]
    fn a_relay_that_asked_for_time_is_passed_over_while_another_is_there() {
        let second = Duration::from_secs(1);
        let mut relays = Relays::new(
            ["http://a/", "http://b/"].map(str::to_owned),
            MAX_RELAYS,
            2048,
        );
        relays.failed(Trouble::Status(503), 20 * second);
        assert_eq!(relays.advance(second), Some((second, false)));
        assert_eq!(relays.current().url, "http://b/");
        relays.failed(Trouble::Closed, second);
        assert_eq!(relays.advance(second), Some((second, true)));
        assert_eq!(relays.current().url, "http://b/");
        relays.failed(Trouble::Status(503), 30 * second);
        assert_eq!(relays.advance(second), Some((20 * second, true)));
        assert_eq!(relays.current().url, "http://a/");
    }
}
