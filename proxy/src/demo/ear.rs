//! The demo's listener: the client library as anyone would use it, with the judge at its ear.

use anyhow::Context as _;
use icecast_ext_client::{Event, Listener};

use super::board::Shared;
use super::judge::Judge;
use super::titles::Titles;

/// A listener that is told of one relay alone.
pub(super) fn open(url: &str) -> anyhow::Result<Listener> {
    Ok(Listener::builder([url]).icy(true).open()?)
}

/// What a listener heard.
#[derive(Debug, Default)]
pub(super) struct Ear {
    pub(super) judge: Judge,
    pub(super) titles: Titles,
}

impl Ear {
    /// Listens until it is dropped. `relays` are the URLs that lead to the relays 1, 2, …
    pub(super) async fn listen(
        &mut self,
        mut listener: Listener,
        relays: &[String],
        board: &Shared,
    ) -> anyhow::Result<()> {
        loop {
            let event = listener.next().await.context("the listener gave up")?;
            self.hear(event, relays, board);
        }
    }

    fn hear(&mut self, event: Event, relays: &[String], board: &Shared) {
        match event {
            Event::Audio(bytes) => self.judge.push(&bytes),
            Event::Title(title) => self.titles.shown(&title.text),
            Event::Joined { url, .. } => board.lock().current = index(relays, &url),
            Event::Moved(moved) => {
                let mut board = board.lock();
                board.moves += 1;
                board.current = index(relays, &moved.to);
            }
            Event::Lost(loss) => {
                let bytes = loss.bytes.map_or_else(
                    || "an unknown number of".to_owned(),
                    |bytes| bytes.to_string(),
                );
                board
                    .lock()
                    .admitted
                    .get_or_insert(format!("{bytes} bytes lost: {}", loss.why));
            }
            Event::Spliced { .. } | Event::Stitched { .. } => {
                board
                    .lock()
                    .admitted
                    .get_or_insert("the stream's epoch did not hold".to_owned());
            }
            Event::Note(note) => tracing::warn!(?note, "a relay did what the protocol forbids"),
            other => tracing::debug!(?other, "listener"),
        }
        self.show(board);
    }

    /// Puts the score on the board.
    pub(super) fn show(&self, board: &Shared) {
        let mut board = board.lock();
        board.place = self.judge.place();
        board.score = self.judge.score().clone();
        board.titles_seen = self.titles.seen();
        board.titles_wrong = self.titles.wrong();
    }
}

/// The relay's place on the board; the origin is 0.
fn index(relays: &[String], url: &str) -> Option<usize> {
    relays
        .iter()
        .position(|relay| relay == url)
        .map(|index| index + 1)
}
