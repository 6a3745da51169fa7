//! When bytes arrived: which places a clock allows (R-ANCHOR-12).

use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Milliseconds between marks at least, so that an hour of them is small.
const SPACING: i64 = 1000;
/// Milliseconds: what is left of a time beyond whole skews counts in these.
const SECOND: i64 = 1000;
/// Milliseconds within which the burst is over with which a run begins.
const BURST: i64 = 2000;

/// The edge at some moments, in milliseconds of the relay's clock.
#[derive(Debug, Clone)]
pub(super) struct Arrivals {
    skew: i64,
    /// When the first bytes came.
    begun: Option<i64>,
    /// In order. The first is the edge after the burst with which a run begins: those bytes were sent before.
    marks: VecDeque<(i64, u64)>,
    /// The last arrival.
    last: (i64, u64),
    /// The most that ever arrived within `skew`, or a little more; `None` while the run is younger than that.
    peak: Option<u64>,
    /// And within a second.
    peak_of_second: u64,
}

impl Arrivals {
    pub(super) fn new(start: u64, skew: Duration) -> Self {
        Self {
            skew: millis(skew).max(1),
            begun: None,
            marks: VecDeque::new(),
            last: (0, start),
            peak: None,
            peak_of_second: 0,
        }
    }

    /// From `now` on the edge is at `edge`. A clock that goes back stands still.
    pub(super) fn push(&mut self, now: Duration, edge: u64) {
        let now = millis(now).max(self.last.0);
        self.last = (now, edge);
        if now - *self.begun.get_or_insert(now) <= BURST {
            self.marks.clear();
        }
        if self.marks.back().is_none_or(|(at, _)| now - at >= SPACING) {
            self.marks.push_back(self.last);
        }
        if let Some((_, before)) = self.before(now - SECOND) {
            self.peak_of_second = self.peak_of_second.max(edge - before);
        }
        if let Some((_, before)) = self.before(now - self.skew) {
            self.peak = self.peak.max(Some(edge - before));
        }
    }

    /// Bytes before `first` are gone.
    pub(super) fn evict(&mut self, first: u64) {
        while self.marks.get(1).is_some_and(|(_, edge)| *edge <= first) {
            self.marks.pop_front();
        }
    }

    /// Where the edge was `ago` before `now`, give or take the skew. Before and after what is known it is taken to have
    /// moved no faster than it ever did. `None`: too little is known for that.
    pub(super) fn around(&self, now: Duration, ago: Duration) -> Option<RangeInclusive<u64>> {
        let (peak, first) = (self.peak?, *self.marks.front()?);
        let most = |gap: i64| {
            let (gap, skew) = (gap.max(0).unsigned_abs(), self.skew.unsigned_abs());
            let seconds = (gap % skew).div_ceil(SECOND.unsigned_abs());
            let rest = self.peak_of_second.saturating_mul(seconds).min(peak);
            peak.saturating_mul(gap / skew).saturating_add(rest)
        };
        let then = millis(now) - millis(ago);
        let (from, to) = (then - self.skew, then + self.skew);
        let low = match self.before(from) {
            Some((_, edge)) => edge,
            None => first.1.saturating_sub(most(first.0 - from)),
        };
        let high = match self.after(to) {
            Some((_, edge)) => edge,
            None => self.last.1.saturating_add(most(to - self.last.0)),
        };
        Some(low..=high)
    }

    /// The last mark at or before `then`.
    fn before(&self, then: i64) -> Option<(i64, u64)> {
        if self.last.0 <= then {
            return self.marks.front().map(|_| self.last);
        }
        let reached = self.marks.partition_point(|(at, _)| *at <= then);
        self.marks.get(reached.checked_sub(1)?).copied()
    }

    /// The first mark at or after `then`.
    fn after(&self, then: i64) -> Option<(i64, u64)> {
        let passed = self.marks.partition_point(|(at, _)| *at < then);
        let mark = self.marks.get(passed).copied();
        mark.or(Some(self.last).filter(|(last, _)| *last >= then))
    }

    /// Memory beside the structure itself, in bytes.
    pub(super) fn size(&self) -> usize {
        self.marks.capacity() * size_of::<(i64, u64)>()
    }
}

/// At most a quarter of what there is, so that sums and differences fit.
fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis())
        .unwrap_or(i64::MAX)
        .min(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A burst of 64 000 bytes at 100 s, then 16 000 a second in four ticks, up to 200 s.
    fn steady() -> Arrivals {
        let mut arrivals = Arrivals::new(1_000, 10 * SECOND);
        for tick in 0..=400 {
            arrivals.push(
                100 * SECOND + tick * SECOND / 4,
                65_000 + u64::from(tick) * 4_000,
            );
        }
        arrivals
    }

    /// Where the edge truly was at `then`, in quarters of a second.
    fn edge(quarters: u32) -> u64 {
        65_000 + u64::from(quarters - 400) * 4_000
    }

    #[test]
    fn both_ends_are_where_the_edge_was_to_a_second() {
        let arrivals = steady();
        for quarters in 448..760 {
            let (low, high) = arrivals
                .around(300 * SECOND, 300 * SECOND - quarters * SECOND / 4)
                .unwrap()
                .into_inner();
            let (least, most) = (edge(quarters - 40), edge(quarters + 40));
            assert!(
                low <= least && least - low <= 16_000,
                "{quarters}: {low} {least}"
            );
            assert!(
                most <= high && high - most <= 16_000,
                "{quarters}: {high} {most}"
            );
        }
    }

    #[test]
    fn beyond_the_edge_as_much_may_come_as_ever_came() {
        let arrivals = steady();
        let (low, high) = arrivals.around(200 * SECOND, SECOND).unwrap().into_inner();
        assert_eq!(low, edge(189 * 4));
        assert!((edge(800) + 160_000..=edge(800) + 176_000).contains(&high));
        // A second more, and no S more.
        let (_, high) = arrivals
            .around(200 * SECOND + SECOND / 4, Duration::ZERO)
            .unwrap()
            .into_inner();
        assert!((edge(800) + 164_000..=edge(800) + 208_000).contains(&high));
        let twice = arrivals.around(210 * SECOND, Duration::ZERO).unwrap();
        assert!(*twice.end() >= edge(800) + 320_000);
    }

    #[test]
    fn before_the_first_mark_as_much_may_have_come_as_ever_came() {
        let arrivals = steady();
        let (low, high) = arrivals
            .around(200 * SECOND, 115 * SECOND)
            .unwrap()
            .into_inner();
        assert_eq!((low, high), (0, 97_000));
        let mut late = steady();
        late.evict(edge(720));
        let (low, _) = late.around(200 * SECOND, 15 * SECOND).unwrap().into_inner();
        assert!(low >= edge(720) - 336_000 && low <= edge(700));
        assert_eq!(
            late.around(SECOND, 900 * SECOND).map(|span| *span.start()),
            Some(0)
        );
    }

    #[test]
    fn a_burst_in_several_parts_is_no_peak() {
        let mut arrivals = Arrivals::new(0, 10 * SECOND);
        let mut edge = 0;
        for tick in 0..120_u32 {
            edge += if tick < 4 { 1_000_000 } else { 4_000 };
            arrivals.push(tick * SECOND / 4, edge);
        }
        assert!(
            arrivals.peak.is_some_and(|peak| peak <= 180_000),
            "{:?}",
            arrivals.peak
        );
    }

    #[test]
    fn a_run_that_is_younger_than_the_skew_knows_nothing() {
        let mut arrivals = Arrivals::new(0, 10 * SECOND);
        assert_eq!(arrivals.around(SECOND, SECOND), None);
        for second in 100..=111 {
            arrivals.push(SECOND * second, 64_000 + u64::from(second) * 16_000);
            assert_eq!(arrivals.around(SECOND * second, SECOND), None);
        }
        arrivals.push(112 * SECOND, 2_000_000);
        assert!(arrivals.around(112 * SECOND, SECOND).is_some());
    }

    #[test]
    fn no_time_overflows() {
        let mut arrivals = steady();
        arrivals.push(Duration::MAX, u64::MAX);
        for now in [Duration::ZERO, Duration::MAX] {
            for ago in [Duration::ZERO, Duration::MAX] {
                assert!(arrivals.around(now, ago).is_some());
            }
        }
    }
}
