//! The suite as the upstream of a server that is judged.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::case::Stop;
use crate::connection::Answer;
use crate::content::{Content, Format};
use crate::field::Position;
use crate::frame::MEDIA_TYPE;
use crate::http::Request;
use crate::reference::{Mount, RequestHead};
use crate::session::{LOOK, Session};

/// How long the server below may take to see that there is a new mount.
const PULLED: Duration = Duration::from_secs(5);
/// How often bytes are pushed: 1,000 of them.
const TICK: Duration = Duration::from_millis(25);

/// A mount of the suite's upstream, with a stream in it, and the server below that is judged.
pub(crate) struct Above {
    s: Session,
    /// The mount, for what only the upstream can do.
    pub(crate) mount: Arc<Mount>,
    /// `HOST:PORT` of the server below.
    pub(crate) below: String,
    content: Content,
    /// The index of the byte that is pushed next.
    next: Arc<AtomicU64>,
    paused: Arc<AtomicBool>,
    pusher: JoinHandle<()>,
}

impl Above {
    /// A mount whose stream has run for some bytes.
    pub(crate) async fn new(s: &Session) -> Result<Self, Stop> {
        Self::of(s, false).await
    }

    /// One that answers as a server that knows nothing of the protocol.
    pub(crate) async fn stock(s: &Session) -> Result<Self, Stop> {
        Self::of(s, true).await
    }

    async fn of(s: &Session, stock: bool) -> Result<Self, Stop> {
        let below = s.target().below.clone();
        let below = below.ok_or_else(|| {
            Stop::Skip("needs --below URL and --upstream ADDRESS:PORT".to_owned())
        })?;
        let upstream = s.stage().upstream().await?;
        let number = s.stage().number();
        let mount = upstream.mount(&format!("/above-{number}.mp3"), Format::Mpeg.content_type());
        mount.stock(stock);
        let content = Content::new(Format::Mpeg, number);
        mount.push(&content.bytes(0, 80_000));
        let (next, paused) = (
            Arc::new(AtomicU64::new(80_000)),
            Arc::new(AtomicBool::new(false)),
        );
        let pusher = tokio::spawn(push(
            Arc::clone(&mount),
            content,
            Arc::clone(&next),
            Arc::clone(&paused),
        ));
        let above = Self {
            s: s.clone(),
            mount,
            below: below.authority,
            content,
            next,
            paused,
            pusher,
        };
        above.pulled().await?;
        Ok(above)
    }

    /// Waits until the server below serves the mount itself: what it does not know yet, it may send through to us.
    async fn pulled(&self) -> Result<(), Stop> {
        let end = Instant::now() + PULLED;
        while Instant::now() < end {
            let answer = self.ask(|mount| Request::get(mount).resume("live")).await?;
            let serves = answer.field("Stream-Offset").is_some();
            if serves && (self.mount.is_stock() || !self.asked().await?.is_empty()) {
                return Ok(());
            }
            tokio::time::sleep(4 * LOOK).await;
        }
        match self.mount.is_stock() {
            true => Ok(()),
            false => Err(Stop::blocked(
                "R-RELAY-1",
                "the server below does not ask for the feed",
            )),
        }
    }

    /// What is pushed.
    pub(crate) fn content(&self) -> Content {
        self.content
    }

    /// Stops pushing, or goes on.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::Release);
    }

    /// Pushes another stream from now on.
    pub(crate) fn change(&mut self) {
        self.pusher.abort();
        self.content = Content::new(Format::Mpeg, self.s.stage().number());
        self.next.store(0, Ordering::Release);
        let (mount, next) = (Arc::clone(&self.mount), Arc::clone(&self.next));
        self.pusher = tokio::spawn(push(mount, self.content, next, Arc::clone(&self.paused)));
    }

    /// Ends the epoch, and begins another with another stream; where it ended.
    pub(crate) fn splice(&mut self, declared: bool) -> Result<Position, Stop> {
        self.pusher.abort();
        let (epoch, edge) = self
            .mount
            .splice(declared)
            .ok_or_else(|| Stop::Error("nothing was pushed".to_owned()))?;
        self.change();
        Ok(Position::new(&epoch, edge))
    }

    /// Asks the server below for the mount, until it has it.
    pub(crate) async fn ask(&self, request: impl Fn(&str) -> Request) -> Result<Answer, Stop> {
        self.s
            .ask_new_at(&self.below, request(self.mount.path()))
            .await
    }

    /// An aware join below.
    pub(crate) async fn join(&self) -> Result<Answer, Stop> {
        self.ask(|mount| Request::get(mount).resume("live"))
            .await?
            .only_if(200, "R-RELAY-5")
    }

    /// The requests for the feed that have come from below.
    pub(crate) async fn asked(&self) -> Result<Vec<(RequestHead, String)>, Stop> {
        let seen = self.s.stage().upstream().await?.seen(self.mount.path());
        Ok(seen
            .into_iter()
            .filter(|(head, _)| head.names("Accept", MEDIA_TYPE))
            .collect())
    }

    /// Waits until the server below asks for the feed once more than before; that request.
    pub(crate) async fn asks_again(
        &self,
        before: usize,
        time: Duration,
    ) -> Result<Option<RequestHead>, Stop> {
        let end = Instant::now() + time;
        loop {
            let asked = self.asked().await?;
            if let Some((head, _)) = asked.get(before) {
                return Ok(Some(head.clone()));
            }
            if Instant::now() > end {
                return Ok(None);
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Waits until the window below is so.
    pub(crate) async fn until(
        &self,
        what: &str,
        so: impl Fn(&crate::field::StreamWindow) -> bool,
    ) -> Result<crate::field::StreamWindow, Stop> {
        let end = Instant::now() + self.s.target().patience;
        loop {
            let window = self.join().await?.window()?;
            if so(&window) {
                return Ok(window);
            }
            if Instant::now() > end {
                return Err(Stop::Skip(format!("the server below does not {what}")));
            }
            tokio::time::sleep(2 * LOOK).await;
        }
    }
}

impl Drop for Above {
    fn drop(&mut self) {
        self.pusher.abort();
        self.mount.end();
    }
}

async fn push(mount: Arc<Mount>, content: Content, next: Arc<AtomicU64>, paused: Arc<AtomicBool>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    loop {
        ticks.tick().await;
        if !paused.load(Ordering::Acquire) {
            let at = next.fetch_add(1_000, Ordering::AcqRel);
            mount.push(&content.bytes(at, 1_000));
        }
    }
}
