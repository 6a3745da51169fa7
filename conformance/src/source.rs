//! The suite as a source: PUT with credentials, at the pace of the stream, and what cases do with it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use crate::case::Stop;
use crate::content::{Content, RATE};
use crate::http::{Head, Request, latin};

/// How often a source sends.
const TICK: Duration = Duration::from_millis(25);
/// How long a server may take to accept a source.
const ACCEPT: Duration = Duration::from_secs(10);

/// A running source. It ends when dropped.
#[derive(Debug)]
pub struct Source {
    content: Content,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The index of the byte that is sent next.
    next: AtomicU64,
    /// Bytes to send at once, beside the pace.
    extra: AtomicU64,
    paused: AtomicBool,
    ended: Mutex<Option<String>>,
}

/// How a server met a source.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Met {
    /// It takes the stream.
    Accepted,
    /// Another status.
    Refused(u16),
}

impl Source {
    /// Connects, and sends a stream from its first byte on, at [`RATE`].
    ///
    /// # Errors
    /// [`Stop::Skip`] if the server refuses it, [`Stop::Error`] if it is not there.
    pub async fn start(
        authority: &str,
        mount: &str,
        who: &str,
        content: Content,
    ) -> Result<Self, Stop> {
        Self::start_at(authority, mount, who, content, 0, false).await
    }

    /// The same from another byte on; quiet, it sends nothing before it is told to go on.
    ///
    /// # Errors
    /// As [`Source::start`].
    pub async fn start_at(
        authority: &str,
        mount: &str,
        who: &str,
        content: Content,
        from: u64,
        quiet: bool,
    ) -> Result<Self, Stop> {
        let request = put(mount, content).auth(Some(who));
        match meet(authority, &request).await? {
            (Met::Accepted, Some(stream)) => Ok(Self::run(stream, content, from, quiet)),
            (Met::Refused(status), _) => Err(Stop::Skip(format!(
                "the server refuses a source at {mount} with {status}"
            ))),
            (Met::Accepted, None) => Err(Stop::Error("no stream".to_owned())),
        }
    }

    fn run(stream: TcpStream, content: Content, from: u64, quiet: bool) -> Self {
        let shared = Arc::new(Shared::default());
        shared.next.store(from, Ordering::Release);
        shared.paused.store(quiet, Ordering::Release);
        let task = tokio::spawn(send(stream, content, Arc::clone(&shared)));
        Self {
            content,
            shared,
            task,
        }
    }

    /// What it sends.
    #[must_use]
    pub fn content(&self) -> Content {
        self.content
    }

    /// How many bytes it has sent.
    #[must_use]
    pub fn sent(&self) -> u64 {
        self.shared.next.load(Ordering::Acquire)
    }

    /// Sends so many bytes at once, beside its pace, and waits until they have gone.
    ///
    /// # Errors
    /// [`Stop::Error`] if the server takes them too slowly.
    pub async fn jump(&self, bytes: u64) -> Result<(), Stop> {
        let goal = self.sent() + bytes;
        self.shared.extra.fetch_add(bytes, Ordering::AcqRel);
        self.until(goal).await
    }

    /// Waits until so many bytes have been sent in all.
    ///
    /// # Errors
    /// [`Stop::Error`] if that takes longer than the pace allows.
    pub async fn until(&self, goal: u64) -> Result<(), Stop> {
        let left = goal.saturating_sub(self.sent());
        let end = Instant::now() + Duration::from_secs(10 + left / RATE);
        while self.sent() < goal {
            if let Some(why) = self.ended() {
                return Err(Stop::Error(format!("the source was cut: {why}")));
            }
            if Instant::now() > end {
                return Err(Stop::Error(
                    "the server takes the source's bytes too slowly".to_owned(),
                ));
            }
            tokio::time::sleep(TICK / 2).await;
        }
        Ok(())
    }

    /// Stops sending, or goes on. The connection stays.
    pub fn pause(&self, paused: bool) {
        self.shared.paused.store(paused, Ordering::Release);
    }

    /// Why it does not send any more.
    #[must_use]
    pub fn ended(&self) -> Option<String> {
        self.shared
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Closes the connection, in order.
    pub async fn end(self) {
        self.task.abort();
        // Aborted or ended, the socket is closed once the task is gone.
        while !self.task.is_finished() {
            tokio::task::yield_now().await;
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The request of a source.
#[must_use]
pub fn put(mount: &str, content: Content) -> Request {
    Request::new("PUT", mount)
        .field("Content-Type", content.format().content_type())
        .field("Expect", "100-continue")
        .field("Ice-Name", "conformance")
        .field("Ice-Public", "0")
}

/// Sends a source's request; the connection, if it is accepted.
///
/// # Errors
/// [`Stop::Error`] if the server is not there, [`Stop::Fail`] if it does not answer as HTTP does.
pub async fn meet(authority: &str, request: &Request) -> Result<(Met, Option<TcpStream>), Stop> {
    let failed = |why: &dyn std::fmt::Display| {
        Stop::Error(format!("no source connection to {authority}: {why}"))
    };
    let attempt = async {
        let mut stream = TcpStream::connect(authority).await?;
        stream.set_nodelay(true)?;
        stream.write_all(&request.octets(authority)).await?;
        let mut heard = Vec::new();
        let mut piece = [0; 4096];
        loop {
            match Head::parse(&heard) {
                Ok(Some((head, _))) => return Ok((head, stream)),
                Ok(None) => {}
                Err(wrong) => return Err(std::io::Error::other(wrong.0)),
            }
            match stream.read(&mut piece).await? {
                0 => {
                    return Err(std::io::Error::other(format!(
                        "closed after {:?}",
                        latin(&heard)
                    )));
                }
                read => heard.extend_from_slice(&piece[..read]),
            }
        }
    };
    match timeout(ACCEPT, attempt).await {
        Err(_) => Err(failed(&"no answer")),
        Ok(Err(error)) => Err(failed(&error)),
        Ok(Ok((head, stream))) if matches!(head.status, 100 | 200) => {
            Ok((Met::Accepted, Some(stream)))
        }
        Ok(Ok((head, _))) => Ok((Met::Refused(head.status), None)),
    }
}

async fn send(mut stream: TcpStream, content: Content, shared: Arc<Shared>) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut last = Instant::now();
    // A part of a byte that is owed, times 10^9.
    let mut owed = 0_u128;
    loop {
        ticks.tick().await;
        let now = Instant::now();
        owed += u128::from(RATE) * (now - last).as_nanos();
        last = now;
        if shared.paused.load(Ordering::Acquire) {
            owed = 0;
        }
        let due = u64::try_from(owed / 1_000_000_000).unwrap_or(0);
        owed %= 1_000_000_000;
        let due = due + shared.extra.swap(0, Ordering::AcqRel);
        let mut left = usize::try_from(due).unwrap_or(0);
        while left > 0 {
            let piece = left.min(16 * 1024);
            let next = shared.next.load(Ordering::Acquire);
            if let Err(error) = stream.write_all(&content.bytes(next, piece)).await {
                *shared.ended.lock().unwrap_or_else(PoisonError::into_inner) =
                    Some(error.to_string());
                return;
            }
            shared.next.fetch_add(piece as u64, Ordering::AcqRel);
            left -= piece;
        }
    }
}
