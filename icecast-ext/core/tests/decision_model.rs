//! The decision where an answer starts, against a naive model: runs as lists of bytes.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::collections::BTreeSet;

use common::{at, begin, epoch, off, pos, resume};
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Miss};
use icecast_ext_core::resume::{Kind, Refusal};
use icecast_ext_core::timeline::Timeline;
use proptest::prelude::*;

/// One run as a list of bytes.
#[derive(Debug, Clone)]
struct Naive {
    epoch: u8,
    start: u64,
    held: Vec<bool>,
    syncs: BTreeSet<u64>,
    declared: bool,
    opaque: bool,
    ended: bool,
}

impl Naive {
    fn next(&self) -> u64 {
        self.start + self.held.len() as u64
    }

    fn holds(&self, offset: u64) -> bool {
        offset.checked_sub(self.start).is_some_and(|i| {
            let byte = usize::try_from(i).ok().and_then(|i| self.held.get(i));
            byte.copied().unwrap_or(false)
        })
    }
}

#[derive(Debug, Clone)]
enum Op {
    /// A new epoch, or (with a gap) the same again, or the current run goes on.
    Begin {
        gap: Option<u64>,
        first: u64,
        declared: bool,
        opaque: bool,
    },
    /// So many bytes; sync points at these places of them.
    Grow(u64, Vec<u64>),
    End,
    Evict(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        2 => (proptest::option::weighted(0.3, 0..12_u64), 0..5_u64, any::<bool>(), proptest::bool::weighted(0.3))
            .prop_map(|(gap, first, declared, opaque)| Op::Begin { gap, first, declared, opaque }),
        4 => (1..20_u64).prop_flat_map(|len| (Just(len), proptest::collection::vec(0..len, 0..3)))
            .prop_map(|(len, syncs)| Op::Grow(len, syncs)),
        1 => Just(Op::End),
        2 => (0..40_u64).prop_map(Op::Evict),
    ]
}

const BURST: u64 = 10;

struct World {
    timeline: Timeline,
    runs: Vec<Naive>,
    names: u8,
}

impl World {
    fn new(ops: Vec<Op>) -> Self {
        let mut world = Self {
            timeline: Timeline::new(BURST),
            runs: Vec::new(),
            names: 0,
        };
        for op in ops {
            world.apply(op);
        }
        world
    }

    fn apply(&mut self, op: Op) {
        match op {
            Op::Begin {
                gap,
                first,
                declared,
                opaque,
            } => {
                let last = self.runs.iter().rev().find(|run| !run.held.is_empty());
                let (name, first) = match (gap, last) {
                    (Some(gap), Some(run)) => (run.epoch, run.next() + gap),
                    _ => {
                        self.names += 1;
                        (self.names, first)
                    }
                };
                let format = if opaque { Format::Opaque } else { Format::Mpeg };
                self.timeline.begin(begin(name, first, declared, format));
                let mut declared = declared;
                while let Some(run) = self.runs.last()
                    && run.held.is_empty()
                    && (run.epoch, run.start) != (name, first)
                {
                    declared &= run.declared;
                    self.runs.pop();
                }
                if let Some(run) = self.runs.last_mut() {
                    run.ended = (run.epoch, run.next()) != (name, first);
                    if !run.ended {
                        return;
                    }
                }
                self.runs.push(Naive {
                    epoch: name,
                    start: first,
                    held: Vec::new(),
                    syncs: BTreeSet::new(),
                    declared,
                    opaque,
                    ended: false,
                });
            }
            Op::Grow(len, mut syncs) => {
                let Some(run) = self.runs.last_mut() else {
                    return;
                };
                let next = run.next();
                syncs.sort_unstable();
                for sync in syncs.iter().filter(|_| !run.opaque) {
                    self.timeline.sync(off(next + sync));
                    run.syncs.insert(next + sync);
                }
                self.timeline.grow(len);
                run.held.extend((0..len).map(|_| true));
            }
            Op::End => {
                self.timeline.end();
                if let Some(run) = self.runs.last_mut() {
                    run.ended = true;
                }
            }
            Op::Evict(bytes) => {
                self.timeline.evict(bytes);
                let held = self.runs.iter_mut().flat_map(|run| run.held.iter_mut());
                let held = held.filter(|held| **held);
                held.take(usize::try_from(bytes).unwrap())
                    .for_each(|held| *held = false);
            }
        }
    }

    /// The place in run `i` that the splice into it leads to.
    fn entry(&self, i: usize) -> Option<u64> {
        let run = &self.runs[i];
        let over = self
            .runs
            .get(i + 1)
            .is_some_and(|next| !next.held.is_empty());
        match run.syncs.first() {
            Some(sync) => Some(*sync),
            None if run.opaque && !run.held.is_empty() => Some(run.start),
            None if over => Some(run.next()),
            None => None,
        }
    }

    fn is_start(&self, i: usize, offset: u64) -> bool {
        let run = &self.runs[i];
        run.holds(offset)
            && (run.syncs.contains(&offset)
                || run.opaque
                || (i > 0 && self.entry(i) == Some(offset)))
    }

    fn live(&self) -> Option<(usize, u64)> {
        let i = self.runs.len() - 1;
        let run = &self.runs[i];
        let held: Vec<u64> = (run.start..run.next()).filter(|o| run.holds(*o)).collect();
        let target = run.next().saturating_sub(BURST).max(*held.first()?);
        let syncs = |o: &&u64| run.syncs.contains(o) || run.opaque;
        let after = held.iter().filter(syncs).find(|o| **o >= target);
        let before = || held.iter().filter(syncs).rfind(|o| **o < target);
        Some((i, *after.or_else(before)?))
    }

    /// The first start in the timeline's order from (i, offset) on.
    fn onward(&self, i: usize, offset: u64) -> Option<(usize, u64)> {
        let from = |j: usize| match j == i {
            true => offset,
            false => self.entry(j).unwrap_or(self.runs[j].start),
        };
        let all = (i..self.runs.len()).flat_map(|j| {
            let run = &self.runs[j];
            (from(j).max(run.start)..run.next()).map(move |o| (j, o))
        });
        let mut held = all.filter(|(j, o)| self.runs[*j].holds(*o));
        held.find(|(j, o)| self.is_start(*j, *o))
    }

    fn lost(&self, from: (usize, u64), to: (usize, u64)) -> Option<u64> {
        if self.runs[from.0].epoch == self.runs[to.0].epoch {
            return Some(to.1 - from.1);
        }
        let run = &self.runs[from.0];
        let entry = self.entry(from.0 + 1)?;
        if self.runs[from.0 + 1].epoch == run.epoch {
            return self.lost((from.0 + 1, from.1), to);
        }
        if !self.runs[from.0 + 1].declared {
            return None;
        }
        // Every byte from here to the end, and on from the entry.
        let rest = (from.1..run.next()).count() as u64;
        Some(rest + self.lost((from.0 + 1, entry), to)?)
    }

    fn start(&self, name: u8, offset: u64, miss: Miss) -> Result<(u8, u64, Kind), &'static str> {
        if self.runs.is_empty() {
            return Err("empty");
        }
        let (mut name, mut offset, mut kind) = (name, offset, Kind::Exact);
        let missed = |from: Option<(usize, u64)>, onward: Option<(usize, u64)>, proven: bool| {
            let to = match miss {
                Miss::Fail => return Err("missed"),
                Miss::Oldest if from.is_some() => onward,
                _ => self.live(),
            };
            let to = to.ok_or("empty")?;
            let lost = from.filter(|_| proven).and_then(|from| self.lost(from, to));
            Ok((self.runs[to.0].epoch, to.1, Kind::Miss { lost }))
        };
        loop {
            let of_epoch: Vec<usize> = (0..self.runs.len())
                .filter(|i| self.runs[*i].epoch == name)
                .collect();
            let Some(last) = of_epoch.last().copied() else {
                return missed(None, None, false);
            };
            if of_epoch.iter().any(|i| self.runs[*i].holds(offset)) {
                return Ok((name, offset, kind));
            }
            let ends = of_epoch
                .iter()
                .copied()
                .find(|i| self.runs[*i].next() == offset);
            let at_end = ends.or_else(|| (offset > self.runs[last].next()).then_some(last));
            let Some(i) = at_end else {
                // Evicted, or between two runs.
                let i = of_epoch
                    .iter()
                    .copied()
                    .find(|i| self.runs[*i].next() > offset)
                    .unwrap();
                let onward = self.onward(i, offset.max(self.runs[i].start));
                return missed(Some((i, offset)), onward, true);
            };
            let run = &self.runs[i];
            let next = self.runs.get(i + 1).and_then(|_| self.entry(i + 1));
            if next.is_none() && offset == run.next() {
                return Ok((name, offset, kind));
            }
            let Some(entry) = self.runs.get(i + 1).and_then(|_| self.entry(i + 1)) else {
                return Err(if offset - run.next() <= 480_000 {
                    "soon"
                } else {
                    "ahead"
                });
            };
            let next = &self.runs[i + 1];
            if next.epoch == name {
                let onward = self.onward(i + 1, offset.max(next.start));
                return missed(Some((i + 1, offset)), onward, true);
            }
            if !next.declared {
                return missed(Some((i, offset)), self.onward(i + 1, entry), false);
            }
            (name, offset, kind) = (next.epoch, entry + (offset - run.next()), Kind::Spliced);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_decision_is_that_of_a_naive_model(
        ops in proptest::collection::vec(op(), 1..24),
        name in 1..8_u8,
        asked in prop_oneof![20 => 0..90_u64, 1 => 450_000..520_000_u64, 1 => Just(999_999_999_999_999)],
        miss in prop_oneof![4 => Just(Miss::Oldest), 1 => Just(Miss::Live), 1 => Just(Miss::Fail)],
    ) {
        let world = World::new(ops);
        let got = world.timeline.start(&at(name, asked, miss));
        let got = match got {
            Ok(start) => Ok((start.at.epoch.as_bytes()[0], start.at.offset.get(), start.kind)),
            Err(Refusal::Soon { .. }) => Err("soon"),
            Err(Refusal::Ahead { .. }) => Err("ahead"),
            Err(Refusal::Missed) => Err("missed"),
            Err(_) => Err("empty"),
        };
        prop_assert_eq!(got, world.start(name, asked, miss), "{:#?}", world.runs);
        let joined = world.timeline.start(&resume(From::Live, miss)).ok().map(|start| start.at);
        let live = (!world.runs.is_empty()).then(|| world.live()).flatten();
        let live = live.map(|(i, offset)| pos(world.runs[i].epoch, offset));
        prop_assert_eq!(joined, live);
    }

    #[test]
    fn a_feed_starts_wherever_a_byte_is_held(
        ops in proptest::collection::vec(op(), 1..24),
        name in 1..8_u8,
        asked in 0..90_u64,
    ) {
        let world = World::new(ops);
        if let Ok(start) = world.timeline.start_feed(Some(&at(name, asked, Miss::Oldest))) {
            let mut runs = world.runs.iter();
            let reached = |run: &Naive| {
                let offset = start.at.offset.get();
                epoch(run.epoch) == start.at.epoch && (run.holds(offset) || run.next() == offset)
            };
            prop_assert!(runs.any(reached), "{:?} {:#?}", start, world.runs);
        }
    }
}
