//! A mount: its timeline, who listens, and what the suite does with it when it plays the upstream.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::watch;

use super::names;
use super::timeline::{Then, Timeline};

/// A mount.
#[derive(Debug)]
pub struct Mount {
    pub(crate) path: String,
    window: Duration,
    state: Mutex<State>,
    /// Counts changes of the state.
    changed: watch::Sender<u64>,
    /// Counts how often all connections were cut.
    cuts: watch::Sender<u64>,
}

/// What a mount is at a time.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) timeline: Timeline,
    /// What answers carry beside our own: `icy-name` and the like.
    pub(crate) fields: Vec<(String, String)>,
    /// Whether somebody feeds it.
    pub(crate) fed: bool,
    /// Open connections by their names; a value that becomes true ends one.
    pub(crate) sessions: HashMap<String, watch::Sender<bool>>,
    /// A status that everybody gets instead.
    pub(crate) status: Option<u16>,
    /// Whether it is answered as a stock server would.
    pub(crate) stock: bool,
    /// Whether those who read the feed get nothing.
    pub(crate) mute: bool,
    /// Octets for those who read the feed, beside its frames.
    pub(crate) injected: Vec<Vec<u8>>,
}

/// Milliseconds since 1970.
pub(crate) fn now() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(0)
}

impl Mount {
    pub(crate) fn new(
        path: &str,
        content_type: &str,
        window: Duration,
        stock: bool,
        bug: Option<&'static str>,
    ) -> Self {
        let mut timeline = Timeline::new(bug);
        content_type.clone_into(&mut timeline.content_type);
        Self {
            path: path.to_owned(),
            window,
            state: Mutex::new(State {
                timeline,
                fields: Vec::new(),
                fed: false,
                sessions: HashMap::new(),
                status: None,
                stock,
                mute: false,
                injected: Vec::new(),
            }),
            changed: watch::Sender::new(0),
            cuts: watch::Sender::new(0),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state, and wakes who waits for that.
    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let out = change(&mut self.lock());
        self.changed.send_modify(|count| *count += 1);
        out
    }

    pub(crate) fn watch(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    pub(crate) fn watch_cuts(&self) -> watch::Receiver<u64> {
        self.cuts.subscribe()
    }

    /// The next bytes. An epoch begins if none runs.
    pub fn push(&self, bytes: &[u8]) {
        let before =
            now().saturating_sub(u64::try_from(self.window.as_millis()).unwrap_or(u64::MAX));
        self.change(|state| {
            let running = state
                .timeline
                .runs
                .back()
                .is_some_and(|run| run.then == Then::Running);
            if !running {
                state.timeline.mint();
            }
            state.fed = true;
            state.timeline.push(bytes, Some(now()), now());
            state.timeline.forget(before);
        });
    }

    /// A title in force from the next byte on.
    pub fn title(&self, text: &[u8]) {
        self.change(|state| state.timeline.title(None, text));
    }

    /// The epoch ends here, and another begins; which it was, and where it ended.
    pub fn splice(&self, declared: bool) -> Option<(String, u64)> {
        self.change(|state| {
            let run = state.timeline.runs.back();
            let end = run.map(|run| (names::encode(&run.epoch), run.next()));
            state.timeline.begin(names::random(), 0, declared, None);
            end
        })
    }

    /// So many bytes are missing here, and the epoch goes on after them.
    pub fn gap(&self, missing: u64) {
        self.change(|state| {
            if let Some((epoch, next)) = state
                .timeline
                .runs
                .back()
                .map(|run| (run.epoch, run.next()))
            {
                state.timeline.begin(epoch, next + missing, false, None);
            }
        });
    }

    /// The epoch ends here, and nothing follows yet.
    pub fn end(&self) {
        self.change(|state| {
            state.timeline.end();
            state.fed = false;
        });
    }

    /// Everything is forgotten, as by a server that starts anew.
    pub fn forget(&self) {
        self.change(|state| state.timeline.runs.clear());
    }

    /// Cuts all connections.
    pub fn cut(&self) {
        self.cuts.send_modify(|count| *count += 1);
    }

    /// Answers everybody with a status, or as usual again.
    pub fn refuse(&self, status: Option<u16>) {
        self.change(|state| state.status = status);
    }

    /// Answers as a server that knows nothing of the protocol.
    pub fn stock(&self, stock: bool) {
        self.change(|state| state.stock = stock);
    }

    /// Whether it answers as a server that knows nothing of the protocol.
    #[must_use]
    pub fn is_stock(&self) -> bool {
        self.lock().stock
    }

    /// Sends octets to those who read the feed, at its edge.
    pub fn inject(&self, octets: Vec<u8>) {
        self.change(|state| state.injected.push(octets));
    }

    /// Sends nothing to those who read the feed, or goes on.
    pub fn mute(&self, mute: bool) {
        self.change(|state| state.mute = mute);
    }

    /// The epoch that runs, as it is written, and its edge.
    #[must_use]
    pub fn edge(&self) -> Option<(String, u64)> {
        let state = self.lock();
        let run = state.timeline.runs.back()?;
        Some((names::encode(&run.epoch), run.next()))
    }

    /// Its titles: offset and text.
    #[must_use]
    pub fn titles(&self) -> Vec<(u64, Vec<u8>)> {
        let state = self.lock();
        state
            .timeline
            .runs
            .back()
            .map(|run| run.titles.clone())
            .unwrap_or_default()
    }

    /// Its path.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Names a connection, and closes the one that had the name before (R-SESS-3). Returns when that has gone.
    pub(crate) async fn succeed(&self, session: &str) {
        let old = self.lock().sessions.get(session).cloned();
        if let Some(old) = old {
            let _ = old.send(true);
            // It takes itself off the list.
            let mut changed = self.watch();
            while self.lock().sessions.contains_key(session) {
                if changed.changed().await.is_err() {
                    break;
                }
            }
        }
    }
}

/// A connection's place on the list of sessions. It leaves it when dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    mount: Arc<Mount>,
    session: String,
    pub(crate) ended: watch::Receiver<bool>,
}

impl Seat {
    pub(crate) fn take(mount: &Arc<Mount>, session: String) -> Self {
        let end = watch::Sender::new(false);
        let ended = end.subscribe();
        mount.change(|state| state.sessions.insert(session.clone(), end));
        Self {
            mount: Arc::clone(mount),
            session,
            ended,
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.mount
            .change(|state| state.sessions.remove(&self.session));
    }
}
