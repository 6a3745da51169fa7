//! Who has connections or owes something. Bounded: who owes least is forgotten first.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use super::debt::Debt;
use crate::config;

/// Addresses without a connection that are remembered. With that many the table takes about 8 MiB.
pub(super) const MAX_IDLE: usize = 65_536;
/// The table is searched for those who owe nothing no more often than this.
const SWEEP: u64 = Duration::from_millis(250).as_nanos() as u64;
/// Lines about refusals in a second, whoever is refused.
const MAX_LINES: u32 = 20;

/// What is one customer, as far as anybody can tell from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    V4(u32),
    /// The first 64 bits.
    V6(u64),
}

impl From<IpAddr> for Subject {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address.to_bits()),
            IpAddr::V6(address) => Self::V6((address.to_bits() >> 64) as u64),
        }
    }
}

#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Entry {
    pub(super) connections: u32,
    /// The second in which a line was last written about it.
    told: Option<u32>,
    pub(super) joins: Debt,
    pub(super) resumes: Debt,
    pub(super) window: Debt,
}

impl Entry {
    fn owes(&self, now: u64) -> u64 {
        let most = self.joins.left(now).max(self.resumes.left(now));
        most.max(self.window.left(now))
    }
}

#[derive(Debug)]
pub(super) struct Table {
    pub(super) bounds: config::Limits,
    pub(super) by_subject: HashMap<Subject, Entry>,
    /// Entries that have connections: never forgotten.
    pub(super) connected: usize,
    swept: Option<u64>,
    /// A second, and the lines written in it.
    lines: (u64, u32),
}

impl Table {
    pub(super) fn new(bounds: config::Limits) -> Self {
        Self {
            bounds,
            by_subject: HashMap::new(),
            connected: 0,
            swept: None,
            lines: (0, 0),
        }
    }

    /// The entry; `None` if there is no room for a new one.
    pub(super) fn entry(&mut self, subject: Subject, now: u64) -> Option<&mut Entry> {
        if !self.by_subject.contains_key(&subject) && self.idle() >= MAX_IDLE {
            self.sweep(now);
            if self.idle() >= MAX_IDLE {
                return None;
            }
        }
        Some(self.by_subject.entry(subject).or_default())
    }

    fn idle(&self) -> usize {
        self.by_subject.len() - self.connected
    }

    /// Forgets those who owe nothing; if that makes little room, those who owe least.
    fn sweep(&mut self, now: u64) {
        if self.swept.is_some_and(|then| now < then + SWEEP) {
            return;
        }
        self.swept = Some(now);
        let mut forgiven = 0;
        loop {
            self.by_subject
                .retain(|_, entry| entry.connections > 0 || entry.owes(now) > forgiven);
            if self.idle() < MAX_IDLE / 4 * 3 || forgiven == u64::MAX {
                return;
            }
            // One second, four, sixteen …
            forgiven = match forgiven {
                0 => 1_000_000_000,
                some => some.saturating_mul(4),
            };
        }
    }

    /// Whether to write about it now.
    pub(super) fn loud(&mut self, subject: Subject, now: u64) -> bool {
        let second = now / 1_000_000_000;
        if self.lines.0 != second {
            self.lines = (second, 0);
        }
        if let Some(entry) = self.by_subject.get_mut(&subject)
            && entry.told.replace(second as u32) == Some(second as u32)
        {
            return false;
        }
        self.lines.1 = self.lines.1.saturating_add(1);
        self.lines.1 <= MAX_LINES
    }
}
