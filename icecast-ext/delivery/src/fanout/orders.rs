//! What a loop is told to do with listeners that it has: one is to go, a mount's are to go on elsewhere.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use icecast_ext_core::address::Position;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::Resume;
use icecast_ext_core::timeline::Timeline;

use super::Fanout;
use crate::engine::{Kind, Moved, Reason};
use crate::listener::State;
use crate::mount::Mount;

/// Where a mount's late joiners start now.
struct Entry {
    at: Position,
    prelude: Bytes,
    format: Format,
}

impl Entry {
    fn of(mount: &Mount) -> Option<Self> {
        let start = mount.start(&Resume::LIVE).ok()?;
        let format = mount.with(|timeline| timeline.run_at(start.at).map(|run| run.format))?;
        Some(Self {
            at: start.at,
            prelude: start.prelude,
            format,
        })
    }
}

impl Fanout {
    /// The keys of a mount's listeners.
    pub(super) fn members(&self, mount: u64) -> Vec<u32> {
        let group = self.by_mount.get(&mount);
        let group = group.and_then(|&index| self.groups.get(index as usize)?.as_ref());
        group.map(|group| group.members.clone()).unwrap_or_default()
    }

    fn group_of(&self, key: u32) -> Option<u32> {
        let listener = self.listeners.get(key as usize)?.as_ref()?;
        Some(listener.group)
    }

    pub(super) fn kick(&mut self, mount: u64, id: u64) {
        let Some(&key) = self.by_id.get(&id) else {
            return;
        };
        if self.by_mount.get(&mount).copied() == self.group_of(key) {
            self.end(key, Reason::Kicked);
        }
    }

    /// Relays ask again. What was planned for those to come is planned anew: it may say the tick that was.
    pub(super) fn renew(&mut self, mount: u64) {
        self.dirty(mount);
        for key in self.members(mount) {
            let listener = self.listeners.get(key as usize);
            if matches!(listener, Some(Some(listener)) if listener.kind == Kind::Feed) {
                self.end(key, Reason::Moved);
            }
        }
    }

    pub(super) fn carry(&mut self, from: u64, to: &Arc<Mount>, moved: &Moved) {
        let Some(entry) = Entry::of(to) else {
            return;
        };
        for key in self.members(from) {
            self.carry_one(key, to, &entry, moved);
        }
    }

    fn carry_one(&mut self, key: u32, to: &Arc<Mount>, entry: &Entry, moved: &Moved) {
        let Some(Some(listener)) = self.listeners.get_mut(key as usize) else {
            return;
        };
        let Some(Some(group)) = self.groups.get(listener.group as usize) else {
            return;
        };
        let cursor = listener.cursor;
        let format = |timeline: &Timeline| {
            let run = cursor.run().and_then(|id| timeline.run(id));
            let run = run.or_else(|| timeline.run_at(cursor.at()));
            run.map(|run| run.format)
        };
        if group.mount.with(format) != Some(entry.format) {
            return;
        }
        if !cursor.is_stock() {
            return self.end(key, Reason::Moved);
        }
        if let Some(id) = self.carry_to(key, to, entry.at, &entry.prelude) {
            moved(id);
        }
    }

    /// A stock listener goes on there. Its id; `None`: it cannot ([`icecast_ext_core::plan::Cursor::carried`]).
    pub(super) fn carry_to(
        &mut self,
        key: u32,
        to: &Arc<Mount>,
        at: Position,
        prelude: &Bytes,
    ) -> Option<u64> {
        let listener = self.listeners.get_mut(key as usize)?.as_mut()?;
        let carried = listener.cursor.carried(at, !prelude.is_empty())?;
        if listener.cursor.resets() {
            listener.socket.forgive();
        }
        listener.cursor = carried;
        if !prelude.is_empty() {
            // What was begun is finished first.
            let mut rest = BytesMut::new();
            if let Some(owed) = &listener.rest {
                rest.extend_from_slice(owed);
            }
            rest.extend_from_slice(prelude);
            listener.rest = Some(Box::new(rest.freeze()));
        }
        let (id, kind) = (listener.id, listener.kind);
        let (group, member) = (listener.group, listener.member);
        if listener.state == State::Waiting {
            self.rouse(key);
        }
        // A stock player has no session.
        self.leave(group, member, None, kind);
        to.count(kind, true);
        let (group, member) = self.join(Arc::clone(to), key);
        if let Some(Some(listener)) = self.listeners.get_mut(key as usize) {
            (listener.group, listener.member) = (group, member);
        }
        Some(id)
    }
}
