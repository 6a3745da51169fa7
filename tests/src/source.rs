//! Sources of our own, for requests that ffmpeg does not make and bytes that no encoder would send.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::task::JoinHandle;

use crate::http::{Head, basic};
use crate::icecast::PASSWORD;

/// How a source opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// `PUT … HTTP/1.1` with `Expect: 100-continue`.
    Put,
    /// `PUT … HTTP/1.1` with `Transfer-Encoding: chunked`.
    Chunked,
    /// `SOURCE … HTTP/1.0`.
    Source,
    /// `SOURCE … ICE/1.0`.
    Ice,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Put, Self::Chunked, Self::Source, Self::Ice];

    /// The request's head.
    #[must_use]
    pub fn head(self, addr: SocketAddr, mount: &str, kind: &str, password: &str) -> String {
        let auth = basic("source", password);
        let common = format!(
            "Authorization: {auth}\r\nContent-Type: {kind}\r\nUser-Agent: test\r\nIce-Name: test\r\n"
        );
        match self {
            Self::Put => format!(
                "PUT {mount} HTTP/1.1\r\nHost: {addr}\r\n{common}Expect: 100-continue\r\n\r\n"
            ),
            Self::Chunked => format!(
                "PUT {mount} HTTP/1.1\r\nHost: {addr}\r\n{common}Transfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n"
            ),
            Self::Source => format!("SOURCE {mount} HTTP/1.0\r\n{common}\r\n"),
            Self::Ice => format!("SOURCE {mount} ICE/1.0\r\n{common}\r\n"),
        }
    }
}

/// A source that has been answered.
#[derive(Debug)]
pub struct Source {
    /// The first answer: `100 Continue` or `200 OK`.
    pub head: Head,
    /// What came with it: Icecast may send its last answer at once.
    early: Vec<u8>,
    method: Method,
    reader: OwnedReadHalf,
    writer: OwnedWriteHalf,
}

impl Source {
    /// Opens a source; any answer will do.
    ///
    /// # Errors
    /// If no answer comes within 10 s.
    pub async fn open(
        addr: SocketAddr,
        mount: &str,
        method: Method,
        kind: &str,
        password: &str,
    ) -> Result<Self> {
        let head = method.head(addr, mount, kind, password);
        Self::raw(addr, method, head.as_bytes()).await
    }

    /// Opens a source with a head of raw bytes, which is one of this method.
    ///
    /// # Errors
    /// If no answer comes within 10 s.
    pub async fn raw(addr: SocketAddr, method: Method, head: &[u8]) -> Result<Self> {
        let socket = TcpStream::connect(addr).await?;
        socket.set_nodelay(true)?;
        let (mut reader, mut writer) = socket.into_split();
        writer.write_all(head).await?;
        let (head, early) = tokio::time::timeout(Duration::from_secs(10), read_head(&mut reader))
            .await
            .context("no answer to the source")??;
        Ok(Self {
            head,
            early,
            method,
            reader,
            writer,
        })
    }

    /// Opens an MP3 source with the right password, which has to be accepted.
    ///
    /// # Errors
    /// If it is refused.
    pub async fn accepted(addr: SocketAddr, mount: &str, method: Method) -> Result<Self> {
        let source = Self::open(addr, mount, method, "audio/mpeg", PASSWORD).await?;
        ensure!(matches!(source.head.status, 100 | 200), "{:?}", source.head);
        Ok(source)
    }

    /// Its own end of the connection.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.writer.local_addr()?)
    }

    /// Sends stream bytes at once.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn send(&mut self, bytes: &[u8]) -> Result<()> {
        if self.method == Method::Chunked {
            let head = format!("{:x}\r\n", bytes.len());
            self.writer
                .write_all(&[head.as_bytes(), bytes, b"\r\n"].concat())
                .await?;
        } else {
            self.writer.write_all(bytes).await?;
        }
        Ok(())
    }

    /// Ends the body and reads what the server still says.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn finish(mut self) -> Result<String> {
        if self.method == Method::Chunked {
            self.writer.write_all(b"0\r\n\r\n").await?;
        }
        self.writer.shutdown().await?;
        let mut out = self.early;
        // A reset after the answer leaves the answer.
        let read = self.reader.read_to_end(&mut out);
        let _ = tokio::time::timeout(Duration::from_secs(10), read).await;
        Ok(String::from_utf8_lossy(&out).into_owned())
    }

    /// Goes on by itself: `rate` bytes a second of what `make(offset, len)` gives, in pieces of 20 ms.
    #[must_use]
    pub fn stream(
        mut self,
        rate: usize,
        mut make: impl FnMut(usize, usize) -> Vec<u8> + Send + 'static,
    ) -> Streaming {
        let sent = Arc::new(Mutex::new(Vec::new()));
        let record = Arc::clone(&sent);
        let task = tokio::spawn(async move {
            let start = Instant::now();
            let mut at = 0;
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            loop {
                tick.tick().await;
                let due = (start.elapsed().as_secs_f64() * rate as f64) as usize;
                let bytes = make(at, due - at);
                at += bytes.len();
                if bytes.is_empty() {
                    continue;
                }
                record
                    .lock()
                    .expect("no panic while held")
                    .extend_from_slice(&bytes);
                if self.send(&bytes).await.is_err() {
                    return;
                }
            }
        });
        Streaming { sent, task }
    }
}

async fn read_head(reader: &mut OwnedReadHalf) -> Result<(Head, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(head) = Head::parse(&bytes)? {
            let early = bytes.split_off(head.len);
            return Ok((head, early));
        }
        let n = reader.read_buf(&mut bytes).await?;
        ensure!(n > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
    }
}

/// A source that sends by itself until it is dropped.
#[derive(Debug)]
pub struct Streaming {
    sent: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Streaming {
    /// Everything it has sent.
    #[must_use]
    pub fn sent(&self) -> Vec<u8> {
        self.sent.lock().expect("no panic while held").clone()
    }

    /// Everything it has sent and will send, as it grows: a byte is here before it goes out.
    #[must_use]
    pub fn truth(&self) -> Arc<Mutex<Vec<u8>>> {
        Arc::clone(&self.sent)
    }

    /// Whether the server has closed it.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.task.is_finished()
    }
}

impl Drop for Streaming {
    fn drop(&mut self) {
        self.task.abort();
    }
}
