//! A raw connection to a server, with an answer on it. Everything has a deadline, and everything is recorded.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, lookup_host};
use tokio::time::{Instant, timeout, timeout_at};

use crate::case::Stop;
use crate::exchange::Exchange;
use crate::field::{StreamOffset, StreamWindow};
use crate::http::{Head, Request};

/// How long a connect and a write may take.
const CONNECT: Duration = Duration::from_secs(5);
/// A piece of a body that a case reads is at most this long.
const PIECE: usize = 64 * 1024;

/// The record of a connection, shared with the report.
pub type Recorded = Arc<Mutex<Exchange>>;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    record: Recorded,
    host: String,
    answer: Duration,
    /// What has come in and was not asked for yet.
    ahead: Vec<u8>,
}

impl Connection {
    /// Connects to `HOST:PORT`. `receive` bounds the kernel's receive buffer, for listeners that are slow on purpose.
    ///
    /// # Errors
    /// [`Stop::Error`] if nobody is there.
    pub async fn open(
        authority: &str,
        record: Recorded,
        answer: Duration,
        receive: Option<u32>,
    ) -> Result<Self, Stop> {
        let failed = |why: &dyn std::fmt::Display| {
            Stop::Error(format!("no connection to {authority}: {why}"))
        };
        let connect = async {
            let mut last = io::Error::from(io::ErrorKind::NotFound);
            for addr in lookup_host(authority).await? {
                let socket = if addr.is_ipv4() {
                    TcpSocket::new_v4()?
                } else {
                    TcpSocket::new_v6()?
                };
                if let Some(size) = receive {
                    socket.set_recv_buffer_size(size)?;
                }
                match socket.connect(addr).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => last = error,
                }
            }
            Err(last)
        };
        let stream = match timeout(CONNECT, connect).await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(failed(&error)),
            Err(_) => return Err(failed(&"it takes too long")),
        };
        Ok(Self {
            stream,
            record,
            host: authority.to_owned(),
            answer,
            ahead: Vec::new(),
        })
    }

    /// Waits longer, or less long, for heads and bodies.
    pub fn wait_for(&mut self, time: Duration) {
        self.answer = time;
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// [`Stop::Fail`] if the server does not take them.
    pub async fn send(&mut self, octets: &[u8]) -> Result<(), Stop> {
        self.note(|record| record.sent(octets));
        match timeout(CONNECT, self.stream.write_all(octets)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Stop::fail(
                "a server that reads requests",
                error.to_string(),
            )),
            Err(_) => Err(Stop::fail(
                "a server that reads requests",
                "it reads nothing",
            )),
        }
    }

    /// Sends a request, and reads the head of the answer.
    ///
    /// # Errors
    /// [`Stop::Fail`] if no head comes in time.
    pub async fn ask(mut self, request: &Request) -> Result<Answer, Stop> {
        let octets = request.octets(&self.host);
        self.send(&octets).await?;
        self.head().await
    }

    /// Reads the head of an answer.
    ///
    /// # Errors
    /// [`Stop::Fail`] if no head comes in time.
    pub async fn head(mut self) -> Result<Answer, Stop> {
        let end = Instant::now() + self.answer;
        loop {
            match Head::parse(&self.ahead) {
                Ok(Some((head, length))) => {
                    self.ahead.drain(..length);
                    return Ok(Answer {
                        head,
                        connection: self,
                    });
                }
                Ok(None) => {}
                Err(malformed) => {
                    return Err(Stop::fail("the head of an HTTP answer", malformed.0));
                }
            }
            let so_far = format!("after {} octets of it", self.ahead.len());
            match self.more(end).await {
                Came::Octets => {}
                Came::End(how) => {
                    return Err(Stop::fail(
                        "the head of an HTTP answer",
                        format!("{how} {so_far}"),
                    ));
                }
                Came::Nothing => {
                    let seconds = self.answer.as_secs();
                    return Err(Stop::fail(
                        format!("the head of an HTTP answer within {seconds} s"),
                        format!("silence {so_far}"),
                    ));
                }
            }
        }
    }

    /// Whether the server ends the connection within a time; whatever comes before is read and dropped.
    pub async fn ends_within(&mut self, time: Duration) -> bool {
        let end = Instant::now() + time;
        loop {
            self.ahead.clear();
            match self.more(end).await {
                Came::Octets => {}
                Came::End(_) => return true,
                Came::Nothing => return false,
            }
        }
    }

    async fn more(&mut self, end: Instant) -> Came {
        let mut piece = [0; 16 * 1024];
        match timeout_at(end, self.stream.read(&mut piece)).await {
            Ok(Ok(0)) => self.end("FIN"),
            Ok(Ok(read)) => {
                self.note(|record| record.received(&piece[..read]));
                self.ahead.extend_from_slice(&piece[..read]);
                Came::Octets
            }
            Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => self.end("RST"),
            Ok(Err(error)) => self.end(&error.to_string()),
            Err(_) => Came::Nothing,
        }
    }

    fn end(&mut self, how: &str) -> Came {
        self.note(|record| record.ended(how));
        Came::End(how.to_owned())
    }

    fn note(&self, write: impl FnOnce(&mut Exchange)) {
        write(&mut self.record.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

/// What a read has brought.
enum Came {
    Octets,
    End(String),
    Nothing,
}

/// An answer, and the connection from which its body comes.
#[derive(Debug)]
pub struct Answer {
    /// Its head.
    pub head: Head,
    connection: Connection,
}

/// How a body ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum End {
    /// `FIN`, `RST`, or what the system calls it.
    Closed(String),
    /// It went on.
    Open,
}

impl Answer {
    /// The status.
    #[must_use]
    pub fn status(&self) -> u16 {
        self.head.status
    }

    /// A field's values, joined; `None` without one.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        self.head.field(name)
    }

    /// Exactly `count` octets of the body. They must come about as fast as an answer may take.
    ///
    /// # Errors
    /// [`Stop::Fail`] if the body ends or stops before.
    pub async fn read(&mut self, count: usize) -> Result<Vec<u8>, Stop> {
        let end = Instant::now() + self.connection.answer;
        let mut out = Vec::with_capacity(count.min(PIECE));
        loop {
            let take = (count - out.len()).min(self.connection.ahead.len());
            out.extend(self.connection.ahead.drain(..take));
            if out.len() == count {
                return Ok(out);
            }
            let expected = || format!("{count} octets of body");
            match self.connection.more(end).await {
                Came::Octets => {}
                Came::End(how) => {
                    return Err(Stop::fail(expected(), format!("{how} after {}", out.len())));
                }
                Came::Nothing => {
                    return Err(Stop::fail(
                        expected(),
                        format!("silence after {}", out.len()),
                    ));
                }
            }
        }
    }

    /// What comes within a time, at most `most` octets, and whether the body ended.
    pub async fn read_for(&mut self, time: Duration, most: usize) -> (Vec<u8>, End) {
        let end = Instant::now() + time;
        let mut out = Vec::new();
        loop {
            let take = (most - out.len()).min(self.connection.ahead.len());
            out.extend(self.connection.ahead.drain(..take));
            if out.len() == most {
                return (out, End::Open);
            }
            match self.connection.more(end).await {
                Came::Octets => {}
                Came::End(how) => return (out, End::Closed(how)),
                Came::Nothing => return (out, End::Open),
            }
        }
    }

    /// The status must be this, or the case rests on something that is not so.
    ///
    /// # Errors
    /// [`Stop::Skip`] if it is another.
    pub fn only_if(self, status: u16, requirement: &str) -> Result<Self, Stop> {
        match self.status() == status {
            true => Ok(self),
            false => Err(Stop::blocked(
                requirement,
                format!("the status is {}", self.status()),
            )),
        }
    }

    /// `Stream-Offset`.
    ///
    /// # Errors
    /// [`Stop::Skip`] without one that can be read: another case judges that.
    pub fn place(&self) -> Result<StreamOffset, Stop> {
        let value = self.field("Stream-Offset").ok_or_else(|| {
            Stop::blocked(
                "R-FIELD-6",
                format!("status {} without Stream-Offset", self.status()),
            )
        })?;
        StreamOffset::parse(&value)
            .ok_or_else(|| Stop::blocked("R-FIELD-6", format!("Stream-Offset: {value}")))
    }

    /// `Stream-Window`.
    ///
    /// # Errors
    /// [`Stop::Skip`] without one that can be read: another case judges that.
    pub fn window(&self) -> Result<StreamWindow, Stop> {
        let value = self.field("Stream-Window").ok_or_else(|| {
            Stop::blocked(
                "R-FIELD-9",
                format!("status {} without Stream-Window", self.status()),
            )
        })?;
        StreamWindow::parse(&value)
            .ok_or_else(|| Stop::blocked("R-FIELD-9", format!("Stream-Window: {value}")))
    }

    /// `icy-metaint`.
    ///
    /// # Errors
    /// [`Stop::Skip`] without one.
    pub fn metaint(&self) -> Result<usize, Stop> {
        self.field("icy-metaint")
            .and_then(|value| value.parse().ok())
            .filter(|metaint| (1..=1 << 24).contains(metaint))
            .ok_or_else(|| Stop::Skip("the server offers no ICY metadata here".to_owned()))
    }

    /// The connection, for what comes after the head.
    pub fn connection(&mut self) -> &mut Connection {
        &mut self.connection
    }
}
