//! One listener, and the connection it has at the moment.

use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::client::{Client, Event, GaveUp, Head, Stats, Step};
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

/// What there is of a connection.
enum Link {
    None,
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
/// It works while [`Listener::next`] is awaited. Dropping it closes its connection.
pub struct Listener {
    client: Client,
    http: Http,
    link: Link,
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
            link: Link::None,
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
            match self.plan {
                Plan::Ended => {
                    self.link = Link::None;
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
        }
    }

    /// Nobody has looked at the connection for a while.
    fn was_away(&self) -> bool {
        !matches!(self.link, Link::None) && self.busy.elapsed() > AWAY
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
        self.plan = match self.client.poll(now) {
            Step::Connect(request) => {
                self.link = Link::Asking(self.http.send(&request));
                Plan::Ask
            }
            Step::Read { until } => Plan::Read(self.instant(until)),
            Step::Wait { until } => {
                self.link = Link::None;
                Plan::Wait(self.instant(until))
            }
            Step::Ended => Plan::Ended,
        };
    }

    /// Takes what the connection has.
    fn read(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.link {
            Link::None => return Poll::Pending,
            Link::Asking(pending) => match ready!(pending.as_mut().poll(cx)) {
                Ok(answer) => self.answered(answer),
                Err(why) => {
                    self.link = Link::None;
                    let now = self.now();
                    self.client.failed(now, why);
                }
            },
            Link::Reading(body) => match ready!(body.as_mut().poll_next(cx)) {
                Some(Ok(bytes)) => {
                    let now = self.now();
                    self.client.body(now, bytes);
                }
                Some(Err(error)) => {
                    self.link = Link::None;
                    let now = self.now();
                    self.client.failed(now, reason(error));
                }
                None => {
                    self.link = Link::None;
                    let now = self.now();
                    self.client.end(now);
                }
            },
        }
        Poll::Ready(())
    }

    fn answered(&mut self, answer: Answer) {
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
        let now = self.now();
        self.client.head(now, &head);
        self.link = Link::Reading(answer.body);
    }
}

/// The bytes of an event that belong into a decoder.
pub(crate) fn bytes(event: Event) -> Result<Bytes, Event> {
    match event {
        Event::Audio(bytes) | Event::Prelude(bytes) => Ok(bytes),
        other => Err(other),
    }
}
