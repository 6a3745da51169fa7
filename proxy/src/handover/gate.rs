//! Whether requests, pulls and sources are this process's: they are, they stand still, or another process has taken over.

use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use tokio::sync::{OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock, watch};

use super::said::Source;

/// What stands still does so within this, or the handover is given up.
const STILL: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    Freezing,
    Gone,
}

/// A connection for the process that has taken over.
#[derive(Debug)]
pub(super) struct Straggler {
    pub(super) socket: OwnedFd,
    pub(super) peer: SocketAddr,
    /// What was read of it.
    pub(super) read: Bytes,
    /// It is this process's own.
    pub(super) kin: bool,
}

/// What those who stand still have left here.
#[derive(Debug, Default)]
pub(super) struct Depot {
    pub(super) sources: Vec<(Source, OwnedFd, Bytes)>,
}

/// Whoever holds it keeps everything as it is.
pub(crate) type Hold = OwnedRwLockReadGuard<()>;

/// The gate.
#[derive(Debug)]
pub(crate) struct Gate {
    phase: watch::Sender<Phase>,
    holds: Arc<RwLock<()>>,
    depot: Mutex<Depot>,
    torn: AtomicU64,
    successor: OnceLock<mpsc::Sender<Straggler>>,
}

impl Default for Gate {
    fn default() -> Self {
        Self {
            phase: watch::Sender::new(Phase::Open),
            holds: Arc::default(),
            depot: Mutex::default(),
            torn: AtomicU64::new(0),
            successor: OnceLock::new(),
        }
    }
}

impl Gate {
    /// Nothing is handed over while the hold lasts, which must end soon after [`Gate::freezing`]. `None`: another process
    /// has taken over.
    pub(crate) async fn hold(&self) -> Option<Hold> {
        let hold = self.holds.clone().read_owned().await;
        (!self.gone()).then_some(hold)
    }

    /// Another process has taken over.
    pub(crate) fn gone(&self) -> bool {
        *self.phase.borrow() == Phase::Gone
    }

    /// Returns when everything is to stand still, or another process has taken over.
    pub(crate) async fn freezing(&self) {
        let mut phase = self.phase.subscribe();
        // The sender is `self`.
        let _ = phase.wait_for(|phase| *phase != Phase::Open).await;
    }

    /// Returns when that is over; true if this process goes on.
    pub(crate) async fn thawed(&self) -> bool {
        let mut phase = self.phase.subscribe();
        let over = phase.wait_for(|phase| *phase != Phase::Freezing).await;
        over.is_ok_and(|phase| *phase == Phase::Open)
    }

    /// Returns when another process has taken over.
    pub(crate) async fn left(&self) {
        let mut phase = self.phase.subscribe();
        let _ = phase.wait_for(|phase| *phase == Phase::Gone).await;
    }

    fn depot(&self) -> MutexGuard<'_, Depot> {
        self.depot.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A source that stands still: a second handle of its connection, and what was read and not used.
    pub(crate) fn park_source(&self, source: Source, socket: OwnedFd, read: Bytes) {
        self.depot().sources.push((source, socket, read));
    }

    /// How often what stood still must not go on as it was: somebody else may have read its connection.
    pub(crate) fn torn(&self) -> u64 {
        self.torn.load(Ordering::Acquire)
    }

    /// Gives a connection of which nothing was answered to the process that has taken over. False if there is none.
    pub(crate) fn pass(&self, socket: OwnedFd, peer: SocketAddr, read: Bytes, kin: bool) -> bool {
        let straggler = Straggler {
            socket,
            peer,
            read,
            kin,
        };
        let successor = self.successor.get();
        successor.is_some_and(|successor| successor.send(straggler).is_ok())
    }

    /// Everything stands still as long as the result is held.
    pub(super) async fn freeze(&self) -> anyhow::Result<Frozen<'_>> {
        self.phase.send_replace(Phase::Freezing);
        let frozen = tokio::time::timeout(STILL, self.holds.clone().write_owned()).await;
        match frozen.context("something does not stand still") {
            Ok(hold) => Ok(Frozen { gate: self, hold }),
            Err(error) => {
                self.phase.send_replace(Phase::Open);
                Err(error)
            }
        }
    }
}

/// Nothing moves. Dropped: everything goes on.
#[derive(Debug)]
pub(super) struct Frozen<'a> {
    gate: &'a Gate,
    #[expect(dead_code, reason = "held")]
    hold: OwnedRwLockWriteGuard<()>,
}

impl Frozen<'_> {
    /// What those who stand still have left.
    pub(super) fn parked(&self) -> Depot {
        std::mem::take(&mut *self.gate.depot())
    }

    /// The other process has failed after it began to serve.
    pub(super) fn torn(&self) {
        self.gate.torn.fetch_add(1, Ordering::AcqRel);
    }

    /// Another process has taken over: `successor` gets what is left.
    pub(super) fn leave(self, successor: mpsc::Sender<Straggler>) {
        // It is left once.
        let _ = self.gate.successor.set(successor);
        self.gate.phase.send_replace(Phase::Gone);
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        let gone = self.gate.gone();
        drop(self.parked());
        if !gone {
            self.gate.phase.send_replace(Phase::Open);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn everything_stands_still_and_goes_on_or_is_gone() {
        let gate = Gate::default();
        let hold = gate.hold().await.unwrap();
        let (frozen, ()) = tokio::join!(gate.freeze(), async {
            gate.freezing().await;
            drop(hold);
        });
        let frozen = frozen.unwrap();
        let waiting = gate.hold();
        tokio::pin!(waiting);
        let soon = Duration::from_millis(20);
        assert!(tokio::time::timeout(soon, &mut waiting).await.is_err());
        drop(frozen);
        assert!(gate.thawed().await);
        drop(waiting.await.unwrap());
        let (send, _receive) = mpsc::channel();
        gate.freeze().await.unwrap().leave(send);
        assert!(!gate.thawed().await);
        gate.left().await;
        assert!(gate.hold().await.is_none());
    }
}
