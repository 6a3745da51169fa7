//! What a mount's readers see, behind one lock: timeline and ring, and a listener's next turn of them.

use bytes::Bytes;
use icecast_ext_core::plan::{Cursor, End, Step};
use icecast_ext_core::timeline::{Begin, Timeline};

use crate::mount::{MountConfig, RunStart};
use crate::ring::Ring;
use crate::turn::{Then, Turn};
use crate::writer::{Batch, Event};

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
            tick_ms: u32::try_from(config.tick.as_millis()).unwrap_or(u32::MAX),
            closed: false,
        }
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

    /// Adds to `turn` what a listener at `from` is sent next, up to about `limit` bytes.
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
                Step::Overhead(bytes) => turn.overhead(bytes, cursor, after),
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
