//! A mount and its journal: what is recorded, and how it comes back.

use icecast_ext_core::address::Position;
use icecast_ext_core::buffer::{Buffer, RunStart, Writing};

use crate::journal::record::{Record, Snapshot};
use crate::journal::{Journal, Loaded};
use crate::mount::{Mount, lock};

impl Mount {
    /// Fills the mount, which holds nothing yet, with what it left in the journal, and records what follows. The edge that comes
    /// back is a claim: a pull must prove the overlap before it appends, or begin a new epoch.
    pub fn attach(&self, journal: &Journal) -> Loaded {
        let mut writing = lock(&self.writing);
        let handle = journal.load(self.id(), self.name(), |record, forget| {
            let mut buffer = self.write();
            if forget {
                let config = self.config();
                *buffer = Buffer::new(config.burst, config.tick);
            }
            let follows = restore(&mut buffer, record);
            let mut gone = Vec::new();
            buffer.evict(self.window_ms(), self.config().cap, &mut gone);
            (follows || forget).then(|| buffer.ring.next())
        });
        *lock(&self.journal) = Some(handle);
        self.write().timeline.recalled();
        let buffer = self.read();
        let mut loaded = Loaded {
            bytes: buffer.ring.held(),
            edge: None,
        };
        if let Some(resumed) = Writing::resume(&buffer) {
            loaded.edge = Some(resumed.next());
            *writing = Some(resumed);
        }
        drop(buffer);
        // The first segment of this process.
        self.record(|| Record::End);
        loaded
    }

    /// Records in `journal` from now on. What the journal holds of this mount is what the mount holds: the process before has
    /// written it, and writes no more.
    pub fn record_in(&self, journal: &Journal) {
        let _order = lock(&self.writing);
        let handle = journal.take_up(self.id(), self.name(), self.read().ring.next());
        *lock(&self.journal) = Some(handle);
        self.record(|| Record::End);
    }

    /// From now on nothing is recorded, after what is whole now; or, after that, everything again.
    pub fn pause_journal(&self, paused: bool) {
        if paused {
            self.flush();
        }
        let _order = lock(&self.writing);
        if let Some(journal) = &mut *lock(&self.journal) {
            journal.pause(paused);
        }
        if !paused {
            self.record(|| Record::End);
        }
    }

    /// Records what has just been applied. The caller holds the writer's lock.
    pub(crate) fn record(&self, record: impl FnOnce() -> Record) {
        if let Some(journal) = &mut *lock(&self.journal) {
            let buffer = self.read();
            let counts = (buffer.ring.next(), buffer.ring.floor());
            journal.put(record, || snapshot(&buffer), counts, self.config().window);
        }
    }
}

/// True if the record follows what is there.
fn restore(buffer: &mut Buffer, record: Record) -> bool {
    let (edge, ended) = match buffer.timeline.runs().next_back() {
        Some(run) => (Some(Position::new(run.epoch, run.window.next)), run.ended),
        None => (None, true),
    };
    match record {
        Record::Snapshot(snapshot) => match edge {
            Some(edge) => edge == Position::new(snapshot.run.epoch, snapshot.run.first),
            None => {
                resume(buffer, *snapshot);
                true
            }
        },
        Record::Begin(run) => {
            buffer.begin(&run);
            true
        }
        Record::Batch(batch) => {
            let follows = !ended && edge.is_some_and(|edge| edge.offset == batch.at);
            if follows {
                buffer.grow(&batch, batch.ms);
            }
            follows
        }
        Record::SpliceTo(to, seamless) => {
            buffer.timeline.splice_to(to, seamless);
            true
        }
        Record::End => {
            buffer.timeline.end();
            true
        }
    }
}

/// An empty buffer takes up a run where the snapshot has it. What is in force there may have begun earlier.
fn resume(buffer: &mut Buffer, snapshot: Snapshot) {
    buffer.begin(&snapshot.run);
    let timeline = &mut buffer.timeline;
    if let Some((at, bytes)) = snapshot.prelude {
        timeline.prelude(at, bytes);
    }
    for (at, text) in snapshot.titles {
        timeline.title(at, text);
    }
    if let Some((at, ms)) = snapshot.time {
        timeline.time(at, ms);
    }
    if snapshot.ended {
        timeline.end();
    }
}

fn snapshot(buffer: &Buffer) -> Option<Record> {
    let run = buffer.timeline.runs().next_back()?;
    Some(Record::Snapshot(Box::new(Snapshot {
        run: RunStart {
            epoch: run.epoch,
            first: run.window.next,
            declared: false,
            format: run.format,
            fields: run.fields.clone(),
            prelude: None,
        },
        prelude: run.preludes.back().cloned(),
        titles: run
            .titles
            .iter()
            .map(|title| (title.at, title.text.clone()))
            .collect(),
        time: run.times.back().copied(),
        ended: run.ended,
    })))
}
