//! Listeners that part from what they are sent: where, and what becomes of them there.

use std::cmp::Reverse;

use icecast_ext_core::address::Position;
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::timeline::Timeline;

use super::Fanout;
use crate::engine::{Next, Order, Parting, Reason, Released};
use crate::listener::State;
use crate::mount::lock;

impl Parting {
    /// The most that a listener at `cursor`, which is not there yet, is sent in one turn. A turn ends with its run.
    pub(super) fn room(&self, cursor: &Cursor) -> usize {
        let at = cursor.at();
        if at.epoch != self.at.epoch {
            return usize::MAX;
        }
        let left = self.at.offset.since(at.offset).unwrap_or(0);
        usize::try_from(left).unwrap_or(usize::MAX)
    }
}

/// Whether all before `at` has been sent, or never will be: it belongs to a run that the cursor has left.
fn reached(timeline: &Timeline, cursor: &Cursor, at: Position) -> bool {
    if let Some(order) = cursor.at().partial_cmp(&at) {
        return order.is_ge();
    }
    let run = |at| timeline.run_at(at).map(|run| run.id);
    let here = cursor.run().or_else(|| run(cursor.at()));
    matches!((here, run(at)), (Some(here), Some(there)) if there < here)
}

/// Whether more of what stands before `at` may be published, for a cursor that has been sent all that is.
fn is_to_come(timeline: &Timeline, cursor: &Cursor, at: Position) -> bool {
    let run = cursor.run().and_then(|id| timeline.run(id));
    run.is_some_and(|run| run.epoch == at.epoch && !run.ended)
}

impl Fanout {
    /// The listener of this id, if it is here, has a place where it parts: after those that it was told before.
    pub(super) fn part(&mut self, id: u64, order: &Order) {
        let Some(&key) = self.by_id.get(&id) else {
            return;
        };
        let due = self.now.saturating_add(self.linger());
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        let Some(mut parting) = lock(order).take() else {
            return;
        };
        parting.since = self.now;
        if listener.parting.is_none() {
            self.lapses.push(Reverse((due, key, listener.seq)));
        }
        let mut last = &mut listener.parting;
        while let Some(earlier) = last {
            last = &mut earlier.then;
        }
        *last = Some(parting);
        self.rouse(key);
    }

    /// Lets a listener part that is where it is to. False: it is sent something first, at most [`Parting::room`].
    pub(super) fn parted(&mut self, key: u32) -> bool {
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return false;
        };
        let Some(Some(group)) = self.groups.get(listener.group as usize) else {
            return false;
        };
        let Some(mut parting) = listener.parting.take() else {
            return false;
        };
        let cursor = listener.cursor;
        let there = group
            .mount
            .with(|timeline| reached(timeline, &cursor, parting.at));
        if there {
            parting.at = cursor.at();
        }
        // Whoever goes on takes along what was begun; with the others it must be sent.
        let begun = listener.rest.is_some() || listener.socket.is_pending();
        if !there || begun && !matches!(parting.next, Next::Go { .. }) {
            listener.parting = Some(parting);
            return false;
        }
        listener.parting = parting.then;
        if let Some(next) = &mut listener.parting {
            next.since = self.now;
        }
        match parting.next {
            Next::End(reason) => self.end(key, reason),
            Next::Go { mount, at, prelude } => match self.carry_to(key, &mount, at, &prelude) {
                Some(_) => self.rouse(key),
                None => self.end(key, Reason::Moved),
            },
            Next::Release(then) => {
                if let Some((listener, _)) = self.take_out(key) {
                    if listener.cursor.resets() {
                        listener.socket.forgive();
                    }
                    then(Released {
                        socket: listener.socket,
                        sent_bytes: listener.sent,
                        audio_bytes: listener.audio,
                    });
                }
            }
        }
        true
    }

    /// A listener that is to part has been sent all that is published. `over`: nothing more comes for it.
    pub(super) fn waits_to_part(&mut self, key: u32, over: bool) {
        let over = over || self.drain.is_some();
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        let Some(Some(group)) = self.groups.get(listener.group as usize) else {
            return;
        };
        let Some(parting) = &mut listener.parting else {
            return;
        };
        let (cursor, at) = (listener.cursor, parting.at);
        let comes = !over
            && group
                .mount
                .with(|timeline| is_to_come(timeline, &cursor, at));
        if comes {
            listener.state = State::Waiting;
        } else {
            parting.at = cursor.at();
            self.rouse(key);
        }
    }

    /// Whoever was sent nothing more for so long is taken to be where it parts.
    pub(super) fn lapses(&mut self) {
        let linger = self.linger();
        while let Some(&Reverse((due, key, seq))) = self.lapses.peek()
            && due <= self.now
        {
            self.lapses.pop();
            let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
                continue;
            };
            let at = listener.cursor.at();
            let Some(parting) = &mut listener.parting else {
                continue;
            };
            if listener.seq != seq {
                continue;
            }
            let mut due = parting.since.saturating_add(linger);
            if due <= self.now {
                parting.at = at;
                due = self.now.saturating_add(linger.max(1));
                self.rouse(key);
            }
            self.lapses.push(Reverse((due, key, seq)));
        }
    }
}
