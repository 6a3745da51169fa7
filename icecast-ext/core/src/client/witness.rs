//! What a client can say of the bytes that it heard, to a relay that does not know its position (R-ANCHOR-9).

use std::time::Duration;

use crate::address::Position;
use crate::anchor::{Collector, Evidence};
use crate::field::StreamWindow;

/// Closer to live than this is live.
const LIVE: Duration = Duration::from_secs(1);

/// Evidence of what was heard, and how far behind live it was.
#[derive(Debug, Default)]
pub(super) struct Witness {
    collector: Collector,
    /// When the connection began: the relay's edge then, and its rate. `None` once its bytes have caught up with that.
    behind: Option<(Duration, Position, u64)>,
    lag: Duration,
}

impl Witness {
    /// An answer begins, of a relay that holds this.
    pub(super) fn open(&mut self, now: Duration, window: Option<StreamWindow>) {
        self.behind = window.and_then(|window| {
            let edge = Position::new(window.epoch, window.window.next);
            Some((now, edge, window.rate.filter(|rate| *rate > 0)?))
        });
    }

    /// Bytes came, up to `to`.
    pub(super) fn feed(&mut self, now: Duration, bytes: &[u8], to: Option<Position>) {
        self.collector.feed(bytes, now);
        self.lag = self.lag(now, to);
        if self.lag < LIVE {
            self.behind = None;
        }
    }

    /// What comes does not follow what came.
    pub(super) fn forget(&mut self) {
        self.collector.forget();
    }

    pub(super) fn evidence(&self, now: Duration) -> Option<Evidence> {
        self.collector.evidence(now, self.lag)
    }

    /// By the relay's own figures: on live streams the edge goes on as fast as before.
    fn lag(&self, now: Duration, to: Option<Position>) -> Duration {
        let Some(((since, edge, rate), to)) = self.behind.zip(to) else {
            return Duration::ZERO;
        };
        if edge.epoch != to.epoch {
            return Duration::ZERO;
        }
        let sent = edge.offset.get().saturating_sub(to.offset.get());
        let ahead = to.offset.get().saturating_sub(edge.offset.get());
        let audio = |bytes: u64| Duration::from_millis(bytes.saturating_mul(1000) / rate);
        let since = now.saturating_sub(since);
        (audio(sent) + since).saturating_sub(audio(ahead))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Epoch, Offset, Window};

    #[test]
    fn lag_shrinks_while_a_relay_sends_what_it_holds_and_is_none_once_that_is_over() {
        let epoch = Epoch::from_bytes([1; 16]);
        let at = |offset| Position::new(epoch, Offset::new(offset).unwrap());
        let window = Window {
            first: Offset::ZERO,
            next: at(1_000_000).offset,
        };
        let rate = Some(10_000);
        let mut witness = Witness::default();
        let second = Duration::from_secs(1);
        witness.open(
            100 * second,
            Some(StreamWindow {
                epoch,
                window,
                rate,
            }),
        );
        witness.feed(100 * second, &[0; 100], Some(at(400_000)));
        assert_eq!(witness.lag, 60 * second);
        witness.feed(110 * second, &[0; 100], Some(at(800_000)));
        assert_eq!(witness.lag, 30 * second);
        witness.feed(120 * second, &[0; 100], Some(at(1_150_000)));
        assert_eq!(witness.lag, 5 * second);
        witness.feed(121 * second, &[0; 100], Some(at(1_210_000)));
        assert_eq!(witness.lag, Duration::ZERO);
        // From then on it is live, however its rate is counted.
        witness.feed(10_000 * second, &[0; 100], Some(at(1_220_000)));
        assert_eq!(witness.lag, Duration::ZERO);
    }
}
