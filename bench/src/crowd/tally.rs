//! What listeners have seen.

use hdrhistogram::Histogram;

/// Up to a minute, to three digits.
const MOST: u64 = 60_000_000;

/// Since the last report.
#[derive(Debug, Clone)]
pub(crate) struct Tally {
    /// Connections with audio, now.
    pub(crate) hearing: u64,
    /// Connections without, now: on their way, or still to be made.
    pub(crate) waiting: u64,
    /// Canonical bytes, each checked.
    pub(crate) bytes: u64,
    /// Answers that were not 200, and connections that were refused or ended before one.
    pub(crate) refused: u64,
    /// Connections that ended after audio.
    pub(crate) dropped: u64,
    /// Those that did and read slowly, or not at all.
    pub(crate) slow_dropped: u64,
    /// Listeners that got another byte than the one that was next: lost, repeated or wrong.
    pub(crate) wrong: u64,
    /// Why, for one of those above.
    pub(crate) sample: Option<String>,
    /// From the start of `connect` to the first byte of the body, in microseconds.
    pub(crate) first_byte: Histogram<u64>,
    /// Age of the oldest byte of each read, in microseconds, of prompt listeners.
    pub(crate) oldest: Histogram<u64>,
    /// Age of the newest byte.
    pub(crate) newest: Histogram<u64>,
}

/// An empty histogram of microseconds.
fn micros() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MOST, 3).expect("the bounds are in order")
}

impl Default for Tally {
    fn default() -> Self {
        Self {
            hearing: 0,
            waiting: 0,
            bytes: 0,
            refused: 0,
            dropped: 0,
            slow_dropped: 0,
            wrong: 0,
            sample: None,
            first_byte: micros(),
            oldest: micros(),
            newest: micros(),
        }
    }
}

impl Tally {
    /// Adds another thread's.
    pub(crate) fn add(&mut self, other: &Self) {
        self.hearing += other.hearing;
        self.waiting += other.waiting;
        self.bytes += other.bytes;
        self.refused += other.refused;
        self.dropped += other.dropped;
        self.slow_dropped += other.slow_dropped;
        self.wrong += other.wrong;
        if self.sample.is_none() {
            self.sample.clone_from(&other.sample);
        }
        for (mine, more) in [
            (&mut self.first_byte, &other.first_byte),
            (&mut self.oldest, &other.oldest),
            (&mut self.newest, &other.newest),
        ] {
            // The bounds are the same.
            let _ = mine.add(more);
        }
    }
}
