//! A relay feed as a mount plans it is one that a relay reads, and says what the mount knows.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::codec::Format;
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_core::plan::{Cursor, Step};
use icecast_ext_core::timeline::{Begin, Timeline};
use proptest::prelude::*;

#[derive(Clone, Debug)]
enum Happens {
    Bytes(u64),
    Title(u8),
    Prelude(u8),
    Time,
    Sync,
    Epoch {
        first: u64,
        declared: bool,
    },
    Gap(u64),
    Tick,
    /// The feed is sent as far as it goes, in parts of this size.
    Send(u64),
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (1..100_000u64).prop_map(Happens::Bytes),
        2 => any::<u8>().prop_map(Happens::Title),
        1 => any::<u8>().prop_map(Happens::Prelude),
        3 => Just(Happens::Time),
        2 => Just(Happens::Sync),
        1 => (0..100u64, any::<bool>()).prop_map(|(first, declared)| Happens::Epoch { first, declared }),
        1 => (1..100u64).prop_map(Happens::Gap),
        1 => Just(Happens::Tick),
        4 => (1..70_000u64).prop_map(Happens::Send),
    ]
}

struct Mount {
    timeline: Timeline,
    edge: Position,
    epochs: u8,
    ms: u64,
}

impl Mount {
    fn begin(&mut self, epoch: Epoch, first: Offset, declared: bool) {
        // A run that never got a byte vanishes, and ends a feed of it.
        if self
            .timeline
            .runs()
            .last()
            .is_some_and(|run| run.window.is_empty())
        {
            self.timeline.grow(1);
        }
        self.edge = Position::new(epoch, first);
        self.timeline.begin(Begin {
            epoch,
            first,
            declared,
            format: Format::Mpeg,
            tick_ms: 250,
            fields: Bytes::from_static(b"Content-Type: audio/mpeg\r\n"),
        });
    }

    fn happen(&mut self, what: &Happens) {
        let at = self.edge.offset;
        match *what {
            Happens::Bytes(bytes) => {
                self.timeline.grow(bytes);
                self.edge.offset = at.checked_add(bytes).unwrap();
            }
            Happens::Title(n) => self.timeline.title(at, vec![n; 3].into()),
            Happens::Prelude(n) => self
                .timeline
                .prelude(at, vec![n; usize::from(n % 4)].into()),
            Happens::Time => {
                self.ms += 250;
                self.timeline.time(at, self.ms);
            }
            Happens::Sync => self.timeline.sync(at),
            Happens::Epoch { first, declared } => {
                self.epochs += 1;
                self.begin(
                    Epoch::from_bytes([self.epochs; 16]),
                    Offset::new(first).unwrap(),
                    declared,
                );
            }
            Happens::Gap(bytes) => {
                self.begin(self.edge.epoch, at.checked_add(bytes).unwrap(), false)
            }
            Happens::Tick | Happens::Send(_) => {}
        }
    }
}

/// What a relay has read.
#[derive(Default)]
struct Relay {
    decoder: Decoder,
    frames: Vec<Frame>,
}

impl Relay {
    fn read(&mut self, bytes: Bytes) {
        self.decoder.feed(bytes, &mut self.frames).unwrap();
    }
}

proptest! {
    #[test]
    fn what_a_mount_sends_a_relay_reads(story in prop::collection::vec(happens(), 1..60)) {
        let epoch = Epoch::from_bytes([0; 16]);
        let mut mount = Mount { timeline: Timeline::new(65_536), edge: Position::new(epoch, Offset::ZERO), epochs: 0, ms: 0 };
        mount.begin(epoch, Offset::ZERO, true);
        let mut relay = Relay::default();
        let mut cursor = Cursor::feed(mount.edge);
        let mut tick = 1;
        for what in story.iter().chain([&Happens::Send(1000)]) {
            mount.happen(what);
            match what {
                Happens::Tick => tick += 1,
                Happens::Send(most) => loop {
                    let (step, after) = cursor.step(&mount.timeline, *most, tick);
                    cursor = after;
                    match step {
                        Step::Audio(bytes) => relay.read(vec![0xaa; usize::try_from(bytes).unwrap()].into()),
                        Step::Overhead(bytes) => relay.read(bytes),
                        Step::Wait => break,
                        Step::End(end) => return Err(TestCaseError::fail(format!("{end:?}"))),
                    }
                },
                _ => {}
            }
        }
        let mut at = None;
        let mut titles = Vec::new();
        for frame in &relay.frames {
            match frame {
                Frame::Format { epoch, offset, .. } => at = Some(Position::new(*epoch, *offset)),
                Frame::Data { offset, bytes } => {
                    let at = at.as_mut().unwrap();
                    at.offset = offset.checked_add(bytes.len() as u64).unwrap();
                }
                Frame::Title { at: from, text } => titles.push((at.unwrap().epoch, *from, text.clone())),
                _ => {}
            }
        }
        prop_assert_eq!(at, Some(cursor.at()));
        let here = cursor.run().unwrap();
        let mut known = Vec::new();
        for run in mount.timeline.runs() {
            let end = if run.id == here { cursor.at().offset } else { run.window.next };
            let of_run = run.titles.iter().filter(|title| title.at <= end);
            known.extend(of_run.map(|title| (run.epoch, title.at, title.text.clone())));
            if run.id == here {
                break;
            }
        }
        prop_assert_eq!(titles, known);
    }
}
