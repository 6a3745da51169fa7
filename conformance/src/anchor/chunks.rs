//! Cuts and names (R-ANCHOR-1, R-ANCHOR-2).

use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

/// The name of a chunk.
pub type Name = [u8; 12];
/// `sum`: the first octets of a SHA-256.
pub type Sum = [u8; 16];

/// Levels of cuts.
pub const LEVELS: usize = 8;
/// Who begins at s knows the cuts from s and so many bytes on.
pub const WARM: u64 = 64 + APART;
/// No candidate stands after any of so many bytes before a cut.
const APART: u64 = 1023;

static GEAR: LazyLock<[u64; 256]> = LazyLock::new(|| {
    std::array::from_fn(|octet| {
        let octet = u8::try_from(octet).unwrap_or_default();
        let hash = Sha256::digest([octet]);
        hash[..8]
            .iter()
            .fold(0, |all, one| all << 8 | u64::from(*one))
    })
});

/// A chunk: its name and its length in bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Chunk {
    /// Its name.
    pub name: Name,
    /// Its length in bytes.
    pub length: u64,
}

/// A cut, and the chunks that end there, level 0 first.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cut {
    /// It stands before the byte at this offset.
    pub at: u64,
    /// One for each level up to the cut's whose beginning is known.
    pub chunks: Vec<Chunk>,
}

/// A chunk that has begun.
#[derive(Clone, Debug)]
struct Open {
    from: u64,
    hash: Sha256,
}

impl Open {
    fn new(from: u64, level: u8) -> Self {
        Self {
            from,
            hash: Sha256::new_with_prefix([level]),
        }
    }
}

/// Cuts a stream, whatever the pieces in which it comes.
#[derive(Clone, Debug)]
pub struct Chunker {
    begins: u64,
    at: u64,
    rolling: u64,
    candidate: Option<u64>,
    open: [Option<Open>; LEVELS],
    /// Since the newest cut, or since the beginning.
    tail: Open,
    /// How many cuts before [`WARM`] it believes too early; for misbehaviour only.
    early: u64,
}

impl Chunker {
    /// One whose first byte is at an offset.
    #[must_use]
    pub fn new(begins: u64) -> Self {
        Self {
            begins,
            at: begins,
            rolling: 0,
            candidate: None,
            open: [const { None }; LEVELS],
            tail: Open::new(begins, 0),
            early: 0,
        }
    }

    /// The same, and it believes cuts so many bytes before it should.
    #[must_use]
    pub fn early(begins: u64, bytes: u64) -> Self {
        Self {
            early: bytes,
            ..Self::new(begins)
        }
    }

    /// The next byte's offset.
    #[must_use]
    pub fn at(&self) -> u64 {
        self.at
    }

    /// Bytes since the newest cut, and their sum.
    #[must_use]
    pub fn tail(&self) -> (u64, Sum) {
        let hash = self.tail.hash.clone().finalize();
        (self.at - self.tail.from, first(&hash))
    }

    /// The next bytes: the cuts in them, in order.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Cut> {
        let gear = &*GEAR;
        let (mut cuts, mut done) = (Vec::new(), 0);
        for (index, octet) in bytes.iter().enumerate() {
            self.rolling = (self.rolling << 1).wrapping_add(gear[usize::from(*octet)]);
            if self.rolling.leading_zeros() < 11 {
                continue;
            }
            let at = self.at + index as u64 + 1;
            let before = self.candidate.replace(at);
            let apart = before.is_none_or(|before| at - before > APART);
            if apart && at + self.early >= self.begins + WARM {
                self.hash(&bytes[done..=index]);
                done = index + 1;
                cuts.push(self.cut(at));
            }
        }
        self.hash(&bytes[done..]);
        self.at += bytes.len() as u64;
        cuts
    }

    fn hash(&mut self, bytes: &[u8]) {
        self.tail.hash.update(bytes);
    }

    /// A cut after the byte that was hashed last.
    fn cut(&mut self, at: u64) -> Cut {
        let level = (self.rolling.leading_zeros() as usize - 11) / 2;
        let mut chunks = Vec::new();
        for level in 0..=level.min(LEVELS - 1) {
            // The bytes of level 0 are those of the tail.
            let ended = match (level, self.open[level].take()) {
                (0, open) => open.map(|_| self.tail.clone()),
                (_, open) => open,
            };
            if let Some(ended) = ended {
                let name: Name = first(&ended.hash.finalize());
                if let Some(Some(above)) = self.open.get_mut(level + 1) {
                    above.hash.update(name);
                }
                chunks.push(Chunk {
                    name,
                    length: at - ended.from,
                });
            }
            self.open[level] = Some(Open::new(at, u8::try_from(level).unwrap_or_default()));
        }
        self.tail = Open::new(at, 0);
        Cut { at, chunks }
    }
}

/// The `sum` of bytes in which no chunk ends.
#[must_use]
pub fn sum(bytes: &[u8]) -> Sum {
    first(&Sha256::new_with_prefix([0]).chain_update(bytes).finalize())
}

/// The first octets of a hash.
fn first<const N: usize>(hash: &[u8]) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&hash[..N]);
    out
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::BTreeMap;

    use icecast_ext_spec::vector::{self, anchor::Stretch};

    use super::*;

    /// The streams of the vectors.
    pub(crate) fn contents() -> BTreeMap<String, Vec<u8>> {
        let stream = |stretches: Vec<Stretch>| {
            let mut out: Vec<u8> = Vec::new();
            for stretch in stretches {
                match stretch {
                    Stretch::Noise { noise, octets } => {
                        let end = out.len() + octets as usize;
                        for count in 0_u64.. {
                            let two = [noise.to_be_bytes(), count.to_be_bytes()].concat();
                            out.extend_from_slice(&Sha256::digest(two));
                            if out.len() >= end {
                                break;
                            }
                        }
                        out.truncate(end);
                    }
                    Stretch::Run { octet, octets } => {
                        out.resize(out.len() + octets as usize, octet);
                    }
                    Stretch::Again { again, octets } => {
                        for at in again..again + octets {
                            out.push(out[at as usize]);
                        }
                    }
                }
            }
            out
        };
        let all = vector::anchors().unwrap().contents;
        all.into_iter()
            .map(|(name, stretches)| (name, stream(stretches)))
            .collect()
    }

    #[test]
    fn gear_is_as_the_vectors_say() {
        for case in vector::anchors().unwrap().gear {
            let gear = format!("{:016x}", GEAR[usize::from(case.input)]);
            assert_eq!(gear, case.expect.unwrap(), "{}", case.id);
        }
    }

    #[test]
    fn chunks_are_as_the_vectors_say_whatever_the_pieces() {
        let contents = contents();
        for case in vector::anchors().unwrap().chunks {
            let (from, to) = (case.input.from, case.input.to);
            let bytes = &contents[&case.input.content][from as usize..to as usize];
            for piece in [1, 1000, bytes.len()] {
                let mut chunker = Chunker::new(from);
                let cuts: Vec<_> = bytes
                    .chunks(piece)
                    .flat_map(|piece| chunker.push(piece))
                    .collect();
                let written: Vec<_> = cuts.iter().map(written).collect();
                assert_eq!(written, *case.expect.as_ref().unwrap(), "{}", case.id);
                assert_eq!(chunker.at(), to);
            }
        }
    }

    fn written(cut: &Cut) -> vector::anchor::Cut {
        let chunk = |chunk: &Chunk| {
            let name = chunk.name.iter().map(|octet| format!("{octet:02x}"));
            (name.collect(), u32::try_from(chunk.length).unwrap())
        };
        (cut.at, cut.chunks.iter().map(chunk).collect())
    }
}
