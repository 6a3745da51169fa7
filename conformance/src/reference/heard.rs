//! What a run remembers of its chunks, and which place evidence proves in it (R-ANCHOR-12).

use std::collections::VecDeque;

use crate::anchor::{Chunk, Chunker, Cut, Evidence, Name, WARM, sum};

/// Chunks and times are remembered so long, in milliseconds: longer than bytes.
const KEPT: u64 = 75_000;
/// No more cuts than these are remembered.
const MOST_CUTS: usize = 16_384;
/// A name that stands in more places says nothing (R-ANCHOR-14).
const MOST_OF_A_NAME: usize = 32;
/// Places that are looked at for one request.
const MOST_PLACES: usize = 256;
/// So many chunks of level 0 must not stand there once more.
const NEWEST: usize = 4;

/// What evidence proves.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Found {
    /// The client's next byte is this one.
    At(u64),
    /// It will be, if what comes agrees.
    Ahead(u64),
    /// There is no such place; `why` of `Stream-Proof`.
    Miss(&'static str),
}

/// What a run remembers.
#[derive(Debug)]
pub(crate) struct Heard {
    chunker: Chunker,
    cuts: VecDeque<Cut>,
    /// The edge after each arrival, and when that was, in milliseconds.
    times: VecDeque<(u64, u64)>,
    /// When the first byte came.
    began: Option<u64>,
    bug: Option<&'static str>,
}

/// How a question is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    pub(crate) evidence: &'a Evidence,
    /// When the request came, in milliseconds.
    pub(crate) when: u64,
    /// The bound on how far clocks are apart, in milliseconds.
    pub(crate) s: u64,
}

impl Heard {
    pub(crate) fn new(begins: u64, bug: Option<&'static str>) -> Self {
        Self {
            chunker: Chunker::new(begins),
            cuts: VecDeque::new(),
            times: VecDeque::new(),
            began: None,
            bug,
        }
    }

    /// Bytes have come, at a time in milliseconds.
    pub(crate) fn push(&mut self, bytes: &[u8], ms: u64) {
        let mut cuts = self.chunker.push(bytes);
        if self.is("names-of-its-own") {
            let chunks = cuts.iter_mut().flat_map(|cut| &mut cut.chunks);
            chunks.for_each(|chunk| chunk.name[0] ^= 1);
        }
        self.cuts.extend(cuts);
        self.began.get_or_insert(ms);
        self.times.push_back((self.edge(), ms));
        while self.times.len() > 2 && self.times[1].1 + KEPT < ms {
            if let Some((edge, _)) = self.times.pop_front() {
                self.forget(edge);
            }
        }
        if let Some(cut) = self.cuts.len().checked_sub(MOST_CUTS) {
            self.forget(self.cuts[cut].at);
        }
    }

    /// Chunks that begin before an offset are forgotten.
    pub(crate) fn forget(&mut self, first: u64) {
        while self.cuts.front().is_some_and(|cut| cut.at < first) {
            self.cuts.pop_front();
        }
    }

    fn is(&self, bug: &str) -> bool {
        self.bug == Some(bug)
    }

    fn edge(&self) -> u64 {
        self.chunker.at()
    }

    /// The first cut known: what begins before it does not count.
    fn first(&self) -> u64 {
        self.cuts.front().map_or(self.edge(), |cut| cut.at)
    }

    fn ends(&self, at: u64) -> &[Chunk] {
        let found = self.cuts.binary_search_by_key(&at, |cut| cut.at);
        found.map_or(&[], |index| &self.cuts[index].chunks)
    }

    /// Whether a chunk of a name and a length is known to end at an offset.
    fn has(&self, at: u64, name: &Name, length: u64) -> bool {
        let first = self.first();
        at.checked_sub(length).is_some_and(|begins| begins >= first)
            && self
                .ends(at)
                .iter()
                .any(|chunk| chunk.name == *name && chunk.length == length)
    }

    /// Where the place has to be, by the clock.
    fn interval(&self, question: &Question<'_>) -> Option<(u64, u64)> {
        let s = question.s;
        let then = question
            .when
            .checked_sub(question.evidence.age + question.evidence.lag)?;
        let ((oldest, since), (edge, until)) = (*self.times.front()?, *self.times.back()?);
        let most = self.most_within(s);
        let at = |ms: u64| {
            let index = self.times.partition_point(|(_, came)| *came <= ms);
            index.checked_sub(1).map(|index| self.times[index].0)
        };
        let early = then.saturating_sub(s);
        let low = at(early)
            .unwrap_or_else(|| oldest.saturating_sub(most * (since - early).div_ceil(s.max(1))));
        let late = then + s;
        let high = match late.checked_sub(until) {
            None => at(late).unwrap_or(oldest),
            Some(more) => edge + most * more.div_ceil(s.max(1)),
        };
        Some((low, high))
    }

    /// The most bytes that ever came within so many milliseconds; those with which the run began have no time.
    fn most_within(&self, s: u64) -> u64 {
        let (mut most, mut from) = (0, 0);
        for (edge, ms) in &self.times {
            while self.times[from].1 + s < *ms {
                from += 1;
            }
            most = most.max(edge - self.times[from].0);
        }
        most
    }

    /// What evidence proves. `held` gives bytes that are held, from an offset to another.
    pub(crate) fn find(
        &self,
        question: &Question<'_>,
        held: impl Fn(u64, u64) -> Option<Vec<u8>>,
    ) -> Found {
        let is = |bug: &str| self.is(bug);
        let evidence = question.evidence;
        if self
            .began
            .is_none_or(|began| began + question.s > question.when)
        {
            return Found::Miss("young");
        }
        let places = self.places(evidence);
        let Some((low, high)) = self.interval(question).filter(|_| !places.is_empty()) else {
            return Found::Miss("unknown");
        };
        let clock = |place: &u64| is("evidence-without-a-clock") || (low..=high).contains(place);
        let places: Vec<_> = places.into_iter().filter(clock).collect();
        if places.is_empty() {
            return Found::Miss("elsewhere");
        }
        let tail = |place: u64| {
            let from = place - evidence.tail;
            place > self.edge()
                || is("any-tail")
                || held(from, place).is_some_and(|bytes| sum(&bytes) == evidence.sum)
        };
        let agree = |place: u64| self.agreeing(evidence, place);
        let places: Vec<_> = places
            .into_iter()
            .filter_map(|place| Some((place, agree(place)?)))
            .filter(|(place, _)| tail(*place))
            .collect();
        if places.is_empty() {
            return Found::Miss("differs");
        }
        let least = high - low;
        let enough = |(_, (begins, ends)): &(u64, (u64, u64))| {
            let n = ends - begins;
            n >= WARM
                && (n >= least || is("any-length-proves"))
                && self.newest(*begins, *ends).is_some()
        };
        let places: Vec<_> = places.into_iter().filter(enough).collect();
        let (place, (begins, ends)) = match &places[..] {
            [] => return Found::Miss("short"),
            [one] => *one,
            [.., newest] if is("loops-prove") => *newest,
            _ => return Found::Miss("ambiguous"),
        };
        let newest = self.newest(begins, ends).unwrap_or_default();
        if self.repeats(&newest, ends - begins) && !is("loops-prove") {
            return Found::Miss("repeats");
        }
        match place > self.edge() {
            true => Found::Ahead(place),
            false => Found::At(place),
        }
    }

    /// Places at which one chunk at least would stand where it should.
    fn places(&self, evidence: &Evidence) -> Vec<u64> {
        let first = self.first();
        let mut named = Vec::new();
        let mut after = evidence.tail;
        for chunk in &evidence.chunks {
            let ends = self.cuts.iter().filter(|cut| {
                let held = cut.at.checked_sub(chunk.length);
                held.is_some_and(|begins| begins >= first)
                    && cut.chunks.iter().any(|one| one == chunk)
            });
            named.push(ends.map(|cut| cut.at + after).collect::<Vec<_>>());
            after += chunk.length;
        }
        named.sort_by_key(Vec::len);
        named.retain(|places| places.len() <= MOST_OF_A_NAME);
        let mut places: Vec<u64> = named.concat();
        places.truncate(MOST_PLACES);
        places.sort_unstable();
        places.dedup();
        places
    }

    /// From where to where the evidence agrees at a place; `None` if it does not.
    fn agreeing(&self, evidence: &Evidence, place: u64) -> Option<(u64, u64)> {
        let (edge, first) = (self.edge(), self.first());
        let mut ends = place.checked_sub(evidence.tail)?;
        let mut found = None::<(u64, u64)>;
        for chunk in &evidence.chunks {
            let Some(begins) = ends.checked_sub(chunk.length) else {
                break;
            };
            if begins < first {
                break;
            }
            if ends <= edge {
                if self.has(ends, &chunk.name, chunk.length) {
                    found = Some((begins, found.map_or(ends, |(_, ends)| ends)));
                } else if !self.is("some-chunks-prove") {
                    return None;
                }
            }
            ends = begins;
        }
        found
    }

    /// The newest chunks of level 0 among some bytes: where they end, and what they are.
    fn newest(&self, begins: u64, ends: u64) -> Option<Vec<(u64, Chunk)>> {
        let cuts = self.cuts.iter().rev();
        let within = cuts.skip_while(|cut| cut.at > ends);
        let newest: Vec<_> = within
            .map_while(|cut| Some((cut.at, *cut.chunks.first()?)))
            .take_while(|(at, chunk)| at - chunk.length >= begins)
            .take(NEWEST)
            .collect();
        (newest.len() == NEWEST).then_some(newest)
    }

    /// Whether these chunks stand there once more, less than so many bytes before.
    fn repeats(&self, newest: &[(u64, Chunk)], n: u64) -> bool {
        let Some((last, chunk)) = newest.first() else {
            return true;
        };
        let first = self.first();
        let earlier = self
            .cuts
            .iter()
            .filter(|cut| cut.at < *last && last - cut.at < n && cut.chunks.first() == Some(chunk));
        earlier.map(|cut| last - cut.at).any(|shift| {
            newest.iter().all(|(at, chunk)| {
                let ends = at.saturating_sub(shift);
                ends < first + chunk.length || self.ends(ends).first() == Some(chunk)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use icecast_ext_spec::vector::{self, anchor};

    use super::*;
    use crate::anchor::contents;

    #[test]
    fn places_are_those_of_the_vectors() {
        let contents = contents();
        for case in vector::anchors().unwrap().place {
            let asked = case.input;
            let bytes = &contents[&asked.content];
            let mut heard = Heard::new(asked.begins, None);
            for (from, octets, every, times) in asked.arrivals {
                for count in 0..times {
                    let at = heard.edge();
                    let piece = &bytes[at as usize..(at + octets) as usize];
                    heard.push(piece, from + count * every);
                }
            }
            let first = asked.first.unwrap_or(asked.begins);
            if let Some(first) = asked.first {
                heard.forget(first);
            }
            let evidence = Evidence::parse(&asked.evidence).unwrap();
            let question = Question {
                evidence: &evidence,
                when: asked.asked_ms,
                s: asked.s_ms,
            };
            let found = heard.find(&question, |from, to| {
                (from >= first).then(|| bytes[from as usize..to as usize].to_vec())
            });
            let expected = match &case.expect.unwrap() {
                anchor::Found::At(at) => Found::At(*at),
                anchor::Found::Ahead(at) => Found::Ahead(*at),
                anchor::Found::Miss(why) => match found {
                    Found::Miss(said) if said == why => found,
                    other => panic!("{}: {other:?} instead of {why}", case.id),
                },
            };
            assert_eq!(found, expected, "{}", case.id);
        }
    }
}
