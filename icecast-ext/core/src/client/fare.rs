//! How a relay has fared, so that the best one is asked next (R-CLIENT-17).

use std::time::Duration;

/// A failure counts for half after so long.
const HALF: Duration = Duration::from_secs(60);
/// One failure, which is gone after four halvings.
const FAILURE: u32 = 8;
/// Failures that are remembered.
const MOST: u32 = 64 * FAILURE;
/// One failure is as bad as so many milliseconds more until an answer.
const WORTH: u64 = 1000;
/// Times that differ by less than this do not decide, in milliseconds.
const STEP: u64 = 100;

/// What is remembered of a relay. It outlives outages.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Fare {
    /// From a request to its answer, smoothed.
    head: Option<Duration>,
    /// As of then, in eighths.
    failures: (u32, Duration),
}

impl Fare {
    /// It has answered, or has not in all that time.
    pub(super) fn answered(&mut self, after: Duration) {
        self.head = Some(match self.head {
            Some(before) => before.saturating_mul(3).saturating_add(after) / 4,
            None => after,
        });
    }

    pub(super) fn failed(&mut self, now: Duration) {
        self.failures = ((self.remembered(now) + FAILURE).min(MOST), now);
    }

    fn remembered(&self, now: Duration) -> u32 {
        let (failures, then) = self.failures;
        let halvings = now.saturating_sub(then).as_secs() / HALF.as_secs();
        u32::try_from(halvings)
            .ok()
            .and_then(|halvings| failures.checked_shr(halvings))
            .unwrap_or(0)
    }

    /// The less, the better. One that was never asked is as good as the best.
    pub(super) fn cost(&self, now: Duration) -> u64 {
        let head = self.head.unwrap_or_default().as_millis();
        let head = u64::try_from(head).unwrap_or(u64::MAX) / STEP;
        let failures = u64::from(self.remembered(now)) * WORTH / u64::from(FAILURE) / STEP;
        head.saturating_add(failures)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_fade_within_minutes_and_slowness_is_averaged() {
        let second = Duration::from_secs(1);
        let mut fare = Fare::default();
        assert_eq!(fare.cost(second), 0);
        (0..1000).for_each(|_| fare.failed(second));
        assert_eq!(fare.cost(second), 640);
        assert_eq!(fare.cost(second * 61), 320);
        assert_eq!(fare.cost(second * 3601), 0);
        fare.answered(second);
        assert_eq!(fare.cost(second * 3601), 10);
        fare.answered(Duration::ZERO);
        assert_eq!(fare.cost(second * 3601), 7);
        (0..9).for_each(|_| fare.answered(Duration::MAX));
        assert!(fare.cost(Duration::MAX) > 0);
    }
}
