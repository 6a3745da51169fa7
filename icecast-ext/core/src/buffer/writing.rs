//! The writer's side of a mount: bytes that are not published yet, and what the codec tracker saw in them.

use std::collections::VecDeque;

use bytes::Bytes;

use crate::address::{Epoch, Offset, Position};
use crate::codec::{Format, Mark, Tracker};

use super::{Buffer, RunStart};

/// Titles that wait for their bytes.
const MAX_WAITING: usize = 64;

/// Something with a place among the bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// A late joiner may start here.
    Sync(Offset),
    /// The prelude from here on.
    Prelude(Offset, Bytes),
    /// The title from here on.
    Title(Offset, Bytes),
    /// This byte arrived at this time, ms.
    Time(Offset, u64),
}

impl Event {
    /// Where.
    #[must_use]
    pub const fn at(&self) -> Offset {
        match self {
            Self::Sync(at) | Self::Prelude(at, _) | Self::Title(at, _) | Self::Time(at, _) => *at,
        }
    }
}

/// Whole units that are published at once, with the events from their first byte to before their end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Batch {
    /// Of the first byte.
    pub at: Offset,
    /// Not empty.
    pub bytes: Bytes,
    /// When the first byte arrived, or the last that is known before it.
    pub ms: u64,
    /// In order of offsets.
    pub events: Vec<Event>,
}

/// What a writer has and has not published.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pending {
    /// Received and not published.
    pub bytes: Bytes,
    /// What stands in them, or after them.
    pub events: Vec<Event>,
    /// When appends came, by the offset of each one's first byte.
    pub arrivals: Vec<(Offset, u64)>,
    /// The last time known.
    pub ms: u64,
    /// Something of the run has been published.
    pub begun: bool,
}

/// A codec tracker that must be told again where it stands is shown at least so much: a few frames of any size.
const RETOLD: u64 = 32 << 10;
/// And no more than this.
const MAX_RETOLD: u64 = 16 << 20;

/// The current run's unpublished bytes.
#[derive(Debug)]
pub struct Writing {
    epoch: Epoch,
    format: Format,
    tracker: Tracker,
    /// The published edge: the offset of `bytes[0]`.
    edge: Offset,
    bytes: Vec<u8>,
    events: VecDeque<Event>,
    marks: Vec<Mark>,
    /// When appends came, by the offset of each one's first byte; the first of them is that of `bytes[0]`.
    arrivals: VecDeque<(Offset, u64)>,
    ms: u64,
    begun: bool,
}

impl Writing {
    /// A run begins. `ms`: the last time known.
    #[must_use]
    pub fn begin(run: &RunStart, ms: u64) -> Self {
        Self::new(run.epoch, run.format, run.first, run.prelude.clone(), ms)
    }

    /// A run that goes on at `edge`. `prelude`: what is in force there.
    fn new(epoch: Epoch, format: Format, edge: Offset, prelude: Option<Bytes>, ms: u64) -> Self {
        Self {
            epoch,
            format,
            tracker: Tracker::new(format, edge, prelude),
            edge,
            bytes: Vec::new(),
            events: VecDeque::new(),
            marks: Vec::new(),
            arrivals: VecDeque::new(),
            ms,
            begun: false,
        }
    }

    /// The current run's, as the buffer has it; `None` if that has ended. The codec tracker is shown what is held from a
    /// place on where one may begin, so that it stands where it would, had it seen everything.
    #[must_use]
    pub fn resume(buffer: &Buffer) -> Option<Self> {
        let run = buffer.timeline.runs().next_back()?;
        if run.ended {
            return None;
        }
        let edge = run.window.next;
        let early = edge.saturating_sub(RETOLD);
        let begun = run.syncs.iter().rev().copied().find(|at| *at <= early);
        let first = || match run.window.first == run.start {
            true => Some(run.start),
            false => run.syncs.front().copied(),
        };
        let from = begun
            .or_else(first)
            .filter(|at| edge.since(*at).is_some_and(|len| len <= MAX_RETOLD));
        let from = from.unwrap_or(edge);
        let len = edge.since(from).unwrap_or(0);
        let ms = run.times.back().map_or(0, |(_, ms)| *ms);
        let prelude = run.prelude_at(from);
        let mut writing = Self::new(run.epoch, run.format, from, Some(prelude), ms);
        let mut pieces = Vec::new();
        buffer
            .ring
            .collect(run.id, from, len, usize::MAX, &mut pieces);
        for bytes in pieces {
            writing.tracker.feed(&bytes, &mut writing.marks);
        }
        // All of them are known.
        writing.marks.clear();
        writing.edge = edge;
        writing.begun = edge != run.start;
        Some(writing)
    }

    /// What is not published yet, for another process.
    #[must_use]
    pub fn pending(&self) -> Pending {
        Pending {
            bytes: Bytes::copy_from_slice(&self.bytes),
            events: self.events.iter().cloned().collect(),
            arrivals: self.arrivals.iter().copied().collect(),
            ms: self.ms,
            begun: self.begun,
        }
    }

    /// Goes on with what another process had not published yet.
    pub fn take_up(&mut self, pending: Pending) {
        self.tracker.feed(&pending.bytes, &mut self.marks);
        self.marks.clear();
        self.bytes = pending.bytes.into();
        self.events = pending.events.into();
        self.arrivals = pending.arrivals.into();
        self.ms = pending.ms;
        self.begun = pending.begun;
    }

    /// The byte that comes next, published or not.
    #[must_use]
    pub fn next(&self) -> Position {
        Position::new(
            self.epoch,
            self.edge.saturating_add(self.bytes.len() as u64),
        )
    }

    /// The last time known, ms.
    #[must_use]
    pub const fn ms(&self) -> u64 {
        self.ms
    }

    /// Unpublished bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Something of the run has been published.
    #[must_use]
    pub const fn begun(&self) -> bool {
        self.begun
    }

    /// Bytes that follow. `ms`: when they arrived, if that is the clock of this run. `Some`: how many broken Ogg pages there have
    /// been so far, if that is worth a line in a log: at first, and then ever less often.
    pub fn append(&mut self, bytes: &[u8], ms: Option<u64>) -> Option<u64> {
        if let Some(ms) = ms {
            self.arrivals.push_back((self.next().offset, ms));
        }
        self.bytes.extend_from_slice(bytes);
        let before = self.tracker.damaged();
        self.tracker.feed(bytes, &mut self.marks);
        let damaged = self.tracker.damaged();
        for mark in self.marks.drain(..) {
            self.events.push_back(match mark {
                Mark::Sync(at) => Event::Sync(at),
                Mark::Prelude(at, bytes) => Event::Prelude(at, bytes),
            });
        }
        let first = before == 0 && damaged > 0;
        (first || damaged.max(1).ilog2() > before.max(1).ilog2()).then_some(damaged)
    }

    /// An event of the source or the parent. One below the published edge is the timeline's to judge, since a relay is told again
    /// what it knows when it resumes, and so are two titles for one byte (R-TITLE-2). Of 64 titles that wait for their bytes
    /// the oldest is forgotten if another comes.
    pub fn event(&mut self, event: Event) {
        if matches!(event, Event::Title(..)) {
            let is_title = |event: &Event| matches!(event, Event::Title(..));
            if self.events.iter().filter(|event| is_title(event)).count() >= MAX_WAITING {
                let oldest = self.events.iter().position(is_title);
                oldest.and_then(|oldest| self.events.remove(oldest));
            }
        }
        self.events.push_back(event);
    }

    /// Takes what is whole, or of frames all (`cut`); `None` if nothing is.
    pub fn take(&mut self, cut: bool) -> Option<Batch> {
        let len = match self.format {
            Format::Mpeg | Format::Adts if cut => self.bytes.len(),
            _ => {
                let whole = self.tracker.whole().since(self.edge)?;
                usize::try_from(whole).ok()?.min(self.bytes.len())
            }
        };
        if len == 0 {
            return None;
        }
        let (at, end) = (self.edge, self.edge.saturating_add(len as u64));
        let bytes = Bytes::copy_from_slice(&self.bytes[..len]);
        self.bytes.drain(..len);
        let mut events: Vec<Event> = Vec::new();
        self.events.retain(|event| {
            let taken = event.at() < end;
            if taken {
                events.push(event.clone());
            }
            !taken
        });
        while self.arrivals.get(1).is_some_and(|(from, _)| *from <= at) {
            self.arrivals.pop_front();
        }
        let first = self.arrivals.front().map(|(_, ms)| *ms);
        events.extend(first.map(|ms| Event::Time(at, ms)));
        // The edge is as old as what came last, however long something was kept that was not whole.
        let known = self.arrivals.partition_point(|(from, _)| *from < end);
        let last = known
            .checked_sub(1)
            .and_then(|last| self.arrivals.get(last));
        let last = last.filter(|(from, ms)| *from > at && Some(*ms) != first);
        events.extend(last.map(|(from, ms)| Event::Time(*from, *ms)));
        events.sort_by_key(Event::at);
        let mut ms = self.ms;
        for event in &events {
            if let Event::Time(from, time) = event {
                self.ms = *time;
                if *from <= at {
                    ms = *time;
                }
            }
        }
        self.edge = end;
        self.begun = true;
        Some(Batch {
            at,
            bytes,
            ms,
            events,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn offset(n: u64) -> Offset {
        Offset::new(n).unwrap()
    }

    fn writing() -> Writing {
        Writing::new(
            Epoch::from_bytes([1; 16]),
            Format::Opaque,
            offset(100),
            None,
            5,
        )
    }

    #[test]
    fn a_batch_is_timed_by_the_append_of_its_first_byte() {
        let mut w = writing();
        w.append(b"abc", Some(10));
        w.append(b"def", Some(20));
        let batch = w.take(false).unwrap();
        assert_eq!(
            (batch.at, batch.ms, &batch.bytes[..]),
            (offset(100), 10, &b"abcdef"[..])
        );
        let last = Event::Time(offset(103), 20);
        assert_eq!(batch.events, [Event::Time(offset(100), 10), last]);
        assert_eq!(w.take(false), None);
        w.append(b"g", Some(30));
        assert_eq!(
            w.take(false).unwrap().events,
            [Event::Time(offset(106), 30)]
        );
    }

    #[test]
    fn a_feeds_times_stand_where_the_parent_put_them() {
        let mut w = writing();
        w.append(b"abc", None);
        w.event(Event::Time(offset(103), 40));
        w.append(b"def", None);
        let batch = w.take(false).unwrap();
        assert_eq!(
            (batch.ms, batch.events),
            (5, vec![Event::Time(offset(103), 40)])
        );
        w.append(b"g", None);
        assert_eq!(w.take(false).unwrap().ms, 40);
    }

    #[test]
    fn titles_wait_for_their_first_byte_and_the_later_of_two_moves_up() {
        let mut w = writing();
        let mut buffer = Buffer::new(0, Duration::from_millis(250));
        buffer.begin(&RunStart {
            epoch: Epoch::from_bytes([1; 16]),
            first: offset(100),
            declared: false,
            format: Format::Opaque,
            fields: Bytes::new(),
            prelude: None,
        });
        w.append(b"abc", None);
        for text in ["one", "two", "two", "three"] {
            w.event(Event::Title(offset(103), text.into()));
        }
        w.event(Event::Title(offset(7), "late".into()));
        let first = w.take(false).unwrap();
        assert_eq!(first.events, [Event::Title(offset(7), "late".into())]);
        buffer.grow(&first, 0);
        assert_eq!(w.take(false), None);
        w.append(b"d", None);
        buffer.grow(&w.take(false).unwrap(), 0);
        let run = buffer.timeline.runs().next_back().unwrap();
        let placed: Vec<_> = run
            .titles
            .iter()
            .map(|title| (title.at.get(), &title.text[..]))
            .collect();
        let expected: [(u64, &[u8]); 4] =
            [(7, b"late"), (103, b"one"), (104, b"two"), (105, b"three")];
        assert_eq!(placed, expected);
    }

    #[test]
    fn titles_without_bytes_are_bounded() {
        let mut w = writing();
        for n in 0..1000 {
            w.event(Event::Title(offset(100), format!("{n}").into()));
        }
        w.append(b"a", None);
        let events = w.take(false).unwrap().events;
        assert_eq!(events.len(), MAX_WAITING);
        assert_eq!(
            events.last(),
            Some(&Event::Title(offset(100), "999".into()))
        );
    }
}
