//! How a listener comes in, and into a mount's group.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use mio::{Interest, Token};

use super::{Fanout, Group};
use crate::engine::{Admission, Reason};
use crate::handover::Progress;
use crate::listener::{Listener, State};
use crate::mount::Mount;
use crate::socket::Peer;
use crate::tally::Passed;

impl Fanout {
    pub(super) fn admit(&mut self, admission: Admission, before: Progress) {
        let Admission {
            socket,
            mount,
            head,
            cursor,
            kind,
            session,
            id,
        } = admission;
        let key = self.free.pop().unwrap_or_else(|| {
            self.listeners.push(None);
            self.listeners.len() as u32 - 1
        });
        self.seq = self.seq.wrapping_add(1);
        if let Some(session) = session {
            self.sessions.insert((mount.id(), session), key);
        }
        self.by_id.insert(id, key);
        let (group, member) = self.join(mount, key);
        let mut listener = Listener {
            socket,
            cursor,
            rest: (!head.is_empty()).then(|| Box::new(head)),
            session: session.map(Box::new),
            parting: None,
            id,
            sent: before.sent_bytes,
            audio: before.audio_bytes,
            seq: self.seq,
            group,
            member,
            joined: self.second().saturating_sub_unsigned(before.secs),
            since: self.now,
            kind,
            state: State::Ready,
            queued: false,
            stalled: false,
            timed: false,
        };
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registered = self.poll.registry().register(
            &mut listener.socket.stream,
            token(key, self.seq),
            interest,
        );
        // No event tells of what TLS has read already.
        let peer = match listener.socket.is_tls() {
            true => listener.socket.discard(),
            false => Peer::There,
        };
        self.listeners[key as usize] = Some(listener);
        self.live += 1;
        match registered {
            Ok(()) if peer == Peer::There => self.serve(key),
            Ok(()) => self.end(key, Reason::PeerClosed),
            Err(error) => {
                tracing::warn!(%error, "a listener's socket cannot be watched");
                self.end(key, Reason::PeerClosed);
            }
        }
    }

    /// The listener's group, and its place in it.
    pub(super) fn join(&mut self, mount: Arc<Mount>, key: u32) -> (u32, u32) {
        let index = *self.by_mount.entry(mount.id()).or_insert_with(|| {
            mount.interest.fetch_or(1 << self.index, Ordering::SeqCst);
            let group = Group {
                mount,
                members: Vec::new(),
                sent: Passed::default(),
            };
            match self.groups.iter().position(Option::is_none) {
                Some(index) => {
                    self.groups[index] = Some(group);
                    index as u32
                }
                None => {
                    self.groups.push(Some(group));
                    self.groups.len() as u32 - 1
                }
            }
        });
        let Some(group) = &mut self.groups[index as usize] else {
            return (index, 0);
        };
        group.members.push(key);
        (index, group.members.len() as u32 - 1)
    }
}

/// What epoll says back. The seq tells a listener from an earlier one with the same key.
fn token(key: u32, seq: u32) -> Token {
    Token(usize::try_from(u64::from(seq) << 32 | u64::from(key)).unwrap_or(usize::MAX - 1))
}
