//! The loops, admission, and how listeners ended.

mod orders;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use icecast_ext_core::address::Session;
use icecast_ext_core::plan::Cursor;

use crate::config::{EngineConfig, MountConfig};
use crate::error::Error;
use crate::fanout::Fanout;
use crate::handover::{Detached, Progress};
use crate::mount::Mount;
use crate::socket::Socket;
use crate::survey::Survey;
use crate::ticker::{self, Ticker};
pub use orders::{Next, Released};
pub(crate) use orders::{Order, Parting};

/// What a listener gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Canonical bytes alone.
    Plain = 0,
    /// With ICY blocks.
    Icy = 1,
    /// The relay feed.
    Feed = 2,
}

/// A connection whose request was answered with yes: from here on it is a loop's.
#[derive(Debug)]
pub struct Admission {
    /// The client's connection. What was read of its request is the caller's business; what follows is ignored.
    pub socket: Socket,
    /// Whose bytes.
    pub mount: Arc<Mount>,
    /// The answer's head, and the prelude.
    pub head: Bytes,
    /// Where it starts.
    pub cursor: Cursor,
    /// For the counts.
    pub kind: Kind,
    /// As the head says.
    pub session: Option<Session>,
    /// The caller's, for [`Ended`]; no other listener's, if [`Engine::kick`] or [`Engine::part`] is to find it.
    pub id: u64,
}

/// Why a listener's response ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Reason {
    /// The peer hung up, or its network did.
    PeerClosed,
    /// The epoch ended (R-SPLICE-3).
    Epoch,
    /// Its position left the window.
    Evicted,
    /// Its socket took nothing for too long.
    Stuck,
    /// Its client came back on another connection (R-SESS-3).
    Replaced,
    /// It has been sent all that it asked for.
    Complete,
    /// [`Engine::kick`]
    Kicked,
    /// [`Engine::carry`], [`Engine::part`] or [`Mount::reconfigure`]: an aware client or a relay, which asks again by itself.
    Moved,
    /// [`Mount::close`]
    MountClosed,
    /// [`Engine::shutdown`]
    Shutdown,
}

/// A listener's response has ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ended {
    /// As admitted.
    pub id: u64,
    /// Why.
    pub reason: Reason,
    /// Bytes that the socket took, or TLS for it, with head, prelude, ICY blocks, frames.
    pub sent_bytes: u64,
    /// Canonical bytes among them.
    pub audio_bytes: u64,
    /// Whole seconds from admission to the end.
    pub secs: u64,
}

/// Which loop has a session's connection.
pub(crate) type Sessions = Mutex<HashMap<Session, usize>>;

/// Listeners that stay, by the caller's id.
type Keep = dyn Fn(u64) -> bool + Send + Sync;

/// Told who goes on at another mount, by the caller's id.
pub(crate) type Moved = dyn Fn(u64) + Send + Sync;

/// To a loop.
pub(crate) enum Message {
    Admit(Box<Admission>, Progress),
    /// All leave, but those of these ids.
    Detach(Arc<Keep>, Sender<Vec<Detached>>),
    /// A mount, by id, has something new.
    Dirty(u64),
    /// A mount's session came back.
    Replace(u64, Session),
    /// A mount's listener of this caller's id ends.
    Kick(u64, u64),
    /// The listener of this caller's id parts somewhere.
    Part(u64, Arc<Order>),
    /// A mount's relays end.
    Renew(u64),
    /// A mount's listeners go on in another one.
    Carry(u64, Arc<Mount>, Arc<Moved>),
    /// Where the loop's listeners stand.
    Survey(Arc<Survey>),
    /// Whoever can resume elsewhere ends once it has been sent everything; stock players, too, if true.
    Retire(bool),
    /// Whoever has been sent everything ends; the others at this time.
    Drain(Instant),
}

/// The outside of a loop.
pub(crate) struct LoopHandle {
    inbox: Mutex<Vec<Message>>,
    waker: mio::Waker,
    pub(crate) listeners: AtomicUsize,
}

impl fmt::Debug for LoopHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LoopHandle")
            .field("listeners", &self.listeners)
            .finish_non_exhaustive()
    }
}

impl LoopHandle {
    pub(crate) fn new(waker: mio::Waker) -> Self {
        Self {
            inbox: Mutex::default(),
            waker,
            listeners: AtomicUsize::new(0),
        }
    }

    pub(crate) fn dirty(&self, mounts: impl Iterator<Item = u64>) {
        self.post_all(mounts.map(Message::Dirty));
    }

    pub(crate) fn post(&self, message: Message) {
        self.post_all([message].into_iter());
    }

    fn post_all(&self, messages: impl Iterator<Item = Message>) {
        let mut inbox = lock(&self.inbox);
        let asleep = inbox.is_empty();
        inbox.extend(messages);
        drop(inbox);
        if asleep && let Err(error) = self.waker.wake() {
            tracing::error!(%error, "a delivery loop cannot be woken");
        }
    }

    /// Takes what has been posted, into `out`, which is empty.
    pub(crate) fn take(&self, out: &mut Vec<Message>) {
        std::mem::swap(&mut *lock(&self.inbox), out);
    }
}

/// What loops, ticker and mounts share.
pub(crate) struct Shared {
    pub(crate) loops: Vec<Arc<LoopHandle>>,
    pub(crate) ticker: Ticker,
    pub(crate) config: EngineConfig,
    pub(crate) ended: Box<dyn Fn(Ended) + Send + Sync>,
    mounts: Mutex<Vec<Weak<Mount>>>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared")
            .field("loops", &self.loops.len())
            .finish_non_exhaustive()
    }
}

impl Shared {
    /// The mounts that somebody holds.
    pub(crate) fn mounts(&self) -> Vec<Arc<Mount>> {
        lock(&self.mounts)
            .iter()
            .filter_map(Weak::upgrade)
            .collect()
    }

    /// Calls `with` with the index of each loop that has listeners of `mount`.
    pub(crate) fn each_interested(&self, mount: &Mount, mut with: impl FnMut(usize)) {
        let mut left = mount.interest.load(Ordering::SeqCst);
        while left != 0 {
            with(left.trailing_zeros() as usize);
            left &= left - 1;
        }
    }

    /// Tells those loops.
    pub(crate) fn tell(&self, mount: &Mount, message: impl Fn() -> Message) {
        self.each_interested(mount, |index| {
            if let Some(handle) = self.loops.get(index) {
                handle.post(message());
            }
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Delivery: one loop a core and a ticker.
#[derive(Debug)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    stopped: AtomicBool,
}

impl Engine {
    /// Starts the threads. `ended` is called on a loop's thread: it must not block. The threads inherit the caller's signal
    /// mask: who has handlers that must not run on them blocks all signals for the time of this call.
    pub fn start(
        config: EngineConfig,
        ended: impl Fn(Ended) + Send + Sync + 'static,
    ) -> Result<Self, Error> {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let count = if config.loops == 0 {
            cores()
        } else {
            config.loops
        }
        .min(64);
        let mut polls = Vec::new();
        let mut handles = Vec::new();
        for _ in 0..count {
            let (poll, waker) = Fanout::poll().map_err(Error::Loop)?;
            polls.push(poll);
            handles.push(Arc::new(LoopHandle::new(waker)));
        }
        let shared = Arc::new(Shared {
            loops: handles,
            ticker: Ticker::new(),
            config,
            ended: Box::new(ended),
            mounts: Mutex::default(),
        });
        let engine = Self {
            shared: Arc::clone(&shared),
            threads: Mutex::default(),
            stopped: AtomicBool::new(false),
        };
        for (index, poll) in polls.into_iter().enumerate() {
            let shared = Arc::clone(&shared);
            engine.spawn(format!("fanout-{index}"), move || {
                Fanout::new(shared, index, poll).run()
            })?;
        }
        engine.spawn("ticker".to_owned(), move || ticker::run(&shared))?;
        Ok(engine)
    }

    fn spawn(&self, name: String, body: impl FnOnce() + Send + 'static) -> Result<(), Error> {
        let thread = std::thread::Builder::new()
            .name(name)
            .spawn(body)
            .map_err(Error::Loop)?;
        lock(&self.threads).push(thread);
        Ok(())
    }

    /// A mount that is published each tick as long as somebody holds it.
    #[must_use]
    pub fn mount(&self, name: &str, config: MountConfig) -> Arc<Mount> {
        let mount = Mount::new(name, config);
        self.adopt(&mount);
        mount
    }

    /// A mount made by [`Mount::new`] is published each tick from now on. It belongs to this engine for good.
    pub fn adopt(&self, mount: &Arc<Mount>) {
        if mount.shared.set(Arc::clone(&self.shared)).is_ok() {
            self.shared.ticker.add(mount);
            let mut mounts = lock(&self.shared.mounts);
            mounts.retain(|mount| mount.strong_count() > 0);
            mounts.push(Arc::downgrade(mount));
        }
    }

    /// A listener's connection is a loop's from now on; what is held for it is sent at once.
    pub fn admit(&self, admission: Admission) -> Result<(), Error> {
        self.enter(admission, Progress::default())
    }

    fn enter(&self, admission: Admission, before: Progress) -> Result<(), Error> {
        if self.stopped.load(Ordering::SeqCst) {
            return Err(Error::ShutDown);
        }
        let Shared { loops, config, .. } = &*self.shared;
        let mount = &admission.mount;
        let ticks = mount.config().tick.as_secs_f64() * 4.0 * mount.rate() as f64;
        let buffer = config.send_buffer.max(ticks as usize);
        admission
            .socket
            .prepare(buffer, config.stuck)
            .map_err(Error::Socket)?;
        if admission.cursor.resets() {
            // If this process dies, too.
            admission.socket.abort();
        }
        let least = loops
            .iter()
            .enumerate()
            .min_by_key(|(_, handle)| handle.listeners.load(Ordering::Relaxed));
        let Some((index, handle)) = least else {
            return Err(Error::ShutDown);
        };
        handle.listeners.fetch_add(1, Ordering::Relaxed);
        mount.count(admission.kind, true);
        if let Some(session) = admission.session {
            lock(&mount.sessions).insert(session, index);
        }
        handle.post(Message::Admit(Box::new(admission), before));
        Ok(())
    }

    /// Listeners of all mounts.
    #[must_use]
    pub fn listeners(&self) -> usize {
        self.shared
            .loops
            .iter()
            .map(|handle| handle.listeners.load(Ordering::Relaxed))
            .sum()
    }

    /// From now on aware clients and relays are sent what is held, and then their responses end: they go on elsewhere. So do
    /// stock players that come back, if `anchored` says that there is somebody to receive them. Other listeners stay.
    pub fn retire(&self, anchored: bool) {
        for handle in &self.shared.loops {
            handle.post(Message::Retire(anchored));
        }
    }

    /// Publishes what is whole, lets listeners take what is held for up to `grace`, ends them and joins the threads. Further
    /// calls do nothing.
    pub fn shutdown(&self, grace: Duration) {
        if self.stopped.swap(true, Ordering::SeqCst) {
            return;
        }
        self.shared.ticker.stop();
        for mount in lock(&self.shared.mounts)
            .drain(..)
            .filter_map(|mount| mount.upgrade())
        {
            mount.flush();
        }
        let end = Instant::now() + grace;
        for handle in &self.shared.loops {
            handle.post(Message::Drain(end));
        }
        for thread in lock(&self.threads).drain(..) {
            if thread.join().is_err() {
                tracing::error!("a delivery thread panicked");
            }
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.shutdown(Duration::ZERO);
    }
}
