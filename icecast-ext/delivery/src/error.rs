//! What can go wrong, and whose turn it is.

use std::io;
use std::path::PathBuf;

/// Why delivery or its journal cannot do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The kernel refused a loop's epoll, thread or waker.
    #[error("a delivery loop cannot start: {0}")]
    Loop(#[source] io::Error),
    /// A listener's socket cannot be set up; the connection is closed.
    #[error("a listener's socket cannot be used: {0}")]
    Socket(#[source] io::Error),
    /// The engine has been shut down.
    #[error("the engine is shut down")]
    ShutDown,
    /// What another process handed over is of no use to this one.
    #[error("the mount {mount} cannot be taken over: {why}")]
    Handover {
        /// Its path.
        mount: String,
        /// The reason.
        why: &'static str,
    },
    /// Another process writes this journal.
    #[error("{dir} is in use by process {pid}")]
    Locked {
        /// The state directory.
        dir: PathBuf,
        /// As the lock file says.
        pid: String,
    },
    /// The state directory cannot be used.
    #[error("{path}: {why}")]
    Journal {
        /// A file or directory.
        path: PathBuf,
        /// The reason.
        #[source]
        why: io::Error,
    },
}

impl Error {
    /// What the system said.
    #[must_use]
    pub fn kind(&self) -> io::ErrorKind {
        match self {
            Self::Loop(why) | Self::Socket(why) | Self::Journal { why, .. } => why.kind(),
            Self::Locked { .. } => io::ErrorKind::ResourceBusy,
            Self::ShutDown => io::ErrorKind::NotConnected,
            Self::Handover { .. } => io::ErrorKind::InvalidData,
        }
    }
}
