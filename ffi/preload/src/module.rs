//! What the hooks share once the server listens.

use std::collections::HashMap;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use icecast_ext_core::address::Session;
use icecast_ext_delivery::{Ended, Engine, Error, Journal, Released};

use crate::answer::{self, TURN};
use crate::client::{Client, Stage};
use crate::config::Config;
use crate::reading::Reading;
use crate::source::Knocking;
use crate::station::{Origin, Station, Stations};
use crate::table::Table;
use crate::wire::Wire;

/// Between two looks for streams that are of no use any more.
const TIDY: Duration = Duration::from_secs(10);
/// What listeners are sent when the server ends.
const GRACE: Duration = Duration::from_secs(1);

static MODULE: OnceLock<Module> = OnceLock::new();
/// A process that was forked from ours has none of our threads.
static FORKED: AtomicBool = AtomicBool::new(false);

/// The module at work; `None` before the server listens, if we stand aside, and in children.
pub(crate) fn get() -> Option<&'static Module> {
    MODULE.get().filter(|_| !FORKED.load(Ordering::Relaxed))
}

/// In a child, between fork and exec.
pub(crate) fn forked() {
    FORKED.store(true, Ordering::Relaxed);
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// All of it.
#[derive(Debug)]
pub(crate) struct Module {
    pub(crate) config: Config,
    pub(crate) engine: Engine,
    pub(crate) stations: Stations,
    pub(crate) table: Table,
    journal: Option<Journal>,
    generations: AtomicU32,
    /// Whose answer has which session.
    sessions: Mutex<HashMap<Session, (RawFd, u32)>>,
    /// Who waits for what is nearly there, or for the first byte of a stream.
    waiting: Mutex<Vec<(RawFd, u32)>>,
    /// Each that waits has one of these.
    places: Arc<()>,
    wake: Condvar,
}

impl Module {
    /// Starts the loops. The calling thread's signal mask is theirs.
    pub(crate) fn start(config: Config) -> Result<&'static Self, Error> {
        let engine = Engine::start(config.engine(), |ended| {
            if let Some(module) = get() {
                module.ended(ended);
            }
        })?;
        let journal = config.state.as_deref().and_then(|dir| {
            let opened = Journal::open(dir);
            if let Err(error) = &opened {
                tracing::error!(%error, "no journal: a restart of the server begins every stream anew");
            }
            opened.ok()
        });
        let module = Self {
            config,
            engine,
            stations: Stations::default(),
            table: Table::default(),
            journal,
            generations: AtomicU32::new(1),
            sessions: Mutex::default(),
            waiting: Mutex::default(),
            places: Arc::default(),
            wake: Condvar::new(),
        };
        // Whatever can fail comes before there is a module.
        let keeper = std::thread::Builder::new().name("keeper".to_owned());
        let keeper = keeper.spawn(|| MODULE.wait().keep());
        keeper.map_err(Error::Loop)?;
        Ok(MODULE.get_or_init(|| module))
    }

    /// The stream of a source.
    pub(crate) fn station(&self, origin: Origin) -> Arc<Station> {
        self.stations.of(origin, |name| {
            let mount = self.engine.mount(name, self.config.mount(name));
            if let Some(journal) = &self.journal {
                let loaded = mount.attach(journal);
                tracing::info!(mount = name, bytes = loaded.bytes, "journal");
            }
            mount
        })
    }

    fn client(&self, fd: RawFd, peer: String, stage: Stage) {
        if let Some(slot) = self.table.slot(fd) {
            slot.track(Client {
                wire: Wire { fd, ssl: None },
                peer,
                generation: self.generations.fetch_add(1, Ordering::Relaxed),
                loop_has: false,
                closed: false,
                stage,
            });
        }
    }

    /// The server has accepted a connection.
    pub(crate) fn accepted(&self, fd: RawFd, peer: String) {
        self.client(fd, peer, Stage::Reading(Reading::default()));
    }

    /// The server sends on a connection that it has made.
    pub(crate) fn called(&self, fd: RawFd, request: &[u8]) {
        if let Some(knocking) = Knocking::relay(request) {
            self.client(fd, "upstream".to_owned(), Stage::Knocking(knocking));
        }
    }

    /// Whether the connection is still the server's, for whoever has another one's place.
    pub(crate) fn is_open(&self, fd: RawFd, generation: u32) -> bool {
        let Some(slot) = self.table.tracked(fd) else {
            return false;
        };
        slot.try_lock().is_none_or(|client| {
            client
                .as_ref()
                .is_some_and(|client| client.generation == generation && !client.closed)
        })
    }

    /// The connection whose answer has this session.
    pub(crate) fn session(&self, session: Session) -> Option<(RawFd, u32)> {
        lock(&self.sessions).remove(&session)
    }

    pub(crate) fn admitted(&self, session: Session, fd: RawFd, generation: u32) {
        lock(&self.sessions).insert(session, (fd, generation));
    }

    /// A place among those that wait, if there is one (R-SEC-2).
    pub(crate) fn place(&self) -> Option<Arc<()>> {
        // One at a time: nobody counts the same place as another.
        let _alone = lock(&self.waiting);
        let taken = Arc::strong_count(&self.places) - 1;
        (taken < self.config.held()).then(|| Arc::clone(&self.places))
    }

    /// A listener waits for what is nearly there.
    pub(crate) fn wait(&self, fd: RawFd, generation: u32) {
        lock(&self.waiting).push((fd, generation));
        self.wake.notify_one();
    }

    /// On a loop's thread: a response has ended.
    fn ended(&self, ended: Ended) {
        let (fd, generation) = parts(ended.id);
        tracing::info!(fd, reason = ?ended.reason, sent = ended.sent_bytes, secs = ended.secs, "a response has ended");
        let Some(slot) = self.table.tracked(fd) else {
            return;
        };
        if let Some(client) = slot.lock().as_mut()
            && client.generation == generation
            && !client.closed
        {
            client.stage = Stage::Over;
        }
    }

    /// On a loop's thread: a connection is the server's again.
    pub(crate) fn released(&self, fd: RawFd, generation: u32, released: Released) {
        let Some(slot) = self.table.tracked(fd) else {
            return;
        };
        let mut client = slot.lock();
        let back = match client.as_mut() {
            Some(client) if client.generation == generation => client.take_back(released),
            _ => Some(released),
        };
        // Dropped without the lock: closing takes it.
        drop(client);
        drop(back);
    }

    fn keep(&self) {
        let mut tidied = Instant::now();
        loop {
            let waiting = {
                let waiting = lock(&self.waiting);
                let time = if waiting.is_empty() { TIDY } else { TURN };
                let woken = self.wake.wait_timeout(waiting, time);
                let (mut waiting, _) = woken.unwrap_or_else(PoisonError::into_inner);
                std::mem::take(&mut *waiting)
            };
            if !waiting.is_empty() {
                // Told at once of who has come, and patient with them.
                std::thread::sleep(TURN / 4);
            }
            for (fd, generation) in waiting {
                self.settle(fd, generation);
            }
            if tidied.elapsed() > TIDY {
                tidied = Instant::now();
                self.stations.tidy();
                lock(&self.sessions).retain(|_, (fd, generation)| self.is_open(*fd, *generation));
            }
        }
    }

    fn settle(&self, fd: RawFd, generation: u32) {
        let Some(slot) = self.table.tracked(fd) else {
            return;
        };
        let mut guard = slot.lock();
        let Some(client) = guard.as_mut().filter(|one| one.generation == generation) else {
            return;
        };
        crate::hooks::inside(|| match &mut client.stage {
            Stage::Shadow(shadow) => {
                if let Some(pending) = shadow.pending.take() {
                    answer::settle(client, self, *pending);
                }
            }
            Stage::Gathering(gathering) => {
                let again = gathering.wait(client.wire);
                if again {
                    self.wait(fd, generation);
                }
            }
            _ => {}
        });
    }

    /// The server ends.
    pub(crate) fn stop(&self) {
        self.engine.shutdown(GRACE);
        if let Some(journal) = &self.journal {
            journal.sync();
        }
    }
}

/// Of a listener's id.
fn parts(id: u64) -> (RawFd, u32) {
    let fd = RawFd::try_from(id & u64::from(u32::MAX)).unwrap_or(-1);
    (fd, u32::try_from(id >> 32).unwrap_or(0))
}
