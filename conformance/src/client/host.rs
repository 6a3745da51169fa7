//! A server of the suite's own for one case: each request that comes is handed to the case, which answers as it likes.

use std::io;
use std::mem::MaybeUninit;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use socket2::{SockRef, Socket};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;

use crate::connection::Recorded;
use crate::exchange::{Exchange, MOST};
use crate::field::Position;
use crate::http::latin;
use crate::structured::{self, Bare};

/// A head of a request is at most this long. R-HEAD-4 has a case; beyond this nobody reads on.
const MAX_HEAD: usize = 64 * 1024;
/// How long a client may take to send its head, and to take what it is sent.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests that may wait for the case.
const WAITING: usize = 64;

/// What can be read and written.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Wire for T {}

/// Where connections are recorded.
pub(super) type Records = Arc<Mutex<Vec<Recorded>>>;

/// A listening server. It ends when dropped.
pub(super) struct Host {
    addr: SocketAddr,
    tls: bool,
    asked: mpsc::Receiver<Asked>,
    task: JoinHandle<()>,
}

impl Host {
    /// Listens at a free port; with `tls`, for `https` at the name `localhost`.
    pub(super) async fn start(records: Records, tls: Option<TlsAcceptor>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let addr = listener.local_addr()?;
        let (found, asked) = mpsc::channel(WAITING);
        let secure = tls.is_some();
        let task = tokio::spawn(async move {
            while let Ok((stream, peer)) = listener.accept().await {
                let record = Arc::new(Mutex::new(Exchange::new(format!(
                    "{peer} at port {}",
                    addr.port()
                ))));
                let mut all = records.lock().unwrap_or_else(PoisonError::into_inner);
                all.push(Arc::clone(&record));
                // Whoever never waits makes many; only the latest are shown.
                if all.len() > 4 * MOST {
                    all.drain(..2 * MOST);
                }
                drop(all);
                let (tls, found) = (tls.clone(), found.clone());
                tokio::spawn(async move {
                    let asked = timeout(PATIENCE, Asked::read(stream, tls, record));
                    if let Ok(Some(asked)) = asked.await {
                        // The case may have ended, or the client may ask without end: then its connection closes.
                        let _ = found.try_send(asked);
                    }
                });
            }
        });
        Ok(Self {
            addr,
            tls: secure,
            asked,
            task,
        })
    }

    /// The address of a path here.
    pub(super) fn url(&self, path: &str) -> String {
        self.url_for("", path)
    }

    /// The same with `user:password@`.
    pub(super) fn url_for(&self, who: &str, path: &str) -> String {
        let port = self.addr.port();
        match self.tls {
            true => format!("https://{who}localhost:{port}{path}"),
            false => format!("http://{who}127.0.0.1:{port}{path}"),
        }
    }

    /// The next request, if one comes within so long.
    pub(super) async fn next(&mut self, within: Duration) -> Option<Asked> {
        timeout(within, self.asked.recv()).await.ok().flatten()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Where a request wants to start.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum From {
    /// There is no `Resume-Offset`.
    Nowhere,
    /// `live`
    Live,
    /// A position.
    At(Position),
    /// A value that is not as the protocol says.
    Malformed(String),
}

impl std::fmt::Display for From {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Nowhere => out.write_str("no Resume-Offset"),
            Self::Live => out.write_str("live"),
            Self::At(at) => write!(out, "{at}"),
            Self::Malformed(value) => write!(out, "Resume-Offset: {value}"),
        }
    }
}

/// A request, and the connection on which it came.
pub(super) struct Asked {
    /// When its head was complete.
    pub(super) when: Instant,
    /// As sent, with the query.
    pub(super) target: String,
    /// Octets of the head.
    pub(super) length: usize,
    fields: Vec<(String, String)>,
    body: Body,
}

impl Asked {
    async fn read(stream: TcpStream, tls: Option<TlsAcceptor>, record: Recorded) -> Option<Self> {
        let _ = stream.set_nodelay(true);
        let socket = SockRef::from(&stream).try_clone().ok()?;
        let mut wire: Box<dyn Wire> = match tls {
            Some(tls) => Box::new(tls.accept(stream).await.ok()?),
            None => Box::new(stream),
        };
        let mut head = Vec::new();
        let end = loop {
            let mut piece = [0; 4096];
            let read = wire.read(&mut piece).await.ok().filter(|read| *read > 0)?;
            head.extend_from_slice(&piece[..read]);
            note(&record, |record| record.received(&piece[..read]));
            if let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if head.len() > MAX_HEAD {
                return None;
            }
        };
        let text = latin(&head[..end]);
        let mut lines = text.split("\r\n");
        let target = lines.next()?.split(' ').nth(1)?.to_owned();
        let fields = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_owned(), value.trim().to_owned()))
            .collect();
        Some(Self {
            when: Instant::now(),
            target,
            length: end + 4,
            fields,
            body: Body {
                wire,
                socket,
                record,
            },
        })
    }

    /// How many field lines it has.
    pub(super) fn lines(&self) -> usize {
        self.fields.len()
    }

    /// The values of a field, line by line.
    pub(super) fn field(&self, name: &str) -> Vec<&str> {
        let named = |(field, _): &&(String, String)| field.eq_ignore_ascii_case(name);
        let values = self.fields.iter().filter(named);
        values.map(|(_, value)| value.as_str()).collect()
    }

    /// Whether it asks for ICY blocks.
    pub(super) fn wants_titles(&self) -> bool {
        self.field("Icy-MetaData") == ["1"]
    }

    fn resume(&self) -> Option<(Bare, structured::Parameters)> {
        structured::item(self.field("Resume-Offset").first()?)
    }

    /// Where it wants to start, by its first `Resume-Offset` line: that there is one only is a case of its own.
    pub(super) fn from(&self) -> From {
        let Some(value) = self.field("Resume-Offset").first().copied() else {
            return From::Nowhere;
        };
        let malformed = || From::Malformed(value.to_owned());
        let Some((bare, parameters)) = self.resume() else {
            return malformed();
        };
        let epoch = parameters.iter().find(|(name, _)| name == "epoch");
        match (bare, epoch) {
            (Bare::Token(token), None) if token == "live" => From::Live,
            (Bare::Integer(offset), Some((_, Bare::String(epoch)))) => {
                let offset = u64::try_from(offset);
                offset.map_or_else(
                    |_| malformed(),
                    |offset| From::At(Position::new(epoch, offset)),
                )
            }
            _ => malformed(),
        }
    }

    /// The session that it echoes.
    pub(super) fn session(&self) -> Option<String> {
        let (_, parameters) = self.resume()?;
        let found = parameters.into_iter().find(|(name, _)| name == "session");
        match found?.1 {
            Bare::String(session) => Some(session),
            _ => None,
        }
    }

    /// Whether the client keeps the connection.
    pub(super) fn is_open(&self) -> bool {
        let mut octet = [MaybeUninit::uninit()];
        match self.body.socket.peek(&mut octet) {
            Ok(octets) => octets > 0,
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        }
    }

    /// Answers with a head; the body is to follow.
    pub(super) async fn answer(mut self, reply: &Reply) -> Body {
        self.body.send(reply.text().as_bytes()).await;
        self.body
    }

    /// Answers with octets that need not be a head.
    pub(super) async fn octets(mut self, octets: &[u8]) -> Body {
        self.body.send(octets).await;
        self.body
    }

    /// Refuses: a status, a field if there is one, and a short body.
    pub(super) async fn refuse(self, status: u16, fields: &[(&str, &str)]) {
        let mut reply = Reply::new(status).field("Content-Type", "text/plain");
        for (name, value) in fields {
            reply = reply.field(name, *value);
        }
        let text = format!("{status} by the suite\n");
        let mut body = self.answer(&reply).await;
        body.send(text.as_bytes()).await;
        body.fin().await;
    }
}

/// A head of an answer.
#[derive(Clone, Debug)]
pub(super) struct Reply {
    status: u16,
    fields: Vec<(String, String)>,
}

impl Reply {
    /// With `Connection: close`.
    pub(super) fn new(status: u16) -> Self {
        Self {
            status,
            fields: Vec::new(),
        }
        .field("Connection", "close")
        .field("Cache-Control", "no-cache, no-store")
    }

    /// A stream without an address, as a stock server sends it.
    pub(super) fn stock() -> Self {
        Self::new(200).field("Content-Type", "audio/mpeg")
    }

    /// A stream that begins at a position, with parameters of `Stream-Offset` as they are written after the epoch.
    pub(super) fn at(at: &Position, parameters: &str) -> Self {
        let window = format!(
            "first=0, next={}, rate=16000, epoch=\"{}\"",
            at.offset + 100_000,
            at.epoch
        );
        Self::stock()
            .field("Stream-Offset", at.ask() + parameters)
            .field("Stream-Window", window)
    }

    /// With a field line more.
    pub(super) fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    fn text(&self) -> String {
        let mut out = format!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status));
        for (name, value) in &self.fields {
            out += &format!("{name}: {value}\r\n");
        }
        out + "\r\n"
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        302 => "Found",
        401 => "Unauthorized",
        404 => "Not Found",
        412 => "Precondition Failed",
        500 => "Internal Server Error",
        503 => "Service Unavailable",
        _ => "Status",
    }
}

/// The body of an answer, and how it ends. Dropped, it ends as [`Body::fin`] without the wait.
pub(super) struct Body {
    wire: Box<dyn Wire>,
    socket: Socket,
    record: Recorded,
}

impl Body {
    /// Sends octets. A client that has gone is seen by what it asks next.
    pub(super) async fn send(&mut self, octets: &[u8]) {
        note(&self.record, |record| record.sent(octets));
        let sent = async {
            self.wire.write_all(octets).await?;
            self.wire.flush().await
        };
        if !matches!(timeout(PATIENCE, sent).await, Ok(Ok(()))) {
            note(&self.record, |record| {
                record.ended("the client takes no more")
            });
        }
    }

    /// Ends in an orderly way: everything that was sent arrives.
    pub(super) async fn fin(mut self) {
        note(&self.record, |record| record.ended("closed by the suite"));
        let _ = timeout(PATIENCE, self.wire.shutdown()).await;
        // Closed with octets unread, the kernel would reset the connection.
        tokio::spawn(async move {
            let mut rest = [0; 1024];
            let drain = async { while matches!(self.wire.read(&mut rest).await, Ok(1..)) {} };
            let _ = timeout(PATIENCE, drain).await;
        });
    }

    /// Resets the connection: what the client has not read yet is gone.
    pub(super) fn reset(self) {
        note(&self.record, |record| record.ended("reset by the suite"));
        let _ = self.socket.set_linger(Some(Duration::ZERO));
    }
}

fn note(record: &Recorded, change: impl FnOnce(&mut Exchange)) {
    change(&mut record.lock().unwrap_or_else(PoisonError::into_inner));
}
