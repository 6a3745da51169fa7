//! How a listener's response ends, and what is left to do then.

use std::cmp::Reverse;
use std::sync::atomic::Ordering;
use std::time::Instant;

use icecast_ext_core::address::Session;

use super::{Fanout, Memo};
use crate::engine::{Ended, Kind, Reason};
use crate::listener::State;

impl Fanout {
    pub(super) fn end(&mut self, key: u32, reason: Reason) {
        let now = self.second();
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        if listener.state == State::Lingering {
            return self.remove(key);
        }
        let ended = Ended {
            id: listener.id,
            reason,
            sent_bytes: listener.sent,
            audio_bytes: listener.audio,
            secs: now.saturating_sub(listener.joined).max(0).unsigned_abs(),
        };
        let linger = match reason {
            Reason::PeerClosed => false,
            Reason::Stuck | Reason::Replaced => {
                listener.socket.abort();
                false
            }
            // To these players a FIN is the end of the stream. What has not arrived they ask for again (R-STOCK-21).
            Reason::Epoch | Reason::Evicted | Reason::Moved | Reason::Shutdown
                if listener.cursor.resets() =>
            {
                listener.socket.abort();
                false
            }
            Reason::Epoch
            | Reason::Evicted
            | Reason::Kicked
            | Reason::Moved
            | Reason::MountClosed
            | Reason::Complete
            | Reason::Shutdown => {
                if listener.cursor.resets() {
                    listener.socket.forgive();
                }
                listener.socket.finish();
                true
            }
        };
        listener.state = State::Lingering;
        listener.rest = None;
        listener.parting = None;
        let (group, member, kind, seq) =
            (listener.group, listener.member, listener.kind, listener.seq);
        let session = listener.session.take();
        self.forget(ended.id, key);
        self.leave(group, member, session.map(|session| *session), kind);
        self.handle().listeners.fetch_sub(1, Ordering::Relaxed);
        if linger {
            let due = self.now.saturating_add(self.linger());
            self.timers.push(Reverse((due, key, seq)));
        } else {
            self.remove(key);
        }
        (self.shared.ended)(ended);
    }

    /// It is not found by its id any more.
    pub(super) fn forget(&mut self, id: u64, key: u32) {
        if self.by_id.get(&id) == Some(&key) {
            self.by_id.remove(&id);
        }
    }

    /// Out of its group; the last one takes the group with it.
    pub(super) fn leave(&mut self, index: u32, member: u32, session: Option<Session>, kind: Kind) {
        let Some(Some(group)) = self.groups.get_mut(index as usize) else {
            return;
        };
        group.members.swap_remove(member as usize);
        if let Some(&moved) = group.members.get(member as usize)
            && let Some(Some(other)) = self.listeners.get_mut(moved as usize)
        {
            other.member = member;
        }
        group.settle();
        let mount = &group.mount;
        mount.count(kind, false);
        if let Some(session) = session {
            self.sessions.remove(&(mount.id(), session));
            mount.forget(session);
        }
        if group.members.is_empty() {
            mount
                .interest
                .fetch_and(!(1 << self.index), Ordering::SeqCst);
            self.by_mount.remove(&mount.id());
            self.groups[index as usize] = None;
            for memo in &mut self.memos {
                if memo.made_for.is_some_and(|(group, _)| group == index) {
                    *memo = Memo::default();
                }
            }
        }
    }

    /// Closes the socket.
    pub(super) fn remove(&mut self, key: u32) {
        if let Some(mut listener) = self.listeners.get_mut(key as usize).and_then(Option::take) {
            // Closing takes it out of the epoll as well; a descriptor that was duplicated elsewhere would stay in it.
            let _ = self.poll.registry().deregister(&mut listener.socket.stream);
            self.free.push(key);
            self.live -= 1;
        }
    }

    /// True once the engine is shut down and nobody is left, or the time is over.
    pub(super) fn drained(&mut self) -> bool {
        let Some(end) = self.drain else {
            return false;
        };
        if self.live > 0 && Instant::now() >= end {
            for key in 0..self.listeners.len() as u32 {
                self.end(key, Reason::Shutdown);
            }
            return true;
        }
        self.live == 0
    }
}
