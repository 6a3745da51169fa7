//! What a buffer holds is what was written, whatever is asked of it and in whatever order.

#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::buffer::{Buffer, RunStart, Turn, Writing};
use icecast_ext_core::codec::Format;
use icecast_ext_core::plan::Cursor;
use proptest::prelude::*;

const CAP: u64 = 6000;

#[derive(Clone, Debug)]
enum Op {
    Append(usize),
    Publish,
    Begin,
    Read { back: usize, len: usize },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1_usize..3000).prop_map(Op::Append),
        2 => Just(Op::Publish),
        1 => Just(Op::Begin),
        4 => (0_usize..12_000, 1_usize..9000).prop_map(|(back, len)| Op::Read { back, len }),
    ]
}

fn position(epoch: u8, offset: usize) -> Position {
    Position::new(
        Epoch::from_bytes([epoch; 16]),
        Offset::new(offset as u64).unwrap(),
    )
}

struct Mount {
    buffer: Buffer,
    writing: Option<Writing>,
    newest: u64,
}

impl Mount {
    fn publish(&mut self) {
        let Some(batch) = self.writing.as_mut().and_then(|w| w.take(false)) else {
            return;
        };
        self.newest = batch.bytes.len() as u64;
        self.buffer.grow(&batch, batch.ms);
        self.buffer.evict(1 << 40, CAP, &mut Vec::new());
    }

    fn begin(&mut self, epoch: u8) {
        self.publish();
        let run = RunStart {
            epoch: position(epoch, 0).epoch,
            first: Offset::ZERO,
            declared: true,
            format: Format::Opaque,
            fields: Bytes::new(),
            prelude: None,
        };
        self.buffer.begin(&run);
        self.writing = Some(Writing::begin(&run, 0));
    }
}

proptest! {
    /// The model keeps every byte of every run; the buffer must say the same of those that it holds.
    #[test]
    fn it_holds_what_was_appended_and_gives_back_any_part(ops in prop::collection::vec(op(), 1..80)) {
        let buffer = Buffer::new(0, Duration::from_millis(250));
        let mut mount = Mount { buffer, writing: None, newest: 0 };
        let mut runs: Vec<(Vec<u8>, usize)> = Vec::new();
        let mut counter = 0_u32;
        for op in [Op::Begin].into_iter().chain(ops) {
            let last = runs.len();
            match op {
                Op::Begin => {
                    if let Some((bytes, published)) = runs.last_mut() {
                        *published = bytes.len();
                    }
                    runs.push((Vec::new(), 0));
                    mount.begin(last as u8 + 1);
                }
                Op::Append(len) => {
                    let byte = |_| { counter += 1; (counter.wrapping_mul(0x9e37_79b9) >> 24) as u8 };
                    let bytes: Vec<u8> = (0..len).map(byte).collect();
                    runs[last - 1].0.extend_from_slice(&bytes);
                    mount.writing.as_mut().unwrap().append(&bytes, Some(u64::from(counter)));
                }
                Op::Publish => {
                    mount.publish();
                    let (bytes, published) = &mut runs[last - 1];
                    *published = bytes.len();
                }
                Op::Read { back, len } => {
                    let (bytes, published) = &runs[last - 1];
                    let held = mount.buffer.ring.held();
                    let tail = mount.buffer.tail(back as u64);
                    prop_assert!(bytes[..*published].ends_with(&tail));
                    prop_assert!(tail.len() == back.min(*published) || (tail.len() as u64) <= held);
                    let from = published.saturating_sub(back);
                    let mut turn = Turn::default();
                    let cursor = Cursor::plain(position(last as u8, from), true, true);
                    prop_assert_eq!(mount.buffer.plan(cursor, 0, len, &mut turn), Ok(()));
                    let got = turn.pieces().concat();
                    let window = mount.buffer.timeline.runs().next_back().unwrap().window;
                    prop_assert_eq!(window.next.get() as usize, *published);
                    if (window.first.get() as usize) <= from {
                        prop_assert!(got == bytes[from..*published.min(&(from + len))], "{} bytes from {from}", got.len());
                    } else {
                        prop_assert!(got.is_empty());
                    }
                    prop_assert!(held <= CAP.max(mount.newest), "{held} held");
                    prop_assert_eq!(held, mount.buffer.timeline.held());
                }
            }
        }
    }
}
