//! A token bucket, kept as the time at which it is full again.

use std::time::Duration;

/// So much in so long, and how far ahead one may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rate {
    units: u64,
    period: u64,
    /// Nanoseconds of debt that are allowed.
    credit: u64,
}

impl Rate {
    /// `None` for zero: no limit.
    pub(super) fn new(units: u64, period: Duration, credit: Duration) -> Option<Self> {
        let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        (units > 0).then(|| Self {
            units,
            period: nanos(period),
            credit: nanos(credit),
        })
    }

    /// The time that it takes to pay for `cost`.
    fn price(self, cost: u64) -> u64 {
        let price = u128::from(cost) * u128::from(self.period) / u128::from(self.units);
        u64::try_from(price).unwrap_or(u64::MAX)
    }
}

/// When it will be paid off: nanoseconds since the table was made.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Debt(u64);

impl Debt {
    /// Time until nothing is owed.
    pub(super) fn left(self, now: u64) -> u64 {
        self.0.saturating_sub(now)
    }

    /// Adds `cost` if there is credit left for one unit; or says how long until there is.
    pub(super) fn charge(&mut self, rate: Rate, cost: u64, now: u64) -> Result<(), Duration> {
        let owed = self.left(now).saturating_add(rate.price(1));
        if owed > rate.credit {
            return Err(Duration::from_nanos(owed - rate.credit));
        }
        self.0 = self.0.max(now).saturating_add(rate.price(cost));
        Ok(())
    }
}
