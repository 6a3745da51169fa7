//! Who listens.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use icecast_ext_delivery::{Ended, Kind};

use crate::caller::Caller;

/// Numbers of listeners begin here, so that none equals one of Icecast's own clients.
pub(crate) const FIRST_ID: u64 = 1_000_000_000;

/// A listener that is with the delivery loops.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) id: u64,
    /// Decoded path.
    pub(crate) mount: Arc<str>,
    pub(crate) address: IpAddr,
    pub(crate) agent: Arc<str>,
    pub(crate) kind: Kind,
    pub(crate) since: SystemTime,
}

/// The listeners that are with the delivery loops.
#[derive(Debug, Default)]
pub(crate) struct Audience {
    count: AtomicU64,
    visits: Mutex<HashMap<u64, Visit>>,
}

impl Audience {
    fn visits(&self) -> MutexGuard<'_, HashMap<u64, Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new listener; its number.
    pub(crate) fn admitted(&self, caller: &Caller, mount: &str, kind: Kind) -> u64 {
        let id = FIRST_ID + self.count.fetch_add(1, Ordering::Relaxed);
        let visit = Visit {
            id,
            mount: mount.into(),
            address: caller.address,
            agent: caller.agent.as_str().into(),
            kind,
            since: SystemTime::now(),
        };
        self.visits().insert(id, visit);
        id
    }

    /// Those of one mount.
    pub(crate) fn of(&self, mount: &str) -> Vec<Visit> {
        let visits = self.visits();
        let here = visits.values().filter(|visit| &*visit.mount == mount);
        here.cloned().collect()
    }

    /// A listener goes on at another mount. Called on a delivery loop's thread.
    pub(crate) fn moved(&self, id: u64, mount: &Arc<str>) {
        if let Some(visit) = self.visits().get_mut(&id) {
            visit.mount = mount.clone();
        }
    }

    /// Called on a delivery loop's thread. Who it was.
    pub(crate) fn ended(&self, ended: Ended) -> Option<Visit> {
        let visit = self.visits().remove(&ended.id)?;
        let Visit {
            address,
            mount,
            agent,
            ..
        } = &visit;
        let Ended {
            reason,
            sent_bytes,
            audio_bytes,
            secs,
            ..
        } = ended;
        tracing::info!(%address, mount = &**mount, agent = &**agent, ?reason, sent_bytes, audio_bytes, secs, "listener gone");
        Some(visit)
    }
}
