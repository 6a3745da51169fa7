//! A listener that records everything.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::http::{Head, connect_from, request};
use crate::icy;
use crate::wait::wait_for;

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer closed.
    Fin,
    /// The peer reset, or the network said so.
    Reset,
}

#[derive(Debug, Default)]
struct Record {
    body: Vec<u8>,
    end: Option<End>,
    last: Option<Instant>,
    /// When bytes came after a pause.
    arrivals: Vec<Instant>,
}

/// What comes closer together was sent at once.
const AT_ONCE: Duration = Duration::from_millis(15);

/// An open listener: the head is there, the body is being recorded. Closed when dropped.
#[derive(Debug)]
pub struct Tap {
    /// The answer's head.
    pub head: Head,
    record: Arc<Mutex<Record>>,
    reader: JoinHandle<()>,
}

impl Drop for Tap {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Tap {
    /// Opens a listener with these request fields; the head has to come within 15 s.
    ///
    /// # Errors
    /// If no head comes; a refusal is no error.
    pub async fn open(addr: SocketAddr, path: &str, fields: &[(&str, &str)]) -> Result<Self> {
        Self::raw(addr, &request("GET", path, addr, fields)).await
    }

    /// An aware listener that joins live.
    ///
    /// # Errors
    /// If no head comes.
    pub async fn aware(addr: SocketAddr, path: &str) -> Result<Self> {
        Self::open(addr, path, &[("Resume-Offset", "live")]).await
    }

    /// Opens a listener with a request of raw bytes.
    ///
    /// # Errors
    /// If no head comes.
    pub async fn raw(addr: SocketAddr, request: &[u8]) -> Result<Self> {
        Self::on(TcpStream::connect(addr).await?, request).await
    }

    /// Opens a listener from one of the addresses `127.0.0.0/8`.
    ///
    /// # Errors
    /// If no head comes.
    pub async fn from(
        from: Ipv4Addr,
        addr: SocketAddr,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Result<Self> {
        let socket = connect_from(from, addr).await?;
        Self::on(socket, &request("GET", path, addr, fields)).await
    }

    /// Opens a listener on a connection, plain or not.
    ///
    /// # Errors
    /// If no head comes.
    pub async fn on(
        mut socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        request: &[u8],
    ) -> Result<Self> {
        let open = async {
            socket.write_all(request).await?;
            socket.flush().await?;
            let mut bytes = Vec::new();
            loop {
                if let Some(head) = Head::parse(&bytes)? {
                    return anyhow::Ok((socket, head, bytes));
                }
                let n = socket.read_buf(&mut bytes).await?;
                anyhow::ensure!(n > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
            }
        };
        let (mut socket, head, mut bytes) = tokio::time::timeout(Duration::from_secs(15), open)
            .await
            .context("no head within 15 s")??;
        bytes.drain(..head.len);
        let record = Arc::new(Mutex::new(Record {
            body: bytes,
            ..Record::default()
        }));
        let writer = Arc::clone(&record);
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; 64 << 10];
            loop {
                let read = socket.read(&mut buffer).await;
                let mut record = writer.lock().expect("no panic while held");
                match read {
                    Ok(0) => record.end = Some(End::Fin),
                    Err(_) => record.end = Some(End::Reset),
                    Ok(n) => {
                        record.body.extend_from_slice(&buffer[..n]);
                        let now = Instant::now();
                        if record.last.is_none_or(|last| now - last > AT_ONCE) {
                            record.arrivals.push(now);
                        }
                        record.last = Some(now);
                        continue;
                    }
                }
                return;
            }
        });
        Ok(Self {
            head,
            record,
            reader,
        })
    }

    fn with<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.record.lock().expect("no panic while held"))
    }

    /// Body bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.with(|record| record.body.len())
    }

    /// Whether nothing has come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Everything after the head.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        self.with(|record| record.body.clone())
    }

    /// The body without the prelude that `Stream-Offset` announces and without ICY blocks: canonical bytes.
    #[must_use]
    pub fn audio(&self) -> Vec<u8> {
        let prelude = self.head.place().map_or(0, |place| place.prelude);
        let mut audio = match self.head.metaint() {
            Some(metaint) => icy::split(&self.body(), metaint).0,
            None => self.body(),
        };
        audio.drain(..prelude.min(audio.len()));
        audio
    }

    /// Titles with the index into the body's audio that they came at.
    #[must_use]
    pub fn titles(&self) -> Vec<icy::Title> {
        self.head
            .metaint()
            .map_or_else(Vec::new, |metaint| icy::split(&self.body(), metaint).1)
    }

    /// Whether and how the connection has ended.
    #[must_use]
    pub fn ended(&self) -> Option<End> {
        self.with(|record| record.end)
    }

    /// How long ago the last byte came.
    #[must_use]
    pub fn silence(&self) -> Option<Duration> {
        self.with(|record| record.last.map(|last| last.elapsed()))
    }

    /// Times between one send and the next, of those that began after `since`.
    #[must_use]
    pub fn gaps(&self, since: Instant) -> Vec<Duration> {
        self.with(|record| {
            let later = record.arrivals.iter().filter(|at| **at > since);
            let later: Vec<_> = later.collect();
            later.windows(2).map(|pair| *pair[1] - *pair[0]).collect()
        })
    }

    /// Waits until so many body bytes have come.
    ///
    /// # Panics
    /// If they do not come in time.
    pub async fn wait_len(&self, len: usize, deadline: Duration) {
        wait_for(&format!("{len} bytes of body"), deadline, || {
            self.len() >= len
        })
        .await;
    }

    /// Waits for `more` further bytes.
    ///
    /// # Panics
    /// If they do not come in time.
    pub async fn wait_more(&self, more: usize, deadline: Duration) {
        self.wait_len(self.len() + more, deadline).await;
    }

    /// Waits for the end of the connection.
    ///
    /// # Panics
    /// If it does not end in time.
    pub async fn wait_end(&self, deadline: Duration) -> End {
        wait_for("the end of the response", deadline, || {
            self.ended().is_some()
        })
        .await;
        self.ended().unwrap_or(End::Reset)
    }
}
