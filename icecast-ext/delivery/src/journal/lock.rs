//! A state directory is one process's, and then another's; or nobody's, while it cannot be used.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::Journal;
use super::disk::{self, QUEUE, Trouble};
use crate::error::Error;
use crate::mount::lock;

/// Between two looks whether the directory is still there, or there again.
const LOOK: Duration = Duration::from_secs(1);

/// A directory, as far as it is ours.
#[derive(Debug)]
pub(crate) struct Place {
    pub(crate) dir: PathBuf,
    hold: Mutex<Hold>,
}

#[derive(Debug)]
struct Hold {
    state: State,
    looked: Instant,
    /// How often it was taken: files that were opened before are of no use after.
    times: u64,
}

#[derive(Debug)]
enum State {
    Held(File),
    /// Tried again now and then.
    Lost(io::ErrorKind, String),
    /// Another process has it.
    Released,
}

impl Place {
    /// Takes the directory; makes it if it is not there.
    fn take(dir: &Path) -> Result<File, Error> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |why| Error::Journal { path, why }
        };
        fs::create_dir_all(dir).map_err(at(dir))?;
        let path = dir.join("lock");
        let open = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path);
        let mut lock = open.map_err(at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut pid = String::new();
                // What cannot be read is still locked.
                let _ = lock.read_to_string(&mut pid);
                return Err(Error::Locked {
                    dir: dir.to_owned(),
                    pid: pid.trim().to_owned(),
                });
            }
            Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
        }
        sign(&mut lock);
        Ok(lock)
    }

    fn new(dir: &Path, state: State) -> Self {
        let hold = Hold {
            state,
            looked: Instant::now(),
            times: 1,
        };
        Self {
            dir: dir.to_owned(),
            hold: Mutex::new(hold),
        }
    }

    /// How often it was taken, if it may be written to now. What was lost is taken again if it can be.
    pub(crate) fn ours(&self) -> io::Result<u64> {
        let mut hold = lock(&self.hold);
        let look = hold.looked.elapsed() >= LOOK;
        if look {
            hold.looked = Instant::now();
        }
        match &hold.state {
            State::Released => return Err(io::Error::other("another process has taken it over")),
            State::Held(file) if !look || same(&self.dir.join("lock"), file) => {
                return Ok(hold.times);
            }
            State::Lost(kind, why) if !look => return Err(io::Error::new(*kind, why.clone())),
            State::Held(_) | State::Lost(..) => {}
        }
        match Self::take(&self.dir) {
            Ok(file) => {
                hold.times += 1;
                hold.state = State::Held(file);
                Ok(hold.times)
            }
            Err(error) => {
                let kind = error.kind();
                hold.state = State::Lost(kind, error.to_string());
                Err(io::Error::new(kind, error))
            }
        }
    }
}

/// Our process id, for whoever finds it locked. A full disk has no room for that, and need not have.
fn sign(lock: &mut File) {
    let _ = lock
        .set_len(0)
        .and_then(|()| lock.rewind())
        .and_then(|()| writeln!(lock, "{}", std::process::id()));
}

fn same(path: &Path, file: &File) -> bool {
    match (fs::metadata(path), file.metadata()) {
        (Ok(a), Ok(b)) => (a.dev(), a.ino()) == (b.dev(), b.ino()),
        _ => false,
    }
}

impl Journal {
    /// Takes the directory for this process; makes it if it is not there. A directory that cannot be used now is tried again
    /// while mounts have something to write; until then they are held in memory alone, and the log says what to do.
    ///
    /// # Errors
    /// Another process writes there.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let state = match Place::take(dir) {
            Ok(lock) => State::Held(lock),
            Err(error @ Error::Locked { .. }) => return Err(error),
            Err(error) => {
                disk::complain(dir, error.kind(), &error);
                State::Lost(error.kind(), error.to_string())
            }
        };
        Self::start(Place::new(dir, state))
    }

    /// Takes over a directory from the process whose [`Journal::share_lock`] this is.
    ///
    /// # Errors
    /// It is the lock of another directory, or cannot be used.
    pub fn take_over(dir: &Path, lock: OwnedFd) -> Result<Self, Error> {
        let mut lock = File::from(lock);
        let path = dir.join("lock");
        if !same(&path, &lock) {
            let why = io::Error::other("it is not the state directory of the process before");
            return Err(Error::Journal { path, why });
        }
        sign(&mut lock);
        Self::start(Place::new(dir, State::Held(lock)))
    }

    /// The lock, for another process; it holds as long as one of them does.
    ///
    /// # Errors
    /// The kernel has no descriptor for it.
    pub fn share_lock(&self) -> io::Result<Option<OwnedFd>> {
        match &lock(&self.place.hold).state {
            State::Held(file) => file.try_clone().map(|copy| Some(copy.into())),
            State::Lost(..) | State::Released => Ok(None),
        }
    }

    /// Another process has taken over. Mounts must record nothing more.
    pub fn release(&self) {
        self.sync();
        lock(&self.place.hold).state = State::Released;
    }

    fn start(place: Place) -> Result<Self, Error> {
        let place = Arc::new(place);
        let (jobs, receive) = sync_channel(QUEUE);
        let trouble = Arc::new(Trouble::default());
        let (at, noted) = (Arc::clone(&place), Arc::clone(&trouble));
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || disk::write(&receive, &at, &noted))
            .map_err(|why| Error::Journal {
                path: place.dir.clone(),
                why,
            })?;
        Ok(Self {
            place,
            jobs,
            trouble,
            thread: Some(thread),
        })
    }
}
