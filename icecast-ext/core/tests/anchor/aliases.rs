//! Two relays of one source, each with a name of its own for its bytes; and some that are not what they seem.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::alias::{Follower, Named, News};
use icecast_ext_core::buffer::{Batch, Buffer, RunStart};
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::Proof;
use icecast_ext_core::head::{Request, Target};
use icecast_ext_core::resume::{Kind, Refusal};
use icecast_ext_core::stock::Level;
use icecast_ext_core::wanted::{Decided, Wanted};
use proptest::prelude::*;

use crate::station::{Dice, Station};

/// Bytes a second.
const RATE: usize = 4_000;
/// Bytes and milliseconds between two steps.
const STEP: usize = RATE / 4;
const TICK: u64 = 250;
/// Milliseconds that the relay holds.
const WINDOW: u64 = 90_000;
const OURS: u8 = 2;
const PEER: u8 = 1;

fn at(epoch: u8, offset: usize) -> Position {
    let offset = Offset::new(offset as u64).expect("an offset");
    Position::new(Epoch::from_bytes([epoch; 16]), offset)
}

/// A relay and its peer. Bytes of a stream are counted from where the relay's first one stands on the air.
struct World {
    buffer: Buffer,
    follower: Follower,
    /// On the air here, and at the peer's.
    ours: Vec<u8>,
    theirs: Vec<u8>,
    /// The peer's offset of our first byte.
    shift: usize,
    /// Bytes that have come here, and those of the peer's that were heard.
    here: usize,
    heard: usize,
    /// Steps that the peer is ahead of us; below zero, behind.
    lead: isize,
    now: u64,
    news: Vec<News>,
}

impl World {
    fn new(ours: Vec<u8>, theirs: Vec<u8>, lead: isize) -> Self {
        let mut buffer = Buffer::new(10_000, Duration::from_millis(TICK));
        begin(&mut buffer, OURS, false);
        Self {
            buffer,
            follower: Follower::new(Duration::from_secs(20)),
            ours,
            theirs,
            shift: 5_000,
            here: 0,
            heard: 0,
            lead,
            now: 1_000_000,
            news: Vec::new(),
        }
    }

    fn same(station: Station, seed: u64, seconds: usize, lead: isize) -> Self {
        let air = station.air(&mut Dice::new(seed), RATE, seconds * RATE);
        Self::new(air.clone(), air, lead)
    }

    /// A tick of both.
    fn step(&mut self) {
        self.now += TICK;
        let bytes = &self.ours[self.here..][..STEP];
        self.here += STEP;
        grow(&mut self.buffer, bytes, self.now);
        self.buffer.evict(WINDOW, u64::MAX, &mut Vec::new());
        let steps = (self.here / STEP).saturating_add_signed(self.lead);
        let to = (steps * STEP).min(self.theirs.len());
        if self.heard < to {
            self.hear(to);
        } else {
            let news = self.buffer.settle(&mut self.follower, self.now);
            self.news.extend(news);
        }
    }

    /// The peer sends what it has up to there.
    fn hear(&mut self, to: usize) {
        let bytes = &self.theirs[self.heard..to];
        let first = at(PEER, self.shift + self.heard);
        let news = self.buffer.hear(&mut self.follower, first, bytes, self.now);
        self.news.extend(news);
        self.heard = to;
    }

    fn steps(&mut self, seconds: usize) {
        (0..seconds * 4).for_each(|_| self.step());
    }

    /// What the peer's name of the byte at `place` on the air is here.
    fn find(&self, place: usize) -> Option<Named> {
        let aliases = self.buffer.aliases();
        aliases.find(at(PEER, self.shift + place))
    }

    fn is_proven(&self) -> bool {
        self.buffer.aliases().knows(at(PEER, 0).epoch)
    }

    fn asks(&self, place: usize, more: &str) -> Decided {
        let head = format!(
            "GET /a HTTP/1.1\r\nHost: h\r\nResume-Offset: {};epoch=\"{}\"{more}\r\n\r\n",
            self.shift + place,
            at(PEER, 0).epoch,
        );
        let (request, _) = Request::parse(head.as_bytes())
            .ok()
            .flatten()
            .expect("a whole head");
        let target = Target::parse(request.target).expect("a path");
        let wanted = Wanted::of(&request, &target, Level::Ranges).expect("a position");
        wanted.decide(&self.buffer, self.now)
    }
}

fn begin(buffer: &mut Buffer, epoch: u8, declared: bool) {
    buffer.begin(&RunStart {
        epoch: at(epoch, 0).epoch,
        first: Offset::ZERO,
        declared,
        format: Format::Opaque,
        fields: Bytes::new(),
        prelude: None,
    });
}

fn grow(buffer: &mut Buffer, bytes: &[u8], now: u64) {
    let batch = Batch {
        at: buffer.timeline.edge().expect("a run").offset,
        bytes: Bytes::copy_from_slice(bytes),
        events: Vec::new(),
        ms: now,
    };
    buffer.grow(&batch, now);
}

#[test]
fn no_station_makes_an_alias_wrong() {
    for station in Station::ALL {
        let (mut proven, mut looked_at) = (0, 0);
        for (seed, lead) in (0..).zip([0, 3, -3, 30, -30]) {
            let mut world = World::same(station, seed, 300, lead);
            let mut dice = Dice::new(seed);
            for _ in 0..280 * 4 {
                world.step();
                let place = dice.between(0, world.heard.max(1));
                if let Some(Named::Own(own)) = world.find(place) {
                    assert_eq!(own, at(OURS, place), "{station}, {seed}");
                    looked_at += 1;
                }
            }
            proven += usize::from(world.is_proven());
            assert!(
                world
                    .news
                    .iter()
                    .all(|news| matches!(news, News::Proven { .. })),
                "{station}, {seed}: {:?}",
                world.news
            );
        }
        println!("{station:32} {proven} of 5 are proven, {looked_at} places");
        match station {
            Station::ShortLoop | Station::Silent => assert_eq!(proven, 0, "{station}"),
            Station::Live => assert_eq!(proven, 5, "{station}"),
            _ => assert!(proven > 0, "{station}"),
        }
    }
}

/// What a peer does to the stream at some byte.
#[derive(Clone, Copy, Debug)]
enum Fault {
    Changes,
    Inserts,
    Skips,
    Repeats,
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn a_peer_that_diverges_is_dropped_and_nothing_wrong_is_said(
        seed in 0..1_000_u64,
        lead in -12..12_isize,
        second in 5..100_usize,
        byte in 0..RATE,
        fault in prop::sample::select(vec![Fault::Changes, Fault::Inserts, Fault::Skips, Fault::Repeats]),
        len in 1..3_000_usize,
    ) {
        let air = Station::Rotation.air(&mut Dice::new(seed), RATE, 200 * RATE);
        let x = second * RATE + byte;
        let mut theirs = air.clone();
        match fault {
            Fault::Changes => theirs[x] ^= 1,
            Fault::Inserts => drop(theirs.splice(x..x, Dice::new(seed).noise(len))),
            Fault::Skips => drop(theirs.drain(x..x + len)),
            Fault::Repeats => drop(theirs.splice(x..x, air[x - len..x].to_vec())),
        }
        let differ = air.iter().zip(&theirs).position(|(a, b)| a != b).unwrap();
        let mut world = World::new(air.clone(), theirs.clone(), lead);
        let mut dice = Dice::new(seed);
        for _ in 0..190 * 4 {
            world.step();
            let place = dice.between(0, world.heard.max(1));
            if let Some(Named::Own(own)) = world.find(place) {
                // All that the client has, and all that was compared: the same bytes.
                let own = own.offset.get() as usize;
                let compared = world.heard.min(world.here);
                let from = own.max(place);
                let till = compared.saturating_sub(from);
                prop_assert_eq!(&theirs[place..][..till.min(2_000)], &air[own..][..till.min(2_000)]);
                let before = own.min(place).min(2_000);
                prop_assert_eq!(&theirs[place - before..place], &air[own - before..own]);
                if place <= differ {
                    prop_assert_eq!(own, place);
                }
            }
        }
        let refuted = world.news.iter().find_map(|news| match news {
            News::Refuted { theirs, .. } => Some(theirs.offset.get() as usize - world.shift),
            News::Proven { .. } => None,
        });
        // Where nothing was proven before, what follows may be an alias of its own.
        if second >= 60 {
            prop_assert_eq!(refuted, Some(differ));
            prop_assert!(!world.is_proven());
        }
    }
}

#[test]
fn a_position_of_the_peers_is_answered_as_our_own() {
    let mut world = World::same(Station::Live, 7, 400, 0);
    assert_eq!(world.asks(0, ";miss=fail").start, Err(Refusal::Missed));
    world.steps(150);
    // From the second that the peer's bytes were first found here on, all is known.
    let Some(News::Proven { theirs, ours }) = world.news.first() else {
        panic!("{:?}", world.news);
    };
    let shift = theirs.offset.get() - ours.offset.get();
    assert_eq!((shift, ours.epoch), (world.shift as u64, at(OURS, 0).epoch));
    for place in [world.here - 70 * RATE + 1, world.here - 5, world.here] {
        let Decided { start, proof } = world.asks(place, "");
        let start = start.unwrap();
        assert_eq!((start.at, start.kind), (at(OURS, place), Kind::Spliced));
        assert_eq!(proof, Some(Proof::Alias));
        assert!(start.prelude.is_empty() && start.field().spliced);
    }
    // What is gone, is gone, and it is known how much.
    let place = world.here - 100 * RATE;
    let Decided { start, proof } = world.asks(place, "");
    let start = start.unwrap();
    let lost = start.at.offset.since(at(OURS, place).offset);
    assert_eq!((start.kind, proof), (Kind::Miss { lost }, None));
    let gone = world.asks(place, ";miss=fail").start;
    assert_eq!(gone, Err(Refusal::Missed));
}

#[test]
fn what_the_peer_has_not_sent_yet_is_waited_for_as_long_as_it_is_heard() {
    let mut world = World::same(Station::Live, 8, 400, -2);
    world.steps(60);
    assert!(world.is_proven() && world.heard < world.here);
    let place = world.heard + 100;
    let Err(Refusal::Soon { asked, next }) = world.asks(place, "").start else {
        panic!("{:?}", world.asks(place, ""));
    };
    assert_eq!(
        (asked, next),
        (at(OURS, place).offset, at(OURS, world.heard).offset)
    );
    let far = world.asks(world.heard + 200 * RATE, ";miss=fail").start;
    assert_eq!(far, Err(Refusal::Missed));
    world.step();
    assert_eq!(world.asks(place, "").start.unwrap().at, at(OURS, place));
    // It dies. What was compared stays known, the rest never will be.
    world.buffer.peer_gone(&world.follower);
    let (known, beyond) = (world.heard, world.heard + 1);
    assert_eq!(world.asks(known, "").start.unwrap().at, at(OURS, known));
    let unknown = world.asks(beyond, ";miss=fail").start;
    assert_eq!(unknown, Err(Refusal::Missed));
    // It comes back, and goes on where it was.
    world.hear(world.heard + STEP);
    assert_eq!(world.asks(beyond, "").start.unwrap().at, at(OURS, beyond));
    // It comes back elsewhere: what was known still is.
    let known = world.heard;
    world.heard += STEP;
    world.steps(5);
    assert_eq!(world.asks(known, "").start.unwrap().at, at(OURS, known));
    assert_eq!(world.find(known + STEP), None);
}

#[test]
fn beyond_our_end_it_goes_on_by_our_splice() {
    let mut world = World::same(Station::Live, 9, 400, -1);
    world.steps(60);
    let end = world.here;
    begin(&mut world.buffer, OURS + 1, true);
    grow(&mut world.buffer, &Dice::new(3).noise(70_000), world.now);
    world.hear(end);
    let Decided { start, proof } = world.asks(end, "");
    let start = start.unwrap();
    assert_eq!((start.at, start.kind), (at(OURS + 1, 0), Kind::Spliced));
    assert_eq!(proof, None);
    let Decided { start, proof } = world.asks(end - 1, "");
    assert_eq!(start.unwrap().at, at(OURS, end - 1));
    assert_eq!(proof, Some(Proof::Alias));
    // The peer's next byte is none of ours.
    world.hear(end + STEP);
    assert_eq!(world.find(end + 1), None);
    let mut world_after = world;
    world_after.buffer.evict(0, 0, &mut Vec::new());
    assert!(!world_after.is_proven());
}

#[test]
fn a_feed_does_not_use_aliases() {
    let mut world = World::same(Station::Live, 10, 400, 0);
    world.steps(60);
    let accept = "\r\nAccept: application/vnd.icecast-ext.relay";
    let place = world.here - 5;
    let feed = world.asks(place, &format!(";miss=fail{accept}"));
    assert_eq!(feed.start, Err(Refusal::Missed));
    assert!(world.asks(place, ";miss=fail").start.is_ok());
}

#[test]
fn a_peer_with_our_own_names_is_no_news() {
    let mut world = World::same(Station::Live, 11, 400, 0);
    for _ in 0..60 * 4 {
        world.step();
        let first = at(OURS, world.here - STEP);
        let bytes = &world.ours[world.here - STEP..world.here];
        let own = world
            .buffer
            .hear(&mut world.follower, first, bytes, world.now);
        assert_eq!(own, None);
    }
    assert!(!world.is_proven() && world.news.is_empty());
}

#[test]
fn a_peer_that_counts_otherwise_under_the_same_name_is_dropped() {
    let mut world = World::same(Station::Live, 12, 400, 0);
    world.steps(60);
    assert!(world.is_proven());
    let known = world.heard - 5;
    world.shift += 7;
    world.steps(10);
    // Until that is seen, what was compared is what it was; what came since, nobody knows.
    assert_eq!(world.find(known - 7), Some(Named::Own(at(OURS, known))));
    assert_eq!(world.find(known + 1_000), None);
    world.steps(60);
    assert!(!world.is_proven());
    let last = world.news.last();
    assert!(matches!(last, Some(News::Refuted { .. })), "{last:?}");
    world.steps(60);
    assert!(!world.is_proven());
}
