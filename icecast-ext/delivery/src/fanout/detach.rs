//! Listeners that leave the loop as they are.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::sync::mpsc::Sender;

use bytes::Bytes;

use super::Fanout;
use crate::handover::{Detached, Progress};
use crate::listener::Listener;
use crate::mount::Mount;

impl Fanout {
    /// Takes all listeners out but those that `keep` names by their ids. Nobody hears of it: they have not ended. Those whose
    /// response has ended stay, and so do those whose connection is more than a descriptor.
    pub(super) fn detach(&mut self, keep: &dyn Fn(u64) -> bool, out: &Sender<Vec<Detached>>) {
        let mounts: Vec<u64> = self.by_mount.keys().copied().collect();
        let mut detached = Vec::new();
        for mount in mounts {
            for key in self.members(mount) {
                let kept = match self.listeners.get(key as usize) {
                    Some(Some(listener)) => listener.socket.is_tls() || keep(listener.id),
                    _ => true,
                };
                if !kept {
                    detached.extend(self.detach_one(key));
                }
            }
        }
        // Whoever asked may have gone; then the listeners are closed.
        let _ = out.send(detached);
    }

    fn detach_one(&mut self, key: u32) -> Option<Detached> {
        let now = self.second();
        let (listener, mount) = self.take_out(key)?;
        Some(Detached {
            socket: listener.socket.into(),
            mount,
            cursor: listener.cursor,
            rest: listener.rest.map_or_else(Bytes::new, |rest| *rest),
            kind: listener.kind,
            session: listener.session.map(|session| *session),
            id: listener.id,
            progress: Progress {
                sent_bytes: listener.sent,
                audio_bytes: listener.audio,
                secs: now.saturating_sub(listener.joined).max(0).unsigned_abs(),
            },
        })
    }

    /// A listener as it is, and its mount. It has not ended, and is in no loop.
    pub(super) fn take_out(&mut self, key: u32) -> Option<(Listener, Arc<Mount>)> {
        let mut listener = self.listeners.get_mut(key as usize)?.take()?;
        let group = self.groups.get(listener.group as usize)?.as_ref()?;
        let mount = Arc::clone(&group.mount);
        // The descriptor lives on: only this takes it out of the epoll.
        let _ = self.poll.registry().deregister(&mut listener.socket.stream);
        self.free.push(key);
        self.live -= 1;
        self.forget(listener.id, key);
        let session = listener.session.as_deref().copied();
        self.leave(listener.group, listener.member, session, listener.kind);
        self.handle().listeners.fetch_sub(1, Ordering::Relaxed);
        Some((listener, mount))
    }
}
