//! Publishes every mount once a tick, staggered, and wakes the loops that have its listeners. One thread for all mounts.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::budget::Budget;
use crate::engine::Shared;
use crate::mount::Mount;

/// Mounts that are due within the same slot wake a loop once.
const SLOT: Duration = Duration::from_millis(10);

#[derive(Debug)]
struct Due {
    at: Instant,
    mount: Weak<Mount>,
    /// Comes again a tick later.
    regular: bool,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

#[derive(Debug, Default)]
struct Queue {
    heap: BinaryHeap<Reverse<Due>>,
    stop: bool,
}

/// When each mount is published next.
#[derive(Debug)]
pub(crate) struct Ticker {
    queue: Mutex<Queue>,
    bell: Condvar,
    origin: Instant,
    /// Since when a round is being published, ms after `origin`; zero: none is.
    busy: AtomicU64,
}

impl Ticker {
    pub(crate) fn new() -> Self {
        Self {
            queue: Mutex::default(),
            bell: Condvar::new(),
            origin: Instant::now(),
            busy: AtomicU64::new(0),
        }
    }

    /// The mount is published each tick from now on, as long as somebody holds it.
    pub(crate) fn add(&self, mount: &Arc<Mount>) {
        let tick = mount.config().tick.max(SLOT);
        let slots = (tick.as_millis() / SLOT.as_millis()).max(1);
        let phase = (u128::from(mount.id()) * 0x9e37_79b9) % slots;
        self.push(Due {
            at: self.align(Instant::now()) + SLOT * u32::try_from(phase).unwrap_or(0),
            mount: Arc::downgrade(mount),
            regular: true,
        });
    }

    /// The mount is published once more, after `delay`.
    pub(crate) fn soon(&self, mount: &Arc<Mount>, delay: Duration) {
        self.push(Due {
            at: Instant::now() + delay,
            mount: Arc::downgrade(mount),
            regular: false,
        });
    }

    /// For how long one round has taken so far.
    pub(crate) fn busy(&self) -> Duration {
        match self.busy.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => self
                .origin
                .elapsed()
                .saturating_sub(Duration::from_millis(since)),
        }
    }

    fn set_busy(&self, busy: bool) {
        let since = u64::try_from(self.origin.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.busy
            .store(if busy { since.max(1) } else { 0 }, Ordering::Relaxed);
    }

    /// The thread ends.
    pub(crate) fn stop(&self) {
        self.lock().stop = true;
        self.bell.notify_all();
    }

    fn push(&self, due: Due) {
        let mut queue = self.lock();
        let first = queue
            .heap
            .peek()
            .is_none_or(|Reverse(next)| due.at < next.at);
        queue.heap.push(Reverse(due));
        if first {
            self.bell.notify_all();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The start of the slot after `at`.
    fn align(&self, at: Instant) -> Instant {
        let since = at.saturating_duration_since(self.origin).as_millis();
        let slot = SLOT.as_millis();
        let next = (since / slot + 1) * slot;
        self.origin + Duration::from_millis(u64::try_from(next).unwrap_or(u64::MAX / 2))
    }

    /// All that are due; sleeps until there are some. Empty: stop.
    fn wait(&self) -> Vec<Due> {
        let mut queue = self.lock();
        loop {
            if queue.stop {
                return Vec::new();
            }
            let now = Instant::now();
            let mut due = Vec::new();
            while queue
                .heap
                .peek()
                .is_some_and(|Reverse(next)| next.at <= now)
            {
                due.extend(queue.heap.pop().map(|Reverse(due)| due));
            }
            if !due.is_empty() {
                return due;
            }
            let next = queue.heap.peek().map(|Reverse(next)| next.at - now);
            queue = match next {
                Some(sleep) => match self.bell.wait_timeout(queue, sleep) {
                    Ok((queue, _)) => queue,
                    Err(poisoned) => poisoned.into_inner().0,
                },
                None => self
                    .bell
                    .wait(queue)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

/// The ticker's thread.
pub(crate) fn run(shared: &Shared) {
    let mut dirty = vec![Vec::new(); shared.loops.len()];
    let mut budget = Budget::new(shared.config.memory);
    loop {
        shared.ticker.set_busy(false);
        let due = shared.ticker.wait();
        shared.ticker.set_busy(true);
        if due.is_empty() {
            return;
        }
        let now = Instant::now();
        budget.balance(now, || shared.mounts());
        for Due { at, mount, regular } in due {
            let Some(held) = mount.upgrade() else {
                continue;
            };
            if held.publish() {
                shared.each_interested(&held, |index| dirty[index].push(held.id()));
            }
            if regular {
                let tick = held.config().tick.max(SLOT);
                // A ticker that was late does not catch up.
                let at = if at + tick > now {
                    at + tick
                } else {
                    shared.ticker.align(now)
                };
                shared.ticker.push(Due { at, mount, regular });
            }
        }
        for (handle, mounts) in shared.loops.iter().zip(&mut dirty) {
            if !mounts.is_empty() {
                handle.dirty(mounts.drain(..));
            }
        }
    }
}
