//! What the proxy knows of its own doings at the upstream, and of the upstream's listeners between two looks at its documents.
//!
//! Counts begin when the upstream's do: a server or a source that has started anew counts from zero, and so does what is ours.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use icecast_ext_delivery::Passed;

use super::places::{Places, What};

/// A connection that we have closed is a listener to the upstream until it sends there.
const GHOST: Duration = Duration::from_secs(5);

/// What we did that the upstream counts, or does not count although it would have without us.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    /// Connections of clients to us.
    accepted: AtomicU64,
    /// Connections of ours to the upstream.
    made: AtomicU64,
    /// Listeners of ours.
    joined: AtomicU64,
    /// Connections of ours that the upstream has counted as listeners.
    pulled: AtomicU64,
    /// Those that are open.
    pulling: AtomicU64,
    server: Mutex<Began>,
    mounts: Mutex<HashMap<String, Record>>,
}

/// The counts at the upstream's start.
#[derive(Debug, Default)]
struct Began {
    started: String,
    accepted: u64,
    made: u64,
    joined: u64,
    pulled: u64,
}

/// A mount's source, from its start.
#[derive(Debug, Clone, Default)]
struct Record {
    started: String,
    /// Listeners at the upstream, our own connections not counted, when last looked.
    direct: u64,
    /// The most that there have been at once, of what we know.
    peak: u64,
    /// A pull of ours may be in the upstream's peak.
    pulled: bool,
    /// Pulls of ours that the upstream counts as listeners now.
    pulls: u64,
    /// When those ended that it may still count.
    ghosts: Vec<Instant>,
    slow: u64,
    before: Passed,
}

/// What is ours on a mount now.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Now {
    /// Listeners that only we count.
    pub(crate) listeners: u64,
    pub(crate) passed: Passed,
}

/// What a document's counts of a mount become.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Share {
    /// Counted by the upstream, and no listeners.
    pub(crate) pulls: u64,
    /// Listeners, and not counted by the upstream.
    pub(crate) listeners: u64,
    /// At least so many have been there at once.
    pub(crate) peak: u64,
    /// Of the upstream's peak, so many may be ours.
    pub(crate) peak_pulls: u64,
    pub(crate) slow: u64,
    /// Bytes that the pulls were sent.
    pub(crate) received: u64,
    /// Bytes that our listeners were sent.
    pub(crate) sent: u64,
}

/// A pull that the upstream counts.
#[derive(Debug)]
pub(crate) struct Pulling<'a> {
    ledger: &'a Ledger,
    mount: String,
}

impl Drop for Pulling<'_> {
    fn drop(&mut self) {
        self.ledger.pulling.fetch_sub(1, Ordering::Relaxed);
        if let Some(record) = self.ledger.mounts().get_mut(&self.mount) {
            record.pulls = record.pulls.saturating_sub(1);
            record.ghosts.retain(|ended| ended.elapsed() < GHOST);
            record.ghosts.push(Instant::now());
        }
    }
}

/// The same for the whole server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Total {
    pub(crate) pulls: u64,
    pub(crate) listeners: u64,
    pub(crate) made: u64,
    pub(crate) accepted: u64,
    pub(crate) pulled: u64,
    pub(crate) joined: u64,
}

impl Ledger {
    fn mounts(&self) -> MutexGuard<'_, HashMap<String, Record>> {
        self.mounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn server(&self) -> MutexGuard<'_, Began> {
        self.server.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A client has connected to us.
    pub(crate) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// We connect to the upstream.
    pub(crate) fn made(&self) {
        self.made.fetch_add(1, Ordering::Relaxed);
    }

    /// The upstream has answered a pull of ours, which goes on until what is returned is dropped.
    pub(crate) fn pulled(&self, mount: &str) -> Pulling<'_> {
        self.pulled.fetch_add(1, Ordering::Relaxed);
        self.pulling.fetch_add(1, Ordering::Relaxed);
        let mut mounts = self.mounts();
        let record = mounts.entry(mount.to_owned()).or_default();
        record.pulled = true;
        record.pulls += 1;
        Pulling {
            ledger: self,
            mount: mount.to_owned(),
        }
    }

    /// The upstream has let a listener in whom we serve.
    pub(crate) fn asked(&self) {
        self.pulled.fetch_add(1, Ordering::Relaxed);
    }

    /// A listener has come; those that only we count are so many now.
    pub(crate) fn joined(&self, mount: &str, listeners: u64) {
        self.joined.fetch_add(1, Ordering::Relaxed);
        let mut mounts = self.mounts();
        let record = mounts.entry(mount.to_owned()).or_default();
        record.peak = record.peak.max(record.direct.saturating_add(listeners));
    }

    /// A listener that only we count was too slow.
    pub(crate) fn slow(&self, mount: &str) {
        if let Some(record) = self.mounts().get_mut(mount) {
            record.slow += 1;
        }
    }

    /// Takes note of the upstream's list of mounts.
    pub(crate) fn polled(&self, json: &[u8]) {
        if let Some(places) = super::json::places(json) {
            self.saw(json, &places, false, |_| Now::default());
        }
    }

    /// Takes note of what a document of the upstream says; `now` knows what is ours. `all`: what it does not list is gone.
    pub(crate) fn saw(
        &self,
        document: &[u8],
        places: &Places,
        all: bool,
        now: impl Fn(&str) -> Now,
    ) {
        self.saw_start(&places.started);
        let mut mounts = self.mounts();
        if all {
            let listed =
                |mount: &String| places.sources.iter().any(|source| source.mount == *mount);
            // Few are not listed, and a list is short: only stations and those who were ever listed are here.
            if mounts.len() > places.sources.len() {
                mounts.retain(|mount, record| {
                    listed(mount) || record.pulls > 0 || now(mount).listeners > 0
                });
            }
        }
        for source in &places.sources {
            let now = now(&source.mount);
            let record = mounts.entry(source.mount.clone()).or_default();
            if !source.started.is_empty() && source.started != record.started {
                if record.started.is_empty() {
                    record.started.clone_from(&source.started);
                } else {
                    *record = Record {
                        started: source.started.clone(),
                        pulled: record.pulls > 0,
                        pulls: record.pulls,
                        ghosts: std::mem::take(&mut record.ghosts),
                        before: now.passed,
                        ..Record::default()
                    };
                }
            }
            if let Some(up) = source.count(document, What::Listeners) {
                // Of a count that may be too high by our own doing, a peak would keep the error.
                record.ghosts.retain(|ended| ended.elapsed() < GHOST);
                let ours = record.pulls + record.ghosts.len() as u64;
                record.direct = up.saturating_sub(ours);
                record.peak = record.peak.max(record.direct.saturating_add(now.listeners));
            }
            if !record.pulled
                && let Some(peak) = source.count(document, What::Peak)
            {
                record.peak = record.peak.max(peak);
            }
        }
    }

    fn saw_start(&self, started: &str) {
        let mut began = self.server();
        if started.is_empty() || began.started == started {
            return;
        }
        let first = began.started.is_empty();
        began.started = started.to_owned();
        if !first {
            began.accepted = self.accepted.load(Ordering::Relaxed);
            began.made = self.made.load(Ordering::Relaxed);
            began.joined = self.joined.load(Ordering::Relaxed);
            began.pulled = self.pulled.load(Ordering::Relaxed);
        }
    }

    pub(crate) fn share(&self, mount: &str, now: Now) -> Share {
        let mounts = self.mounts();
        let none = Record::default();
        let record = mounts.get(mount).unwrap_or(&none);
        Share {
            pulls: record.pulls,
            listeners: now.listeners,
            peak: record.peak,
            peak_pulls: u64::from(record.pulled),
            slow: record.slow,
            received: now.passed.received.saturating_sub(record.before.received),
            sent: now.passed.sent.saturating_sub(record.before.sent),
        }
    }

    /// `now`: the sum over all mounts.
    pub(crate) fn total(&self, now: Now) -> Total {
        let began = self.server();
        let since =
            |count: &AtomicU64, before: u64| count.load(Ordering::Relaxed).saturating_sub(before);
        Total {
            pulls: self.pulling.load(Ordering::Relaxed),
            listeners: now.listeners,
            made: since(&self.made, began.made),
            accepted: since(&self.accepted, began.accepted),
            pulled: since(&self.pulled, began.pulled),
            // Who listens on since before has joined, too.
            joined: since(&self.joined, began.joined).max(now.listeners),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::json;

    fn now(listeners: u64) -> Now {
        Now {
            listeners,
            passed: Passed::default(),
        }
    }

    fn saw(ledger: &Ledger, listeners: u64, peak: u64, started: &str, now: Now) {
        let json = format!(
            "{{\"icestats\":{{\"server_start_iso8601\":\"S\",\"source\":{{\"listener_peak\":{peak},\"listeners\":{listeners},\"listenurl\":\"http://h/a\",\"stream_start_iso8601\":\"{started}\"}}}}}}"
        );
        let places = json::places(json.as_bytes()).unwrap();
        ledger.saw(json.as_bytes(), &places, true, |_| now);
    }

    #[test]
    fn a_peak_is_of_all_who_were_there_at_once() {
        let ledger = Ledger::default();
        saw(&ledger, 2, 5, "T", now(0));
        let _pull = ledger.pulled("/a");
        saw(&ledger, 3, 5, "T", now(0));
        assert_eq!(ledger.share("/a", now(0)).peak, 5);
        for listeners in 1..=4 {
            ledger.joined("/a", listeners);
        }
        // Two at the server and four of ours.
        assert_eq!(ledger.share("/a", now(4)).peak, 6);
        saw(&ledger, 1, 5, "T", now(0));
        assert_eq!(ledger.share("/a", now(0)).peak, 6);
    }

    #[test]
    fn a_source_that_starts_anew_begins_a_new_peak() {
        let ledger = Ledger::default();
        let _pull = ledger.pulled("/a");
        saw(&ledger, 1, 1, "T", now(9));
        ledger.slow("/a");
        assert_eq!(
            (
                ledger.share("/a", now(9)).peak,
                ledger.share("/a", now(9)).slow
            ),
            (9, 1)
        );
        saw(&ledger, 1, 1, "U", now(3));
        let share = ledger.share("/a", now(3));
        assert_eq!((share.peak, share.peak_pulls, share.slow), (3, 1, 0));
    }

    #[test]
    fn a_server_that_starts_anew_begins_new_counts() {
        let ledger = Ledger::default();
        ledger.accepted();
        ledger.joined("/a", 1);
        ledger.saw_start("S");
        assert_eq!(ledger.total(now(1)).accepted, 1);
        ledger.saw_start("T");
        let total = ledger.total(now(1));
        assert_eq!((total.accepted, total.joined), (0, 1));
    }

    #[test]
    fn a_mount_that_is_gone_is_forgotten() {
        let ledger = Ledger::default();
        for mount in ["/b", "/c", "/d"] {
            ledger.joined(mount, 1);
        }
        let json = b"{\"icestats\":{\"source\":{\"listeners\":1,\"listenurl\":\"http://h/a\"}}}";
        let places = json::places(json).unwrap();
        ledger.saw(json, &places, true, |mount| now(u64::from(mount == "/b")));
        let mut left: Vec<String> = ledger.mounts().keys().cloned().collect();
        left.sort();
        assert_eq!(left, ["/a", "/b"]);
    }
}
