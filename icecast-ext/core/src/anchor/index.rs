//! The relay's side: the names of all chunks in a window.

use std::collections::VecDeque;
use std::time::Duration;

use hashbrown::HashTable;

use super::arrivals::Arrivals;
use super::{Chunk, ChunkId, Chunker};

/// What an index may have however little is held, in bytes.
const LEAST: usize = 64 << 10;
/// Above that, its share of the bytes held. Bytes that are cut more often than most are remembered for less long.
const SHARE: u64 = 50;

/// The chunks of a run that are held, by name and by place, and when they arrived. At most a fiftieth of the bytes held,
/// or 64 KiB.
#[derive(Debug, Clone)]
pub struct Index {
    pub(super) arrivals: Arrivals,
    chunker: Chunker,
    /// The oldest byte held.
    first: u64,
    /// In order of their ends; of those with one end, in order of their levels, from 0 up.
    entries: VecDeque<Entry>,
    /// The number of the oldest entry; each has the next one's, and they start anew after 2^32.
    oldest: u32,
    /// The number of the latest entry of each name.
    names: HashTable<u32>,
}

/// A chunk that is held.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry {
    id: ChunkId,
    /// Of a `u64`, as two halves: entries are packed.
    end: [u32; 2],
    pub(super) len: u32,
    /// How many entries ago the last one of this name was; 0: there was none.
    back: u32,
}

impl Entry {
    pub(super) fn end(&self) -> u64 {
        let [high, low] = self.end;
        u64::from(high) << 32 | u64::from(low)
    }

    pub(super) fn is(&self, id: ChunkId) -> bool {
        self.id == id
    }

    /// The same bytes.
    pub(super) fn same(&self, other: &Self) -> bool {
        self.id == other.id
    }
}

impl Index {
    /// For a run whose first byte stands at `start`. `skew`: see [`super::SKEW`].
    #[must_use]
    pub fn new(start: u64, skew: Duration) -> Self {
        Self {
            arrivals: Arrivals::new(start, skew),
            chunker: Chunker::new(start),
            first: start,
            entries: VecDeque::new(),
            oldest: 0,
            names: HashTable::new(),
        }
    }

    /// Canonical bytes arrived at the edge at `now`, by the clock of [`Index::find`]. What comes late and all at once, out of
    /// a journal or from a parent relay, is pushed with the times that those give, or else within the run's first two
    /// seconds: that counts as its burst.
    pub fn push(&mut self, bytes: &[u8], now: Duration) {
        let Self {
            chunker,
            entries,
            names,
            oldest,
            ..
        } = self;
        chunker.feed(bytes, |cut| {
            for chunk in cut.chunks {
                add(entries, names, *oldest, cut.end, chunk);
            }
        });
        self.arrivals.push(now, self.chunker.next());
        self.bound();
    }

    /// Bytes before `first` are not held any more.
    pub fn evict(&mut self, first: u64) {
        self.first = self.first.max(first.min(self.chunker.next()));
        self.arrivals.evict(self.first);
        while self
            .entries
            .front()
            .is_some_and(|oldest| oldest.end() <= self.first)
        {
            self.forget_oldest();
        }
        self.bound();
    }

    /// Memory in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        let entries = self.entries.capacity() * size_of::<Entry>();
        let names = self.names.allocation_size();
        size_of::<Self>() + entries + names + self.arrivals.size()
    }

    /// The edge.
    pub(crate) fn next(&self) -> u64 {
        self.chunker.next()
    }

    /// From here on every chunk is known.
    pub(super) fn known_from(&self) -> u64 {
        // The oldest entry is the smallest chunk that ends there.
        let oldest = self.entries.front();
        oldest.map_or(u64::MAX, |oldest| oldest.end() - u64::from(oldest.len))
    }

    /// Places in `entries` where a name stands, the latest first.
    pub(super) fn named(&self, id: ChunkId) -> impl Iterator<Item = usize> {
        let at = |number: &u32| self.entries.get(self.place(*number));
        let is = |number: &u32| at(number).is_some_and(|entry| entry.is(id));
        let latest = self.names.find(hash(id), is);
        let latest = latest.map(|number| self.place(*number));
        std::iter::successors(latest, |place| self.before(*place))
    }

    /// Where the name at `place` stood before.
    pub(super) fn before(&self, place: usize) -> Option<usize> {
        let back = self.entries.get(place)?.back as usize;
        place.checked_sub(back).filter(|_| back > 0)
    }

    pub(super) fn entry(&self, place: usize) -> Option<&Entry> {
        self.entries.get(place)
    }

    /// The place of a name that ends at `end`.
    pub(super) fn ends_at(&self, end: u64, id: ChunkId) -> Option<usize> {
        let from = self.entries.partition_point(|entry| entry.end() < end);
        let ending = self
            .entries
            .range(from..)
            .take_while(|entry| entry.end() == end);
        let level = ending.into_iter().position(|entry| entry.is(id))?;
        Some(from + level)
    }

    /// The smallest chunk that ends where the one at `place` does.
    pub(super) fn smallest(&self, place: usize) -> Option<usize> {
        let end = self.entries.get(place)?.end();
        let alike = |place: &usize| {
            self.entries
                .get(*place)
                .is_some_and(|entry| entry.end() == end)
        };
        std::iter::successors(Some(place), |place| place.checked_sub(1))
            .take_while(alike)
            .last()
    }

    fn place(&self, number: u32) -> usize {
        number.wrapping_sub(self.oldest) as usize
    }

    /// Forgets the oldest if there are too many.
    fn bound(&mut self) {
        let held = self.chunker.next() - self.first;
        let most = usize::try_from(held / SHARE)
            .unwrap_or(usize::MAX)
            .max(LEAST);
        // Storage grows by an eighth. A name takes 5 bytes in a table that is 7/16 to 7/8 full.
        let each = size_of::<Entry>() + size_of::<Entry>() / 8 + 12;
        while self.entries.len() > most / each {
            self.forget_oldest();
        }
    }

    /// All that ends where the oldest does.
    fn forget_oldest(&mut self) {
        let Some(end) = self.entries.front().map(Entry::end) else {
            return;
        };
        while let Some(entry) = self.entries.front().filter(|entry| entry.end() == end) {
            let oldest = self.oldest;
            if let Ok(name) = self
                .names
                .find_entry(hash(entry.id), |number| *number == oldest)
            {
                name.remove();
            }
            self.entries.pop_front();
            self.oldest = oldest.wrapping_add(1);
        }
    }
}

fn add(
    entries: &mut VecDeque<Entry>,
    names: &mut HashTable<u32>,
    oldest: u32,
    end: u64,
    chunk: &Chunk,
) {
    let Ok(count) = u32::try_from(entries.len()) else {
        return;
    };
    if entries.len() == entries.capacity() {
        entries.reserve_exact(64.max(entries.len() / 8));
    }
    let number = oldest.wrapping_add(count);
    let at = |number: &u32| entries.get(number.wrapping_sub(oldest) as usize);
    let is = |number: &u32| at(number).is_some_and(|entry| entry.is(chunk.id));
    let back = match names.find_mut(hash(chunk.id), is) {
        Some(latest) => number.wrapping_sub(std::mem::replace(latest, number)),
        None => {
            let rehash = |number: &u32| at(number).map_or(0, |entry| hash(entry.id));
            names.insert_unique(hash(chunk.id), number, rehash);
            0
        }
    };
    let [high, low] = [(end >> 32) as u32, end as u32];
    entries.push_back(Entry {
        id: chunk.id,
        end: [high, low],
        len: chunk.len,
        back,
    });
}

/// A name is as good as a hash.
fn hash(id: ChunkId) -> u64 {
    let [a, b, c, d, e, f, g, h, ..] = id.0;
    u64::from_be_bytes([a, b, c, d, e, f, g, h])
}
