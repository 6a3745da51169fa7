//! `Resume-Anchor` and `Stream-Proof`, and what a client remembers for the first of them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::chunks::{Chunk, Chunker, Cut, Name, Sum};
use crate::structured::{Bare, Parameters, count, get, item, known, list};

/// A `Resume-Anchor` is at most this long, in octets (R-ANCHOR-4).
pub const LONGEST: usize = 1536;
/// Chunks in one.
pub const MOST: usize = 44;
/// Bytes after the newest cut.
const LONGEST_TAIL: u64 = 65_536;
/// Evidence reaches back so far at least, in milliseconds, if it can.
const FAR: u64 = 60_000;
/// Milliseconds that a chunk may take however young it is.
const FINE: u64 = 1_000;

/// What a client has heard last.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Bytes after the newest cut.
    pub tail: u64,
    /// Milliseconds since the last byte came.
    pub age: u64,
    /// Milliseconds that it was behind live then.
    pub lag: u64,
    /// Of the bytes after the newest cut.
    pub sum: Sum,
    /// The newest first, each ending where the one before it begins.
    pub chunks: Vec<Chunk>,
}

impl Evidence {
    /// Reads a value (R-ANCHOR-3); `None` if it is malformed or too long (R-ANCHOR-5).
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        if value.len() > LONGEST {
            return None;
        }
        let members = list(value)?;
        let ((tail, said), chunks) = members.split_first()?;
        let chunks: Option<Vec<_>> = chunks.iter().map(chunk).collect();
        let chunks = chunks.filter(|chunks| (1..=MOST).contains(&chunks.len()))?;
        Some(Self {
            tail: count(tail).filter(|tail| *tail <= LONGEST_TAIL)?,
            age: milliseconds(get(said, "age")?)?,
            lag: known(said, "lag", milliseconds)?.unwrap_or(0),
            sum: octets(get(said, "sum")?)?.try_into().ok()?,
            chunks,
        })
    }

    /// As it is sent.
    #[must_use]
    pub fn value(&self) -> String {
        let seconds = |ms: u64| {
            let text = format!("{}.{:03}", ms / 1000, ms % 1000);
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        };
        let mut out = format!("{};age={}", self.tail, seconds(self.age));
        if self.lag > 0 {
            out += &format!(";lag={}", seconds(self.lag));
        }
        out += &format!(";sum=:{}:", STANDARD.encode(self.sum));
        for chunk in &self.chunks {
            out += &format!(", :{}:;n={}", STANDARD.encode(chunk.name), chunk.length);
        }
        out
    }

    /// Bytes of its chunks.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.chunks.iter().map(|chunk| chunk.length).sum()
    }
}

fn chunk((bare, parameters): &(Bare, Parameters)) -> Option<Chunk> {
    let length = count(get(parameters, "n")?)?;
    Some(Chunk {
        name: octets(bare)?.try_into().ok()?,
        length: (1024..=u64::from(u32::MAX))
            .contains(&length)
            .then_some(length)?,
    })
}

fn octets(value: &Bare) -> Option<Vec<u8>> {
    match value {
        Bare::Binary(text) => STANDARD.decode(text).ok(),
        _ => None,
    }
}

/// Seconds, not negative.
fn milliseconds(value: &Bare) -> Option<u64> {
    match value {
        Bare::Integer(seconds) => u64::try_from(*seconds).ok()?.checked_mul(1000),
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 12 digits before the point, and not negative"
        )]
        Bare::Decimal(seconds) if *seconds >= 0.0 => Some((seconds * 1000.0).round() as u64),
        _ => None,
    }
}

/// `Stream-Proof`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Proof {
    /// The body is the continuation.
    Anchor,
    /// The body is the continuation, and the epoch asked for another name of its own.
    Alias,
    /// There is no place, and why, if that is said.
    None(Option<String>),
}

impl Proof {
    /// Reads a value; `None` if it is malformed (R-ANCHOR-19).
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        let (bare, parameters) = item(value)?;
        let why = known(&parameters, "why", |value| match value {
            Bare::Token(word) => Some(word.clone()),
            _ => None,
        })?;
        match bare {
            Bare::Token(word) if word == "anchor" => Some(Self::Anchor),
            Bare::Token(word) if word == "alias" => Some(Self::Alias),
            Bare::Token(word) if word == "none" => Some(Self::None(why)),
            _ => None,
        }
    }
}

/// What a client remembers of what it hears: chunks, and when they came.
#[derive(Clone, Debug)]
pub struct Witness {
    chunker: Chunker,
    /// When the bytes before each cut had come, in milliseconds.
    cuts: Vec<(Cut, u64)>,
    last: u64,
}

impl Witness {
    /// One that begins to hear now. Where that is does not matter to anybody else.
    #[must_use]
    pub fn new(chunker: Chunker) -> Self {
        Self {
            chunker,
            cuts: Vec::new(),
            last: 0,
        }
    }

    /// Bytes have come, at a time in milliseconds.
    pub fn hears(&mut self, bytes: &[u8], now: u64) {
        let cuts = self.chunker.push(bytes);
        self.cuts.extend(cuts.into_iter().map(|cut| (cut, now)));
        self.last = now;
    }

    /// What can be said at a time in milliseconds; `None` if that is nothing.
    #[must_use]
    pub fn evidence(&self, now: u64, lag: u64) -> Option<Evidence> {
        let (tail, sum) = self.chunker.tail();
        // Larger chunks, if those that came in a second or a quarter of the time do not reach far enough (R-ANCHOR-8).
        let picks = [Some(4), Some(2), Some(1), None].map(|part| self.chunks(now, part));
        let far = picks
            .iter()
            .position(|(chunks, reach)| chunks.len() < MOST || now.saturating_sub(*reach) >= FAR);
        let [.., last] = &picks;
        let (chunks, _) = far.map_or(last, |far| &picks[far]);
        (!chunks.is_empty() && tail <= LONGEST_TAIL).then(|| Evidence {
            tail,
            age: now.saturating_sub(self.last),
            lag,
            sum,
            chunks: chunks.clone(),
        })
    }

    /// Chunks from the newest on that came in so small a part of the time since then, and when the oldest began to come.
    fn chunks(&self, now: u64, part: Option<u64>) -> (Vec<Chunk>, u64) {
        let mut out = Vec::new();
        let mut index = self.cuts.len().checked_sub(1);
        let mut reach = now;
        while let Some((cut, came)) = index.map(|index| &self.cuts[index])
            && out.len() < MOST
        {
            let begins = |chunk: &Chunk| {
                let from = cut.at - chunk.length;
                self.cuts
                    .binary_search_by_key(&from, |(cut, _)| cut.at)
                    .ok()
            };
            let fits = |chunk: &&Chunk| {
                let began = begins(chunk).map_or(0, |index| self.cuts[index].1);
                let took = came - began;
                took <= FINE || part.is_none_or(|part| took * part <= now.saturating_sub(*came))
            };
            let found = cut.chunks.iter().rev().find(fits).or(cut.chunks.first());
            index = found.and_then(|chunk| {
                out.push(*chunk);
                begins(chunk)
            });
            reach = index.map_or(reach, |index| self.cuts[index].1);
        }
        (out, reach)
    }

    /// The chunk of a name and a length that ends so many bytes before the newest cut, if there is one.
    #[must_use]
    pub fn knows(&self, before: u64, name: &Name, length: u64) -> bool {
        let Some((newest, _)) = self.cuts.last() else {
            return false;
        };
        self.cuts
            .iter()
            .filter(|(cut, _)| newest.at - cut.at == before)
            .flat_map(|(cut, _)| &cut.chunks)
            .any(|chunk| chunk.name == *name && chunk.length == length)
    }
}

#[cfg(test)]
mod tests {
    use icecast_ext_spec::vector;

    use super::super::chunks::tests::contents;
    use super::*;

    #[test]
    fn values_are_read_and_written_as_the_vectors_say() {
        let hex = |octets: &[u8]| -> String {
            octets.iter().map(|octet| format!("{octet:02x}")).collect()
        };
        for case in vector::anchors().unwrap().field {
            let read = Evidence::parse(&case.input);
            let Ok(expected) = case.expect else {
                assert_eq!(read, None, "{}", case.id);
                continue;
            };
            let read = read.unwrap();
            assert_eq!(Evidence::parse(&read.value()).as_ref(), Some(&read));
            assert_eq!(read.tail, u64::from(expected.tail), "{}", case.id);
            assert_eq!((read.age, read.lag), (expected.age_ms, expected.lag_ms));
            assert_eq!(hex(&read.sum), expected.sum, "{}", case.id);
            let chunks: Vec<_> = read
                .chunks
                .iter()
                .map(|chunk| (hex(&chunk.name), u32::try_from(chunk.length).unwrap()))
                .collect();
            assert_eq!(chunks, expected.chunks, "{}", case.id);
        }
    }

    #[test]
    fn proofs_are_read_as_the_vectors_say() {
        for case in vector::anchors().unwrap().proof {
            let expected = case.expect.ok().map(|proof| match () {
                () if proof.anchor => Proof::Anchor,
                () if proof.alias => Proof::Alias,
                () => Proof::None(proof.why),
            });
            assert_eq!(Proof::parse(&case.input), expected, "{}", case.id);
        }
    }

    #[test]
    fn evidence_is_as_the_vectors_say() {
        let contents = contents();
        for case in vector::anchors().unwrap().evidence {
            let heard = case.input;
            let bytes = &contents[&heard.content][heard.from as usize..heard.to as usize];
            let mut witness = Witness::new(Chunker::new(heard.from));
            witness.hears(bytes, 0);
            let said = witness.evidence(heard.age_ms, heard.lag_ms);
            let said = said.map(|said| said.value());
            assert_eq!(said, case.expect.unwrap().field, "{}", case.id);
        }
    }
}
