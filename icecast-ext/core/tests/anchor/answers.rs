//! What a mount answers to a request with evidence.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::anchor::{Collector, Evidence, Index, SKEW, Shown, Unproven};
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Miss, Proof, Resume};
use icecast_ext_core::resume::{Kind, Refusal, Start};
use icecast_ext_core::timeline::{Begin, Timeline};

use crate::station::Dice;

const RATE: usize = 16_000;
const SECOND: Duration = Duration::from_secs(1);

fn at(epoch: u8, offset: usize) -> Position {
    let offset = Offset::new(offset as u64).expect("an offset");
    Position::new(Epoch::from_bytes([epoch; 16]), offset)
}

/// A mount in epoch 2 that has got so many seconds of a stream, and clients in epoch 1 of other relays.
struct Mount {
    stream: Vec<u8>,
    timeline: Timeline,
    index: Index,
    seconds: usize,
}

impl Mount {
    fn new(seconds: usize) -> Self {
        let mut timeline = Timeline::new(65_536);
        timeline.begin(Begin {
            epoch: at(2, 0).epoch,
            first: Offset::ZERO,
            declared: false,
            format: Format::Opaque,
            tick_ms: 250,
            fields: Bytes::new(),
        });
        let mut mount = Self {
            stream: Dice::new(5).noise(300 * RATE),
            timeline,
            index: Index::new(0, SKEW),
            seconds: 0,
        };
        (0..seconds).for_each(|_| mount.second());
        mount
    }

    /// The next second comes.
    fn second(&mut self) {
        let from = self.seconds * RATE;
        let edge = self.timeline.edge().expect("a run").offset;
        self.timeline.time(edge, 1_000 * self.seconds as u64);
        self.timeline.grow(RATE as u64);
        let now = SECOND * self.seconds as u32;
        self.index.push(&self.stream[from..from + RATE], now);
        self.seconds += 1;
    }

    /// Of a client that heard up to the byte at `to`, which came to it `ago` before the edge came here.
    fn evidence(&self, to: usize, ago: Duration) -> Evidence {
        let mut client = Collector::default();
        for (second, bytes) in (0..).zip(self.stream[..to].chunks(RATE)) {
            client.feed(bytes, SECOND * second);
        }
        let age = Duration::ZERO;
        let evidence = client.evidence(age, age).expect("enough was heard");
        Evidence {
            age: ago,
            ..evidence
        }
    }

    fn asks(
        &self,
        asked: &Resume,
        evidence: &Evidence,
        since: usize,
    ) -> (Result<Start, Refusal>, Option<Proof>) {
        let at = SECOND * (self.seconds - 1 - since) as u32;
        let edge = (self.seconds * RATE) as u64;
        let held = |from: u64, len: u64| {
            let held = from + len <= edge;
            held.then(|| &self.stream[from as usize..(from + len) as usize])
                .into_iter()
        };
        self.timeline
            .start_by_content(asked, false, Shown { evidence, at }, &self.index, held)
    }
}

fn none(why: Unproven) -> Option<Proof> {
    Some(Proof::None { why: Some(why) })
}

#[test]
fn an_epoch_that_nobody_knows_here_goes_on_where_content_proves_it() {
    let mount = Mount::new(120);
    let to = 110 * RATE + 77;
    let evidence = mount.evidence(to, SECOND * 9);
    for from in [From::At(at(1, 5_000)), From::Live] {
        let (start, proof) = mount.asks(
            &Resume {
                from,
                ..Resume::LIVE
            },
            &evidence,
            0,
        );
        let start = start.expect("it is held");
        assert_eq!(
            (start.at, start.kind, proof),
            (at(2, to), Kind::Exact, Some(Proof::Anchor))
        );
        assert!(start.prelude.is_empty());
    }
}

#[test]
fn a_known_epoch_needs_no_evidence() {
    let mount = Mount::new(120);
    let evidence = mount.evidence(110 * RATE, SECOND * 9);
    let (start, proof) = mount.asks(&Resume::at(at(2, 5)), &evidence, 0);
    assert_eq!((start.map(|start| start.at), proof), (Ok(at(2, 5)), None));
    let shift = From::Shift(SECOND);
    let (_, proof) = mount.asks(
        &Resume {
            from: shift,
            ..Resume::LIVE
        },
        &evidence,
        0,
    );
    assert_eq!(proof, None);
}

#[test]
fn a_place_ahead_of_the_edge_is_waited_for_and_proven_anew() {
    let mut mount = Mount::new(120);
    let to = 122 * RATE + 5;
    let evidence = mount.evidence(to, Duration::ZERO);
    for since in 0..3 {
        let (start, proof) = mount.asks(&Resume::at(at(1, 7)), &evidence, since);
        let Err(Refusal::Soon { asked, next }) = start else {
            panic!("{start:?} after {since} s");
        };
        assert_eq!(
            (asked, next),
            (at(2, to).offset, at(2, (120 + since) * RATE).offset)
        );
        assert_eq!(proof, none(Unproven::Ahead));
        mount.second();
    }
    let (start, proof) = mount.asks(&Resume::at(at(1, 7)), &evidence, 3);
    assert_eq!(start.map(|start| start.at), Ok(at(2, to)));
    assert_eq!(proof, Some(Proof::Anchor));
    // Bytes that come otherwise than the client had them prove nothing.
    let mut other = Mount::new(120);
    other.stream[121 * RATE] ^= 1;
    (0..3).for_each(|_| other.second());
    let (start, proof) = other.asks(&Resume::at(at(1, 7)), &evidence, 3);
    assert!(matches!(
        start.map(|start| start.kind),
        Ok(Kind::Miss { lost: None })
    ));
    assert_eq!(proof, none(Unproven::Differs));
}

#[test]
fn what_is_not_proven_is_answered_as_without_evidence() {
    let mount = Mount::new(120);
    let evidence = mount.evidence(30 * RATE, SECOND * 9);
    for miss in [Miss::Oldest, Miss::Live, Miss::Fail] {
        let asked = Resume {
            miss,
            ..Resume::at(at(1, 7))
        };
        let (start, proof) = mount.asks(&asked, &evidence, 0);
        assert_eq!(start, mount.timeline.start(&asked));
        assert_eq!(proof, none(Unproven::Elsewhere));
    }
}

#[test]
fn a_place_that_is_too_far_behind_for_the_client_is_a_counted_loss_and_no_proof() {
    let mount = Mount::new(120);
    let to = 60 * RATE;
    let evidence = mount.evidence(to, SECOND * 59);
    let asked = Resume {
        max_lag: Some(SECOND * 20),
        ..Resume::at(at(1, 7))
    };
    let (start, proof) = mount.asks(&asked, &evidence, 0);
    let start = start.expect("a live join");
    let lost = start.at.offset.since(at(2, to).offset);
    assert_eq!(
        (start.kind, proof),
        (Kind::Miss { lost }, Some(Proof::None { why: None }))
    );
}
