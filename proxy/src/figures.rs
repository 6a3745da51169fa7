//! What is counted: by mount, and for all.

mod mount;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use icecast_ext_delivery::Ended;

use crate::events::{Events, What};
pub(crate) use mount::{CLIENTS, MountFigures, Pulled, REASONS, Starts};

/// Mounts that are counted by name; the others together, as [`OTHERS`].
const NAMED: usize = 4096;
/// Not a path.
const OTHERS: &str = "(others)";

/// A number that grows.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, more: u64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    pub(crate) fn one(&self) {
        self.add(1);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Limits that can be hit, in the order of [`Figures::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Limit {
    Listeners,
    Connections,
    Joins,
    Resumes,
    WindowBytes,
    Mounts,
    MaxListeners,
    Banned,
    Held,
    OpenFiles,
    Passages,
}

/// Their names.
pub(crate) const LIMITS: [&str; 11] = [
    "listeners",
    "connections-per-address",
    "joins-per-second",
    "resumes-per-second",
    "window-bytes-per-minute",
    "mounts",
    "max-listeners",
    "banned",
    "held",
    "open-files",
    "passages",
];

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Everything that is counted.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) events: Arc<Events>,
    mounts: Mutex<BTreeMap<String, Arc<MountFigures>>>,
    /// Answers that were neither a stream nor tunnelled, by status.
    answers: Mutex<BTreeMap<u16, u64>>,
    pub(crate) connections: Count,
    pub(crate) tunnelled: Count,
    /// Listeners that were passed on to what only the upstream holds.
    pub(crate) passages: Count,
    pub(crate) accept_errors: Count,
    pub(crate) tls_failed: Count,
    pub(crate) reloads: Count,
    /// By [`LIMITS`].
    pub(crate) limits: [Count; LIMITS.len()],
    /// As they were told last.
    limits_told: Mutex<[u64; LIMITS.len()]>,
}

impl Figures {
    /// Those of the mount at `path`: only for mounts that are served, never for what a stranger asked for.
    pub(crate) fn mount(&self, path: &str) -> Arc<MountFigures> {
        let mut mounts = lock(&self.mounts);
        if let Some(figures) = mounts.get(path) {
            return figures.clone();
        }
        let name = if mounts.len() < NAMED { path } else { OTHERS };
        let make = || Arc::new(MountFigures::new(name, self.events.clone()));
        mounts.entry(name.to_owned()).or_insert_with(make).clone()
    }

    /// All of them, by name.
    pub(crate) fn mounts(&self) -> Vec<(String, Arc<MountFigures>)> {
        let mounts = lock(&self.mounts);
        mounts
            .iter()
            .map(|(name, figures)| (name.clone(), figures.clone()))
            .collect()
    }

    /// An answer of our own.
    pub(crate) fn answered(&self, status: u16) {
        *lock(&self.answers).entry(status).or_default() += 1;
    }

    pub(crate) fn answers(&self) -> BTreeMap<u16, u64> {
        lock(&self.answers).clone()
    }

    /// A listener's response has ended. Called on a delivery loop's thread.
    pub(crate) fn left(&self, mount: &str, address: IpAddr, ended: &Ended) {
        self.mount(mount).left(address, ended);
    }

    /// A stranger wanted more than it may have. Told by [`Figures::flush`].
    pub(crate) fn limited(&self, limit: Limit) {
        self.limits[limit as usize].one();
    }

    /// Tells of what was only counted so far; to be called about once a second.
    pub(crate) fn flush(&self) {
        self.events.flush();
        let mut told = lock(&self.limits_told);
        for (index, count) in self.limits.iter().enumerate() {
            let times = count.get() - told[index];
            if times > 0 {
                told[index] += times;
                let limit = LIMITS[index];
                self.events.tell(None, What::Limit { limit, times });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        let figures = Figures::default();
        for n in 0..NAMED + 10 {
            figures.mount(&format!("/{n}")).starts[0].joins.one();
        }
        let mounts = figures.mounts();
        assert_eq!(mounts.len(), NAMED + 1);
        let others = mounts.iter().find(|(name, _)| name == OTHERS).unwrap();
        assert_eq!(others.1.sum(|starts| &starts.joins), 10);
    }

    #[test]
    fn a_limit_that_is_hit_often_is_told_once() {
        let figures = Figures::default();
        for _ in 0..100 {
            figures.limits[Limit::Joins as usize].one();
        }
        figures.flush();
        figures.flush();
        let (past, _) = figures.events.subscribe(0);
        assert_eq!(past.len(), 1);
        assert!(matches!(
            past[0].what,
            What::Limit {
                limit: "joins-per-second",
                times: 100
            }
        ));
    }
}
