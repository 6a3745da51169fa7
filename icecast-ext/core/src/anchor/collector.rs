//! The client's side: what it heard last, in a few KB.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Chunk, Chunker, Evidence, MAX_CHUNKS, MAX_TAIL, MEMORY};

/// Milliseconds of audio that a chunk may have however young it is.
const FINE: u64 = 1_000;
/// Above that, so many quarters of its age: a relay that does not hold all of a chunk can use nothing of it. The finest
/// that lets the evidence reach back for [`ENOUGH`] (R-ANCHOR-8).
const QUARTERS: [u64; 5] = [1, 2, 4, 8, u64::MAX];
/// Milliseconds.
const ENOUGH: u64 = 75_000;
/// Chunks that are kept, those included that are not old enough to be named. Far more than there ever are.
const MAX_KEPT: usize = 160;

/// Collects evidence from the canonical bytes that a client hears. At most 12 KB, of any stream; it keeps no byte.
///
/// A chunk takes the place of all chunks in it once it has a quarter of its age.
#[derive(Debug, Clone)]
pub struct Collector {
    chunker: Chunker,
    /// In order of their ends; of those with one end, the smaller first.
    kept: VecDeque<Kept>,
    /// When the first byte came, and the last one, in milliseconds.
    began: u64,
    last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    end: u64,
    chunk: Chunk,
    /// When its last byte came, in milliseconds, and how many after the first.
    came: u64,
    took: u64,
}

impl Kept {
    fn begin(&self) -> u64 {
        self.end - u64::from(self.chunk.len)
    }

    /// So many quarters of its age are no less.
    fn is_short(&self, now: u64, quarters: u64) -> bool {
        self.took <= FINE.max((now - self.came).saturating_mul(quarters) / 4)
    }
}

impl Default for Collector {
    fn default() -> Self {
        Self {
            chunker: Chunker::new(0),
            kept: VecDeque::new(),
            began: 0,
            last: 0,
        }
    }
}

impl Collector {
    /// The canonical bytes that follow those before, as they came at `now`. A clock that goes back stands still.
    pub fn feed(&mut self, bytes: &[u8], now: Duration) {
        if bytes.is_empty() {
            return;
        }
        self.last = millis(now).max(self.last);
        if self.chunker.next() == 0 {
            self.began = self.last;
        }
        let Self {
            kept, began, last, ..
        } = self;
        self.chunker.feed(bytes, |cut| {
            for chunk in cut.chunks {
                let begin = cut.end - u64::from(chunk.len);
                let before = kept.iter().rev().find(|kept| kept.end <= begin);
                kept.push_back(Kept {
                    end: cut.end,
                    chunk: *chunk,
                    came: *last,
                    took: *last - before.map_or(*began, |before| before.came),
                });
            }
            thin(kept, *last);
        });
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
        let chunks = self.newest();
        (!chunks.is_empty()).then(|| Evidence {
            age: Duration::from_millis(millis(now).saturating_sub(self.last)),
            lag,
            tail,
            sum,
            chunks,
        })
    }

    fn newest(&self) -> Vec<Chunk> {
        let mut found = Vec::new();
        for quarters in QUARTERS {
            found = self.reach_back(quarters);
            let reached = found
                .last()
                .map_or(self.last, |oldest| oldest.came - oldest.took);
            if found.len() < MAX_CHUNKS || self.last - reached >= ENOUGH {
                break;
            }
        }
        found.iter().map(|kept| kept.chunk).collect()
    }

    /// From the newest cut back: at each step the largest chunk that is short, or else the smallest.
    fn reach_back(&self, quarters: u64) -> Vec<&Kept> {
        let mut out: Vec<&Kept> = Vec::with_capacity(MAX_CHUNKS);
        let mut at = self.kept.back().map_or(0, |newest| newest.end);
        let mut rest = self.kept.iter().rev().peekable();
        while out.len() < MAX_CHUNKS {
            while rest.next_if(|kept| kept.end > at).is_some() {}
            let mut found: Option<&Kept> = None;
            while let Some(kept) = rest.next_if(|kept| kept.end == at) {
                if !found.is_some_and(|found| found.is_short(self.last, quarters)) {
                    found = Some(kept);
                }
            }
            let Some(found) = found else { break };
            out.push(found);
            at = found.begin();
        }
        out
    }

    /// Memory in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        size_of::<Self>() + self.kept.capacity() * size_of::<Kept>()
    }
}

/// Drops what is within a chunk that is short, and what is too old or too much.
fn thin(kept: &mut VecDeque<Kept>, now: u64) {
    let memory = millis(MEMORY);
    let stale = |kept: &Kept| kept.came + memory < now;
    while kept.len() > MAX_KEPT || kept.front().is_some_and(stale) {
        kept.pop_front();
    }
    // The newest first: what a short chunk has in it follows it.
    let mut floor = u64::MAX;
    kept.make_contiguous().reverse();
    kept.retain(|kept| {
        let keep = kept.end <= floor;
        if keep && kept.is_short(now, QUARTERS[0]) {
            floor = kept.begin();
        }
        keep
    });
    kept.make_contiguous().reverse();
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis())
        .unwrap_or(u64::MAX / 2)
        .min(u64::MAX / 2)
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
    fn a_quarter_of_an_hour_at_half_a_megabit_fits_into_12_kb() {
        let mut collector = Collector::default();
        let (mut most, mut size) = (0, 0);
        let bytes = noise(64_000);
        for second in 0..900 {
            let some = &bytes[second * 7 % 24_000..];
            collector.feed(some, Duration::from_secs(second as u64));
            most = most.max(collector.kept.len());
            size = size.max(collector.size());
        }
        assert!(size <= 12 << 10, "{size} bytes");
        assert!(most < MAX_KEPT, "{most} chunks");
    }

    #[test]
    fn chunks_are_contiguous_and_reach_back_for_a_minute_and_more() {
        let stream = noise(400 * 16_000);
        let mut collector = Collector::default();
        let mut cuts = vec![0];
        let mut chunker = Chunker::new(0);
        for (second, bytes) in (0..).zip(stream.chunks(16_000)) {
            let now = Duration::from_secs(second);
            collector.feed(bytes, now);
            chunker.feed(bytes, |cut| cuts.push(cut.end));
            if second < 130 {
                continue;
            }
            let evidence = collector.evidence(now, Duration::ZERO).unwrap();
            let mut at = chunker.next() - u64::from(evidence.tail);
            for chunk in &evidence.chunks {
                assert!(cuts.contains(&at), "no cut at {at}");
                at -= u64::from(chunk.len);
            }
            assert!(chunker.next() - at > 70 * 16_000, "{second}: {at}");
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
