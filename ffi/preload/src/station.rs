//! A stream that a source feeds: its mount, where its bytes lie in the server's memory, and its titles.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::Format;
use icecast_ext_core::stock::Anchors;
use icecast_ext_delivery::Mount;

use crate::addresses::Addresses;
use crate::random;

/// Where a stream comes from: what stays the same when its source comes back.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum Origin {
    /// A source of this mount, as its request line has it, decoded.
    Mount(String),
    /// A relay's upstream: authority and path.
    Relay(String),
    /// A Shoutcast source that came to this port.
    Shoutcast(u16),
}

impl Origin {
    /// The mount's name, where it is known from the start.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Mount(path) => path.clone(),
            Self::Relay(upstream) => format!("/relay-of/{upstream}"),
            Self::Shoutcast(port) => format!("/shoutcast-source-at/{port}"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A stream.
#[derive(Debug)]
pub(crate) struct Station {
    pub(crate) mount: Arc<Mount>,
    /// What has become of stock players' anchors.
    pub(crate) anchors: Mutex<Anchors>,
    /// The place and the text of the last title.
    titled: Mutex<Option<(Position, Bytes)>>,
    live: AtomicBool,
    /// What is held was read from a journal, and nothing has come since.
    recalled: AtomicBool,
    since: Mutex<Instant>,
}

impl Station {
    fn new(mount: Arc<Mount>) -> Arc<Self> {
        let recalled = mount.with(|timeline| timeline.edge().is_some());
        Arc::new(Self {
            mount,
            anchors: Mutex::default(),
            titled: Mutex::default(),
            live: AtomicBool::new(false),
            recalled: AtomicBool::new(recalled),
            since: Mutex::new(Instant::now()),
        })
    }

    /// A source has been let in. `lines`: what listeners are told of it. None, if there is no randomness.
    pub(crate) fn begin(&self, format: Format, lines: Bytes) -> Option<Epoch> {
        let epoch = Epoch::from_bytes(random()?);
        self.mount.begin(RunStart {
            epoch,
            first: Offset::ZERO,
            // A journal may lack the last bytes that were sent before a crash (R-SPLICE-1).
            declared: !self.recalled.swap(false, Ordering::AcqRel),
            format,
            fields: lines,
            prelude: None,
        });
        if !format.has_preludes() {
            // Until somebody sets one, Icecast says so.
            let none = Bytes::from_static(b"StreamTitle='';");
            self.mount.title(Some(Offset::ZERO), none);
        }
        self.live.store(true, Ordering::Release);
        Some(epoch)
    }

    /// The source has gone.
    pub(crate) fn end(&self) {
        self.mount.end();
        self.live.store(false, Ordering::Release);
        *lock(&self.since) = Instant::now();
    }

    /// What has come before `at` need not wait for the tick.
    pub(crate) fn publish(&self, at: Position) {
        let published = self.mount.with(|timeline| timeline.edge());
        if published.is_some_and(|edge| edge.epoch == at.epoch && edge.offset < at.offset) {
            self.mount.flush();
        }
    }

    /// A source feeds it.
    pub(crate) fn is_live(&self) -> bool {
        self.live.load(Ordering::Acquire)
    }

    /// Nobody feeds it and nobody listens, and whoever did can find nothing here any more.
    fn is_idle(&self) -> bool {
        let config = self.mount.config();
        !self.is_live()
            && self.mount.listeners().total() == 0
            && lock(&self.since).elapsed() > config.window + Duration::from_secs(60)
    }

    /// The format of what comes in.
    pub(crate) fn format(&self) -> Option<Format> {
        self.mount
            .with(|timeline| timeline.runs().next_back().map(|run| run.format))
    }

    /// A title that the source or somebody in its name has set just now.
    pub(crate) fn retitle(&self, text: Bytes) {
        let Some(at) = self.mount.edge_with_pending() else {
            return;
        };
        *lock(&self.titled) = Some((at, text.clone()));
        self.mount.title(None, text);
    }

    /// A title that Icecast has sent to a listener before the byte at `at`. Those who are behind are told what is known already.
    pub(crate) fn titled(&self, at: Position, text: Bytes) {
        let mut titled = lock(&self.titled);
        let known = titled.as_ref().is_some_and(|(last, said)| {
            *said == text || (last.epoch == at.epoch && last.offset >= at.offset)
        });
        if !known
            && self
                .mount
                .edge_with_pending()
                .is_some_and(|edge| edge.epoch == at.epoch)
        {
            *titled = Some((at, text.clone()));
            self.mount.title(Some(at.offset), text);
        }
    }
}

/// All streams.
#[derive(Debug, Default)]
pub(crate) struct Stations {
    by_origin: Mutex<HashMap<Origin, Arc<Station>>>,
    /// The stream in which listeners of a path were found last.
    by_path: Mutex<HashMap<String, Arc<Station>>>,
    pub(crate) addresses: Addresses,
}

/// Paths that are remembered. A default fallback makes a stream of any.
const MAX_PATHS: usize = 4096;

impl Stations {
    /// The stream of this origin; `make` makes its mount if there is none yet.
    pub(crate) fn of(&self, origin: Origin, make: impl FnOnce(&str) -> Arc<Mount>) -> Arc<Station> {
        let mut map = lock(&self.by_origin);
        let made = || Station::new(make(&origin.name()));
        map.entry(origin.clone()).or_insert_with(made).clone()
    }

    /// The stream of this origin, if there is one.
    pub(crate) fn get(&self, origin: &Origin) -> Option<Arc<Station>> {
        lock(&self.by_origin).get(origin).cloned()
    }

    /// The stream that belongs to a path: its own source's, or the one in which its listeners were found last.
    pub(crate) fn at(&self, path: &str) -> Option<Arc<Station>> {
        let own = lock(&self.by_origin)
            .get(&Origin::Mount(path.to_owned()))
            .cloned();
        own.or_else(|| lock(&self.by_path).get(path).cloned())
    }

    /// A listener of this path was found in this stream.
    pub(crate) fn found(&self, path: &str, station: &Arc<Station>) {
        let mut paths = lock(&self.by_path);
        if paths.len() >= MAX_PATHS && !paths.contains_key(path) {
            paths.clear();
        }
        match paths.get_mut(path) {
            Some(known) if Arc::ptr_eq(known, station) => {}
            Some(known) => *known = station.clone(),
            None => drop(paths.insert(path.to_owned(), station.clone())),
        }
    }

    /// Those that are fed now.
    pub(crate) fn live(&self) -> Vec<Arc<Station>> {
        let all = lock(&self.by_origin);
        all.values().filter(|one| one.is_live()).cloned().collect()
    }

    /// Forgets what is of no use any more.
    pub(crate) fn tidy(&self) {
        lock(&self.by_path).retain(|_, station| !station.is_idle());
        lock(&self.by_origin).retain(|origin, station| {
            let idle = station.is_idle();
            if idle {
                tracing::info!(
                    stream = origin.name(),
                    "no source and no listener: forgotten"
                );
            }
            !idle
        });
    }
}
