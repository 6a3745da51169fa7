//! The client's side: what it heard last, in a few hundred bytes.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Chunk, Chunker, Evidence, MAX_CHUNKS, MAX_TAIL, MEMORY};

/// Collects evidence from the canonical bytes that a client hears. At most 4 KB, of any stream; it keeps no byte.
///
/// Each cut puts the largest chunk that ends there in the place of the smaller ones in it. So the chunks grow with their
/// age, and a dozen of them reach back for two minutes.
#[derive(Debug, Clone)]
pub struct Collector {
    chunker: Chunker,
    /// Contiguous, the oldest first.
    kept: VecDeque<Kept>,
    last: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    end: u64,
    chunk: Chunk,
    /// When its last byte came.
    came: Duration,
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            chunker: Chunker::new(0),
            kept: VecDeque::new(),
            last: Duration::ZERO,
        }
    }
}

impl Collector {
    /// The canonical bytes that follow those before, as they came at `now`.
    pub fn feed(&mut self, bytes: &[u8], now: Duration) {
        if bytes.is_empty() {
            return;
        }
        let kept = &mut self.kept;
        self.chunker.feed(bytes, |cut| {
            let Some(chunk) = cut.chunks.last() else {
                return;
            };
            let from = cut.end - u64::from(chunk.len);
            while kept.back().is_some_and(|last| last.end > from) {
                kept.pop_back();
            }
            if kept.len() == MAX_CHUNKS {
                kept.pop_front();
            }
            kept.push_back(Kept {
                end: cut.end,
                chunk: *chunk,
                came: now,
            });
        });
        self.last = now;
        let stale = |kept: &Kept| kept.came.saturating_add(MEMORY) < now;
        while self.kept.front().is_some_and(stale) {
            self.kept.pop_front();
        }
    }

    /// What follows does not follow what came before: a loss, a splice, another stream (R-ANCHOR-6).
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    /// What can be said at `now`. `lag`: how far behind live the last byte was when it came, if that is known. `None`: too
    /// little was heard, or the last cut is further back than a relay would check.
    #[must_use]
    pub fn evidence(&self, now: Duration, lag: Duration) -> Option<Evidence> {
        let (tail, sum) = self.chunker.tail()?;
        let tail = u32::try_from(tail).ok().filter(|tail| *tail <= MAX_TAIL)?;
        let chunks: Vec<Chunk> = self.kept.iter().rev().map(|kept| kept.chunk).collect();
        (!chunks.is_empty()).then(|| Evidence {
            age: now.saturating_sub(self.last),
            lag,
            tail,
            sum,
            chunks,
        })
    }

    /// Memory in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.kept.capacity() * size_of::<Kept>()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(len: usize) -> Vec<u8> {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let words = std::iter::repeat_with(|| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        });
        words.flatten().take(len).collect()
    }

    #[test]
    fn a_quarter_of_an_hour_at_half_a_megabit_fits_into_4_kb() {
        let mut collector = Collector::default();
        let (mut most, mut size) = (0, 0);
        let bytes = noise(64_000);
        for second in 0..900 {
            let some = &bytes[second * 7 % 24_000..];
            collector.feed(some, Duration::from_secs(second as u64));
            most = most.max(collector.kept.len());
            size = size.max(collector.size());
        }
        assert!(size <= 4096, "{size} bytes");
        assert!(most <= MAX_CHUNKS, "{most} chunks");
    }

    #[test]
    fn chunks_are_contiguous_and_reach_back_for_two_minutes() {
        let stream = noise(400 * 16_000);
        let mut collector = Collector::default();
        for (second, bytes) in (0..).map(Duration::from_secs).zip(stream.chunks(16_000)) {
            collector.feed(bytes, second);
            let kept = &collector.kept;
            for (older, newer) in kept.iter().zip(kept.iter().skip(1)) {
                assert_eq!(newer.end - u64::from(newer.chunk.len), older.end);
            }
            if second < Duration::from_secs(200) {
                continue;
            }
            let covered: u64 = kept.iter().map(|kept| u64::from(kept.chunk.len)).sum();
            assert!(covered >= 100 * 16_000, "{covered} bytes at {second:?}");
            assert!(kept.iter().all(|kept| kept.came + MEMORY >= second));
        }
    }

    #[test]
    fn silence_and_a_new_beginning_leave_nothing_to_say() {
        let mut collector = Collector::default();
        let say = |collector: &Collector| collector.evidence(Duration::ZERO, Duration::ZERO);
        assert_eq!(say(&collector), None);
        collector.feed(&noise(100_000), Duration::ZERO);
        assert!(say(&collector).is_some());
        collector.feed(&vec![0; MAX_TAIL as usize - 10_000], Duration::ZERO);
        assert!(say(&collector).is_some());
        collector.feed(&[0; 20_000], Duration::ZERO);
        assert_eq!(say(&collector), None);
        collector.feed(&noise(100_000), Duration::ZERO);
        assert!(say(&collector).is_some());
        collector.forget();
        assert_eq!(say(&collector), None);
    }
}
