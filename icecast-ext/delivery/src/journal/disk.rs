//! The journal's thread: all that touches the disk while mounts are live.

use std::collections::HashMap;
use std::fmt::Display;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::lock::Place;
use super::record::Record;
use super::segment::Segments;
use crate::mount::lock;

/// Records that may wait for the disk; beyond that they are dropped, and the mount's journal begins anew.
pub(super) const QUEUE: usize = 4096;
/// A failure is said once in this.
const SAY: Duration = Duration::from_secs(60);

#[derive(Debug)]
pub(super) enum Job {
    Open(u64, Box<Segments>, Arc<AtomicBool>),
    Write(u64, Record, u64, u64),
    Close(u64),
    Sync(Sender<()>),
    Stop,
}

/// What could not be written.
#[derive(Debug, Default)]
pub(super) struct Trouble {
    pub(super) count: AtomicU64,
    pub(super) last: Mutex<Option<Instant>>,
}

impl Trouble {
    pub(super) fn note(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        *lock(&self.last) = Some(Instant::now());
    }
}

/// Says that it does not work, and what to do.
pub(super) fn complain(dir: &Path, kind: ErrorKind, error: &dyn Display) {
    let remedy = match kind {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full: free some space there"
        }
        ErrorKind::ReadOnlyFilesystem => "it is mounted read-only: remount it for writing",
        ErrorKind::PermissionDenied => "let the user that this runs as write there (chown -R)",
        ErrorKind::NotADirectory => "something on this path is a file: name another path",
        ErrorKind::ResourceBusy => "another process uses it: end that one",
        _ => "look whether the directory and its disk are well",
    };
    tracing::error!(dir = %dir.display(), %error, remedy, "the state directory cannot be written: streams go on from memory, but a crash or a restart loses every listener's place. It is tried again every few seconds");
}

/// The thread.
pub(super) fn write(jobs: &Receiver<Job>, place: &Place, trouble: &Trouble) {
    let mut mounts: HashMap<u64, (Box<Segments>, Arc<AtomicBool>)> = HashMap::new();
    let mut said: Option<Instant> = None;
    let mut broken = false;
    while let Ok(job) = jobs.recv() {
        match job {
            Job::Open(id, segments, failed) => {
                mounts.insert(id, (segments, failed));
            }
            Job::Write(id, record, end, floor) => {
                let Some((segments, failed)) = mounts.get_mut(&id) else {
                    continue;
                };
                let written = place
                    .ours()
                    .and_then(|times| segments.write(&record, end, floor, times));
                match written {
                    Err(error) => {
                        failed.store(true, Ordering::Relaxed);
                        trouble.note();
                        broken = true;
                        if said.is_none_or(|said| said.elapsed() >= SAY) {
                            said = Some(Instant::now());
                            complain(&place.dir, error.kind(), &error);
                        }
                    }
                    Ok(true) if broken => {
                        (broken, said) = (false, None);
                        tracing::info!(dir = %place.dir.display(), "the journal is written again");
                    }
                    Ok(_) => {}
                }
            }
            Job::Close(id) => {
                mounts.remove(&id);
            }
            Job::Sync(done) => {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
            Job::Stop => return,
        }
    }
}
