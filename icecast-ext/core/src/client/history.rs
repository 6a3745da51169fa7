//! What was heard lately, and how fast it came.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::answer::Rate;

/// After a head, the burst comes faster than the stream.
const BURST: Duration = Duration::from_secs(3);
/// The shortest time over which a rate is measured.
const MEASURE: Duration = Duration::from_secs(5);
/// A rate is measured anew so often.
const RENEW: Duration = Duration::from_secs(60);

/// The last bytes of the audio, at most [`super::Options::history`].
#[derive(Debug)]
pub(super) struct History {
    held: VecDeque<u8>,
    limit: usize,
    /// The oldest byte held is the first one of a join, and so may be a codec header.
    from_join: bool,
}

impl History {
    pub(super) const fn new(limit: usize) -> Self {
        Self {
            held: VecDeque::new(),
            limit,
            from_join: true,
        }
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let bytes = &bytes[bytes.len().saturating_sub(self.limit)..];
        let over = (self.held.len() + bytes.len()).saturating_sub(self.limit);
        if over > 0 {
            self.held.drain(..over);
            self.from_join = false;
        }
        self.held.extend(bytes);
    }

    pub(super) fn clear(&mut self) {
        self.held.clear();
        self.from_join = true;
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// The bytes, oldest first, and whether they begin with those of a join.
    pub(super) fn tail(&mut self) -> (&[u8], bool) {
        (self.held.make_contiguous(), self.from_join)
    }
}

/// How fast the stream is.
#[derive(Debug, Default)]
pub(super) struct Pace {
    counted: Option<u64>,
    claimed: Option<u64>,
    measured: Option<u64>,
    opened: Duration,
    /// The start of the measure in progress: when, and bytes since the head.
    mark: Option<(Duration, u64)>,
    total: u64,
}

impl Pace {
    /// A connection begins.
    pub(super) fn open(&mut self, now: Duration, rate: Option<Rate>) {
        match rate {
            Some(Rate::Counted(rate)) => self.counted = Some(rate),
            Some(Rate::Claimed(rate)) => self.claimed = Some(rate),
            None => {}
        }
        self.opened = now;
        self.mark = None;
        self.total = 0;
    }

    /// Audio came.
    pub(super) fn feed(&mut self, now: Duration, bytes: &Bytes) {
        self.total += bytes.len() as u64;
        let Some((since, total)) = self.mark else {
            if now.saturating_sub(self.opened) >= BURST {
                self.mark = Some((now, self.total));
            }
            return;
        };
        let took = now.saturating_sub(since);
        if took >= MEASURE {
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX).max(1);
            self.measured = Some((self.total - total).saturating_mul(1000) / millis);
        }
        if took >= RENEW {
            self.mark = Some((now, self.total));
        }
    }

    /// Bytes a second, from whoever should know best.
    pub(super) fn rate(&self) -> Option<u64> {
        self.counted
            .or(self.measured)
            .or(self.claimed)
            .filter(|rate| *rate > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn history_holds_the_last_bytes_only() {
        let mut history = History::new(4);
        history.push(b"abc");
        assert_eq!(history.tail(), (&b"abc"[..], true));
        history.push(b"de");
        assert_eq!(history.tail(), (&b"bcde"[..], false));
        history.push(b"0123456789");
        assert_eq!(history.tail(), (&b"6789"[..], false));
        let mut none = History::new(0);
        none.push(b"abc");
        assert!(none.is_empty());
    }

    #[test]
    fn the_burst_does_not_count_for_the_rate() {
        let mut pace = Pace::default();
        pace.open(Duration::ZERO, None);
        pace.feed(Duration::ZERO, &Bytes::from(vec![0; 65536]));
        for tenth in 1..=100 {
            pace.feed(
                Duration::from_millis(100 * tenth),
                &Bytes::from(vec![0; 1600]),
            );
        }
        assert_eq!(pace.rate(), Some(16000));
    }
}
