//! Listening sockets, which outlive the process.

use std::net::TcpListener;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::said::Door;

/// Those that are open, and those that another process left.
#[derive(Debug, Default)]
pub(crate) struct Doors {
    open: Mutex<Vec<(Door, OwnedFd)>>,
    inherited: Mutex<Vec<(Door, OwnedFd)>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Doors {
    pub(super) fn inherited(doors: Vec<(Door, OwnedFd)>) -> Self {
        Self {
            open: Mutex::default(),
            inherited: Mutex::new(doors),
        }
    }

    /// The socket that another process had for this, else the one that `bind` makes.
    pub(crate) fn open(
        &self,
        door: Door,
        bind: impl FnOnce() -> std::io::Result<TcpListener>,
    ) -> std::io::Result<tokio::net::TcpListener> {
        let mut inherited = lock(&self.inherited);
        let found = inherited.iter().position(|(other, _)| *other == door);
        let socket = match found {
            Some(index) => TcpListener::from(inherited.swap_remove(index).1),
            None => bind()?,
        };
        drop(inherited);
        self.keep(door, socket)
    }

    /// Those that systemd had opened for the process before.
    pub(crate) fn given(&self) -> Vec<(Door, OwnedFd)> {
        let mut inherited = lock(&self.inherited);
        let (given, others) = inherited.drain(..).partition(|(door, _)| door.given);
        *inherited = others;
        given
    }

    /// One that is open: the next process gets it, too.
    pub(crate) fn keep(
        &self,
        door: Door,
        socket: TcpListener,
    ) -> std::io::Result<tokio::net::TcpListener> {
        socket.set_nonblocking(true)?;
        let copy = socket.as_fd().try_clone_to_owned()?;
        lock(&self.open).push((door, copy));
        tokio::net::TcpListener::from_std(socket)
    }

    /// What another process had and this one does not want is closed.
    pub(super) fn settle(&self) {
        for (door, _) in lock(&self.inherited).drain(..) {
            tracing::info!(address = %door.address, "no longer listened on");
        }
    }

    pub(super) fn all(&self) -> MutexGuard<'_, Vec<(Door, OwnedFd)>> {
        lock(&self.open)
    }

    /// Another process has them, or nobody is to come in any more.
    pub(crate) fn close(&self) {
        lock(&self.open).clear();
    }
}
