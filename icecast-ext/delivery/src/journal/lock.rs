//! A state directory is one process's, and then another's.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex};

use super::{Journal, QUEUE, Trouble, write};
use crate::error::Error;
use crate::mount::lock;

impl Journal {
    /// Takes the directory for this process; makes it if it is not there.
    pub fn open(dir: &Path) -> Result<Self, Error> {
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
        Self::locked(dir, lock)
    }

    /// Takes over a directory from the process whose [`Journal::share_lock`] this is.
    ///
    /// # Errors
    /// It is the lock of another directory, or cannot be used.
    pub fn take_over(dir: &Path, lock: OwnedFd) -> Result<Self, Error> {
        let lock = File::from(lock);
        let path = dir.join("lock");
        let failed = |why| Error::Journal {
            path: path.clone(),
            why,
        };
        let (ours, theirs) = (
            fs::metadata(&path).map_err(failed)?,
            lock.metadata().map_err(failed)?,
        );
        if (ours.dev(), ours.ino()) != (theirs.dev(), theirs.ino()) {
            return Err(failed(std::io::Error::other(
                "it is not the state directory of the process before",
            )));
        }
        Self::locked(dir, lock)
    }

    /// The lock, for another process; it holds as long as one of them does.
    ///
    /// # Errors
    /// The kernel has no descriptor for it.
    pub fn share_lock(&self) -> std::io::Result<Option<OwnedFd>> {
        let held = lock(&self.lock);
        let copy = held.as_ref().map(File::try_clone).transpose()?;
        Ok(copy.map(OwnedFd::from))
    }

    /// Another process has taken over. Mounts must record nothing more.
    pub fn release(&self) {
        self.sync();
        *lock(&self.lock) = None;
    }

    fn locked(dir: &Path, mut lock: File) -> Result<Self, Error> {
        let path = dir.join("lock");
        let at = |path: &Path| {
            let path = path.to_owned();
            move |why| Error::Journal { path, why }
        };
        let written = lock
            .set_len(0)
            .and_then(|()| lock.rewind())
            .and_then(|()| writeln!(lock, "{}", std::process::id()));
        written.map_err(at(&path))?;
        let (jobs, receive) = sync_channel(QUEUE);
        let trouble = Arc::new(Trouble::default());
        let noted = Arc::clone(&trouble);
        let thread = std::thread::Builder::new()
            .name("journal".to_owned())
            .spawn(move || write(&receive, &noted));
        Ok(Self {
            dir: dir.to_owned(),
            jobs,
            trouble,
            thread: Some(thread.map_err(at(dir))?),
            lock: Mutex::new(Some(lock)),
        })
    }
}
