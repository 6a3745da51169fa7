//! What went through a mount, counted once a tick.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counts of one [`crate::Mount`], which outlive it for who holds them: [`crate::Mount::tally`].
#[derive(Debug, Default)]
pub struct Tally {
    received: AtomicU64,
    sent: AtomicU64,
    audio: AtomicU64,
}

/// What a [`Tally`] says.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Passed {
    /// Canonical bytes that were published.
    pub received: u64,
    /// Bytes that the sockets of all listeners took, with heads, preludes, ICY blocks, frames.
    pub sent: u64,
    /// Canonical bytes among them.
    pub audio: u64,
}

impl std::ops::AddAssign for Passed {
    fn add_assign(&mut self, more: Self) {
        self.received += more.received;
        self.sent += more.sent;
        self.audio += more.audio;
    }
}

impl Tally {
    /// Up to the last tick.
    #[must_use]
    pub fn passed(&self) -> Passed {
        Passed {
            received: self.received.load(Ordering::Relaxed),
            sent: self.sent.load(Ordering::Relaxed),
            audio: self.audio.load(Ordering::Relaxed),
        }
    }

    pub(crate) fn add(&self, more: Passed) {
        for (count, more) in [
            (&self.received, more.received),
            (&self.sent, more.sent),
            (&self.audio, more.audio),
        ] {
            if more > 0 {
                count.fetch_add(more, Ordering::Relaxed);
            }
        }
    }
}
