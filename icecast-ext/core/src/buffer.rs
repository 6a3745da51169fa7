//! What a mount holds: timeline and bytes, what is not published yet, and a listener's next turn of it. No locks.
//!
//! One writes, many read. What comes is kept in a [`Writing`] until whole frames or pages are published as a [`Batch`] into
//! the [`Buffer`], from which a [`Turn`] is filled for each listener that stands at the same [`Cursor`].
//!
//! | room | idea |
//! |---|---|
//! | `writing` | bytes that are not published yet; the codec tracker |
//! | `ring` | immutable chunks, addressed by position |
//! | `turn` | what a listener is sent at once, and what is left of it when the socket takes less |
//! | `peers` | other names of the bytes |
//! | `adopt` | a parent's relay feed, written into a mount |

mod adopt;
mod peers;
mod ring;
mod turn;
mod writing;

use std::time::Duration;

use bytes::Bytes;

use crate::address::{Epoch, Offset, Position};
use crate::alias::Aliases;
use crate::anchor::{Evidence, Index, SKEW, Shown};
use crate::codec::Format;
use crate::field::{Proof, Resume};
use crate::plan::{Cursor, End, Step};
use crate::resume::{Refusal, Start};
use crate::timeline::{Begin, RunId, Timeline};

pub use adopt::{Across, Adopter, Adopts};
pub use ring::Ring;
pub use turn::{MAX_PIECES, Settled, Then, Turn};
pub use writing::{Batch, Event, Pending, Writing};

/// How a run begins.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RunStart {
    /// Its name.
    pub epoch: Epoch,
    /// Its first byte.
    pub first: Offset,
    /// The minter says that it follows the run before (R-SPLICE-1).
    pub declared: bool,
    /// Whose frames or pages are looked for.
    pub format: Format,
    /// `Content-Type` and `icy-*` lines, each ending in CRLF, as a FORMAT frame has them.
    pub fields: Bytes,
    /// What is in force at `first`, if the caller knows (a relay does).
    pub prelude: Option<Bytes>,
}

fn tick_ms(tick: Duration) -> u32 {
    u32::try_from(tick.as_millis()).unwrap_or(u32::MAX)
}

/// The published part of a mount.
#[derive(Debug)]
pub struct Buffer {
    /// Where everything stands.
    pub timeline: Timeline,
    /// The bytes.
    pub ring: Ring,
    /// The chunks of the last run …
    index: Index,
    /// … which is this.
    indexed: Option<RunId>,
    /// What peers call them.
    aliases: Aliases,
    /// For FORMAT frames.
    tick_ms: u32,
    /// No more will come.
    pub closed: bool,
}

impl Buffer {
    /// Holds nothing yet. `burst`: bytes before the edge at which a live join starts. `tick`: how often it is published.
    #[must_use]
    pub fn new(burst: u64, tick: Duration) -> Self {
        Self {
            timeline: Timeline::new(burst),
            ring: Ring::default(),
            index: Index::new(0, SKEW),
            indexed: None,
            aliases: Aliases::default(),
            tick_ms: tick_ms(tick),
            closed: false,
        }
    }

    /// FORMAT frames say from now on that the mount publishes so often.
    pub fn set_tick(&mut self, tick: Duration) {
        self.tick_ms = tick_ms(tick);
        self.timeline.set_tick(self.tick_ms);
    }

    /// A run begins.
    pub fn begin(&mut self, run: &RunStart) {
        let id = self.timeline.begin(Begin {
            epoch: run.epoch,
            first: run.first,
            declared: run.declared,
            format: run.format,
            tick_ms: self.tick_ms,
            fields: run.fields.clone(),
        });
        self.ring.begin(id, run.first);
        self.index_from(id, run.first);
        if let Some(prelude) = run.prelude.clone().filter(|bytes| !bytes.is_empty()) {
            self.timeline.prelude(run.first, prelude);
        }
    }

    /// Bytes that follow, with what happened in them. Events stand before bytes: what was sent stays true. `now`: when they
    /// arrived here, ms by the clock of [`Buffer::proven`].
    pub fn grow(&mut self, batch: &Batch, now: u64) {
        for event in &batch.events {
            match event {
                Event::Sync(at) => self.timeline.sync(*at),
                Event::Prelude(at, bytes) => self.timeline.prelude(*at, bytes.clone()),
                Event::Title(at, text) => self.timeline.title(*at, text.clone()),
                Event::Time(at, ms) => self.timeline.time(*at, *ms),
            }
        }
        self.timeline.grow(batch.bytes.len() as u64);
        self.index.push(&batch.bytes, Duration::from_millis(now));
        self.ring.push(batch.bytes.clone(), batch.ms);
    }

    /// The buffer of another process. `ring` holds the bytes of `timeline`.
    #[must_use]
    pub fn restore(timeline: Timeline, ring: Ring, tick: Duration, closed: bool) -> Self {
        let mut buffer = Self {
            timeline,
            ring: Ring::default(),
            index: Index::new(0, SKEW),
            indexed: None,
            aliases: Aliases::default(),
            tick_ms: tick_ms(tick),
            closed,
        };
        for (run, at, ms, bytes) in ring.stretches() {
            buffer.index_from(run, at);
            buffer.index.push(bytes, Duration::from_millis(ms));
        }
        buffer.ring = ring;
        buffer
    }

    /// A run begins at `first`, or the current one goes on. Who heard the end of the one before learns where this one begins.
    fn index_from(&mut self, run: RunId, first: Offset) {
        if self.indexed != Some(run) {
            self.index = Index::new(first.get(), SKEW);
            self.indexed = Some(run);
        }
    }

    /// Where an answer to a request with evidence starts, and what it says of that: [`Timeline::start_by_content`]. `at`: when
    /// the request came, ms by the clock of [`Buffer::grow`]; the same if it is decided anew.
    pub fn start_by_content(
        &self,
        asked: &Resume,
        feed: bool,
        evidence: &Evidence,
        at: u64,
    ) -> (Result<Start, Refusal>, Option<Proof>) {
        let at = Duration::from_millis(at);
        let held = |offset, len| {
            let offset = Offset::new(offset).into_iter();
            offset.flat_map(move |offset| self.ring.bytes(self.indexed, offset, len))
        };
        let shown = Shown { evidence, at };
        self.timeline
            .start_by_content(asked, feed, shown, &self.index, held)
    }

    /// Takes out what is older than `window` ms or over `cap` bytes, for the caller to drop after the lock.
    pub fn evict(&mut self, window: u64, cap: u64, gone: &mut Vec<Bytes>) {
        while let Some(bytes) = self.ring.evict(window, cap) {
            self.timeline.evict(bytes.len() as u64);
            gone.push(bytes);
        }
        if let Some(run) = self.indexed.and_then(|run| self.timeline.run(run)) {
            self.index.evict(run.window.first.get());
        }
        self.evict_aliases();
    }

    /// Adds to `turn` what a listener at `from` is sent next: up to about `limit` bytes, of which no more than that are
    /// canonical ones, and all of one run. `tick` counts the mount's ticks ([`Cursor::step`]).
    ///
    /// # Errors
    /// A byte that the timeline holds and the ring does not, which would be a bug of whoever filled them: the listener ends.
    pub fn plan(
        &self,
        from: Cursor,
        tick: u32,
        limit: usize,
        turn: &mut Turn,
    ) -> Result<(), Position> {
        let (then, cursor, missing) = self.fill(from, tick, limit, turn);
        turn.then(then, cursor);
        if missing { Err(cursor.at()) } else { Ok(()) }
    }

    /// What follows the turn, the cursor then, and whether the byte there is missing.
    fn fill(&self, from: Cursor, tick: u32, limit: usize, turn: &mut Turn) -> (Then, Cursor, bool) {
        let mut cursor = from;
        // A step that sends nothing moves on: each is taken once, however odd the timeline.
        for _ in 0..4 * MAX_PIECES {
            let left = limit.saturating_sub(turn.bytes());
            if left == 0 || turn.room() == 0 {
                break;
            }
            let (step, after) = cursor.step(&self.timeline, left as u64, tick);
            match step {
                Step::Audio(want) => {
                    let held = turn.bytes();
                    turn.audio(cursor, |pieces| {
                        let room = MAX_PIECES - pieces.len();
                        let got = after.run().map_or(0, |run| {
                            self.ring
                                .collect(run, cursor.at().offset, want, room, pieces)
                        });
                        (got, if got == want { after } else { cursor.sent(got) })
                    });
                    match turn.bytes() - held {
                        0 => {
                            return (Then::End(End::Evicted), cursor, true);
                        }
                        got if (got as u64) < want => {
                            return (Then::More, cursor.sent(got as u64), false);
                        }
                        _ => {}
                    }
                }
                Step::Overhead(bytes) => {
                    turn.overhead(bytes, cursor, after);
                    if after.at() != cursor.at() {
                        // A splice. How far it is to a place is counted within a run.
                        return (Then::More, after, false);
                    }
                }
                Step::Wait => return (Then::Wait, after, false),
                Step::End(end) => return (Then::End(end), after, false),
            }
            cursor = after;
        }
        (Then::More, cursor, false)
    }

    /// The last `max` bytes of the current run, oldest first.
    #[must_use]
    pub fn tail(&self, max: u64) -> Vec<u8> {
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
