//! One listener, and the connections it has at the moment.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::client::{Client, Conn, Event, GaveUp, Head, Outcome, Stats, Step};
use icecast_ext_core::head::Field;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::builder::Builder;
use crate::http::{Answer, Body, Http, Pending, reason};
use crate::reader::Reader;
use crate::{Error, Position, clock};

/// A caller that was away for so long has not seen what came meanwhile …
const AWAY: Duration = Duration::from_millis(100);
/// … and so the connection gets this time to show it, before the relay is blamed for silence.
const GRACE: Duration = Duration::from_millis(500);

/// Bytes that a move gathers for later at most, before the connection that it leaves is not read any more. 4 MiB.
const MOST_HELD: usize = 4 << 20;

/// What there is of a connection.
enum Link {
    /// It has ended.
    Over,
    Asking(Pending),
    Reading(Body),
}

/// What to do, as it was decided last.
#[derive(Clone, Copy)]
enum Plan {
    /// To be decided.
    Ask,
    /// Read until then.
    Read(Instant),
    /// Wait until then.
    Wait(Instant),
    Ended,
}

/// A listener of a live stream that survives cuts.
///
/// It works while [`Listener::next`] or a move is awaited. Dropping it closes its connections.
pub struct Listener {
    client: Client,
    http: Http,
    /// Two at most.
    links: Vec<(Conn, Link)>,
    plan: Plan,
    /// Time zero of the client's clock.
    start: Duration,
    timer: Pin<Box<Sleep>>,
    /// When the caller or the connection was last given or gave something.
    busy: Instant,
    /// While the connection has nothing for us: it is not blamed before.
    grace: Option<Instant>,
}

impl fmt::Debug for Listener {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Listener")
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

impl Listener {
    /// A listener of the stream that these relays have, the preferred one first.
    pub fn builder<T: Into<String>>(relays: impl IntoIterator<Item = T>) -> Builder {
        Builder::new(relays.into_iter().map(Into::into).collect())
    }

    pub(crate) fn new(client: Client, http: Http) -> Self {
        let now = Instant::now();
        Self {
            client,
            http,
            links: Vec::new(),
            plan: Plan::Ask,
            start: clock::now(),
            timer: Box::pin(sleep_until(now)),
            busy: now,
            grace: None,
        }
    }

    /// What happens next. Cancel safe: an event is given out or kept.
    ///
    /// Once it fails it fails always.
    pub async fn next(&mut self) -> Result<Event, Error> {
        std::future::poll_fn(|cx| self.poll_next(cx))
            .await
            .map_err(Error::GaveUp)
    }

    /// Moves to this relay, which is learned if it is new, and tells how that went.
    ///
    /// Audio goes on from where it comes until the other relay has caught up, and stays there if that cannot go on at
    /// exactly this byte. Whatever happens meanwhile, audio included, is given out by [`Listener::next`] afterwards. Cancel safe:
    /// the move then goes on with the next call.
    ///
    /// # Errors
    /// If `url` is none, or one too many; if the listener has ended.
    pub async fn move_to(&mut self, url: &str) -> Result<Outcome, Error> {
        let now = self.now();
        self.client.move_to(now, url)?;
        self.moved().await
    }

    /// As [`Listener::move_to`], to the best of the other relays.
    ///
    /// # Errors
    /// If no other relay is known; if the listener has ended.
    pub async fn move_on(&mut self) -> Result<Outcome, Error> {
        let now = self.now();
        self.client.move_on(now)?;
        self.moved().await
    }

    async fn moved(&mut self) -> Result<Outcome, Error> {
        self.plan = Plan::Ask;
        let moved = std::future::poll_fn(|cx| {
            loop {
                if let Some(outcome) = self.client.outcome() {
                    return Poll::Ready(Ok(outcome));
                }
                ready!(self.work(cx))?;
            }
        });
        moved.await.map_err(Error::GaveUp)
    }

    /// The bytes alone: preludes and audio, one after the other.
    pub fn into_reader(self) -> Reader {
        self.into_reader_with(|_| {})
    }

    /// The bytes alone; everything else is told to `tell`.
    pub fn into_reader_with(self, tell: impl FnMut(Event) + Send + 'static) -> Reader {
        Reader::new(self, Box::new(tell))
    }

    /// Where the byte after the last audio given out stands; unknown at servers that have no offsets.
    #[must_use]
    pub fn position(&self) -> Option<Position> {
        self.client.position()
    }

    /// What has happened so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.client.stats()
    }

    /// The relays, given and learned, without credentials.
    pub fn relays(&self) -> impl Iterator<Item = &str> {
        self.client.relays()
    }

    /// As [`Listener::next`], for those who poll.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, GaveUp>> {
        loop {
            if let Some(event) = self.client.poll_event() {
                self.busy = Instant::now();
                return Poll::Ready(Ok(event));
            }
            ready!(self.work(cx))?;
        }
    }

    /// Does what is to be done next.
    fn work(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), GaveUp>> {
        match self.plan {
            Plan::Ended => {
                self.links.clear();
                let gave_up = self
                    .client
                    .gave_up()
                    .unwrap_or(GaveUp { relays: Vec::new() });
                return Poll::Ready(Err(gave_up));
            }
            // What came meanwhile is read before silence is judged.
            Plan::Ask if self.was_away() => self.plan = Plan::Read(Instant::now()),
            Plan::Ask => self.decide(),
            Plan::Wait(until) => {
                ready!(self.sleep(until, cx));
                self.plan = Plan::Ask;
            }
            Plan::Read(until) => match self.read(cx) {
                Poll::Ready(()) => {
                    self.busy = Instant::now();
                    self.grace = None;
                    self.plan = Plan::Ask;
                }
                Poll::Pending => {
                    let patience = if self.was_away() {
                        GRACE
                    } else {
                        Duration::ZERO
                    };
                    let grace = *self.grace.get_or_insert_with(|| Instant::now() + patience);
                    ready!(self.sleep(until.max(grace), cx));
                    self.busy = Instant::now();
                    self.plan = Plan::Ask;
                }
            },
        }
        Poll::Ready(Ok(()))
    }

    /// Nobody has looked at the connections for a while.
    fn was_away(&self) -> bool {
        !self.links.is_empty() && self.busy.elapsed() > AWAY
    }

    fn now(&self) -> Duration {
        clock::now().saturating_sub(self.start)
    }

    /// A time of the client's, as timers have it.
    fn instant(&self, at: Duration) -> Instant {
        Instant::now() + at.saturating_sub(self.now())
    }

    fn sleep(&mut self, until: Instant, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        self.timer.as_mut().poll(cx)
    }

    fn decide(&mut self) {
        let now = self.now();
        let step = self.client.poll(now);
        self.links.retain(|(conn, _)| self.client.uses(*conn));
        self.plan = match step {
            Step::Connect(request) => {
                let pending = self.http.send(&request);
                self.links.push((request.conn, Link::Asking(pending)));
                Plan::Ask
            }
            Step::Read { until } => Plan::Read(self.instant(until)),
            Step::Wait { until } => Plan::Wait(self.instant(until)),
            Step::Ended => Plan::Ended,
        };
    }

    /// Takes what the connections have.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut links = std::mem::take(&mut self.links);
        let mut came = false;
        for (conn, link) in &mut links {
            let full = self.client.held() > MOST_HELD && self.client.first() == Some(*conn);
            if !full && self.client.uses(*conn) {
                came |= self.read_from(*conn, link, cx).is_ready();
            }
        }
        self.links = links;
        if came { Poll::Ready(()) } else { Poll::Pending }
    }

    fn read_from(&mut self, conn: Conn, link: &mut Link, cx: &mut Context<'_>) -> Poll<()> {
        match link {
            Link::Over => return Poll::Pending,
            Link::Asking(pending) => match ready!(pending.as_mut().poll(cx)) {
                Ok(answer) => {
                    self.answered(conn, &answer);
                    *link = Link::Reading(answer.body);
                }
                Err(why) => {
                    *link = Link::Over;
                    self.client.failed(self.now(), conn, why);
                }
            },
            Link::Reading(body) => match ready!(body.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => self.client.body(self.now(), conn, bytes),
                Some(Err(error)) => {
                    *link = Link::Over;
                    self.client.failed(self.now(), conn, reason(error));
                }
                None => {
                    *link = Link::Over;
                    self.client.end(self.now(), conn);
                }
            },
        }
        Poll::Ready(())
    }

    fn answered(&mut self, conn: Conn, answer: &Answer) {
        let fields: Vec<Field<'_>> = answer
            .fields
            .iter()
            .map(|(name, value)| Field {
                name: name.as_str(),
                value: value.as_bytes(),
            })
            .collect();
        let head = Head {
            status: answer.status,
            url: Some(&answer.url),
            fields: &fields,
        };
        tracing::debug!(status = head.status, url = answer.url, "answered");
        self.client.head(self.now(), conn, &head);
    }
}

/// The bytes of an event that belong into a decoder.
pub(crate) fn bytes(event: Event) -> Result<Bytes, Event> {
    match event {
        Event::Audio(bytes) | Event::Prelude(bytes) => Ok(bytes),
        other => Err(other),
    }
}
