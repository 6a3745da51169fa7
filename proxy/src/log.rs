//! Who listens, for the line that is written when a listener has gone.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use icecast_ext_delivery::Ended;

/// The listeners that are with the delivery loops.
#[derive(Debug, Default)]
pub(crate) struct Log {
    next: AtomicU64,
    listeners: Mutex<HashMap<u64, (SocketAddr, String)>>,
}

impl Log {
    /// A number for a new listener.
    pub(crate) fn admitted(&self, peer: SocketAddr, path: &str) -> u64 {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        self.listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id, (peer, path.to_owned()));
        id
    }

    /// Called on a delivery loop's thread.
    pub(crate) fn ended(&self, ended: Ended) {
        let known = self
            .listeners
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&ended.id);
        let Some((peer, mount)) = known else { return };
        let Ended {
            reason,
            sent_bytes,
            audio_bytes,
            secs,
            ..
        } = ended;
        tracing::info!(%peer, mount, ?reason, sent_bytes, audio_bytes, secs, "listener gone");
    }
}
