//! A relay's mount, by the steps that the delivery crate takes under its locks.

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::buffer::{Adopts, Buffer, Event, RunStart, Writing};
use std::time::Duration;

/// How often it is published.
pub(crate) const TICK: u64 = 250;
/// Bytes before the edge at which a join starts.
const BURST: u64 = 16_000;
/// What is held, ms.
const HELD: u64 = 60_000;

/// What a relay holds.
#[derive(Debug)]
pub(crate) struct Mount {
    pub(crate) buffer: Buffer,
    writing: Option<Writing>,
    /// By the relay's clock, as of the step that is taken.
    pub(crate) now: u64,
}

impl Mount {
    pub(crate) fn new() -> Self {
        Self {
            buffer: Buffer::new(BURST, Duration::from_millis(TICK)),
            writing: None,
            now: 0,
        }
    }

    /// After a crash: what was published is in the journal, and what was not is gone.
    pub(crate) fn recall(&mut self) {
        self.writing = Writing::resume(&self.buffer);
    }

    pub(crate) fn publish(&mut self) {
        if let Some(batch) = self
            .writing
            .as_mut()
            .and_then(|writing| writing.take(false))
        {
            self.buffer.grow(&batch, self.now);
            self.buffer.evict(HELD, u64::MAX, &mut Vec::new());
        }
    }

    pub(crate) fn edge(&self) -> Option<Position> {
        self.writing.as_ref().map(Writing::next)
    }

    /// Bytes that came just now, of a run that a minter has begun.
    pub(crate) fn append_now(&mut self, bytes: &[u8]) {
        let now = self.now;
        if let Some(writing) = &mut self.writing {
            writing.append(bytes, Some(now));
        }
    }

    /// Published and not published.
    pub(crate) fn tail(&self, max: u64) -> Vec<u8> {
        let mut tail = self.buffer.tail(max);
        if let Some(writing) = &self.writing {
            tail.extend_from_slice(writing.bytes());
        }
        tail
    }

    fn event(&mut self, event: Event) {
        if let Some(writing) = &mut self.writing {
            writing.event(event);
        }
    }
}

impl Adopts for Mount {
    fn received(&self) -> Option<Position> {
        let published = || {
            let run = self.buffer.timeline.runs().next_back()?;
            Some(Position::new(run.epoch, run.window.next))
        };
        self.edge().or_else(published)
    }

    fn begin(&mut self, run: RunStart) {
        self.publish();
        self.buffer.begin(&run);
        let ms = self.writing.as_ref().map_or(0, Writing::ms);
        self.writing = Some(Writing::begin(&run, ms));
    }

    fn append(&mut self, bytes: &[u8]) {
        if let Some(writing) = &mut self.writing {
            writing.append(bytes, None);
        }
    }

    fn title(&mut self, at: Offset, text: Bytes) {
        self.event(Event::Title(at, text));
    }

    fn time(&mut self, at: Offset, ms: u64) {
        self.event(Event::Time(at, ms));
    }

    fn prelude(&mut self, at: Offset, bytes: Bytes) {
        self.event(Event::Prelude(at, bytes));
    }

    fn splice_to(&mut self, to: Position, seamless: bool) {
        self.buffer.timeline.splice_to(to, seamless);
    }

    fn end(&mut self) {
        self.publish();
        if self.writing.take().is_some() {
            self.buffer.timeline.end();
        }
    }
}
