//! Randomness with a seed that is printed, so that a failure can be run again.

use std::time::{SystemTime, UNIX_EPOCH};

/// A generator (splitmix64): good enough to choose where to cut.
#[derive(Debug, Clone)]
pub struct Chance(u64);

impl Chance {
    /// Seeded from `ICECAST_EXT_SEED`, else from the clock; the seed goes to stderr with `what` it is for.
    #[must_use]
    pub fn seeded(what: &str) -> Self {
        let seed = std::env::var("ICECAST_EXT_SEED")
            .ok()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| {
                SystemTime::now()
                    .duration_since(UNIX_EPOCH)
                    .map_or(1, |since| since.as_nanos() as u64)
            });
        eprintln!("{what}: ICECAST_EXT_SEED={seed}");
        Self(seed)
    }

    /// Seeded with `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number in `low..high`; `low` if that is empty.
    pub fn range(&mut self, low: u64, high: u64) -> u64 {
        if high <= low {
            return low;
        }
        low + self.bits() % (high - low)
    }

    /// True once in `n`.
    pub fn one_in(&mut self, n: u64) -> bool {
        self.range(0, n) == 0
    }

    /// Another generator that is independent of this one's further use.
    pub fn fork(&mut self) -> Self {
        Self(self.bits())
    }

    /// `len` random bytes: content that never repeats.
    pub fn bytes(&mut self, len: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(len + 8);
        while out.len() < len {
            out.extend_from_slice(&self.bits().to_le_bytes());
        }
        out.truncate(len);
        out
    }
}

/// MP3 frames with random payloads, without an end: 128 kbit/s at 44.1 kHz, 417 bytes each.
#[derive(Debug, Clone)]
pub struct Frames {
    chance: Chance,
    ready: Vec<u8>,
}

impl Frames {
    /// Chosen by `seed`.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self {
            chance: Chance::new(seed),
            ready: Vec::new(),
        }
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Vec<u8> {
        while self.ready.len() < len {
            self.ready.extend_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
            self.ready.extend(self.chance.bytes(413));
        }
        self.ready.drain(..len).collect()
    }
}
