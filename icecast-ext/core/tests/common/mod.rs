//! Short names for what the tests say often, and bytes that tell where they are from.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test may")]
#![allow(unreachable_pub, reason = "a module of each test binary")]

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Miss, Resume};
use icecast_ext_core::plan::{Cursor, End, Step};
use icecast_ext_core::timeline::{Begin, Timeline};
use proptest::prelude::*;

pub fn off(offset: u64) -> Offset {
    Offset::new(offset).unwrap()
}

pub fn epoch(name: u8) -> Epoch {
    Epoch::from_bytes([name; 16])
}

pub fn pos(name: u8, offset: u64) -> Position {
    Position::new(epoch(name), off(offset))
}

pub fn at(name: u8, offset: u64, miss: Miss) -> Resume {
    resume(From::At(pos(name, offset)), miss)
}

pub fn resume(from: From, miss: Miss) -> Resume {
    Resume {
        from,
        miss,
        max_lag: None,
        session: None,
    }
}

pub fn begin(name: u8, first: u64, declared: bool, format: Format) -> Begin {
    Begin {
        epoch: epoch(name),
        first: off(first),
        declared,
        format,
        tick_ms: 250,
        fields: Bytes::from(format!("icy-name: {name}\r\n")),
    }
}

/// The canonical bytes of an epoch: any four in a row occur once.
pub fn canonical(epoch: Epoch, from: u64, to: u64) -> Vec<u8> {
    let name = u64::from(epoch.as_bytes()[0]);
    let byte = |at: u64| {
        let word = (at / 4).wrapping_mul(0x9e37_79b1) ^ (name << 7);
        word.to_le_bytes()[usize::try_from(at % 4).unwrap()] ^ u8::try_from(at & 0x7f).unwrap()
    };
    (from..to).map(byte).collect()
}

/// What may happen to a mount.
#[derive(Clone, Debug)]
pub enum Event {
    Grow(u64),
    Title(u8),
    Prelude(u8),
    Time(u64),
    /// Another epoch.
    Epoch(bool),
    /// The same epoch, after a gap.
    Gap(u64),
    End,
    /// The readers read, in parts of this size.
    Read(u64),
}

pub fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        6 => (1..300_u64).prop_map(Event::Grow),
        3 => (0..6_u8).prop_map(Event::Title),
        1 => (0..9_u8).prop_map(Event::Prelude),
        2 => (0..500_u64).prop_map(Event::Time),
        1 => any::<bool>().prop_map(Event::Epoch),
        1 => (1..100_u64).prop_map(Event::Gap),
        1 => Just(Event::End),
        5 => (1..400_u64).prop_map(Event::Read),
    ]
}

/// A mount to which things happen.
pub struct World {
    pub timeline: Timeline,
    format: Format,
    epoch: u8,
    ms: u64,
}

impl World {
    pub fn new(format: Format) -> Self {
        let mut timeline = Timeline::new(65_536);
        timeline.begin(begin(1, 0, false, format));
        // A first run without a byte would vanish, and what began with it.
        grow(&mut timeline, 1);
        Self {
            timeline,
            format,
            epoch: 1,
            ms: 1_000_000,
        }
    }

    pub fn edge(&self) -> Position {
        self.timeline.edge().unwrap()
    }

    pub fn happen(&mut self, event: &Event) {
        let at = self.edge().offset;
        match *event {
            Event::Grow(bytes) => grow(&mut self.timeline, bytes),
            Event::Title(n) => self.timeline.title(at, title(n)),
            Event::Prelude(n) => {
                let bytes = vec![n; usize::from(n % 3)];
                self.timeline.prelude(at, bytes.into());
                // It is published with its byte.
                grow(&mut self.timeline, 1);
            }
            Event::Time(ms) => {
                self.ms += ms;
                self.timeline.time(at, self.ms);
            }
            Event::Epoch(declared) => {
                self.epoch += 1;
                let first = u64::from(self.epoch) * 5;
                let begin = begin(self.epoch, first, declared, self.format);
                self.timeline.begin(begin);
            }
            Event::Gap(bytes) => {
                let first = at.get() + bytes;
                let begin = begin(self.epoch, first, true, self.format);
                self.timeline.begin(begin);
            }
            Event::End => self.timeline.end(),
            Event::Read(_) => {}
        }
    }
}

pub fn title(n: u8) -> Bytes {
    Bytes::from(format!("StreamTitle='title {n}';"))
}

/// In every epoch of these tests a frame begins at each 64th byte.
pub fn grow(timeline: &mut Timeline, bytes: u64) {
    let first = timeline.edge().unwrap().offset.get();
    let syncs = (first..first + bytes).filter(|at| at % 64 == 0);
    syncs.for_each(|at| timeline.sync(off(at)));
    timeline.grow(bytes);
}

/// A listener that keeps what it is sent.
pub struct Reader {
    pub cursor: Cursor,
    pub got: Vec<u8>,
    pub end: Option<End>,
}

impl Reader {
    pub fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            got: Vec::new(),
            end: None,
        }
    }

    /// Reads until there is nothing more. `part` says how much of so many audio bytes is sent at once.
    pub fn read(&mut self, timeline: &Timeline, tick: u32, mut part: impl FnMut(u64) -> u64) {
        while self.end.is_none() {
            let (step, after) = self.cursor.step(timeline, 1 << 20, tick);
            match step {
                Step::Audio(len) => {
                    let sent = part(len).clamp(1, len);
                    let from = self.cursor.at();
                    let run = timeline.run(after.run().unwrap()).unwrap();
                    assert_eq!(run.epoch, from.epoch);
                    assert!(run.window.first <= from.offset);
                    assert!(from.offset.get() + len <= run.window.next.get());
                    let first = from.offset.get();
                    self.got.extend(canonical(from.epoch, first, first + sent));
                    let whole = self.cursor.sent(len);
                    assert_eq!(whole.at(), after.at());
                    self.cursor = self.cursor.sent(sent);
                }
                Step::Overhead(bytes) => {
                    self.got.extend(&bytes);
                    self.cursor = after;
                }
                Step::Wait => return,
                Step::End(end) => self.end = Some(end),
            }
        }
    }
}
