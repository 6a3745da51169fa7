//! A listener's turn, and those who take none.

use std::cmp::Reverse;

use bytes::Bytes;
use icecast_ext_core::buffer::Then;
use icecast_ext_core::plan::End;

use super::Fanout;
use crate::engine::{Next, Reason};
use crate::listener::State;
use crate::socket::Peer;

impl Fanout {
    /// A listener's turn.
    pub(super) fn serve(&mut self, key: u32) {
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        listener.queued = false;
        if listener.state != State::Ready {
            return;
        }
        if listener.parting.is_some() && self.parted(key) {
            return;
        }
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        let Some(Some(group)) = self.groups.get_mut(listener.group as usize) else {
            return;
        };
        let (from, mut limit) = (listener.cursor, self.shared.config.turn);
        if let Some(parting) = &listener.parting {
            limit = limit.min(parting.room(&from));
        }
        let (turn, closed) = if listener.rest.is_some() || listener.parting.is_some() {
            self.scratch.clear();
            if let Some(rest) = &listener.rest {
                self.scratch.overhead(Bytes::clone(rest), from, from);
            }
            let closed = group.mount.plan(from, limit, &mut self.scratch);
            (&self.scratch, closed)
        } else {
            let wanted = Some((listener.group, from));
            let found = self.memos.iter().position(|memo| memo.made_for == wanted);
            let index = found.unwrap_or_else(|| {
                self.turns = self.turns.wrapping_add(1);
                let index = self.turns % self.memos.len();
                let memo = &mut self.memos[index];
                memo.turn.clear();
                memo.closed = group.mount.plan(from, limit, &mut memo.turn);
                memo.made_for = wanted;
                index
            });
            (&self.memos[index].turn, self.memos[index].closed)
        };
        let sent = match listener.socket.send(turn.pieces()) {
            Ok(sent) => sent,
            Err(error) => {
                let reason = match Peer::from(&error) {
                    Peer::Silent => Reason::Stuck,
                    _ => Reason::PeerClosed,
                };
                return self.end(key, reason);
            }
        };
        if sent.taken == 0 && (sent.pending || turn.bytes() > 0) {
            return self.blocked(key, sent.moved);
        }
        let settled = turn.settle(from, sent.taken);
        listener.cursor = settled.cursor;
        listener.rest = settled.rest.map(Box::new);
        listener.sent += sent.taken as u64;
        listener.audio += settled.audio;
        group.sent.sent += sent.taken as u64;
        group.sent.audio += settled.audio;
        listener.stalled = false;
        if let Some(parting) = &mut listener.parting
            && settled.audio > 0
        {
            parting.since = self.now;
        }
        match settled.then {
            None => self.blocked(key, true),
            // Whatever follows is planned again once that is gone.
            Some(_) if sent.pending => self.blocked(key, true),
            Some(Then::More) => {
                listener.queued = true;
                self.ready.push_back(key);
            }
            Some(then @ (Then::Wait | Then::End(End::Epoch))) if listener.parting.is_some() => {
                self.waits_to_part(key, closed || then != Then::Wait)
            }
            Some(Then::Wait) if closed => self.end(key, Reason::MountClosed),
            Some(Then::Wait) if self.drain.is_some() => self.end(key, Reason::Shutdown),
            Some(Then::Wait) if self.retiring.takes(&listener.cursor) => {
                self.end(key, Reason::Shutdown)
            }
            Some(Then::Wait) => listener.state = State::Waiting,
            Some(Then::End(End::Epoch)) => self.end(key, Reason::Epoch),
            Some(Then::End(End::Evicted)) => self.end(key, Reason::Evicted),
            Some(Then::End(End::Complete)) => self.end(key, Reason::Complete),
        }
    }

    /// The socket has no room. `progress`: it took something before it said so.
    pub(super) fn blocked(&mut self, key: u32, progress: bool) {
        let stuck = self.stuck();
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        if let Some(parting) = &mut listener.parting {
            if let Next::End(reason) = parting.next {
                return self.end(key, reason);
            }
            if progress {
                parting.since = self.now;
            }
        }
        if progress || !listener.stalled {
            listener.since = self.now;
        }
        listener.stalled = true;
        listener.state = State::Blocked;
        if !listener.timed {
            listener.timed = true;
            let due = listener.since + stuck;
            self.timers.push(Reverse((due, key, listener.seq)));
        }
    }

    /// It has a turn, whatever it waits for.
    pub(super) fn rouse(&mut self, key: u32) {
        if let Some(Some(listener)) = self.listeners.get_mut(key as usize)
            && listener.state != State::Lingering
        {
            listener.state = State::Ready;
            if !listener.queued {
                listener.queued = true;
                self.ready.push_back(key);
            }
        }
    }

    pub(super) fn linger(&self) -> u64 {
        u64::try_from(self.shared.config.linger.as_millis()).unwrap_or(u64::MAX)
    }

    fn stuck(&self) -> u64 {
        u64::try_from(self.shared.config.stuck.as_millis()).unwrap_or(u64::MAX)
    }

    pub(super) fn timers(&mut self) {
        while let Some(&Reverse((due, key, seq))) = self.timers.peek()
            && due <= self.now
        {
            self.timers.pop();
            let stuck = self.stuck();
            let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
                continue;
            };
            if listener.seq != seq {
                continue;
            }
            match listener.state {
                State::Lingering => self.remove(key),
                State::Blocked if listener.since + stuck <= self.now => {
                    self.end(key, Reason::Stuck)
                }
                State::Blocked => {
                    let due = listener.since + stuck;
                    self.timers.push(Reverse((due, key, seq)));
                }
                State::Ready | State::Waiting => listener.timed = false,
            }
        }
    }
}
