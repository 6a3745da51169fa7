//! The mounts that we serve.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::station::Station;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The stations by decoded path.
#[derive(Debug)]
pub(crate) struct Stations {
    by_path: Mutex<HashMap<String, Arc<Station>>>,
    making: Mutex<()>,
    /// Paths whose pull was refused, and the operator told.
    warned: Mutex<HashSet<String>>,
    /// How many there are, for whoever must know without waiting.
    count: Arc<AtomicUsize>,
}

impl Stations {
    /// None yet; `count` follows.
    pub(crate) fn new(count: Arc<AtomicUsize>) -> Self {
        Self {
            by_path: Mutex::default(),
            making: Mutex::default(),
            warned: Mutex::default(),
            count,
        }
    }

    fn map(&self) -> MutexGuard<'_, HashMap<String, Arc<Station>>> {
        lock(&self.by_path)
    }

    pub(crate) fn get(&self, path: &str) -> Option<Arc<Station>> {
        self.map().get(path).cloned()
    }

    /// True if nobody was told yet about this path.
    pub(crate) fn warn_once(&self, path: &str) -> bool {
        lock(&self.warned).insert(path.to_owned())
    }

    /// The pull was let in.
    pub(crate) fn forgive(&self, path: &str) {
        lock(&self.warned).remove(path);
    }

    pub(crate) fn len(&self) -> usize {
        self.map().len()
    }

    /// The station at `path`, made by `make` if there is none; true if it was made. Making may take a while (it reads a journal),
    /// and nobody who asks for another station waits for it.
    pub(crate) fn get_or_make(
        &self,
        path: &str,
        make: impl FnOnce() -> Arc<Station>,
    ) -> (Arc<Station>, bool) {
        if let Some(station) = self.get(path) {
            return (station, false);
        }
        let _one_at_a_time = lock(&self.making);
        if let Some(station) = self.get(path) {
            return (station, false);
        }
        let station = make();
        let mut map = self.map();
        map.insert(path.to_owned(), station.clone());
        self.count.store(map.len(), Ordering::Relaxed);
        (station, true)
    }

    /// Forgets `station`, unless another has taken its place.
    pub(crate) fn remove(&self, station: &Arc<Station>) {
        let mut map = self.map();
        if map
            .get(&station.path)
            .is_some_and(|other| Arc::ptr_eq(other, station))
        {
            map.remove(&station.path);
            self.count.store(map.len(), Ordering::Relaxed);
        }
    }

    pub(crate) fn all(&self) -> Vec<Arc<Station>> {
        self.map().values().cloned().collect()
    }
}
