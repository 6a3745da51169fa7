//! `max-listeners` and `max-listener-duration` of a mount whose listeners the upstream does not see.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use icecast_ext_core::address::Session;
use icecast_ext_delivery::Mount;

use crate::station::Station;

/// Sessions whose beginning is remembered, at most. Those beyond begin anew with each resume.
const MAX_SESSIONS: usize = 500_000;
/// A session's beginning is remembered for so long after its term: as long as its positions may be asked for.
const REMEMBERED: Duration = Duration::from_secs(3600);

/// The listeners with a term.
#[derive(Debug, Default)]
pub(super) struct Bounds {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// When which listener's time is over.
    ends: BTreeMap<(Instant, u64), Arc<Mount>>,
    by_id: HashMap<u64, Instant>,
    /// When a session's first response began, and when that may be forgotten.
    sessions: HashMap<Session, (Instant, Instant)>,
}

impl Bounds {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the first response of this client began.
    pub(super) fn since(&self, session: Session) -> Option<Instant> {
        self.state().sessions.get(&session).map(|(since, _)| *since)
    }

    /// The listener is served until `end`.
    pub(super) fn term(
        &self,
        mount: &Arc<Mount>,
        id: u64,
        session: Option<Session>,
        end: Instant,
        since: Instant,
    ) {
        let mut state = self.state();
        state.by_id.insert(id, end);
        state.ends.insert((end, id), mount.clone());
        let Some(session) = session else { return };
        if state.sessions.len() >= MAX_SESSIONS {
            let now = Instant::now();
            state.sessions.retain(|_, (_, forget)| *forget > now);
        }
        if state.sessions.len() < MAX_SESSIONS {
            state.sessions.insert(session, (since, end + REMEMBERED));
        }
    }

    /// When the listener's time is over.
    pub(super) fn end(&self, id: u64) -> Option<Instant> {
        self.state().by_id.get(&id).copied()
    }

    pub(super) fn moved(&self, id: u64, to: &Arc<Mount>) {
        let mut state = self.state();
        let end = state.by_id.get(&id).copied();
        if let Some(mount) = end.and_then(|end| state.ends.get_mut(&(end, id))) {
            *mount = to.clone();
        }
    }

    pub(super) fn ended(&self, id: u64) {
        let mut state = self.state();
        if let Some(end) = state.by_id.remove(&id) {
            state.ends.remove(&(end, id));
        }
    }

    /// Those whose time is over by now.
    pub(super) fn over(&self, now: Instant) -> Vec<(Arc<Mount>, u64)> {
        let mut state = self.state();
        let mut over = Vec::new();
        while let Some(first) = state.ends.first_entry()
            && first.key().0 <= now
        {
            let ((_, id), mount) = first.remove_entry();
            state.by_id.remove(&id);
            over.push((mount, id));
        }
        over
    }

    pub(super) fn is_empty(&self) -> bool {
        self.state().ends.is_empty()
    }
}

/// A place among a mount's listeners, for one who is not counted yet.
#[derive(Debug)]
pub(crate) struct Place(Option<Arc<Station>>);

impl Place {
    /// One of `most` places. `replaced`: the listener's earlier response is still counted, and about to go.
    pub(super) fn take(station: &Arc<Station>, most: u64, replaced: bool) -> Option<Self> {
        let mut coming = station.coming();
        let here = station.mount.listeners().total() as u64 + *coming;
        (here.saturating_sub(u64::from(replaced)) < most).then(|| {
            *coming += 1;
            Self(Some(station.clone()))
        })
    }

    /// The place is taken: from now on the mount counts the listener itself.
    pub(super) fn taken<T>(mut self, admit: impl FnOnce() -> T) -> T {
        let Some(station) = self.0.take() else {
            return admit();
        };
        // Nobody counts in between.
        let mut coming = station.coming();
        *coming -= 1;
        admit()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(station) = &self.0 {
            *station.coming() -= 1;
        }
    }
}
