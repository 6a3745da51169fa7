//! A mount: one writer, many readers.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};
use std::sync::{
    Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
};
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position, Session};
use icecast_ext_core::buffer::{Buffer, Event, RunStart, Turn, Writing};
use icecast_ext_core::field::{Resume, StreamWindow};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{Refusal, Start};
use icecast_ext_core::timeline::Timeline;
use icecast_ext_core::wanted::{Decided, Wanted};

use crate::clock;
use crate::config::{Listeners, MountConfig};
#[cfg(doc)]
use crate::engine::Reason;
use crate::engine::{Kind, Message, Sessions, Shared};
use crate::journal::MountJournal;
use crate::journal::record::Record;
use crate::tally::{Passed, Tally};

/// A mount's back buffer. Written by one, read by all loops; [`crate::Engine::mount`] makes one that is published each tick.
#[derive(Debug)]
pub struct Mount {
    id: u64,
    name: String,
    config: RwLock<MountConfig>,
    pub(crate) writing: Mutex<Option<Writing>>,
    buffer: RwLock<Buffer>,
    pub(crate) journal: Mutex<Option<MountJournal>>,
    tick: AtomicU32,
    rate: AtomicU64,
    /// What the budget over all mounts leaves.
    allowance: AtomicU64,
    kinds: [AtomicUsize; 3],
    pub(crate) tally: Arc<Tally>,
    /// Loops that have listeners of this mount, a bit each.
    pub(crate) interest: AtomicU64,
    pub(crate) sessions: Sessions,
    pub(crate) shared: OnceLock<Arc<Shared>>,
    nudged: AtomicBool,
}

/// So soon after its first bytes a run is published for the first time, so that its first listener need not wait.
const QUICK: Duration = Duration::from_millis(50);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mount {
    /// A mount that nobody publishes but [`Mount::flush`].
    #[must_use]
    pub fn new(name: &str, config: MountConfig) -> Arc<Self> {
        static IDS: AtomicU64 = AtomicU64::new(0);
        let buffer = RwLock::new(Buffer::new(config.burst, config.tick));
        Arc::new(Self {
            id: IDS.fetch_add(1, Ordering::Relaxed),
            name: name.to_owned(),
            config: RwLock::new(config),
            writing: Mutex::default(),
            buffer,
            journal: Mutex::default(),
            tick: AtomicU32::new(0),
            rate: AtomicU64::new(0),
            allowance: AtomicU64::new(u64::MAX),
            kinds: Default::default(),
            tally: Arc::default(),
            interest: AtomicU64::new(0),
            sessions: Sessions::default(),
            shared: OnceLock::new(),
            nudged: AtomicBool::new(false),
        })
    }

    /// Its path.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// As it was made, or last told.
    #[must_use]
    pub fn config(&self) -> MountConfig {
        *self.config.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Publishes, holds and starts live joins as `next` says, from the next tick on. Listeners notice nothing, unless they stand
    /// before a window that has shrunk. Relays were told a tick, and take a slower one for death (R-FEED-12): their responses
    /// end with [`Reason::Moved`], and they ask again.
    pub fn reconfigure(&self, next: MountConfig) {
        let before = self.put_config(next);
        let mut buffer = self.write();
        buffer.timeline.set_burst(next.burst);
        buffer.set_tick(next.tick);
        drop(buffer);
        if next.tick > before.tick
            && let Some(shared) = self.shared.get()
        {
            shared.tell(self, || Message::Renew(self.id));
        }
    }

    pub(crate) fn put_config(&self, next: MountConfig) -> MountConfig {
        let mut config = self.config.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *config, next)
    }

    pub(crate) const fn id(&self) -> u64 {
        self.id
    }

    // ---- the writer's side ----

    /// A run begins; the one before ends at its last whole unit.
    pub fn begin(&self, run: RunStart) {
        let mut writing = lock(&self.writing);
        self.publish_locked(&mut writing);
        self.write().begin(&run);
        let ms = writing.as_ref().map_or(0, Writing::ms);
        *writing = Some(Writing::begin(&run, ms));
        self.nudged.store(false, Ordering::Relaxed);
        self.record(|| Record::Begin(run));
    }

    /// Bytes of the current run that follow; ignored before [`Mount::begin`]. `now_ms`: when they arrived, ms since 1970, by a
    /// clock that does not jump; `None` for a relay, which says [`Mount::time`].
    pub fn append(self: &Arc<Self>, bytes: &[u8], now_ms: Option<u64>) {
        if bytes.is_empty() {
            return;
        }
        let begun = match &mut *lock(&self.writing) {
            Some(writing) => {
                if let Some(damaged) = writing.append(bytes, now_ms) {
                    let at = writing.next();
                    tracing::warn!(%at, damaged, "broken Ogg pages: passed on as they are, nobody starts there");
                }
                writing.begun()
            }
            None => return,
        };
        if !begun
            && !self.nudged.swap(true, Ordering::Relaxed)
            && let Some(shared) = self.shared.get()
        {
            shared.ticker.soon(self, QUICK);
        }
    }

    /// A title from `at` on, or from the next byte on. The text of an ICY block without padding.
    pub fn title(&self, at: Option<Offset>, text: Bytes) {
        if let Some(writing) = &mut *lock(&self.writing) {
            let at = at.unwrap_or(writing.next().offset);
            writing.event(Event::Title(at, text));
        }
    }

    /// The parent says when the byte at `at` arrived at the origin, ms since 1970. To be called before its bytes are appended.
    pub fn time(&self, at: Offset, ms: u64) {
        if let Some(writing) = &mut *lock(&self.writing) {
            writing.event(Event::Time(at, ms));
        }
    }

    /// The parent says what the prelude is from `at` on. To be called before the bytes from there are appended.
    pub fn prelude(&self, at: Offset, bytes: Bytes) {
        if let Some(writing) = &mut *lock(&self.writing) {
            writing.event(Event::Prelude(at, bytes));
        }
    }

    /// The parent says where the splice into the current run leads, and whether that is `seamless`.
    pub fn splice_to(&self, to: Position, seamless: bool) {
        let _order = lock(&self.writing);
        self.write().timeline.splice_to(to, seamless);
        self.record(|| Record::SpliceTo(to, seamless));
    }

    /// The current run ends at its last whole unit; what follows is not known yet.
    pub fn end(&self) {
        let mut writing = lock(&self.writing);
        self.publish_locked(&mut writing);
        if writing.take().is_some() {
            self.write().timeline.end();
            self.record(|| Record::End);
        }
        drop(writing);
        self.wake();
    }

    /// Publishes what is whole now and wakes the loops.
    pub fn flush(&self) {
        self.publish_locked(&mut lock(&self.writing));
        self.wake();
    }

    /// No more will come: listeners are sent what is held, then their responses end.
    pub fn close(&self) {
        self.publish_locked(&mut lock(&self.writing));
        self.write().closed = true;
        self.wake();
    }

    /// True after [`Mount::close`].
    #[must_use]
    pub fn closed(&self) -> bool {
        self.read().closed
    }

    /// One tick. True if loops have something to do.
    pub(crate) fn publish(&self) -> bool {
        let grown = self.publish_locked(&mut lock(&self.writing));
        grown || self.kinds[Kind::Feed as usize].load(Ordering::Relaxed) > 0
    }

    fn publish_locked(&self, writing: &mut Option<Writing>) -> bool {
        self.tick.fetch_add(1, Ordering::Relaxed);
        self.nudged.store(false, Ordering::Relaxed);
        let cut = self.config().cut_frames;
        let Some(batch) = writing.as_mut().and_then(|writing| writing.take(cut)) else {
            return false;
        };
        self.tally.add(Passed {
            received: batch.bytes.len() as u64,
            ..Passed::default()
        });
        let mut gone = Vec::new();
        {
            let mut buffer = self.write();
            buffer.grow(&batch, clock::now_ms());
            buffer.evict(self.window_ms(), self.cap(), &mut gone);
        }
        self.note_rate();
        self.record(|| Record::Batch(batch));
        true
    }

    pub(crate) fn note_rate(&self) {
        let rate = self.window().and_then(|window| window.rate);
        self.rate.store(rate.unwrap_or(0), Ordering::Relaxed);
    }

    fn cap(&self) -> u64 {
        self.config()
            .cap
            .min(self.allowance.load(Ordering::Relaxed))
    }

    /// Holds no more than `bytes` (and one chunk's) from now on, or [`MountConfig::cap`] if that is less.
    pub(crate) fn allow(&self, bytes: u64) {
        self.allowance.store(bytes, Ordering::Relaxed);
        if self.held() > bytes {
            let mut gone = Vec::new();
            let _order = lock(&self.writing);
            self.write().evict(self.window_ms(), self.cap(), &mut gone);
        }
    }

    pub(crate) fn window_ms(&self) -> u64 {
        u64::try_from(self.config().window.as_millis()).unwrap_or(u64::MAX)
    }

    fn wake(&self) {
        if let Some(shared) = self.shared.get() {
            shared.tell(self, || Message::Dirty(self.id));
        }
    }

    // ---- the readers' side ----

    /// Looks at what is published. Brief: the writer waits.
    pub fn with<R>(&self, look: impl FnOnce(&Timeline) -> R) -> R {
        look(&self.read().timeline)
    }

    /// Where an answer to `asked` starts.
    pub fn start(&self, asked: &Resume) -> Result<Start, Refusal> {
        self.read().timeline.start(asked)
    }

    /// What a request is answered that came at `now`, by [`clock::now_ms`].
    #[must_use]
    pub fn decide(&self, wanted: &Wanted, now: u64) -> Decided {
        wanted.decide(&self.read(), now)
    }

    /// Where a relay feed starts.
    pub fn start_feed(&self, asked: Option<&Resume>) -> Result<Start, Refusal> {
        self.read().timeline.start_feed(asked)
    }

    /// What `Stream-Window` says now.
    #[must_use]
    pub fn window(&self) -> Option<StreamWindow> {
        self.read().timeline.window()
    }

    /// `Content-Type` and `icy-*` lines of the current run.
    #[must_use]
    pub fn fields(&self) -> Bytes {
        self.with(|timeline| {
            timeline
                .runs()
                .next_back()
                .map(|run| run.fields.clone())
                .unwrap_or_default()
        })
    }

    /// Bytes a second; zero while unknown.
    #[must_use]
    pub fn rate(&self) -> u64 {
        self.rate.load(Ordering::Relaxed)
    }

    /// Bytes held.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.read().ring.held()
    }

    /// The byte that comes next, counting what is not published yet; `None` before the first run and after its end.
    #[must_use]
    pub fn edge_with_pending(&self) -> Option<Position> {
        lock(&self.writing).as_ref().map(Writing::next)
    }

    /// The byte that comes next: as [`Mount::edge_with_pending`], or where the last run ended.
    #[must_use]
    pub fn received(&self) -> Option<Position> {
        self.edge_with_pending()
            .or_else(|| self.with(Timeline::edge))
    }

    /// The last `max` bytes received of the current run, oldest first, published or not: what healing looks for in a burst.
    #[must_use]
    pub fn tail(&self, max: usize) -> Vec<u8> {
        let writing = lock(&self.writing);
        let pending = writing.as_ref().map_or(&[][..], Writing::bytes);
        let kept = &pending[pending.len().saturating_sub(max)..];
        let mut tail = self.read().tail((max - kept.len()) as u64);
        tail.extend_from_slice(kept);
        tail
    }

    /// Who listens now.
    #[must_use]
    pub fn listeners(&self) -> Listeners {
        let count = |kind: Kind| self.kinds[kind as usize].load(Ordering::Relaxed);
        Listeners {
            plain: count(Kind::Plain),
            icy: count(Kind::Icy),
            feed: count(Kind::Feed),
        }
    }

    /// What has been received and sent, counted once a tick.
    #[must_use]
    pub fn tally(&self) -> &Arc<Tally> {
        &self.tally
    }

    /// The session's connection is gone.
    pub(crate) fn forget(&self, session: Session) {
        lock(&self.sessions).remove(&session);
    }

    pub(crate) fn count(&self, kind: Kind, joined: bool) {
        let count = &self.kinds[kind as usize];
        if joined {
            count.fetch_add(1, Ordering::Relaxed);
        } else {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Adds to `turn` what a listener at `from` is sent next. True if the mount is closed.
    pub(crate) fn plan(&self, from: Cursor, limit: usize, turn: &mut Turn) -> bool {
        let buffer = self.read();
        if let Err(at) = buffer.plan(from, self.tick.load(Ordering::Relaxed), limit, turn) {
            tracing::error!(%at, "the timeline holds a byte that the ring does not");
        }
        buffer.closed
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Buffer> {
        self.buffer.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Buffer> {
        self.buffer.write().unwrap_or_else(PoisonError::into_inner)
    }
}
