//! Clocks that are not alike.

use std::time::Duration;

use icecast_ext_tests::chance::Chance;

use crate::net::Ms;

/// A host's own time: another beginning, and a little faster or slower.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    zero: Ms,
    /// In thousandths.
    rate: u64,
}

impl Clock {
    /// Off by up to 2 per cent.
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self {
            zero: chance.range(1_000, 1_000_000_000),
            rate: chance.range(980, 1021),
        }
    }

    pub(crate) fn ms(self, now: Ms) -> u64 {
        self.zero + now * self.rate / 1000
    }

    pub(crate) fn at(self, now: Ms) -> Duration {
        Duration::from_millis(self.ms(now))
    }
}
