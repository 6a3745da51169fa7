//! What one address may take, and how many may listen (R-SEC-3). No clock here: `now` goes in.
//!
//! An address is an IPv4 address or the /64 of an IPv6 one, which is the least that one customer gets. Each has a number of
//! connections and three debts: joins, resumes, and bytes of back buffer. A debt is the time that it takes to be paid off, so
//! who is idle owes nothing and is forgotten. A flood of addresses makes the table forget those that owe least, and at worst
//! nobody is refused; the bound of all listeners still holds then.

mod debt;
mod seats;
mod table;

use std::net::IpAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::{config, descriptors};
use debt::Rate;
pub(crate) use seats::Seat;
use seats::Seats;
use table::{Subject, Table};

/// Joins and resumes of so many seconds may come at once.
const BURST: Duration = Duration::from_secs(10);
/// For those who have too many connections: nobody knows when one will end.
const LATER: Duration = Duration::from_secs(10);

/// What there is too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum What {
    /// `connections-per-address`
    Connections,
    /// `joins-per-second`
    Joins,
    /// `resumes-per-second`
    Resumes,
    /// `window-bytes-per-minute`
    Window,
    /// `listeners`
    Listeners,
    /// Connections in all, so that descriptors are left for the upstream and the disk.
    Descriptors,
}

impl What {
    /// The option that says how much.
    pub(crate) const fn option(self) -> &'static str {
        match self {
            Self::Connections => "connections-per-address",
            Self::Joins => "joins-per-second",
            Self::Resumes => "resumes-per-second",
            Self::Window => "window-bytes-per-minute",
            Self::Listeners => "listeners",
            Self::Descriptors => "LimitNOFILE",
        }
    }
}

/// No, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limited {
    pub(crate) what: What,
    /// After which the same request would pass, if nothing else was asked meanwhile.
    pub(crate) wait: Duration,
    /// Worth a line in the log: no more than one a second an address.
    pub(crate) loud: bool,
}

impl Limited {
    const fn new(what: What, wait: Duration, loud: bool) -> Self {
        Self { what, wait, loud }
    }

    /// For `Retry-After`: whole seconds, rounded up, at least one.
    pub(crate) fn seconds(&self) -> u64 {
        let whole = self.wait.as_secs() + u64::from(self.wait.subsec_nanos() > 0);
        whole.clamp(1, 3600)
    }
}

/// The bounds, and who has taken how much of them.
#[derive(Debug)]
pub(crate) struct Limits {
    origin: Instant,
    table: Mutex<Table>,
    listeners: Arc<Seats>,
    /// Requests that wait.
    held: Arc<Seats>,
    /// Descriptors: of clients, and of connections to the upstream that are one client's.
    files: Arc<Seats>,
    /// That clients and mounts have together, at most.
    descriptors: u64,
    /// Mounts that are served.
    pub(crate) mounts: Arc<AtomicUsize>,
}

/// A connection, and whose; given back when dropped.
#[derive(Debug)]
pub(crate) struct Connected {
    limits: Arc<Limits>,
    /// `None`: of nobody yet, or of somebody for whom the table has no room.
    subject: Option<Subject>,
    _seat: Seat,
}

impl Connected {
    /// It is this address's; to be called once at most.
    pub(crate) fn belongs_to(&mut self, address: IpAddr, now: Instant) -> Result<(), Limited> {
        self.subject = self.limits.count(address, now)?;
        Ok(())
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        let Some(subject) = self.subject else { return };
        let mut table = self.limits.table();
        if let Some(entry) = table.by_subject.get_mut(&subject) {
            entry.connections -= 1;
            if entry.connections == 0 {
                table.connected -= 1;
            }
        }
    }
}

impl Limits {
    /// `descriptors`: how many clients and mounts may have. `now`: no later one may be earlier.
    pub(crate) fn new(bounds: config::Limits, descriptors: u64, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            origin: now,
            table: Mutex::new(Table::new(bounds)),
            listeners: Arc::default(),
            held: Arc::default(),
            files: Arc::default(),
            descriptors,
            mounts: Arc::default(),
        })
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Other bounds from now on. What is taken stays taken.
    pub(crate) fn set(&self, bounds: config::Limits) {
        self.table().bounds = bounds;
    }

    /// A connection from `peer`, which counts as that address's unless it is to be told later whose it is.
    pub(crate) fn connect(
        self: &Arc<Self>,
        peer: IpAddr,
        counts: bool,
        now: Instant,
    ) -> Result<Connected, Limited> {
        let seat = self.file(Subject::from(peer), now)?;
        let subject = if counts { self.count(peer, now)? } else { None };
        Ok(Connected {
            limits: self.clone(),
            subject,
            _seat: seat,
        })
    }

    /// One more of `address`. `None`: not counted, because the table is full.
    fn count(&self, address: IpAddr, now: Instant) -> Result<Option<Subject>, Limited> {
        let (subject, now) = (Subject::from(address), self.since(now));
        let mut table = self.table();
        let most = match table.bounds.connections_per_address {
            0 => u64::MAX,
            most => most,
        };
        let Some(entry) = table.entry(subject, now) else {
            return Ok(None);
        };
        if u64::from(entry.connections) >= most {
            let loud = table.loud(subject, now);
            return Err(Limited::new(What::Connections, LATER, loud));
        }
        entry.connections += 1;
        if entry.connections == 1 {
            table.connected += 1;
        }
        Ok(Some(subject))
    }

    /// A request to join.
    pub(crate) fn join(&self, address: IpAddr, now: Instant) -> Result<(), Limited> {
        self.charge(What::Joins, address, 1, now)
    }

    /// A request to resume.
    pub(crate) fn resume(&self, address: IpAddr, now: Instant) -> Result<(), Limited> {
        self.charge(What::Resumes, address, 1, now)
    }

    /// An answer that begins so many bytes before live. Who owes less than a minute's worth may have it, however much it is.
    pub(crate) fn window(&self, address: IpAddr, bytes: u64, now: Instant) -> Result<(), Limited> {
        self.charge(What::Window, address, bytes, now)
    }

    fn charge(&self, what: What, address: IpAddr, cost: u64, now: Instant) -> Result<(), Limited> {
        let (subject, now) = (Subject::from(address), self.since(now));
        let mut table = self.table();
        let second = Duration::from_secs(1);
        let rate = match what {
            What::Resumes => Rate::new(table.bounds.resumes_per_second, second, BURST),
            What::Window => {
                let minute = Duration::from_secs(60);
                Rate::new(table.bounds.window_bytes_per_minute, minute, minute)
            }
            _ => Rate::new(table.bounds.joins_per_second, second, BURST),
        };
        let Some(rate) = rate.filter(|_| cost > 0) else {
            return Ok(());
        };
        let Some(entry) = table.entry(subject, now) else {
            return Ok(());
        };
        let debt = match what {
            What::Resumes => &mut entry.resumes,
            What::Window => &mut entry.window,
            _ => &mut entry.joins,
        };
        match debt.charge(rate, cost, now) {
            Ok(()) => Ok(()),
            Err(wait) => {
                let loud = table.loud(subject, now);
                Err(Limited::new(what, wait, loud))
            }
        }
    }

    /// For a connection to the upstream that is made for one client.
    pub(crate) fn onward(&self, now: Instant) -> Result<Seat, Limited> {
        // Nobody in particular is to blame.
        self.file(Subject::V4(0), now)
    }

    /// Whether there are descriptors for one more mount. It takes them in any case.
    pub(crate) fn has_room_for_a_mount(&self) -> bool {
        self.files.taken() < self.room()
    }

    /// What mounts leave.
    fn room(&self) -> u64 {
        let mounts = u64::try_from(self.mounts.load(Ordering::Relaxed)).unwrap_or(u64::MAX);
        let taken = mounts.saturating_mul(descriptors::OF_A_MOUNT);
        self.descriptors.saturating_sub(taken)
    }

    fn file(&self, subject: Subject, now: Instant) -> Result<Seat, Limited> {
        self.files.take(self.room()).ok_or_else(|| {
            let loud = self.table().loud(subject, self.since(now));
            Limited::new(What::Descriptors, LATER, loud)
        })
    }

    /// A place among all listeners.
    pub(crate) fn listener(&self, now: Instant) -> Result<Seat, Limited> {
        let all = match self.table().bounds.listeners {
            0 => u64::MAX,
            all => all,
        };
        self.listeners.take(all).ok_or_else(|| {
            // Nobody in particular is to blame.
            let loud = self.table().loud(Subject::V4(0), self.since(now));
            Limited::new(What::Listeners, LATER, loud)
        })
    }

    /// A place among all requests that wait (R-SEC-2).
    pub(crate) fn held(&self) -> Option<Seat> {
        let all = self.table().bounds.held;
        self.held.take(all)
    }

    /// Listeners that count, on all mounts.
    pub(crate) fn seats(&self) -> u64 {
        self.listeners.taken()
    }

    /// Addresses in the table.
    pub(crate) fn addresses(&self) -> usize {
        self.table().by_subject.len()
    }

    fn since(&self, now: Instant) -> u64 {
        let since = now.saturating_duration_since(self.origin);
        u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests;
