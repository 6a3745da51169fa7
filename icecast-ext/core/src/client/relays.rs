//! The relays of a stream, and which one is next.

use std::time::Duration;

use crate::address::Session;

use super::event::{GaveUp, Trouble};
use super::fare::Fare;
use super::link;
use super::options::ClientError;

/// Relays beyond this number are not learned (R-SEC-8).
pub const MAX_RELAYS: usize = 16;

/// A relay, and how it has fared: lately, and since the last audio from anywhere.
#[derive(Debug)]
pub(super) struct Relay {
    pub(super) url: String,
    /// Without credentials.
    pub(super) shown: String,
    /// Of its last answer: for this relay alone (R-SESS-6).
    pub(super) session: Option<Session>,
    fare: Fare,
    /// Never to be asked again: it answered 400.
    hopeless: bool,
    /// Answers 412.
    pub(super) refusals: u8,
    /// Those among them that were not for want of bytes still to come.
    gone: u8,
    /// Its answer to `live` was not taken.
    doubted: bool,
    /// As `Retry-After` wants it.
    not_before: Duration,
    /// How often it was asked in vain.
    pub(super) tries: u8,
    /// It had something to give when it was asked last, though not the exact byte.
    inexact: bool,
    last: Option<Trouble>,
}

/// The list, in the order it was given and learned.
#[derive(Debug)]
pub(super) struct Relays {
    list: Vec<Relay>,
    /// The one that audio is expected from.
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
        urls.into_iter().for_each(|url| {
            relays.add(url);
        });
        relays
    }

    /// Which one it is; `None` if there is no room for it.
    fn add(&mut self, url: String) -> Option<usize> {
        let shown = link::shown(&url);
        let known = self.list.iter().position(|relay| relay.shown == shown);
        if known.is_some() || self.list.len() >= self.most {
            return known;
        }
        self.list.push(Relay {
            url,
            shown,
            session: None,
            fare: Fare::default(),
            hopeless: false,
            refusals: 0,
            gone: 0,
            doubted: false,
            not_before: Duration::ZERO,
            tries: 0,
            inexact: false,
            last: None,
        });
        Some(self.list.len() - 1)
    }

    /// One that the caller names.
    pub(super) fn given(&mut self, url: &str) -> Result<usize, ClientError> {
        if url.len() > self.max_url {
            return Err(ClientError::LongUrl(url.len(), self.max_url));
        }
        if !link::valid(url) {
            return Err(ClientError::Url(link::shown(url)));
        }
        let known = self.list.len();
        let index = self.add(url.to_owned());
        index.ok_or(ClientError::Relays(known + 1, self.most))
    }

    /// A `Link` of this relay's answer, which came from `base`.
    pub(super) fn learn(&mut self, relay: usize, base: &str, reference: &str) {
        if self.list.len() >= self.most {
            return;
        }
        let url = link::resolve(&self.list[relay].url, base, reference);
        if let Some(url) = url.filter(|url| url.len() <= self.max_url) {
            self.add(url);
        }
    }

    pub(super) fn get(&self, relay: usize) -> &Relay {
        &self.list[relay]
    }

    pub(super) fn index(&self) -> usize {
        self.at
    }

    pub(super) fn current(&self) -> &Relay {
        &self.list[self.at]
    }

    pub(super) fn choose(&mut self, relay: usize) {
        self.at = relay;
    }

    /// This relay names its connection.
    pub(super) fn opened(&mut self, relay: usize, session: Session) {
        self.list[relay].session = Some(session);
    }

    /// The answer to a request came after so long, or was not waited for any longer.
    pub(super) fn answered(&mut self, relay: usize, after: Duration) {
        self.list[relay].fare.answered(after);
    }

    pub(super) fn several(&self) -> bool {
        self.list.iter().filter(|relay| !relay.hopeless).count() > 1
    }

    pub(super) fn urls(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|relay| relay.shown.as_str())
    }

    /// Audio has come: whatever was held against a relay is forgotten, but for how it fared.
    pub(super) fn forgive(&mut self) {
        self.list.iter_mut().for_each(Relay::forgive);
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

    /// This relay answered 412. `behind`: for want of bytes that are still to come.
    pub(super) fn refused(&mut self, relay: usize, behind: bool) {
        let relay = &mut self.list[relay];
        relay.refusals = relay.refusals.saturating_add(1);
        relay.gone = relay.gone.saturating_add(u8::from(!behind));
    }

    /// This relay has failed.
    pub(super) fn failed(
        &mut self,
        relay: usize,
        now: Duration,
        trouble: Trouble,
        not_before: Duration,
    ) {
        self.fell(relay, now, &trouble);
        if trouble == Trouble::Past {
            // Whatever it is asked for, it may go on to answer with what was heard: `live` is left, as after two refusals.
            self.refused(relay, true);
        }
        let relay = &mut self.list[relay];
        relay.not_before = not_before;
        relay.hopeless |= trouble == Trouble::Status(400);
        relay.tries = relay.tries.saturating_add(1);
        relay.inexact = trouble == Trouble::Inexact;
        relay.last = Some(trouble);
    }

    /// It is remembered against this relay, unless the fault is the position's.
    pub(super) fn fell(&mut self, relay: usize, now: Duration, trouble: &Trouble) {
        if !matches!(trouble, Trouble::Status(412) | Trouble::Inexact) {
            self.list[relay].fare.failed(now);
        }
    }

    /// A move to this relay has failed, while audio goes on elsewhere.
    pub(super) fn spurned(
        &mut self,
        relay: usize,
        now: Duration,
        trouble: Trouble,
        not_before: Duration,
    ) {
        self.failed(relay, now, trouble, not_before);
        self.list[relay].forgive();
        self.list[relay].not_before = not_before;
    }

    /// What this relay said last.
    pub(super) fn last(&self, relay: usize) -> Option<Trouble> {
        self.list[relay].last.clone()
    }

    /// No relay has our position, as all have said twice.
    pub(super) fn position_is_gone(&self) -> bool {
        let mut alive = self.list.iter().filter(|relay| !relay.hopeless);
        alive.all(|relay| relay.gone >= 2)
    }

    /// Goes on to the relay that is best asked at `now`, or else to the one that may be asked first. Returns when, and whether
    /// it has been asked since the last audio. `None`: none is left.
    pub(super) fn advance(&mut self, now: Duration) -> Option<(Duration, bool)> {
        let (ready, next) = self.best(now, |_, _| true)?;
        self.at = next;
        Some((ready, self.current().tries > 0))
    }

    /// The relay that is best asked beside the current one, and from when on. One that has refused `live` alone is left out.
    pub(super) fn rival(&self, now: Duration) -> Option<(Duration, usize)> {
        self.best(now, |index, relay| index != self.at && relay.refusals < 2)
    }

    /// Those not asked since the last audio first, then those that offer something, then those asked least often, of these the
    /// best, of these the first given.
    fn best(
        &self,
        now: Duration,
        fits: impl Fn(usize, &Relay) -> bool,
    ) -> Option<(Duration, usize)> {
        let relays = self.list.iter().enumerate();
        relays
            .filter(|(index, relay)| !relay.hopeless && fits(*index, relay))
            .map(|(index, relay)| (relay.not_before.max(now), index))
            .min_by_key(|(ready, index)| {
                let relay = &self.list[*index];
                let (asked, offers) = (relay.tries > 0, relay.inexact);
                let cost = relay.fare.cost(now);
                (*ready, asked, !offers, relay.tries, cost, *index)
            })
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

impl Relay {
    fn forgive(&mut self) {
        self.refusals = 0;
        self.gone = 0;
        self.doubted = false;
        self.not_before = Duration::ZERO;
        self.tries = 0;
        self.inexact = false;
        self.last = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn learned_relays_are_bounded_and_never_twice() {
        let mut relays = Relays::new(["http://A.example/live".to_owned()], MAX_RELAYS, 2048);
        relays.learn(0, "http://a.example/live", "http://a.example:80/live");
        assert_eq!(relays.urls().count(), 1);
        for n in 0..100 {
            relays.learn(0, "http://a.example/live", &format!("/{n}"));
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
        relays.failed(0, second, Trouble::Status(503), 20 * second);
        assert_eq!(relays.advance(second), Some((second, false)));
        assert_eq!(relays.current().url, "http://b/");
        relays.failed(1, second, Trouble::Closed, second);
        assert_eq!(relays.advance(second), Some((second, true)));
        assert_eq!(relays.current().url, "http://b/");
        relays.failed(1, second, Trouble::Status(503), 30 * second);
        assert_eq!(relays.advance(second), Some((20 * second, true)));
        assert_eq!(relays.current().url, "http://a/");
    }

    #[test]
    fn what_a_relay_had_to_give_counts_until_it_fails() {
        let now = Duration::from_secs(1);
        let urls = ["http://a/", "http://b/"].map(str::to_owned);
        let mut relays = Relays::new(urls, MAX_RELAYS, 2048);
        relays.failed(0, now, Trouble::Inexact, now);
        relays.failed(1, now, Trouble::Closed, now);
        relays.failed(1, now, Trouble::Closed, now);
        assert_eq!(relays.advance(now), Some((now, true)));
        assert_eq!(relays.index(), 0);
        (0..2).for_each(|_| relays.failed(0, now, Trouble::Closed, now));
        assert_eq!(relays.advance(now), Some((now, true)));
        assert_eq!(relays.index(), 1);
    }

    #[test]
    fn a_relay_that_fails_often_or_is_slow_is_asked_last() {
        let second = Duration::from_secs(1);
        let urls = ["http://a/", "http://b/", "http://c/", "http://d/"].map(str::to_owned);
        let mut relays = Relays::new(urls, MAX_RELAYS, 2048);
        assert_eq!(relays.rival(second), Some((second, 1)));
        relays.answered(2, Duration::from_millis(150));
        relays.answered(3, Duration::from_millis(20));
        (0..3).for_each(|_| relays.fell(1, second, &Trouble::Closed));
        relays.fell(3, second, &Trouble::Status(412));
        let mut rivals = |now: Duration| {
            relays.forgive();
            [(); 3].map(|()| {
                let (_, next) = relays.rival(now).unwrap();
                relays.list[next].tries += 1;
                next
            })
        };
        assert_eq!(rivals(second), [3, 2, 1]);
        // Minutes later it is as good as any.
        assert_eq!(rivals(900 * second), [1, 3, 2]);
    }
}
