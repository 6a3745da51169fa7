//! What is asked of the loops for listeners that they have.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::channel;
use std::time::Duration;

use icecast_ext_core::address::Session;

use super::{Admission, Engine, Keep, Message, Moved};
use crate::error::Error;
use crate::handover::Detached;
use crate::mount::{Mount, lock};

/// A loop that has not answered by then never will.
const ANSWER: Duration = Duration::from_secs(5);

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
    /// whose response has ended. What was admitted before is among them. Blocks until the loops have come to it. None after
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
