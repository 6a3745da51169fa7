//! When to try again.

use std::time::Duration;

/// The first pause, before jitter.
const FIRST: Duration = Duration::from_millis(250);
/// The longest pause.
const LONGEST: Duration = Duration::from_secs(8);

/// Draws pauses from a seed (splitmix64): deterministic, and different for every client.
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Before the retry number `n` (from 0): anything up to 250 ms * 2^n, at most 8 s.
    pub(super) fn pause(&mut self, n: u32) -> Duration {
        let top = FIRST.saturating_mul(1 << n.min(10)).min(LONGEST);
        let micros = u64::try_from(top.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.roll() % (micros + 1))
    }

    /// A wait that a server asked for, and up to a quarter of it and a second more: it said the same to everybody
    /// (R-CLIENT-11).
    pub(super) fn at_least(&mut self, wait: Duration) -> Duration {
        if wait.is_zero() {
            return wait;
        }
        let top = wait / 4 + Duration::from_secs(1);
        let micros = u64::try_from(top.as_micros()).unwrap_or(u64::MAX);
        wait.saturating_add(Duration::from_micros(self.roll() % micros.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_8_seconds_with_full_jitter() {
        let mut dice = Dice::new(7);
        for n in 0..40 {
            let top = Duration::from_millis(250 * (1 << n.min(5)));
            let drawn: Vec<_> = (0..100).map(|_| dice.pause(n)).collect();
            assert!(drawn.iter().all(|pause| *pause <= top), "{n}");
            assert!(drawn.iter().any(|pause| *pause > top.mul_f32(0.8)), "{n}");
            assert!(drawn.iter().any(|pause| *pause < top.mul_f32(0.2)), "{n}");
        }
    }
}
