//! Places that are counted exactly.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Places of one kind.
#[derive(Debug, Default)]
pub(super) struct Seats(AtomicU64);

/// A place; given back when dropped.
#[derive(Debug)]
pub(crate) struct Seat(Arc<Seats>);

impl Seats {
    /// One more, unless `most` are taken.
    pub(super) fn take(self: &Arc<Self>, most: u64) -> Option<Seat> {
        let more = |taken| (taken < most).then_some(taken + 1);
        self.0
            .fetch_update(Ordering::AcqRel, Ordering::Acquire, more)
            .ok()
            .map(|_| Seat(self.clone()))
    }

    /// How many are taken.
    pub(super) fn taken(&self) -> u64 {
        self.0.load(Ordering::Acquire)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::AcqRel);
    }
}
