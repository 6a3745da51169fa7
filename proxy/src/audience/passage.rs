//! Listeners that go to another process, and come from one. Those who are away stay: their lines are written here.

use std::net::IpAddr;
use std::num::NonZeroU64;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use icecast_ext_core::address::Session;
use icecast_ext_delivery::Kind;
use serde::{Deserialize, Serialize};

use super::{Asked, Audience, Entry, FIRST_ID, Places, Story, Visit};

/// A listener, on its way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Passenger {
    mount: String,
    pub(crate) address: IpAddr,
    agent: String,
    referer: String,
    user: Option<String>,
    line: String,
    /// Milliseconds since 1970.
    since: u64,
    /// Bytes of its session's earlier connections.
    sent: u64,
}

impl Audience {
    /// A listener as another process is to know it.
    pub(crate) fn passenger(&self, id: u64) -> Option<Passenger> {
        let inside = self.inside();
        let entry = inside.visits.get(&id)?;
        let number = entry.story.map(NonZeroU64::get);
        let story = number.and_then(|number| inside.stories.get(&number));
        let visit = &entry.visit;
        let asked = &visit.asked;
        let since = visit.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        Some(Passenger {
            mount: asked.mount.to_string(),
            address: visit.address,
            agent: asked.agent.to_string(),
            referer: asked.referer.to_string(),
            user: asked.user.as_deref().map(str::to_owned),
            line: asked.line.to_string(),
            since: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            sent: entry.carried + story.map_or(0, |story| story.sent),
        })
    }

    /// Another process has it: it has not ended.
    pub(crate) fn leave(&self, id: u64) {
        let mut inside = self.inside();
        let entry = inside.visits.remove(&id);
        if let Some(number) = entry.as_ref().and_then(|entry| entry.story) {
            let number = number.get();
            let gone = inside.stories.get_mut(&number).is_some_and(|story| {
                story.open = story.open.saturating_sub(1);
                story.open == 0
            });
            if gone {
                // What it was sent before is counted there.
                let _ = inside.close(number);
            }
        }
        drop(inside);
        // Places have a lock of their own.
        drop(entry);
    }

    /// It comes from another process, under its number there. `keep`: how long it may be away.
    pub(crate) fn arrive(
        &self,
        (id, kind, session): (u64, Kind, Option<Session>),
        passenger: &Passenger,
        keep: Duration,
        places: Places,
    ) {
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(passenger.since));
        let mut inside = self.inside();
        let names = &mut inside.names;
        let asked = Asked {
            mount: names.one(&passenger.mount),
            agent: names.one(&passenger.agent),
            referer: names.one(&passenger.referer),
            user: passenger.user.as_deref().map(|user| names.one(user)),
            line: names.one(&passenger.line),
        };
        let visit = Visit {
            // The process before does not say: if it is moved from here on, that is not remembered.
            join: None,
            id,
            address: passenger.address,
            asked: names.asked(asked),
            kind,
            since: since.unwrap_or_else(SystemTime::now),
        };
        let story = session.map(|session| {
            let story = Story {
                first: visit.clone(),
                id,
                session,
                open: 1,
                sent: passenger.sent,
                end: SystemTime::now(),
                keep,
            };
            inside.stories.insert(id, Box::new(story));
            inside.by_session.insert(session, id);
            id
        });
        let entry = Entry {
            visit,
            carried: if story.is_none() { passenger.sent } else { 0 },
            story: story.and_then(NonZeroU64::new),
            places,
        };
        inside.visits.insert(id, Box::new(entry));
    }

    /// The number of the next listener.
    pub(crate) fn next_id(&self) -> u64 {
        FIRST_ID + self.inside().count
    }

    /// Numbers go on at this one, or later.
    pub(crate) fn go_on_at(&self, next: u64) {
        let mut inside = self.inside();
        inside.count = inside.count.max(next.saturating_sub(FIRST_ID));
    }
}
