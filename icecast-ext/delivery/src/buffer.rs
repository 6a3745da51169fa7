//! What a mount's readers see, behind one lock: timeline and ring, and a listener's next turn of them.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::plan::{Cursor, End, Step};
use icecast_ext_core::timeline::{Begin, Timeline};

use crate::config::{MountConfig, RunStart};
use crate::ring::Ring;
use crate::turn::{Then, Turn};
use crate::writer::{Batch, Event};

fn tick_ms(tick: Duration) -> u32 {
    u32::try_from(tick.as_millis()).unwrap_or(u32::MAX)
}

/// The published part of a mount.
#[derive(Debug)]
pub(crate) struct Buffer {
    pub(crate) timeline: Timeline,
    pub(crate) ring: Ring,
    /// For FORMAT frames.
    tick_ms: u32,
    /// No more will come.
    pub(crate) closed: bool,
}

impl Buffer {
    pub(crate) fn new(config: &MountConfig) -> Self {
        Self {
            timeline: Timeline::new(config.burst),
            ring: Ring::default(),
            tick_ms: tick_ms(config.tick),
            closed: false,
        }
    }

    /// FORMAT frames say from now on that the mount publishes so often.
    pub(crate) fn set_tick(&mut self, tick: Duration) {
        self.tick_ms = tick_ms(tick);
        self.timeline.set_tick(self.tick_ms);
    }

    /// A run begins.
    pub(crate) fn begin(&mut self, run: &RunStart) {
        let id = self.timeline.begin(Begin {
            epoch: run.epoch,
            first: run.first,
            declared: run.declared,
            format: run.format,
            tick_ms: self.tick_ms,
            fields: run.fields.clone(),
        });
        self.ring.begin(id, run.first);
        if let Some(prelude) = run.prelude.clone().filter(|bytes| !bytes.is_empty()) {
            self.timeline.prelude(run.first, prelude);
        }
    }

    /// Bytes that follow, with what happened in them. Events stand before bytes: what was sent stays true.
    pub(crate) fn grow(&mut self, batch: &Batch) {
        for event in &batch.events {
            match event {
                Event::Sync(at) => self.timeline.sync(*at),
                Event::Prelude(at, bytes) => self.timeline.prelude(*at, bytes.clone()),
                Event::Title(at, text) => self.timeline.title(*at, text.clone()),
                Event::Time(at, ms) => self.timeline.time(*at, *ms),
            }
        }
        self.timeline.grow(batch.bytes.len() as u64);
        self.ring.push(batch.bytes.clone(), batch.ms);
    }

    /// Takes out what is older than `window` ms or over `cap` bytes, for the caller to drop after the lock.
    pub(crate) fn evict(&mut self, window: u64, cap: u64, gone: &mut Vec<Bytes>) {
        while let Some(bytes) = self.ring.evict(window, cap) {
            self.timeline.evict(bytes.len() as u64);
            gone.push(bytes);
        }
    }

    /// Adds to `turn` what a listener at `from` is sent next: up to about `limit` bytes, of which no more than that are
    /// canonical ones, and all of one run.
    pub(crate) fn plan(&self, from: Cursor, tick: u32, limit: usize, turn: &mut Turn) {
        let mut cursor = from;
        // A step that sends nothing moves on: each is taken once, however odd the timeline.
        for _ in 0..4 * crate::turn::MAX_PIECES {
            let left = limit.saturating_sub(turn.bytes());
            if left == 0 || turn.room() == 0 {
                break;
            }
            let (step, after) = cursor.step(&self.timeline, left as u64, tick);
            match step {
                Step::Audio(want) => {
                    let held = turn.bytes();
                    turn.audio(cursor, |pieces| {
                        let room = crate::turn::MAX_PIECES - pieces.len();
                        let got = after.run().map_or(0, |run| {
                            self.ring
                                .collect(run, cursor.at().offset, want, room, pieces)
                        });
                        (got, if got == want { after } else { cursor.sent(got) })
                    });
                    match turn.bytes() - held {
                        0 => {
                            tracing::error!(at = %cursor.at(), "the timeline holds a byte that the ring does not");
                            return turn.then(Then::End(End::Evicted), cursor);
                        }
                        got if (got as u64) < want => {
                            return turn.then(Then::More, cursor.sent(got as u64));
                        }
                        _ => {}
                    }
                }
                Step::Overhead(bytes) => {
                    turn.overhead(bytes, cursor, after);
                    if after.at() != cursor.at() {
                        // A splice. How far it is to a place is counted within a run.
                        return turn.then(Then::More, after);
                    }
                }
                Step::Wait => return turn.then(Then::Wait, after),
                Step::End(end) => return turn.then(Then::End(end), after),
            }
            cursor = after;
        }
        turn.then(Then::More, cursor);
    }

    /// The last `max` bytes of the current run, oldest first.
    pub(crate) fn tail(&self, max: u64) -> Vec<u8> {
        let Some(run) = self.timeline.runs().next_back() else {
            return Vec::new();
        };
        let len = run.window.len().min(max);
        let mut pieces = Vec::new();
        let from = run.window.next.saturating_sub(len);
        self.ring
            .collect(run.id, from, len, usize::MAX, &mut pieces);
        pieces.concat()
    }
}

#[cfg(test)]
mod tests {
    use icecast_ext_core::address::{Epoch, Offset, Position};
    use icecast_ext_core::codec::Format;
    use proptest::prelude::*;

    use super::*;
    use crate::mount::Mount;

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

    proptest! {
        /// The model keeps every byte of every run; the mount must say the same of those that it holds.
        #[test]
        fn a_mount_holds_what_was_appended_and_gives_back_any_part(ops in prop::collection::vec(op(), 1..80)) {
            let cap = 6000;
            let mount = Mount::new("/live", MountConfig { cap, window: Duration::from_secs(1 << 40), ..MountConfig::default() });
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
                        mount.begin(RunStart {
                            epoch: position(last as u8 + 1, 0).epoch,
                            first: Offset::ZERO,
                            declared: true,
                            format: Format::Opaque,
                            fields: Bytes::new(),
                            prelude: None,
                        });
                    }
                    Op::Append(len) => {
                        let bytes: Vec<u8> = (0..len).map(|_| { counter += 1; (counter.wrapping_mul(0x9e37_79b9) >> 24) as u8 }).collect();
                        runs[last - 1].0.extend_from_slice(&bytes);
                        mount.append(&bytes, Some(u64::from(counter)));
                    }
                    Op::Publish => {
                        mount.flush();
                        let (bytes, published) = &mut runs[last - 1];
                        *published = bytes.len();
                    }
                    Op::Read { back, len } => {
                        let (bytes, published) = &runs[last - 1];
                        prop_assert!(mount.tail(back) == bytes[bytes.len().saturating_sub(back)..] || bytes.len() > mount.held() as usize);
                        let from = published.saturating_sub(back);
                        let mut turn = Turn::default();
                        mount.plan(Cursor::plain(position(last as u8, from), true, true), len, &mut turn);
                        let got = turn.pieces().concat();
                        let held = mount.with(|timeline| timeline.runs().next_back().unwrap().window);
                        prop_assert_eq!(held.next.get() as usize, *published);
                        if (held.first.get() as usize) <= from {
                            prop_assert!(got == bytes[from..*published.min(&(from + len))], "{} bytes from {from}", got.len());
                        } else {
                            prop_assert!(got.is_empty());
                        }
                        let newest = mount.read().ring.newest();
                        prop_assert!(mount.held() <= cap.max(newest), "{} held", mount.held());
                        prop_assert_eq!(mount.held(), mount.with(Timeline::held));
                    }
                }
            }
        }
    }
}
