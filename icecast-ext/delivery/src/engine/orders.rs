//! What is asked of the loops for listeners that they have.

use std::fmt;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Position, Session};

use super::{Admission, Engine, Keep, Message, Moved, Reason};
use crate::error::Error;
use crate::handover::Detached;
use crate::mount::{Mount, lock};
use crate::socket::Socket;

/// A loop that has not answered by then never will.
const ANSWER: Duration = Duration::from_secs(5);

/// What becomes of a listener where it parts from what it is sent.
pub enum Next {
    /// Its response ends. If its socket has no room for what it is to be sent, it ends without it: FIN after what is queued.
    End(Reason),
    /// A stock listener goes on elsewhere. Whoever cannot ([`icecast_ext_core::plan::Cursor::carried`]) ends with
    /// [`Reason::Moved`].
    Go {
        /// Whose bytes; it belongs to the same engine. It may be the mount that the listener is in: another run of it.
        mount: Arc<Mount>,
        /// Its next canonical byte.
        at: Position,
        /// What is sent before that. Empty: nothing.
        prelude: Bytes,
    },
    /// It is the engine's no more, and [`super::Ended`] is not said of it. An answer's head or an ICY block that was begun is
    /// sent first, however long that takes. Called on a loop's thread: it must not block.
    Release(Box<dyn FnOnce(Released) + Send>),
}

impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::End(reason) => f.debug_tuple("End").field(reason).finish(),
            Self::Go { mount, at, .. } => write!(f, "Go({} {at})", mount.name()),
            Self::Release(_) => f.write_str("Release"),
        }
    }
}

/// A listener that a loop has given back.
#[derive(Debug)]
pub struct Released {
    /// Its connection, which does not block, with the options that the engine gave it.
    pub socket: Socket,
    /// Bytes that the socket took, as in [`super::Ended`].
    pub sent_bytes: u64,
    /// Canonical bytes among them.
    pub audio_bytes: u64,
}

/// A place where a listener parts.
#[derive(Debug)]
pub(crate) struct Parting {
    /// Once it has been sent all that stands before it.
    pub(crate) at: Position,
    pub(crate) next: Next,
    /// Loop clock, ms: when it was last sent anything, or was told this.
    pub(crate) since: u64,
    /// Where it parts after that.
    pub(crate) then: Option<Box<Parting>>,
}

/// For the loop that has the listener.
pub(crate) type Order = Mutex<Option<Box<Parting>>>;

impl Engine {
    /// Closes the connection that was answered with this session on this mount, if it is still there (R-SESS-3).
    pub fn close_session(&self, mount: &Mount, session: Session) -> bool {
        let Some(index) = lock(&mount.sessions).remove(&session) else {
            return false;
        };
        self.shared.loops[index].post(Message::Replace(mount.id(), session));
        true
    }

    /// Ends the listener of `mount` that was admitted with this id: FIN after what is queued, [`Reason::Kicked`].
    pub fn kick(&self, mount: &Mount, id: u64) {
        for handle in &self.shared.loops {
            handle.post(Message::Kick(mount.id(), id));
        }
    }

    /// The listener that was admitted with this id is sent the canonical bytes before `at` and not one more; then `next`
    /// happens to it. To be in time, say so before its mount publishes what stands there: who has been sent more parts where it
    /// is. So does who cannot get there: its epoch is another and it has been sent all that is held, its run has ended before,
    /// its mount is closed, or it was sent nothing for [`crate::EngineConfig::linger`].
    ///
    /// What is said of a listener that has not parted yet happens after that, in the order said: `at` is then a place in what
    /// it will be sent by then. A listener that has ended, or ends before, hears of nothing, and a [`Next::Release`] is dropped:
    /// of each listener either [`super::Ended`] is said, or it is released.
    pub fn part(&self, id: u64, at: Position, next: Next) {
        if self.stopped.load(Ordering::SeqCst) {
            return;
        }
        let parting = Parting {
            at,
            next,
            since: 0,
            then: None,
        };
        let order = Arc::new(Mutex::new(Some(Box::new(parting))));
        for handle in &self.shared.loops {
            handle.post(Message::Part(id, Arc::clone(&order)));
        }
    }

    /// Listeners of `from` go on in `to`, where a late joiner starts now, after its prelude if it needs one. Stays: who hears
    /// another format, whose decoder does not go on, all if `to` holds nothing yet. Aware clients and relays ask again by
    /// themselves: their responses end with [`Reason::Moved`]. `moved` is told the id of each who goes on, on a loop's thread.
    pub fn carry(
        &self,
        from: &Mount,
        to: &Arc<Mount>,
        moved: impl Fn(u64) + Send + Sync + 'static,
    ) {
        if from.id() == to.id() {
            return;
        }
        let moved: Arc<Moved> = Arc::new(moved);
        for handle in &self.shared.loops {
            let message = Message::Carry(from.id(), Arc::clone(to), Arc::clone(&moved));
            handle.post(message);
        }
    }

    /// A listener goes on where another engine, or this one, had it.
    ///
    /// # Errors
    /// As for [`Engine::admit`]; the connection is closed.
    pub fn resume(&self, detached: Detached) -> Result<(), Error> {
        let Detached {
            socket,
            mount,
            cursor,
            rest,
            kind,
            session,
            id,
            progress,
        } = detached;
        let admission = Admission {
            socket: socket.into(),
            mount,
            head: rest,
            cursor,
            kind,
            session,
            id,
        };
        self.enter(admission, progress)
    }

    /// Takes listeners out of the loops as they are, all but those whose id `keep` says yes to, those that speak TLS, and those
    /// whose response has ended. What was admitted before is among them; where they were to part is forgotten. Blocks until the loops have come to it. None after
    /// [`Engine::shutdown`].
    #[must_use]
    pub fn detach(&self, keep: impl Fn(u64) -> bool + Send + Sync + 'static) -> Vec<Detached> {
        if self.stopped.load(Ordering::SeqCst) {
            return Vec::new();
        }
        let keep: Arc<Keep> = Arc::new(keep);
        let (send, receive) = channel();
        for handle in &self.shared.loops {
            handle.post(Message::Detach(Arc::clone(&keep), send.clone()));
        }
        drop(send);
        let mut detached = Vec::new();
        for _ in &self.shared.loops {
            match receive.recv_timeout(ANSWER) {
                Ok(listeners) => detached.extend(listeners),
                Err(error) => {
                    tracing::error!(%error, "a delivery loop does not give its listeners")
                }
            }
        }
        detached
    }
}
