//! Short names for what the tests say often, and bytes that tell where they are from.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(unreachable_pub, reason = "a module of each test binary")]

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Miss, Resume};
use icecast_ext_core::plan::{Cursor, End, Step};
use icecast_ext_core::timeline::{Begin, RunId, Timeline};

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
    let byte = |at: u64| {
        let word = (at / 4).wrapping_mul(0x9e37_79b1) ^ u64::from(epoch.as_bytes()[0]) << 7;
        word.to_le_bytes()[usize::try_from(at % 4).unwrap()] ^ u8::try_from(at & 0x7f).unwrap()
    };
    (from..to).map(byte).collect()
}

/// A listener that keeps what it is sent.
pub struct Reader {
    pub cursor: Cursor,
    pub got: Vec<u8>,
    pub end: Option<End>,
    pub moves: Vec<RunId>,
}

impl Reader {
    pub fn new(cursor: Cursor) -> Self {
        Self {
            cursor,
            got: Vec::new(),
            end: None,
            moves: Vec::new(),
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
                    self.moves.extend(after.run());
                }
                Step::Wait => return,
                Step::End(end) => self.end = Some(end),
            }
        }
    }
}
