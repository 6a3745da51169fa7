//! Memory over all mounts: at most a share of the machine's, and mounts without listeners shrink first.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::mount::Mount;

/// A mount that must shrink keeps at least so much, or its burst if that is more: enough to heal a pull.
const FLOOR: u64 = 128 << 10;
/// How often the mounts are weighed. In between they may grow by what arrives.
const EVERY: Duration = Duration::from_secs(1);
/// That memory is short is said once in this.
const SAY: Duration = Duration::from_secs(60);

/// A quarter of the machine's memory; 256 MiB if that is not known.
fn quarter_of_memory() -> u64 {
    let total = std::fs::read_to_string("/proc/meminfo")
        .ok()
        .and_then(|text| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix("MemTotal:"))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        });
    total.map_or(256 << 20, |kib| kib.saturating_mul(1024) / 4)
}

/// What a mount holds, and whether anybody listens.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Need {
    held: u64,
    floor: u64,
    idle: bool,
}

/// How much each may hold so that all together are within `budget`, as far as the floors allow. `None`: there is room.
fn allowances(needs: &[Need], budget: u64) -> Option<Vec<u64>> {
    let least = |need: &Need| need.held.min(need.floor);
    let sum = |idle: bool, of: &dyn Fn(&Need) -> u64| -> u64 {
        needs.iter().filter(|need| need.idle == idle).map(of).sum()
    };
    let (idle, busy) = (sum(true, &|need| need.held), sum(false, &|need| need.held));
    if idle.saturating_add(busy) <= budget {
        return None;
    }
    // Idle mounts get what the others leave, but for their floors; the others what is left then.
    let idle_room = idle.min(budget.saturating_sub(busy).max(sum(true, &least)));
    let busy_room = budget.saturating_sub(idle_room);
    let share = |need: &Need| {
        let (room, all) = if need.idle {
            (idle_room, idle)
        } else {
            (busy_room, busy)
        };
        if all <= room {
            // These need not shrink, and may grow until the next look.
            return u64::MAX;
        }
        let part = u128::from(need.held) * u128::from(room) / u128::from(all);
        u64::try_from(part)
            .unwrap_or(u64::MAX)
            .clamp(least(need), need.held)
    };
    Some(needs.iter().map(share).collect())
}

/// The limit, and when it was last looked at.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: u64,
    weighed: Option<Instant>,
    said: Option<Instant>,
}

impl Budget {
    /// `limit`: bytes; zero: a quarter of the machine's memory.
    pub(crate) fn new(limit: u64) -> Self {
        let limit = if limit == 0 {
            quarter_of_memory()
        } else {
            limit
        };
        Self {
            limit,
            weighed: None,
            said: None,
        }
    }

    /// Once a second: holds all mounts together to the limit.
    pub(crate) fn balance(&mut self, now: Instant, mounts: impl FnOnce() -> Vec<Arc<Mount>>) {
        if self
            .weighed
            .is_some_and(|last| now.duration_since(last) < EVERY)
        {
            return;
        }
        self.weighed = Some(now);
        let mounts = mounts();
        let needs: Vec<Need> = mounts
            .iter()
            .map(|mount| Need {
                held: mount.held(),
                floor: FLOOR.max(mount.config().burst),
                idle: mount.listeners().total() == 0,
            })
            .collect();
        let Some(allowances) = allowances(&needs, self.limit) else {
            mounts.iter().for_each(|mount| mount.allow(u64::MAX));
            return;
        };
        if self.said.is_none_or(|last| now.duration_since(last) > SAY) {
            self.said = Some(now);
            tracing::warn!(
                mounts = mounts.len(),
                limit = self.limit,
                "the back buffers are over their limit: windows shrink, those of idle mounts first"
            );
        }
        for (mount, allowance) in mounts.iter().zip(allowances) {
            mount.allow(allowance);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn need(held: u64, idle: bool) -> Need {
        Need {
            held,
            floor: 100,
            idle,
        }
    }

    #[test]
    fn nothing_shrinks_while_there_is_room() {
        assert_eq!(allowances(&[need(500, true), need(500, false)], 1000), None);
        assert_eq!(allowances(&[], 0), None);
    }

    #[test]
    fn idle_mounts_shrink_first() {
        let needs = [need(600, true), need(200, true), need(600, false)];
        assert_eq!(allowances(&needs, 1000), Some(vec![300, 100, u64::MAX]));
    }

    #[test]
    fn busy_mounts_share_what_idle_floors_leave() {
        let needs = [
            need(600, true),
            need(50, true),
            need(1000, false),
            need(3000, false),
        ];
        // The idle ones keep 100 and 50; 850 are left for 4000.
        let shares = allowances(&needs, 1000).unwrap();
        assert_eq!((shares[2], shares[3]), (212, 637));
        assert!(shares[0] >= 100 && shares[1] == 50);
        assert!(shares.iter().sum::<u64>() <= 1000 + 100);
    }
}
