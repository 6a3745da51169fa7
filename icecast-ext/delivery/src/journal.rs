//! The buffer on disk, so that an epoch survives a crash.
//!
//! `DIR/lock` is held by one process. Each mount has a directory of segments; each tick's batch is one record, appended by a thread
//! of its own. Nothing is ever changed in place: a crash leaves at most a torn tail, which loading cuts off. A segment begins
//! with a snapshot of what is in force, so that those before it can be deleted once their bytes have left the window. A
//! journal that cannot be written (a full disk, a directory that is read-only or has gone) is said so once a minute and tried again; the
//! mount goes on without it.

mod attach;
mod disk;
mod lock;
mod name;
pub(crate) mod record;
pub(crate) mod segment;
pub(crate) mod wire;

use std::collections::VecDeque;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use icecast_ext_core::address::Position;

use crate::journal::disk::{Job, Trouble};
use crate::journal::lock::Place;
use crate::journal::record::Record;
use crate::journal::segment::Segments;
use crate::mount::lock;

/// A segment is not longer (but for its last record).
const SEGMENT: u64 = 8 << 20;
/// A mount whose journal failed tries again after this.
const RETRY: Duration = Duration::from_secs(5);

/// A state directory, locked if it can be used, and the thread that writes to it.
#[derive(Debug)]
pub struct Journal {
    place: Arc<Place>,
    jobs: SyncSender<Job>,
    trouble: Arc<Trouble>,
    thread: Option<JoinHandle<()>>,
}

/// What [`crate::Mount::attach`] found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Loaded {
    /// Bytes held now.
    pub bytes: u64,
    /// The edge: what a pull must prove to continue. `None` if nothing was found or the last run had ended.
    pub edge: Option<Position>,
}

impl Journal {
    /// The mounts that have written something here within `keep`, in no order. What cannot be read is left out; what is older is
    /// deleted.
    #[must_use]
    pub fn mounts(&self, keep: Duration) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.place.dir.join("mounts")) else {
            return Vec::new();
        };
        let recent = |dir: PathBuf| {
            let (_, newest) = segment::list(&dir).ok()?.pop()?;
            let age = fs::metadata(&newest).ok()?.modified().ok()?.elapsed();
            // A clock that has gone back makes nothing old.
            if age.is_ok_and(|age| age > keep) {
                tracing::info!(dir = %dir.display(), "the journal of a mount that is long gone is deleted");
                segment::remove_all(&dir);
                return None;
            }
            segment::mount_of(&newest)
        };
        entries
            .filter_map(|entry| recent(entry.ok()?.path()))
            .collect()
    }

    /// Records that could not be written, since the start.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.trouble.count.load(Ordering::Relaxed)
    }

    /// A record could not be written lately: after a crash, mounts would begin anew.
    #[must_use]
    pub fn degraded(&self) -> bool {
        let last = lock(&self.trouble.last);
        last.is_some_and(|at| at.elapsed() < 2 * RETRY)
    }

    /// Returns once everything that was published before is with the kernel.
    pub fn sync(&self) {
        let (done, wait) = channel();
        if self.jobs.send(Job::Sync(done)).is_ok() {
            // An error means that the thread is gone, and nothing more is written.
            let _ = wait.recv();
        }
    }

    /// Reads what a mount left behind, newest contiguous part last: `restore` is called with each record, and says how many bytes
    /// the mount has counted, or `None` if the record does not follow and what came before must be forgotten (it is then called
    /// with the same record once more). Never fails: what cannot be read is set aside.
    pub(crate) fn load(
        &self,
        id: u64,
        mount: &str,
        mut restore: impl FnMut(Record, bool) -> Option<u64>,
    ) -> MountJournal {
        let dir = self.place.dir.join("mounts").join(name::directory(mount));
        let mut old: VecDeque<(PathBuf, u64)> = VecDeque::new();
        let mut number = 0;
        let found = if dir.is_dir() {
            segment::list(&dir)
        } else {
            Ok(Vec::new())
        };
        let found = found.unwrap_or_else(|error| {
            tracing::warn!(dir = %dir.display(), %error, "the journal cannot be read");
            Vec::new()
        });
        for (this, path) in found {
            number = this + 1;
            let mut end = 0;
            let mut forget = false;
            let read = segment::read(&path, mount, |record| {
                end = restore(record.clone(), false).unwrap_or_else(|| {
                    forget = true;
                    restore(record, true).unwrap_or(0)
                });
            });
            if forget {
                tracing::warn!(path = %path.display(), "the journal has a gap before this segment; what came before is forgotten");
                old.drain(..).for_each(|(path, _)| segment::remove(&path));
            }
            match read {
                Ok(()) => old.push_back((path, end)),
                Err(why) => segment::set_aside(&path, &why),
            }
        }
        self.writes(id, Segments::new(dir, mount.to_owned(), old, number))
    }

    /// Goes on where another process stopped; `end`: the mount's count of bytes so far.
    pub(crate) fn take_up(&self, id: u64, mount: &str, end: u64) -> MountJournal {
        let dir = self.place.dir.join("mounts").join(name::directory(mount));
        // What is not there yet is made with the first segment.
        let found = segment::list(&dir).unwrap_or_default();
        let number = found.last().map_or(0, |(last, _)| last + 1);
        let old = found.into_iter().map(|(_, path)| (path, end)).collect();
        self.writes(id, Segments::new(dir, mount.to_owned(), old, number))
    }

    fn writes(&self, id: u64, segments: Segments) -> MountJournal {
        let failed = Arc::new(AtomicBool::new(false));
        let job = Job::Open(id, Box::new(segments), Arc::clone(&failed));
        // The thread is gone only if it panicked; then nothing is written.
        let _ = self.jobs.send(job);
        MountJournal {
            id,
            jobs: self.jobs.clone(),
            trouble: Arc::clone(&self.trouble),
            failed,
            state: Writing::Snapshot(Instant::now()),
            bytes: 0,
            since: Instant::now(),
        }
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        let stopped = self.jobs.send(Job::Stop).is_ok();
        if let Some(thread) = self.thread.take().filter(|_| stopped)
            && thread.join().is_err()
        {
            tracing::error!("the journal's thread panicked");
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Writing {
    /// Records follow one another.
    On,
    /// A snapshot is due, from this time on.
    Snapshot(Instant),
    /// Nothing is written.
    Paused,
}

/// A mount's end of the journal.
#[derive(Debug)]
pub(crate) struct MountJournal {
    id: u64,
    jobs: SyncSender<Job>,
    trouble: Arc<Trouble>,
    failed: Arc<AtomicBool>,
    state: Writing,
    bytes: u64,
    since: Instant,
}

impl MountJournal {
    /// After a pause a new segment begins.
    pub(crate) fn pause(&mut self, paused: bool) {
        self.state = if paused {
            Writing::Paused
        } else {
            Writing::Snapshot(Instant::now())
        };
    }

    /// A record that has just been applied. `snapshot` is asked for when a segment begins: the state after the record.
    pub(crate) fn put(
        &mut self,
        record: impl FnOnce() -> Record,
        snapshot: impl FnOnce() -> Option<Record>,
        (end, floor): (u64, u64),
        window: Duration,
    ) {
        let now = Instant::now();
        if self.state == Writing::Paused {
            return;
        }
        if self.failed.swap(false, Ordering::Relaxed) {
            self.state = Writing::Snapshot(now + RETRY);
        }
        if self.state == Writing::On {
            let record = record();
            if let Record::Batch(batch) = &record {
                self.bytes += batch.bytes.len() as u64;
            }
            self.send(record, end, floor);
            if self.bytes >= SEGMENT || now - self.since >= window / 4 {
                self.state = Writing::Snapshot(now);
            }
        }
        if let Writing::Snapshot(from) = self.state
            && from <= now
            && let Some(snapshot) = snapshot()
        {
            self.state = Writing::On;
            (self.bytes, self.since) = (0, now);
            self.send(snapshot, end, floor);
        }
    }

    fn send(&mut self, record: Record, end: u64, floor: u64) {
        if let Err(error) = self.jobs.try_send(Job::Write(self.id, record, end, floor)) {
            if matches!(error, TrySendError::Full(_)) {
                self.trouble.note();
                tracing::warn!("the disk is too slow for the journal; it begins anew");
            }
            self.state = Writing::Snapshot(Instant::now() + RETRY);
        }
    }
}

impl Drop for MountJournal {
    fn drop(&mut self) {
        // The segments stay; if the queue is full, so does their open file.
        let _ = self.jobs.try_send(Job::Close(self.id));
    }
}
