//! Cuts at places that the bytes decide, and names for what lies between (R-ANCHOR-1).

use std::sync::LazyLock;

use sha2::{Digest, Sha256};

/// Levels of chunks. One of each level ends at about a quarter of the cuts of the level below.
pub const LEVELS: usize = 8;
/// Bytes after which a cut is the same for whoever began elsewhere: those in the hash, and those without a candidate
/// (R-ANCHOR-2).
pub const WARM_UP: u64 = 64 + QUIET;

/// Bytes of the shortest chunk.
pub const MIN_CHUNK: u32 = 1024;

/// Bytes without a candidate before a cut.
const QUIET: u64 = MIN_CHUNK as u64 - 1;
/// Leading zeros of a candidate's hash: one in 2048.
const ZEROS: u32 = 11;

/// What each byte adds to the rolling hash: the first 8 bytes of its SHA-256.
static GEAR: LazyLock<[u64; 256]> = LazyLock::new(|| {
    std::array::from_fn(|byte| {
        let byte = u8::try_from(byte).unwrap_or(u8::MAX);
        u64::from_be_bytes(head(&Sha256::digest([byte]).into()))
    })
});

/// The name of a chunk: the first 12 bytes of a SHA-256 over its level and its bytes, or the names of its parts.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct ChunkId(pub [u8; 12]);

/// What the bytes since the last cut are called: the first 16 bytes of the hash whose first 12 would be their chunk's name.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Sum(pub [u8; 16]);

/// A stretch of a stream between two cuts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Its name.
    pub id: ChunkId,
    /// Bytes, at least [`MIN_CHUNK`].
    pub len: u32,
}

/// A place where a chunk ends and the next begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cut<'a> {
    /// The first byte after it.
    pub end: u64,
    /// The chunks that end here, level 0 first: as many as the cut has levels, and as have a beginning that is known.
    pub chunks: &'a [Chunk],
}

/// Cuts a stream, in any split. About 1.5 KB; it keeps no byte.
#[derive(Debug, Clone)]
pub struct Chunker {
    hash: u64,
    next: u64,
    /// From here on cuts count.
    trusted: u64,
    /// The end of the last candidate.
    candidate: Option<u64>,
    open: [Open; LEVELS],
}

/// The chunk of a level that has begun.
#[derive(Debug, Clone)]
struct Open {
    level: u8,
    /// The last cut of this level or above.
    from: Option<u64>,
    /// Of the level, and what came since.
    hash: Sha256,
}

impl Chunker {
    /// For a stream whose first byte stands at `start`.
    #[must_use]
    pub fn new(start: u64) -> Self {
        let levels = std::array::from_fn(|level| u8::try_from(level).unwrap_or(u8::MAX));
        Self {
            hash: 0,
            next: start,
            trusted: start.saturating_add(WARM_UP),
            candidate: None,
            open: levels.map(Open::new),
        }
    }

    /// Where the next byte stands.
    #[must_use]
    pub const fn next(&self) -> u64 {
        self.next
    }

    /// The bytes that come next. `cut` is called for each cut among them, in order.
    pub fn feed(&mut self, mut bytes: &[u8], mut cut: impl FnMut(Cut<'_>)) {
        while let Some(len) = self.scan(bytes) {
            let (before, after) = bytes.split_at(len);
            self.take(before);
            self.cut(&mut cut);
            bytes = after;
        }
        self.take(bytes);
    }

    /// How many bytes lie after the last cut, and their sum. `None` before the first.
    #[must_use]
    pub fn tail(&self) -> Option<(u64, Sum)> {
        let [bytes, ..] = &self.open;
        let from = bytes.from?;
        let sum = Sum(head(&bytes.hash.clone().finalize().into()));
        Some((self.next - from, sum))
    }

    /// Hashes up to and with the next byte after which there is a cut, and says how many bytes those are.
    fn scan(&mut self, bytes: &[u8]) -> Option<usize> {
        let gear: &[u64; 256] = &GEAR;
        let mut hash = self.hash;
        for (before, byte) in bytes.iter().enumerate() {
            hash = (hash << 1).wrapping_add(gear[usize::from(*byte)]);
            if hash >> (64 - ZEROS) != 0 {
                continue;
            }
            let end = self.next + before as u64 + 1;
            let last = self.candidate.replace(end);
            if end >= self.trusted && last.is_none_or(|last| end - last > QUIET) {
                self.hash = hash;
                return Some(before + 1);
            }
        }
        self.hash = hash;
        None
    }

    /// These bytes belong to the chunk that is open.
    fn take(&mut self, bytes: &[u8]) {
        self.next += bytes.len() as u64;
        let [open, ..] = &mut self.open;
        if open.from.is_some() {
            open.hash.update(bytes);
        }
    }

    /// There is a cut here.
    fn cut(&mut self, tell: &mut impl FnMut(Cut<'_>)) {
        let above = (self.hash.leading_zeros() - ZEROS) / 2;
        let levels = LEVELS.min(above as usize + 1);
        let none = Chunk {
            id: ChunkId([0; 12]),
            len: 0,
        };
        let (mut chunks, mut known) = ([none; LEVELS], 0);
        for (level, slot) in chunks.iter_mut().enumerate().take(levels) {
            let Some(chunk) = self.open[level].close(self.next) else {
                continue;
            };
            *slot = chunk;
            known = level + 1;
            if let Some(above) = self.open.get_mut(known).filter(|open| open.from.is_some()) {
                above.hash.update(chunk.id.0);
            }
        }
        tell(Cut {
            end: self.next,
            chunks: &chunks[..known],
        });
    }
}

impl Open {
    fn new(level: u8) -> Self {
        Self {
            level,
            from: None,
            hash: Sha256::new_with_prefix([level]),
        }
    }

    /// It ends at `end`, where the next one begins. `None`: nobody knows where it began, or it is longer than is ever
    /// named.
    fn close(&mut self, end: u64) -> Option<Chunk> {
        let next = Self {
            from: Some(end),
            ..Self::new(self.level)
        };
        let Self { from, hash, .. } = std::mem::replace(self, next);
        Some(Chunk {
            len: u32::try_from(end - from?).ok()?,
            id: ChunkId(head(&hash.finalize().into())),
        })
    }
}

fn head<const N: usize>(digest: &[u8; 32]) -> [u8; N] {
    std::array::from_fn(|at| digest[at])
}
