//! What is known of the server's descriptors, by number.

use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use crate::client::Client;

/// Places in a page, and pages: descriptors up to a million. One beyond that is not ours to serve.
const PAGE: usize = 1024;
const PAGES: usize = 1024;

/// A descriptor's place.
#[derive(Debug, Default)]
pub(crate) struct Slot {
    tracked: AtomicBool,
    client: Mutex<Option<Box<Client>>>,
}

impl Slot {
    pub(crate) fn is_tracked(&self) -> bool {
        self.tracked.load(Ordering::Acquire)
    }

    /// Whoever has it decides for the descriptor, one thread at a time.
    pub(crate) fn lock(&self) -> MutexGuard<'_, Option<Box<Client>>> {
        self.client.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// As [`Slot::lock`], for whoever has another one: `None` if somebody has it.
    pub(crate) fn try_lock(&self) -> Option<MutexGuard<'_, Option<Box<Client>>>> {
        match self.client.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    pub(crate) fn track(&self, client: Client) {
        *self.lock() = Some(Box::new(client));
        self.tracked.store(true, Ordering::Release);
    }

    /// From now on the descriptor is the server's alone.
    pub(crate) fn forget(&self, client: &mut Option<Box<Client>>) {
        *client = None;
        self.tracked.store(false, Ordering::Release);
    }
}

/// All places.
#[derive(Debug)]
pub(crate) struct Table {
    pages: Box<[OnceLock<Box<[Slot]>>]>,
}

impl Default for Table {
    fn default() -> Self {
        Self {
            pages: (0..PAGES).map(|_| OnceLock::new()).collect(),
        }
    }
}

impl Table {
    /// The place of a descriptor that is tracked.
    pub(crate) fn tracked(&self, fd: RawFd) -> Option<&Slot> {
        let fd = usize::try_from(fd).ok()?;
        let slot = self.pages.get(fd / PAGE)?.get()?.get(fd % PAGE)?;
        slot.is_tracked().then_some(slot)
    }

    /// The place of any descriptor.
    pub(crate) fn slot(&self, fd: RawFd) -> Option<&Slot> {
        let fd = usize::try_from(fd).ok()?;
        let page = self.pages.get(fd / PAGE)?;
        let page = page.get_or_init(|| (0..PAGE).map(|_| Slot::default()).collect());
        page.get(fd % PAGE)
    }
}
