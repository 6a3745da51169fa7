//! A relay that reads a feed knows what its parent knows; so does one that reads that relay's.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use bytes::Bytes;
use common::{Event, Reader, World, begin, canonical, event, grow, off, pos, title};
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::codec::Format;
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_core::plan::{Cursor, Step};
use icecast_ext_core::timeline::{Begin, Run, Timeline};
use proptest::prelude::*;

/// A relay: it reads a feed into a timeline of its own.
struct Child {
    timeline: Timeline,
    parent: Reader,
    decoder: Decoder,
    splice: Option<(bool, bool, Position)>,
}

impl Child {
    fn new(at: Position) -> Self {
        Self {
            timeline: Timeline::new(65_536),
            parent: Reader::new(Cursor::feed(at)),
            decoder: Decoder::default(),
            splice: None,
        }
    }

    fn read(&mut self, parent: &Timeline, tick: u32, most: u64) {
        self.parent.read(parent, tick, |len| len.min(most));
        let most = usize::try_from(most).unwrap();
        let new = std::mem::take(&mut self.parent.got);
        for part in new.chunks(most) {
            let mut frames = Vec::new();
            self.decoder
                .feed(Bytes::copy_from_slice(part), &mut frames)
                .unwrap();
            for frame in frames {
                self.take(frame);
            }
        }
    }

    fn take(&mut self, frame: Frame) {
        match frame {
            Frame::Format {
                epoch,
                offset,
                tick_ms,
                fields,
            } => {
                let splice = self.splice.take();
                self.timeline.begin(Begin {
                    epoch,
                    first: offset,
                    declared: splice.is_some_and(|(declared, _, _)| declared),
                    format: Format::Mpeg,
                    tick_ms,
                    fields,
                });
                if let Some((_, seamless, to)) = splice {
                    self.timeline.splice_to(to, seamless);
                }
            }
            Frame::Prelude { at, bytes } => self.timeline.prelude(at, bytes),
            Frame::Data { offset, bytes } => {
                let edge = self.timeline.edge().unwrap();
                assert_eq!(edge.offset, offset);
                let len = bytes.len() as u64;
                assert_eq!(
                    bytes,
                    canonical(edge.epoch, offset.get(), offset.get() + len)
                );
                grow(&mut self.timeline, len);
            }
            Frame::Title { at, text } => self.timeline.title(at, text),
            Frame::Time { at, ms } => self.timeline.time(at, ms),
            Frame::Keepalive { next } => assert_eq!(self.timeline.edge().unwrap().offset, next),
            Frame::Splice {
                declared,
                seamless,
                end,
                to,
            } => {
                assert_eq!(self.timeline.edge().unwrap().offset, end);
                self.timeline.end();
                self.splice = Some((declared, seamless, to));
            }
        }
    }
}

/// All of a run that a relay that begins at `first` can know.
#[derive(Debug, PartialEq)]
struct Known {
    at: Position,
    next: Offset,
    splice: Option<(Position, bool)>,
    titles: Vec<(Offset, Bytes)>,
    preludes: Vec<(Offset, Bytes)>,
    times: Vec<(Offset, u64)>,
    format: (u32, Bytes),
}

/// Events that are in force at `first`, or later, but not ahead of the edge.
fn known<T: Clone>(
    events: impl Iterator<Item = (Offset, T)>,
    first: Offset,
    next: Offset,
) -> Vec<(Offset, T)> {
    let events: Vec<_> = events.filter(|(at, _)| *at <= next).collect();
    let before = events.iter().filter(|(at, _)| *at <= first).count();
    events[before.saturating_sub(1)..].to_vec()
}

fn knowledge(run: &Run, first: Offset) -> Known {
    let next = run.window.next;
    let titles = run
        .titles
        .iter()
        .map(|title| (title.at, title.text.clone()));
    let mut preludes = known(run.preludes.iter().cloned(), first, next);
    // None is in force: the same as an empty one.
    if preludes
        .first()
        .is_some_and(|(at, bytes)| *at <= first && bytes.is_empty())
    {
        preludes.remove(0);
    }
    Known {
        at: Position::new(run.epoch, first),
        next,
        splice: run.splice.map(|splice| (splice.to, splice.declared)),
        titles: titles.filter(|(at, _)| *at <= next).collect(),
        preludes,
        times: known(run.times.iter().copied(), first, next),
        format: (run.tick_ms, run.fields.clone()),
    }
}

/// What a relay knows that began at `from`, and what it should.
fn compare(parent: &Timeline, child: &Timeline, from: Position) {
    let runs: Vec<&Run> = parent.runs().collect();
    let holds = |run: &&Run| run.epoch == from.epoch && run.window.reaches(from.offset);
    let index = runs.iter().rposition(holds).unwrap();
    let first = |i: usize| {
        if i == index {
            from.offset
        } else {
            runs[i].window.first
        }
    };
    let mut should: Vec<Known> = (index..runs.len())
        .map(|i| knowledge(runs[i], first(i)))
        .collect();
    // What begins has no place yet.
    let reached = should.iter().position(|known| known.splice.is_none());
    should.truncate(reached.map_or(should.len(), |last| last + 1));
    let knows: Vec<Known> = child
        .runs()
        .map(|run| knowledge(run, run.window.first))
        .collect();
    assert_eq!(knows, should);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_relay_and_its_relay_know_what_the_minter_knows(
        story in prop::collection::vec(event(), 1..80),
        late in any::<prop::sample::Index>(),
        back in 1..200_u64,
    ) {
        let mut world = World::new(Format::Mpeg);
        let start = pos(1, 0);
        let mut child = Child::new(start);
        let mut grandchild = Child::new(start);
        let mut second: Option<(Position, Child)> = None;
        let late = late.index(story.len());
        for (i, event) in story.iter().enumerate() {
            world.happen(event);
            if i == late && world.timeline.held() > 0 {
                let edge = world.timeline.runs().rfind(|run| !run.window.is_empty()).unwrap();
                let at = edge.window.next.saturating_sub(back).max(edge.window.first);
                let at = Position::new(edge.epoch, at);
                second = Some((at, Child::new(at)));
            }
            let Event::Read(most) = event else { continue };
            let tick = u32::try_from(i).unwrap();
            child.read(&world.timeline, tick, *most);
            if child.timeline.held() > 0 {
                grandchild.read(&child.timeline, tick, 1000 - most);
            }
            if let Some((_, second)) = &mut second {
                second.read(&world.timeline, tick, *most);
            }
        }
        child.read(&world.timeline, 1000, 400);
        compare(&world.timeline, &child.timeline, start);
        if child.timeline.held() > 0 {
            grandchild.read(&child.timeline, 1000, 7);
            compare(&world.timeline, &grandchild.timeline, start);
        }
        if let Some((at, mut second)) = second {
            second.read(&world.timeline, 1000, 7);
            compare(&world.timeline, &second.timeline, at);
        }
    }
}

#[test]
fn a_feed_that_is_resumed_repeats_nothing() {
    let mut world = World::new(Format::Mpeg);
    let mut child = Child::new(pos(1, 0));
    for n in 0..20_u8 {
        world.happen(&Event::Title(n));
        world.happen(&Event::Time(250));
        world.happen(&Event::Prelude(n));
        world.happen(&Event::Grow(100));
        child.read(&world.timeline, u32::from(n), 33);
        child.timeline.evict(30);
        // Cut: the next connection asks for the byte that is lacking.
        let at = child.timeline.edge().unwrap();
        child.parent = Reader::new(Cursor::feed(at));
        child.decoder = Decoder::default();
        child.read(&world.timeline, u32::from(n), 33);
    }
    let run = child.timeline.runs().next().unwrap();
    let minted = world.timeline.runs().next().unwrap();
    // Titles outlive their bytes, preludes do not.
    assert_eq!((run.titles.len(), run.titles_from), (20, off(0)));
    assert_eq!(run.titles, minted.titles);
    assert!(run.preludes.len() < 20 && run.preludes.len() > 10);
    assert_eq!(child.timeline.runs().count(), 1);
}

#[test]
fn a_feed_that_waits_says_so_once_in_each_tick() {
    let mut world = World::new(Format::Mpeg);
    world.happen(&Event::Grow(10));
    let mut cursor = Cursor::feed(pos(1, 0));
    let mut step = |timeline: &Timeline, tick| {
        let (step, after) = cursor.step(timeline, 100, tick);
        cursor = after;
        step
    };
    // FORMAT and the head of DATA, then the audio: there is no need for more in this tick.
    assert!(matches!(step(&world.timeline, 7), Step::Overhead(_)));
    assert_eq!(step(&world.timeline, 7), Step::Audio(11));
    assert_eq!(step(&world.timeline, 7), Step::Wait);
    let mut keepalive = Vec::new();
    Frame::Keepalive { next: off(11) }.encode(&mut keepalive);
    for tick in 8..10 {
        assert_eq!(
            step(&world.timeline, tick),
            Step::Overhead(keepalive.clone().into())
        );
        assert_eq!(step(&world.timeline, tick), Step::Wait);
    }
    // A title of a source that pauses is told at once.
    world.timeline.title(off(11), title(1));
    assert!(matches!(step(&world.timeline, 9), Step::Overhead(_)));
    assert_eq!(step(&world.timeline, 9), Step::Wait);
    world.timeline.end();
    assert!(matches!(step(&world.timeline, 10), Step::Overhead(_)));
    world.timeline.begin(begin(2, 0, false, Format::Mpeg));
    assert_eq!(step(&world.timeline, 10), Step::Wait);
}
