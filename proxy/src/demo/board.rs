//! What the demo knows at a moment; every part writes its own share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::judge::Score;

/// A server process.
#[derive(Debug, Default, Clone)]
pub(super) struct Node {
    pub(super) name: &'static str,
    pub(super) address: String,
    pub(super) up: bool,
    pub(super) kills: u64,
}

/// How often the listener was cut, and how.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Cuts {
    pub(super) fin: u64,
    pub(super) rst: u64,
    /// Within the answer's head.
    pub(super) head: u64,
}

impl Cuts {
    pub(super) fn all(self) -> u64 {
        self.fin + self.rst + self.head
    }
}

/// All that the screen shows.
#[derive(Debug, Default, Clone)]
pub(super) struct Board {
    pub(super) elapsed: Duration,
    pub(super) length: Duration,
    /// The origin, then the relays.
    pub(super) nodes: Vec<Node>,
    /// The relay that the listener's bytes come from, as an index of `nodes`.
    pub(super) current: Option<usize>,
    pub(super) cuts: Cuts,
    pub(super) moves: u64,
    /// Bytes that the source has sent.
    pub(super) sent: u64,
    /// How far in the source the listener has come.
    pub(super) place: u64,
    pub(super) score: Score,
    pub(super) titles_set: u64,
    pub(super) titles_seen: u64,
    pub(super) titles_missing: u64,
    pub(super) titles_wrong: u64,
    /// At the end: of what was sent and what was received.
    pub(super) hashes_differ: bool,
    /// What the listener itself says it lost.
    pub(super) admitted: Option<String>,
}

impl Board {
    pub(super) fn kills(&self) -> u64 {
        self.nodes.iter().map(|node| node.kills).sum()
    }

    /// Fewer than this would show nothing: the listener is cut every 0.6 s or so.
    pub(super) fn cuts_wanted(&self) -> u64 {
        self.length.as_secs() / 2
    }

    /// What is not as it should be at the end.
    pub(super) fn complaints(&self) -> Vec<String> {
        let score = &self.score;
        let mut complaints = Vec::new();
        let mut complain = |bad: bool, what: String| {
            if bad {
                complaints.push(what);
            }
        };
        complain(score.verified == 0, "nothing was verified".into());
        complain(score.lost > 0, format!("{} bytes lost", score.lost));
        complain(
            score.repeated > 0,
            format!("{} bytes repeated", score.repeated),
        );
        complain(score.wrong > 0, format!("{} bytes wrong", score.wrong));
        complain(
            self.hashes_differ,
            "SHA-256 of what was sent and what was received differ".into(),
        );
        complain(
            self.titles_missing > 0,
            format!("{} titles missing", self.titles_missing),
        );
        complain(
            self.titles_wrong > 0,
            format!("{} titles repeated or out of order", self.titles_wrong),
        );
        complain(
            self.cuts.all() < self.cuts_wanted(),
            format!(
                "only {} cuts, {} would show something",
                self.cuts.all(),
                self.cuts_wanted()
            ),
        );
        complain(
            self.moves == 0,
            "the listener never moved to another relay".into(),
        );
        complain(self.kills() == 0, "no relay was killed".into());
        complain(
            self.admitted.is_some(),
            format!(
                "the listener says: {}",
                self.admitted.as_deref().unwrap_or_default()
            ),
        );
        complaints
    }
}

/// The board, shared.
#[derive(Debug, Default, Clone)]
pub(super) struct Shared(Arc<Mutex<Board>>);

impl Shared {
    pub(super) fn new(board: Board) -> Self {
        Self(Arc::new(Mutex::new(board)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Board> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
