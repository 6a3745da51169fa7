//! Who listens: one entry a connection that is with the delivery loops, one line in the access log a listener session.
//!
//! A client that resumes echoes the session of its last answer; so its connections make one *story*. Its line is written when
//! it has not come back for a window, with the bytes of all its connections and the time from the first join to the last
//! end. Who has no session (a stock player, a relay) gets its line when its connection ends, as at Icecast.

mod names;
mod passage;

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;
use std::num::NonZeroU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use icecast_ext_core::address::Session;
use icecast_ext_core::stock::Join;
use icecast_ext_delivery::{Ended, Kind, Reason};

use crate::accesslog::{AccessLog, Line};
use crate::caller::Caller;
use crate::limits::{Connected, Seat};
pub(crate) use names::Asked;
use names::Names;
pub(crate) use passage::Passenger;

/// Numbers of listeners begin here, so that none equals one of Icecast's own clients.
pub(crate) const FIRST_ID: u64 = 1_000_000_000;
/// Stories of clients that are away, at most: beyond it the one that has waited longest is written.
const MAX_AWAY: usize = 65_536;

/// A listener that is with the delivery loops.
#[derive(Debug, Clone)]
pub(crate) struct Visit {
    pub(crate) id: u64,
    pub(crate) address: IpAddr,
    pub(crate) asked: Arc<Asked>,
    pub(crate) kind: Kind,
    /// Of a stock player that may resume.
    pub(crate) join: Option<Join>,
    /// When its session joined first.
    pub(crate) since: SystemTime,
}

/// What a connection has taken of our limits; given back when dropped.
#[derive(Debug, Default)]
pub(crate) struct Places {
    /// Of its address.
    #[expect(dead_code, reason = "is held")]
    pub(crate) connection: Option<Connected>,
    /// Of all listeners.
    pub(crate) seat: Option<Seat>,
}

/// What the audience is told of a new listener.
#[derive(Debug)]
pub(crate) struct Joining<'a> {
    pub(crate) caller: &'a Caller,
    /// Decoded path.
    pub(crate) mount: &'a str,
    pub(crate) kind: Kind,
    /// Of a stock player that may resume.
    pub(crate) join: Option<Join>,
    /// Of the answer.
    pub(crate) session: Option<Session>,
    /// Of the request.
    pub(crate) previous: Option<Session>,
    /// How long it may be away and still be the same listener.
    pub(crate) keep: Duration,
    pub(crate) places: Places,
}

#[derive(Debug)]
struct Entry {
    visit: Visit,
    /// The number of its story.
    story: Option<NonZeroU64>,
    /// Sent to it before it was ours: by the process that was upgraded.
    carried: u64,
    places: Places,
}

/// The connections of one listener session.
#[derive(Debug)]
struct Story {
    /// The first one.
    first: Visit,
    /// The latest.
    id: u64,
    session: Session,
    /// Connections that are open: a ghost may stay for a moment.
    open: u32,
    /// Bytes of those that have ended.
    sent: u64,
    /// The last end.
    end: SystemTime,
    keep: Duration,
}

#[derive(Debug, Default)]
struct Inside {
    count: u64,
    visits: HashMap<u64, Box<Entry>>,
    /// By the number of the first visit.
    stories: HashMap<u64, Box<Story>>,
    by_session: HashMap<Session, u64>,
    /// Stories without a connection, by the time of their end, with some that have gone on since.
    away: VecDeque<(SystemTime, u64)>,
    names: Names,
}

/// A story or visit that is over.
struct Over {
    first: Visit,
    sent: u64,
    end: SystemTime,
}

impl Inside {
    /// Takes a story out.
    fn close(&mut self, number: u64) -> Option<Over> {
        let story = self.stories.remove(&number)?;
        self.by_session.remove(&story.session);
        Some(Over {
            first: story.first,
            sent: story.sent,
            end: story.end,
        })
    }

    /// Stories whose time is over at `now`, or that are too many.
    fn overdue(&mut self, now: SystemTime) -> Vec<Over> {
        let mut over = Vec::new();
        while let Some(&(end, number)) = self.away.front() {
            let story = self.stories.get(&number);
            let current = story.filter(|story| story.open == 0 && story.end == end);
            match current {
                // It went on meanwhile.
                None => {}
                Some(story) => {
                    let waited = now.duration_since(end).unwrap_or_default();
                    if waited < story.keep && self.away.len() <= MAX_AWAY {
                        break;
                    }
                    over.extend(self.close(number));
                }
            }
            self.away.pop_front();
        }
        over
    }
}

/// The listeners that are with the delivery loops, and those that may come back.
#[derive(Debug)]
pub(crate) struct Audience {
    inside: Mutex<Inside>,
    log: Arc<AccessLog>,
}

impl Audience {
    pub(crate) fn new(log: Arc<AccessLog>) -> Self {
        Self {
            inside: Mutex::default(),
            log,
        }
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A new listener; its number.
    pub(crate) fn admitted(&self, joining: Joining<'_>) -> u64 {
        self.admitted_at(joining, SystemTime::now())
    }

    fn admitted_at(&self, joining: Joining<'_>, now: SystemTime) -> u64 {
        let Joining {
            caller,
            mount,
            kind,
            join,
            session,
            previous,
            keep,
            places,
        } = joining;
        let mut inside = self.inside();
        let id = FIRST_ID + inside.count;
        inside.count += 1;
        let known = previous.and_then(|previous| {
            let number = *inside.by_session.get(&previous)?;
            let story = inside.stories.get(&number)?;
            (*story.first.asked.mount == *mount).then_some(number)
        });
        let known = known.filter(|_| session.is_some());
        let since = known.and_then(|number| Some(inside.stories.get(&number)?.first.since));
        let names = &mut inside.names;
        let asked = Asked {
            mount: names.one(mount),
            agent: names.one(&caller.agent),
            referer: names.one(&caller.referer),
            user: caller.user.as_deref().map(|user| names.one(user)),
            line: names.one(&caller.line),
        };
        let visit = Visit {
            id,
            address: caller.address,
            asked: names.asked(asked),
            kind,
            join,
            since: since.unwrap_or(now),
        };
        let story = session.map(|session| {
            let number = known.unwrap_or(id);
            let story = inside.stories.entry(number).or_insert_with(|| {
                Box::new(Story {
                    first: visit.clone(),
                    id,
                    session,
                    open: 0,
                    sent: 0,
                    end: now,
                    keep,
                })
            });
            let before = std::mem::replace(&mut story.session, session);
            (story.open, story.id) = (story.open + 1, id);
            inside.by_session.remove(&before);
            inside.by_session.insert(session, number);
            number
        });
        let entry = Entry {
            visit,
            story: story.and_then(NonZeroU64::new),
            carried: 0,
            places,
        };
        inside.visits.insert(id, Box::new(entry));
        id
    }

    /// The seat of the connection that is answered by this session: it is being closed, and its client, who is coming back,
    /// must not stand in its own way.
    pub(crate) fn take_seat(&self, mount: &str, session: Session) -> Option<Seat> {
        let mut inside = self.inside();
        let number = *inside.by_session.get(&session)?;
        let id = inside.stories.get(&number)?.id;
        let entry = inside.visits.get_mut(&id)?;
        let here = *entry.visit.asked.mount == *mount;
        here.then(|| entry.places.seat.take()).flatten()
    }

    /// Those of one mount.
    pub(crate) fn of(&self, mount: &str) -> Vec<Visit> {
        let inside = self.inside();
        let visits = inside.visits.values().map(|entry| &entry.visit);
        visits
            .filter(|visit| *visit.asked.mount == *mount)
            .cloned()
            .collect()
    }

    /// A listener goes on at another mount. Called on a delivery loop's thread. Its join, whose anchor is not so any more.
    pub(crate) fn moved(&self, id: u64, mount: &Arc<str>) -> Option<Join> {
        let inside = &mut *self.inside();
        let entry = inside.visits.get_mut(&id)?;
        let asked = Asked {
            mount: mount.clone(),
            ..Asked::clone(&entry.visit.asked)
        };
        entry.visit.asked = inside.names.asked(asked);
        entry.visit.join.take()
    }

    /// Called on a delivery loop's thread. Who it was.
    pub(crate) fn ended(&self, ended: Ended) -> Option<Visit> {
        self.ended_at(ended, SystemTime::now())
    }

    fn ended_at(&self, ended: Ended, now: SystemTime) -> Option<Visit> {
        let mut inside = self.inside();
        let entry = inside.visits.remove(&ended.id)?;
        let visit = entry.visit;
        let sent = entry.carried.saturating_add(ended.sent_bytes);
        let over = match entry.story.map(NonZeroU64::get) {
            None => Some(Over {
                first: visit.clone(),
                sent,
                end: now,
            }),
            Some(number) => {
                let mut away = false;
                if let Some(story) = inside.stories.get_mut(&number) {
                    story.sent = story.sent.saturating_add(sent);
                    story.open = story.open.saturating_sub(1);
                    story.end = now;
                    away = story.open == 0;
                }
                match ended.reason {
                    Reason::Kicked if away => inside.close(number),
                    _ => {
                        if away {
                            inside.away.push_back((now, number));
                        }
                        None
                    }
                }
            }
        };
        let overdue = if inside.away.len() > MAX_AWAY {
            inside.overdue(now)
        } else {
            Vec::new()
        };
        drop(inside);
        // Not under the lock: places have one of their own.
        drop(entry.places);
        over.into_iter()
            .chain(overdue)
            .for_each(|over| self.write(&over));
        tracing::info!(id = visit.id, address = %visit.address, mount = &*visit.asked.mount, agent = &*visit.asked.agent, reason = ?ended.reason, sent_bytes = ended.sent_bytes, audio_bytes = ended.audio_bytes, secs = ended.secs, "listener gone");
        Some(visit)
    }

    /// It was told of a listener that the loops did not take.
    pub(crate) fn forget(&self, id: u64) {
        let mut inside = self.inside();
        let entry = inside.visits.remove(&id);
        if let Some(number) = entry.as_ref().and_then(|entry| entry.story) {
            let number = number.get();
            let gone = inside.stories.get_mut(&number).is_some_and(|story| {
                story.open = story.open.saturating_sub(1);
                story.open == 0
            });
            let over = gone.then(|| inside.close(number)).flatten();
            drop(inside);
            over.filter(|over| over.sent > 0)
                .iter()
                .for_each(|over| self.write(over));
        }
    }

    /// Writes the lines of those who have been away for too long. To be called once a second or so.
    pub(crate) fn tick(&self, now: SystemTime) {
        let over = self.inside().overdue(now);
        over.iter().for_each(|over| self.write(over));
    }

    /// Writes the lines of all who are away: nobody can come back to this process.
    pub(crate) fn finish(&self) {
        let mut inside = self.inside();
        inside.away.clear();
        let mut away: Vec<(SystemTime, u64)> = inside
            .stories
            .iter()
            .filter(|(_, story)| story.open == 0)
            .map(|(number, story)| (story.end, *number))
            .collect();
        away.sort_unstable();
        let over: Vec<Over> = away
            .iter()
            .filter_map(|(_, number)| inside.close(*number))
            .collect();
        drop(inside);
        over.iter().for_each(|over| self.write(over));
    }

    fn write(&self, over: &Over) {
        let Over { first, sent, end } = over;
        let asked = &first.asked;
        self.log.write(&Line {
            address: first.address,
            user: asked.user.as_deref(),
            end: *end,
            request: &asked.line,
            status: 200,
            bytes: *sent,
            referer: &asked.referer,
            agent: &asked.agent,
            lasted: end.duration_since(first.since).unwrap_or_default(),
        });
    }
}

#[cfg(test)]
mod tests;
