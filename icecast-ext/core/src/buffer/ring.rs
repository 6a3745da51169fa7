//! Immutable chunks, addressed by position. Nothing outside knows where chunks end.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::address::{Offset, Window};
use crate::timeline::RunId;

/// Bytes that were published at once.
#[derive(Debug)]
struct Chunk {
    /// Count of all bytes ever published on the mount before this one.
    start: u64,
    /// When its first byte arrived, ms.
    ms: u64,
    bytes: Bytes,
}

/// A run's place in the count of all bytes.
#[derive(Debug)]
struct Span {
    run: RunId,
    first: Offset,
    start: u64,
}

/// The bytes that a mount holds, runs one after the other.
#[derive(Debug, Default)]
pub struct Ring {
    spans: VecDeque<Span>,
    chunks: VecDeque<Chunk>,
    next: u64,
}

impl Ring {
    /// A run begins, or the current one goes on.
    pub(super) fn begin(&mut self, run: RunId, first: Offset) {
        if self.spans.back().is_some_and(|last| last.run == run) {
            return;
        }
        if self
            .spans
            .back()
            .is_some_and(|last| last.start == self.next)
        {
            self.spans.pop_back();
        }
        let start = self.next;
        self.spans.push_back(Span { run, first, start });
    }

    /// The ring of another process: `floor` bytes had come before the oldest, `runs` are held, in these chunks. `None` if
    /// the chunks are not what the runs say.
    #[must_use]
    pub fn restore(
        floor: u64,
        runs: impl Iterator<Item = (RunId, Window)>,
        chunks: Vec<(u64, Bytes)>,
    ) -> Option<Self> {
        let mut ring = Self {
            next: floor,
            ..Self::default()
        };
        let mut start = floor;
        for (run, Window { first, next }) in runs {
            ring.spans.push_back(Span { run, first, start });
            start = start.checked_add(next.since(first)?)?;
        }
        for (ms, bytes) in chunks {
            ring.push(bytes, ms);
        }
        (ring.next == start).then_some(ring)
    }

    /// The chunks, the oldest first, each with the time when its first byte arrived, ms.
    pub fn chunks(&self) -> impl Iterator<Item = (u64, Bytes)> {
        self.chunks
            .iter()
            .map(|chunk| (chunk.ms, chunk.bytes.clone()))
    }

    /// The chunks, the oldest first: of which run, where their first byte stands, when that arrived.
    pub(super) fn stretches(&self) -> impl Iterator<Item = (RunId, Offset, u64, &[u8])> {
        self.chunks.iter().filter_map(|chunk| {
            let after = self.spans.partition_point(|span| span.start <= chunk.start);
            let span = self.spans.get(after.checked_sub(1)?)?;
            let at = span.first.saturating_add(chunk.start - span.start);
            Some((span.run, at, chunk.ms, &chunk.bytes[..]))
        })
    }

    /// Up to `len` bytes from `at` on, in their pieces; none if `at` is not held.
    pub(crate) fn bytes(
        &self,
        run: Option<RunId>,
        at: Offset,
        len: u64,
    ) -> impl Iterator<Item = &[u8]> {
        let found = run.and_then(|run| self.locate(run, at));
        let (place, end) = found.unwrap_or((0, 0));
        let end = end.min(place.saturating_add(len));
        let index = self.chunks.partition_point(|chunk| chunk.start <= place);
        let chunks = self.chunks.iter().skip(index.saturating_sub(1));
        chunks
            .take_while(move |chunk| chunk.start < end)
            .map(move |chunk| {
                let held = chunk.bytes.len() as u64;
                let from = place.saturating_sub(chunk.start).min(held);
                let to = (end - chunk.start).min(held);
                &chunk.bytes[from as usize..to as usize]
            })
    }

    /// Bytes that follow. `ms`: when the first of them arrived.
    pub(super) fn push(&mut self, bytes: Bytes, ms: u64) {
        let start = self.next;
        self.next += bytes.len() as u64;
        self.chunks.push_back(Chunk { start, ms, bytes });
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.next - self.floor()
    }

    /// Count of all bytes that came before the oldest held.
    #[must_use]
    pub fn floor(&self) -> u64 {
        self.chunks.front().map_or(self.next, |chunk| chunk.start)
    }

    /// Count of all bytes ever published.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.next
    }

    /// Takes the oldest chunk out, if the one after it is older than `window` ms, or more than `cap` bytes are held. The
    /// newest chunk stays.
    pub(super) fn evict(&mut self, window: u64, cap: u64) -> Option<Bytes> {
        let (after, last) = (self.chunks.get(1)?, self.chunks.back()?);
        if after.ms.saturating_add(window) > last.ms && self.held() <= cap {
            return None;
        }
        let gone = self.chunks.pop_front()?;
        let floor = self.floor();
        while self.spans.get(1).is_some_and(|span| span.start <= floor) {
            self.spans.pop_front();
        }
        Some(gone.bytes)
    }

    /// Where a byte that is held stands in the count of all bytes, and where its run ends.
    fn locate(&self, run: RunId, at: Offset) -> Option<(u64, u64)> {
        let index = self.spans.iter().rposition(|span| span.run == run)?;
        let span = &self.spans[index];
        let end = self
            .spans
            .get(index + 1)
            .map_or(self.next, |next| next.start);
        let place = span.start.saturating_add(at.since(span.first)?);
        (self.floor() <= place && place < end).then_some((place, end))
    }

    /// Appends up to `len` bytes from `at` on to `out`, in at most `pieces` pieces. Returns how many bytes that was: none if
    /// `at` is not held.
    pub fn collect(
        &self,
        run: RunId,
        at: Offset,
        len: u64,
        pieces: usize,
        out: &mut Vec<Bytes>,
    ) -> u64 {
        let Some((mut place, end)) = self.locate(run, at) else {
            return 0;
        };
        let len = len.min(end - place);
        let index = self.chunks.partition_point(|chunk| chunk.start <= place);
        let mut left = len;
        for chunk in self
            .chunks
            .iter()
            .skip(index.saturating_sub(1))
            .take(pieces)
        {
            if left == 0 {
                break;
            }
            let skip = (place - chunk.start) as usize;
            let take = left.min((chunk.bytes.len() - skip) as u64);
            out.push(chunk.bytes.slice(skip..skip + take as usize));
            place += take;
            left -= take;
        }
        len - left
    }
}

#[cfg(test)]
mod tests {
    use crate::address::Epoch;
    use crate::codec::Format;
    use crate::timeline::{Begin, Timeline};

    use super::*;

    fn at(offset: u64) -> Offset {
        Offset::new(offset).unwrap()
    }

    fn run(timeline: &mut Timeline, epoch: u8, first: u64) -> RunId {
        let id = timeline.begin(Begin {
            epoch: Epoch::from_bytes([epoch; 16]),
            first: at(first),
            declared: true,
            format: Format::Opaque,
            tick_ms: 250,
            fields: Bytes::new(),
        });
        timeline.grow(1);
        id
    }

    fn read(ring: &Ring, run: RunId, from: u64, len: u64) -> Vec<u8> {
        let mut out = Vec::new();
        let n = ring.collect(run, at(from), len, usize::MAX, &mut out);
        let bytes = out.concat();
        assert_eq!(n, bytes.len() as u64);
        bytes
    }

    #[test]
    fn bytes_are_found_across_chunks_and_not_across_runs() {
        let (mut ring, mut names) = (Ring::default(), Timeline::default());
        let (one, two) = (run(&mut names, 1, 0), run(&mut names, 2, 0));
        ring.begin(one, at(100));
        ring.push(Bytes::from_static(b"abc"), 0);
        ring.push(Bytes::from_static(b"defg"), 10);
        ring.begin(one, at(107));
        ring.push(Bytes::from_static(b"h"), 10);
        ring.begin(two, at(0));
        ring.push(Bytes::from_static(b"ijk"), 20);
        assert_eq!(read(&ring, one, 101, 4), b"bcde");
        assert_eq!(read(&ring, one, 106, 5), b"gh");
        assert_eq!(read(&ring, one, 108, 1), b"");
        assert_eq!(read(&ring, one, 99, 1), b"");
        assert_eq!(read(&ring, two, 0, 9), b"ijk");
        let mut first = Vec::new();
        assert_eq!(ring.collect(one, at(100), 7, 1, &mut first), 3);
    }

    #[test]
    fn eviction_goes_by_time_and_by_size_and_spares_the_newest() {
        let (mut ring, mut names) = (Ring::default(), Timeline::default());
        let one = run(&mut names, 1, 0);
        ring.begin(one, at(0));
        for i in 0..10 {
            ring.push(Bytes::from_static(b"0123456789"), i * 1000);
        }
        assert!(ring.evict(9000, 1000).is_none());
        assert!(ring.evict(8000, 1000).is_some());
        assert!(ring.evict(8000, 1000).is_none());
        while ring.evict(u64::MAX, 25).is_some() {}
        assert_eq!(ring.held(), 20);
        while ring.evict(0, 0).is_some() {}
        assert_eq!(ring.held(), 10);
        assert_eq!(read(&ring, one, 89, 5), b"");
        assert_eq!(read(&ring, one, 90, 5), b"01234");
    }
}
