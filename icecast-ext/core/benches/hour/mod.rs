//! An hour of a mount of 128 kbit/s: 14 400 ticks of 250 ms, 600 titles, a sync point every third frame.
#![allow(dead_code, reason = "each benchmark uses its part")]

use std::time::Duration;

use bytes::Bytes;
use criterion::Criterion;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::codec::Format;
use icecast_ext_core::timeline::{Begin, Timeline};

/// Of an hour.
pub(crate) const TICKS: u64 = 14_400;
/// Bytes of a tick.
pub(crate) const TICK: u64 = 4_000;
/// A title comes every so many ticks: 600 an hour.
pub(crate) const TITLE: u64 = TICKS / 600;
/// Bytes of three frames, which is how far apart the tracker's marks are.
const SYNC: u64 = 3 * 418;
/// Before the edge, where a live join starts.
const BURST: u64 = 65_536;

/// Little time for each: what is measured takes far less than a millisecond and always does the same.
pub(crate) fn quick() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(40)
        .nresamples(5_000)
        .without_plots()
}

pub(crate) fn offset(at: u64) -> Offset {
    Offset::new(at).expect("a benchmark's offsets are small")
}

pub(crate) fn epoch(name: u8) -> Epoch {
    Epoch::from_bytes([name; 16])
}

pub(crate) fn position(name: u8, at: u64) -> Position {
    Position::new(epoch(name), offset(at))
}

/// A mount, fed tick by tick.
pub(crate) struct Hour {
    pub(crate) timeline: Timeline,
    ticks: u64,
}

impl Hour {
    /// One epoch, named 1. A minute without titles has come and gone before.
    pub(crate) fn whole() -> Self {
        let mut hour = Self::new();
        hour.begin(1, Format::Mpeg);
        let before = 240;
        hour.ticks(before, false);
        hour.ticks(TICKS, true);
        hour.timeline.evict(before * TICK);
        hour
    }

    /// Epochs 1 to `count`, each declared to follow the one before, of the same share of the hour. The last so many of them
    /// are `held`.
    pub(crate) fn spliced(count: u8, held: u8) -> Self {
        let mut hour = Self::new();
        let each = TICKS / u64::from(count);
        for name in 1..=count {
            hour.begin(name, Format::Mpeg);
            hour.ticks(each, true);
        }
        hour.timeline
            .evict(u64::from(count - held) * Self::share(count));
        hour
    }

    /// Bytes of each of so many epochs.
    pub(crate) const fn share(count: u8) -> u64 {
        TICKS / count as u64 * TICK
    }

    fn new() -> Self {
        Self {
            timeline: Timeline::new(BURST),
            ticks: 0,
        }
    }

    fn begin(&mut self, name: u8, format: Format) {
        self.timeline.begin(Begin {
            epoch: epoch(name),
            first: Offset::ZERO,
            declared: true,
            format,
            tick_ms: 250,
            fields: Bytes::from_static(b"Content-Type: audio/mpeg\r\nicy-name: Radio\r\n"),
        });
    }

    /// The edge.
    pub(crate) fn edge(&self) -> Position {
        self.timeline.edge().expect("a run has begun")
    }

    fn ticks(&mut self, count: u64, titled: bool) {
        for _ in 0..count {
            self.tick(titled && self.ticks.is_multiple_of(TITLE));
        }
    }

    /// One tick more, with a new title or without.
    pub(crate) fn tick(&mut self, titled: bool) {
        let at = self.edge().offset;
        let end = at.get() + TICK;
        for n in at.get().div_ceil(SYNC)..end.div_ceil(SYNC) {
            self.timeline.sync(offset(n * SYNC));
        }
        self.timeline.time(at, 1_700_000_000_000 + self.ticks * 250);
        if titled {
            let text = format!("StreamTitle='An artist - Title {}';", self.ticks);
            self.timeline.title(at, text.into());
        }
        self.timeline.grow(TICK);
        self.ticks += 1;
    }
}
