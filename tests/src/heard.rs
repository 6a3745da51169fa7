//! The resuming client, and everything it tells.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use icecast_ext_client::{Builder, Event, Listener, Loss, Move};
use icecast_ext_core::address::Position;
use tokio::task::JoinHandle;

use crate::wait::wait_for;

/// What a client has told so far.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// Where it joined.
    pub first: Option<Position>,
    /// Audio, without preludes.
    pub audio: Vec<u8>,
    /// Preludes and audio: what a decoder gets.
    pub file: Vec<u8>,
    /// Titles and their offsets.
    pub titles: Vec<(Option<u64>, String)>,
    /// Losses, with the index into the audio where they are.
    pub losses: Vec<(usize, Loss)>,
    /// Declared splices, with the index into the audio.
    pub splices: Vec<(usize, Position, Position)>,
    /// Changes of relay.
    pub moves: u64,
    /// And what was said of each.
    pub moved: Vec<Move>,
    /// Accepted connections that ended.
    pub cuts: u64,
    /// Continuations by content.
    pub stitches: u64,
    /// Moves to another epoch that a relay has proven by content, with the index into the audio.
    pub anchored: Vec<(usize, Position)>,
    /// What a server did wrong.
    pub notes: Vec<String>,
    /// Every event that was not audio, with the time since the start and the audio's length then: for whoever has to
    /// find out why something failed.
    pub told: Vec<(Duration, usize, String)>,
}

impl Heard {
    fn take(&mut self, at: Duration, event: Event) {
        if !matches!(event, Event::Audio(_)) {
            self.told.push((at, self.audio.len(), format!("{event:?}")));
        }
        match event {
            Event::Joined { at, .. } => self.first = self.first.or(at),
            Event::Audio(bytes) => {
                self.audio.extend_from_slice(&bytes);
                self.file.extend_from_slice(&bytes);
            }
            Event::Prelude(bytes) => self.file.extend_from_slice(&bytes),
            Event::Title(title) => {
                let text = String::from_utf8_lossy(&title.text).into_owned();
                self.titles.push((title.at.map(|at| at.offset.get()), text));
            }
            Event::Moved(moved) => {
                self.moves += 1;
                self.moved.push(moved);
            }
            Event::Spliced { from, to } => self.splices.push((self.audio.len(), from, to)),
            Event::Stitched { .. } => self.stitches += 1,
            Event::Anchored { at, .. } => self.anchored.push((self.audio.len(), at)),
            Event::Lost(loss) => self.losses.push((self.audio.len(), loss)),
            Event::Cut { .. } => self.cuts += 1,
            Event::Note(note) => self.notes.push(format!("{note:?}")),
            _ => {}
        }
    }
}

/// A client that listens in the background. It ends when dropped.
#[derive(Debug)]
pub struct Hearing {
    heard: Arc<Mutex<Heard>>,
    task: JoinHandle<()>,
}

impl Hearing {
    /// Joins live at the first of these relays.
    ///
    /// # Errors
    /// If a URL is none.
    pub fn start(urls: &[String], icy: bool) -> Result<Self> {
        Self::of(Listener::builder(urls.iter().cloned()).icy(icy))
    }

    /// As set up.
    ///
    /// # Errors
    /// If a URL is none, or a file cannot be read.
    pub fn of(builder: Builder) -> Result<Self> {
        let mut listener = builder.open()?;
        let heard = Arc::new(Mutex::new(Heard::default()));
        let record = Arc::clone(&heard);
        let began = Instant::now();
        let task = tokio::spawn(async move {
            while let Ok(event) = listener.next().await {
                let mut heard = record.lock().expect("no panic while held");
                heard.take(began.elapsed(), event);
            }
        });
        Ok(Self { heard, task })
    }

    /// So far.
    #[must_use]
    pub fn heard(&self) -> Heard {
        self.heard.lock().expect("no panic while held").clone()
    }

    /// Audio bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.heard.lock().expect("no panic while held").audio.len()
    }

    /// Whether there is no audio yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether the client has ended by itself.
    #[must_use]
    pub fn gave_up(&self) -> bool {
        self.task.is_finished()
    }

    /// Where it joined.
    ///
    /// # Panics
    /// If it does not join in time, or at a server without addresses.
    pub async fn joined(&self, deadline: Duration) -> Position {
        let first = || self.heard.lock().expect("no panic while held").first;
        wait_for("the client joins", deadline, || first().is_some()).await;
        first().expect("waited for")
    }

    /// Waits for `more` bytes of audio.
    ///
    /// # Panics
    /// If they do not come in time.
    pub async fn wait_more(&self, more: usize, deadline: Duration) {
        let len = self.len() + more;
        wait_for(&format!("{more} more bytes heard"), deadline, || {
            self.len() >= len
        })
        .await;
    }

    /// Ends it.
    #[must_use]
    pub fn stop(&self) -> Heard {
        self.task.abort();
        self.heard()
    }
}

impl Drop for Hearing {
    fn drop(&mut self) {
        self.task.abort();
    }
}
