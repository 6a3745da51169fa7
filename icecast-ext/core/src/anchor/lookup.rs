//! Where a client's last bytes stand, if that is proven (R-ANCHOR-12).
//!
//! Why an accepted place is the true one: let p be accepted, t be true, both in the interval, d their distance. Both have
//! the same n bytes before them, so the verified bytes agree with themselves at the shift d, which is less than n. Cuts and
//! names depend on the bytes near them only, so the four newest chunks stand d earlier among the verified bytes once more,
//! and [`Agreed::repeats`] refuses. What has to be true is the clock's bound.

use std::ops::{Range, RangeInclusive};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::index::Entry;
use super::{Chunk, Evidence, Index, MAX_CHUNKS, WARM_UP};

impl Unproven {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Young,
        Self::Unknown,
        Self::Elsewhere,
        Self::Differs,
        Self::Short,
        Self::Ambiguous,
        Self::Repeats,
        Self::Ahead,
    ];

    /// The one that is written so.
    #[must_use]
    pub fn named(token: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|why| why.to_string() == token)
    }
}

/// A name that stands in more places says nothing about the place.
const MAX_PLACES: usize = 32;
/// Places of all names that are looked at.
const MAX_LOOKED_AT: usize = 256;
/// Places of the client's next byte that are verified.
const MAX_CANDIDATES: usize = 8;
/// Chunks that may not stand earlier at one shift.
const NEWEST: usize = 4;

/// The place of the byte after a client's last one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Place {
    /// All that the evidence says is held and agrees.
    Held(u64),
    /// It is ahead of the edge, and what has come agrees. The request is held, and decided anew when more has come
    /// (R-ANCHOR-15).
    Ahead(u64),
}

impl Place {
    /// Where it is.
    #[must_use]
    pub const fn at(self) -> u64 {
        match self {
            Self::Held(at) | Self::Ahead(at) => at,
        }
    }
}

/// Why no place is proven. The token of `Stream-Proof`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// Too little is known of when bytes arrived.
    #[error("young")]
    Young,
    /// None of the chunks is held.
    #[error("unknown")]
    Unknown,
    /// Chunks are held, but not where the clock allows them.
    #[error("elsewhere")]
    Elsewhere,
    /// Some chunks agree and others do not, or the bytes after them.
    #[error("differs")]
    Differs,
    /// What agrees is too little for the clock's bound.
    #[error("short")]
    Short,
    /// More than one place would do, or too many would have to be looked at.
    #[error("ambiguous")]
    Ambiguous,
    /// What agrees repeats itself.
    #[error("repeats")]
    Repeats,
    /// The place is ahead of the edge and did not come in time.
    #[error("ahead")]
    Ahead,
}

impl Index {
    /// The place after the client's last byte. `asked`: when the request came, also if it is decided anew later. `held`:
    /// the bytes of a stretch of the window (from, length), in any split; fewer if they are not held.
    ///
    /// Bounded: [`MAX_CHUNKS`] names, 256 places, 8 of them verified, 64 KiB hashed for each.
    ///
    /// # Errors
    /// See [`Unproven`].
    pub fn find<'a, B>(
        &self,
        evidence: &Evidence,
        asked: Duration,
        held: impl Fn(u64, u64) -> B,
    ) -> Result<Place, Unproven>
    where
        B: Iterator<Item = &'a [u8]>,
    {
        let ago = evidence.age.saturating_add(evidence.lag);
        let allowed = self.arrivals.around(asked, ago).ok_or(Unproven::Young)?;
        let spread = allowed.end() - allowed.start();
        let named = Named::of(evidence, self);
        let mut found: Option<Agreed> = None;
        let mut why = Unproven::Differs;
        for at in named.candidates(&allowed)? {
            let agreed = match named.agrees(at) {
                Ok(agreed) if agreed.proven < spread.saturating_add(agreed.newest_len) => {
                    Err(Unproven::Short)
                }
                agreed => agreed,
            };
            let tail = u64::from(evidence.tail);
            match agreed {
                Err(Unproven::Differs) => {}
                Err(other) => why = other,
                Ok(agreed) if agreed.whole && !is_tail(evidence, held(at - tail, tail)) => {}
                Ok(agreed) => {
                    if found.replace(agreed).is_some() {
                        return Err(Unproven::Ambiguous);
                    }
                }
            }
        }
        let found = found.ok_or(why)?;
        if found.repeats(self) {
            return Err(Unproven::Repeats);
        }
        Ok(match found.whole {
            true => Place::Held(found.at),
            false => Place::Ahead(found.at),
        })
    }
}

/// The chunks of evidence, the newest first, and where their names stand.
struct Named<'a> {
    index: &'a Index,
    evidence: &'a Evidence,
    places: Vec<usize>,
    /// Of each chunk, in `places`. One more than [`MAX_PLACES`] if there are more.
    of: Vec<Range<usize>>,
}

impl<'a> Named<'a> {
    fn of(evidence: &'a Evidence, index: &'a Index) -> Self {
        let mut places = Vec::with_capacity(2 * MAX_CHUNKS);
        let of = evidence.chunks.iter().take(MAX_CHUNKS).map(|chunk| {
            let from = places.len();
            places.extend(index.named(chunk.id).take(MAX_PLACES + 1));
            from..places.len()
        });
        Self {
            of: of.collect(),
            index,
            evidence,
            places,
        }
    }

    fn chunks(&self) -> impl Iterator<Item = (&'a Chunk, &Range<usize>)> {
        self.evidence.chunks.iter().zip(&self.of)
    }

    /// Where the client's next byte may stand: as the rarest names have it, and where the clock allows it.
    fn candidates(&self, allowed: &RangeInclusive<u64>) -> Result<Vec<u64>, Unproven> {
        let mut after = u64::from(self.evidence.tail);
        let mut rarest: Vec<_> = self
            .chunks()
            .map(|(chunk, of)| {
                let behind = after;
                after += u64::from(chunk.len);
                (of, behind..after)
            })
            .filter(|(of, _)| !of.is_empty())
            .collect();
        rarest.sort_by_key(|(of, _)| of.len());
        if rarest.is_empty() {
            return Err(Unproven::Unknown);
        }
        let (mut out, mut looked_at) = (Vec::with_capacity(MAX_CANDIDATES), 0);
        for (nth, (of, behind)) in rarest.iter().enumerate() {
            if of.len() > MAX_PLACES || looked_at + of.len() > MAX_LOOKED_AT {
                break;
            }
            looked_at += of.len();
            // A rarer name that is not there although its place is held speaks against it.
            let rarer = &rarest[..nth];
            let refuted = |at: u64| rarer.iter().any(|(_, behind)| self.holds(at, behind));
            let ends = self.places[(*of).clone()]
                .iter()
                .filter_map(|place| self.index.entry(*place));
            for at in ends.map(|entry| entry.end().saturating_add(behind.start)) {
                if !allowed.contains(&at) || out.contains(&at) || refuted(at) {
                    continue;
                }
                if out.len() == MAX_CANDIDATES {
                    return Err(Unproven::Ambiguous);
                }
                out.push(at);
            }
        }
        match (out.is_empty(), looked_at) {
            (false, _) => Ok(out),
            (true, 0) => Err(Unproven::Ambiguous),
            (true, _) => Err(Unproven::Elsewhere),
        }
    }

    /// The bytes so far `behind` that place are chunks that are known whole.
    fn holds(&self, at: u64, behind: &Range<u64>) -> bool {
        let from = at.checked_sub(behind.end);
        from.is_some_and(|from| from >= self.index.known_from())
            && at - behind.start <= self.index.next()
    }

    /// Compares all chunks that are held whole, if the client's next byte stands at `at`.
    fn agrees(&self, at: u64) -> Result<Agreed, Unproven> {
        let index = self.index;
        let (mut end, mut proven, mut newest) = (at - u64::from(self.evidence.tail), 0, None);
        for (chunk, of) in self.chunks() {
            let len = u64::from(chunk.len);
            let Some(begin) = end
                .checked_sub(len)
                .filter(|begin| *begin >= index.known_from())
            else {
                break;
            };
            // Those beyond the edge are still to come.
            if end <= index.next() {
                let place = self.place(chunk, of, end).ok_or(Unproven::Differs)?;
                newest.get_or_insert(place);
                proven += len;
            }
            end = begin;
        }
        let newest = newest
            .and_then(|place| Newest::at(place, index))
            .ok_or(Unproven::Short)?;
        let lens = newest.entries(index).map(|entry| u64::from(entry.len));
        Ok(Agreed {
            at,
            whole: at <= index.next(),
            proven,
            newest_len: lens.sum::<u64>() + WARM_UP,
            newest,
        })
    }

    /// The entry of this chunk that ends at `end`.
    fn place(&self, chunk: &Chunk, of: &Range<usize>, end: u64) -> Option<usize> {
        let index = self.index;
        let ends = |place: &usize| index.entry(*place).is_some_and(|entry| entry.end() == end);
        let seen = self.places[of.clone()].iter().copied().find(ends);
        let place = match seen {
            None if of.len() > MAX_PLACES => index.ends_at(end, chunk.id),
            seen => seen,
        };
        place.filter(|place| {
            index
                .entry(*place)
                .is_some_and(|entry| entry.len == chunk.len)
        })
    }
}

/// A place at which what is held agrees with the evidence.
#[derive(Clone, Copy)]
struct Agreed {
    at: u64,
    /// All bytes have come.
    whole: bool,
    /// Bytes of chunks that were compared.
    proven: u64,
    /// The newest of these bytes.
    newest: Newest,
    /// Bytes of these chunks, and of what decides their cuts.
    newest_len: u64,
}

impl Agreed {
    /// One shift within what was compared maps the newest chunks onto earlier copies.
    fn repeats(&self, index: &Index) -> bool {
        let [newest, ..] = self.newest.0;
        let end = |place| index.entry(place).map_or(0, Entry::end);
        let copies = std::iter::successors(index.before(newest), |place| index.before(*place));
        let mut copies = copies.take_while(|copy| end(newest) - end(*copy) < self.proven);
        let looked_at = copies.by_ref().take(MAX_PLACES);
        let repeats = looked_at
            .into_iter()
            .any(|copy| self.newest.are_copied(copy, index));
        repeats || copies.next().is_some()
    }
}

/// Entries of the newest chunks that agree, all of level 0, the newest first.
#[derive(Clone, Copy)]
struct Newest([usize; NEWEST]);

impl Newest {
    /// Those up to where the entry at `place` ends. `None`: so many are not known.
    fn at(place: usize, index: &Index) -> Option<Self> {
        let mut out = [index.smallest(place)?; NEWEST];
        for at in 1..NEWEST {
            out[at] = index.smallest(out[at - 1].checked_sub(1)?)?;
        }
        Some(Self(out))
    }

    fn entries<'a>(&'a self, index: &'a Index) -> impl Iterator<Item = &'a Entry> {
        self.0.iter().filter_map(|place| index.entry(*place))
    }

    /// The chunks up to the entry at `copy` are the same, as far as they are known.
    fn are_copied(&self, copy: usize, index: &Index) -> bool {
        let before = |place: &usize| index.smallest(place.checked_sub(1)?);
        let copies = std::iter::successors(Some(copy), before);
        let mut pairs = copies.zip(self.entries(index));
        pairs.all(|(copy, entry)| index.entry(copy).is_some_and(|copy| copy.same(entry)))
    }
}

fn is_tail<'a>(evidence: &Evidence, bytes: impl Iterator<Item = &'a [u8]>) -> bool {
    let (mut hash, mut len) = (Sha256::new_with_prefix([0]), 0);
    for bytes in bytes {
        hash.update(bytes);
        len += bytes.len() as u64;
    }
    len == u64::from(evidence.tail) && hash.finalize().starts_with(&evidence.sum.0)
}
