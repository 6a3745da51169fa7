//! One at a time, a second apart: what an address asks of a mount that has next to nothing to give (R-STOCK-12).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// From one to the next.
const APART: Duration = Duration::from_secs(1);
/// Addresses that are remembered of a mount. Beyond that, those whose time is over are forgotten.
const MANY: usize = 4096;
/// Nobody waits for longer: many listeners may share an address.
const MOST: Duration = Duration::from_secs(10);

/// When an address's last turn at this mount is, or was.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    last: Mutex<HashMap<IpAddr, Instant>>,
}

impl Pace {
    /// Returns when it is this one's turn.
    pub(crate) async fn turn(&self, address: IpAddr) {
        let turn = self.next(address, Instant::now());
        tokio::time::sleep_until(turn).await;
    }

    fn next(&self, address: IpAddr, now: Instant) -> Instant {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.len() >= MANY {
            last.retain(|_, turn| *turn + APART > now);
        }
        let turn = match last.get(&address) {
            Some(before) => now.max(*before + APART).min(now + MOST),
            None => now,
        };
        // A flood of addresses is let through rather than remembered.
        if last.len() < 4 * MANY {
            last.insert(address, turn);
        }
        turn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_one_turn_a_second() {
        let (pace, now) = (Pace::default(), Instant::now());
        let (a, b) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let wait = |address, now: Instant| pace.next(address, now) - now;
        assert_eq!(wait(a, now), Duration::ZERO);
        assert_eq!(wait(a, now), APART);
        assert_eq!(wait(a, now), 2 * APART);
        assert_eq!(wait(b, now), Duration::ZERO);
        assert_eq!(wait(b, now + APART), Duration::ZERO);
        assert_eq!(wait(b, now + APART * 3 / 2), APART / 2);
        for _ in 0..20 {
            assert!(wait(a, now) <= MOST);
        }
    }
}
