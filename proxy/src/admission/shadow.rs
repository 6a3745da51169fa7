//! The upstream's own connections of listeners that we serve: kept open, so that it counts, bills and ends them as ever.
//!
//! What comes on them is thrown away in the kernel. One task looks after all of them, in [`rounds()`]; a shadow costs its
//! descriptor, about a hundred bytes and the request that opened it.

mod rounds;

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::io;
use std::net::{IpAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use icecast_ext_core::address::Session;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use crate::limits::Seat;
use crate::station::Station;

pub(crate) use rounds::rounds;

/// A server notices that a listener has gone when it sends the next block, which is not later than this.
const LATELY: Duration = Duration::from_secs(2);
/// Of those who left lately, so many are remembered.
const MAX_LATELY: usize = 10_000;
/// A connection that the upstream answered with the live stream.
pub(crate) struct Held {
    pub(super) socket: TcpStream,
    pub(super) place: Seat,
    pub(super) who: Who,
    pub(super) started: Option<Arc<str>>,
    pub(super) request: Box<[u8]>,
}

impl fmt::Debug for Held {
    /// Without the request: it holds credentials.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Held").field(&self.socket).finish()
    }
}

/// Which listener it is to the upstream: a hash of mount, query and credentials.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Who(pub(super) u64);

/// How a shadow is doing.
enum Link {
    Up(Line),
    /// Closed by the upstream.
    Fallen,
    /// The upstream was gone: to be asked for again, but not before `next`.
    Orphan {
        next: Instant,
        loss: Loss,
    },
    /// Being asked for again.
    Asking(Loss),
}

/// A connection that the upstream counts as a listener of a mount.
struct Line {
    socket: TcpStream,
    /// Of `socket`.
    _place: Seat,
    count: Arc<AtomicUsize>,
}

impl Line {
    fn new(socket: TcpStream, place: Seat, station: &Station) -> Self {
        let count = station.shadows.clone();
        count.fetch_add(1, Ordering::Relaxed);
        Self {
            socket,
            _place: place,
            count,
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How an orphan became one.
#[derive(Debug, Clone, Copy)]
struct Loss {
    since: Instant,
    /// By the upstream, and not by the network: so the listener may have been meant.
    closed: bool,
}

struct Shadow {
    id: u64,
    station: Arc<Station>,
    session: Option<Session>,
    who: Who,
    /// As it was sent, with the listener's credentials: for asking again when the upstream has been away.
    request: Box<[u8]>,
    /// When the source had come that the upstream answered with.
    started: Option<Arc<str>>,
    link: Link,
}

#[derive(Default)]
struct State {
    slots: Vec<Option<Shadow>>,
    free: Vec<u32>,
    by_id: HashMap<u64, u32>,
    by_session: HashMap<Session, u64>,
    /// When they fell.
    fallen: VecDeque<(Instant, u64)>,
    orphans: VecDeque<u64>,
    /// Whose connections were closed a short time ago, and when.
    lately: VecDeque<(Instant, Who)>,
    asking: usize,
}

impl State {
    fn get(&mut self, id: u64) -> Option<&mut Shadow> {
        let slot = *self.by_id.get(&id)?;
        self.slots.get_mut(slot as usize)?.as_mut()
    }

    fn remove(&mut self, id: u64) -> Option<Shadow> {
        let slot = self.by_id.remove(&id)?;
        let shadow = self.slots.get_mut(slot as usize)?.take()?;
        self.free.push(slot);
        if let Some(session) = shadow.session {
            self.by_session.remove(&session);
        }
        self.left(shadow.who);
        Some(shadow)
    }

    fn left(&mut self, who: Who) {
        let now = Instant::now();
        self.lately.push_back((now, who));
        while let Some((at, _)) = self.lately.front()
            && (now.duration_since(*at) > LATELY || self.lately.len() > MAX_LATELY)
        {
            self.lately.pop_front();
        }
    }
}

/// All shadows.
pub(crate) struct Shadows {
    state: Mutex<State>,
    /// Says whose connection has been closed, without a look at the others.
    epoll: OwnedFd,
    pub(super) news: tokio::sync::Notify,
}

impl fmt::Debug for Shadows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shadows")
            .field("count", &self.state().by_id.len())
            .finish_non_exhaustive()
    }
}

impl Shadows {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            state: Mutex::default(),
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            news: tokio::sync::Notify::new(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn watch(&self, id: u64, socket: &TcpStream) {
        // Without it, the next turns find out by reading.
        let event = EventData::new_u64(id);
        let _ = epoll::add(&self.epoll, socket, event, EventFlags::RDHUP);
    }

    /// The listener `id` is served as long as this connection lasts.
    pub(super) fn add(
        &self,
        station: &Arc<Station>,
        id: u64,
        session: Option<Session>,
        held: Held,
    ) {
        self.watch(id, &held.socket);
        let shadow = Shadow {
            id,
            station: station.clone(),
            session,
            who: held.who,
            request: held.request,
            started: held.started,
            link: Link::Up(Line::new(held.socket, held.place, station)),
        };
        let mut state = self.state();
        let slot = match state.free.pop() {
            Some(slot) => slot,
            None => {
                state.slots.push(None);
                u32::try_from(state.slots.len() - 1).unwrap_or(u32::MAX)
            }
        };
        if let Some(session) = session {
            state.by_session.insert(session, id);
        }
        state.by_id.insert(id, slot);
        if let Some(place) = state.slots.get_mut(slot as usize) {
            *place = Some(shadow);
        }
        drop(state);
        self.news.notify_one();
    }

    /// The listener has ended: so does its connection at the upstream.
    pub(super) fn ended(&self, id: u64) {
        let shadow = self.state().remove(id);
        // Closed outside of the lock.
        drop(shadow);
    }

    /// The listener with this session has come back: its connection at the upstream ends before the next one is asked for.
    pub(super) fn release(&self, station: &Station, session: Session) {
        let mut state = self.state();
        let Some(&id) = state.by_session.get(&session) else {
            return;
        };
        let here = state
            .get(id)
            .is_some_and(|shadow| Arc::ptr_eq(&shadow.station.mount, &station.mount));
        let shadow = if here { state.remove(id) } else { None };
        drop(state);
        drop(shadow);
    }

    /// A connection that was asked for, and is not kept.
    pub(super) fn left(&self, who: Who) {
        self.state().left(who);
    }

    /// Whether the upstream may still take this listener for one who is there.
    pub(super) fn left_lately(&self, who: Who) -> bool {
        let state = self.state();
        let lately = state.lately.iter().rev();
        lately
            .take_while(|(at, _)| at.elapsed() <= LATELY)
            .any(|(_, other)| *other == who)
    }

    /// Whether the upstream has a connection of its own for this listener.
    pub(crate) fn has(&self, id: u64) -> bool {
        let mut state = self.state();
        let shadow = state.get(id);
        shadow.is_some_and(|shadow| matches!(shadow.link, Link::Up(_)))
    }

    /// The listener goes on at another mount, and so does its connection at the upstream.
    pub(crate) fn moved(&self, id: u64, to: &Arc<Station>) {
        if let Some(shadow) = self.state().get(id) {
            shadow.station = to.clone();
            if let Link::Up(line) = &mut shadow.link {
                line.count.fetch_sub(1, Ordering::Relaxed);
                line.count = to.shadows.clone();
                line.count.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    /// The listeners that the upstream counts itself, and where it believes them to be.
    pub(crate) fn counted(&self) -> HashMap<u64, Option<IpAddr>> {
        let state = self.state();
        let up = state.slots.iter().flatten().filter_map(|shadow| {
            let Link::Up(line) = &shadow.link else {
                return None;
            };
            let local = line.socket.local_addr().ok();
            Some((shadow.id, local.map(|local| local.ip().to_canonical())))
        });
        up.collect()
    }

    fn is_empty(&self) -> bool {
        self.state().by_id.is_empty()
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_shadow_is_small() {
        let size = size_of::<Option<super::Shadow>>();
        assert!(size <= 128, "{size} bytes");
    }
}
