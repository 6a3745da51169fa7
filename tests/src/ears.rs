//! Many listeners that check every byte as it comes and keep none.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::http::{Head, request};

/// What a listener is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ear {
    /// A stock player without ICY.
    Plain,
    /// A stock player with ICY.
    Icy,
    /// It sends `Resume-Offset`.
    Aware,
    /// It asks for the relay feed.
    Feed,
    /// A stock player that reads so slowly that bytes wait for it.
    Slow,
}

impl Ear {
    fn fields(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Plain | Self::Slow => &[],
            Self::Icy => &[("Icy-MetaData", "1")],
            Self::Aware => &[("Resume-Offset", "live"), ("Icy-MetaData", "1")],
            Self::Feed => &[("Accept", "application/vnd.icecast-ext.relay")],
        }
    }
}

/// What every listener hears: the bytes of an epoch, of which the first one of the truth is at `base`.
#[derive(Debug, Clone)]
pub struct Truth {
    /// From the source's first byte on.
    pub bytes: Arc<Vec<u8>>,
    /// Index of the byte at offset 0.
    pub base: usize,
}

/// One listener.
#[derive(Debug)]
struct Listener {
    ear: Ear,
    heard: Arc<AtomicU64>,
    /// Where the next byte is expected.
    at: Arc<AtomicU64>,
    /// What went wrong, or how it ended.
    end: Arc<Mutex<Option<String>>>,
    /// Longest silence, ms, since it was last asked.
    silence: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

/// All of them. They end when it is dropped.
#[derive(Debug, Default)]
pub struct Ears(Vec<Listener>);

impl Ears {
    /// `count` more listeners, some at a time.
    ///
    /// # Errors
    /// If one of them is not admitted.
    pub async fn join(
        &mut self,
        ear: Ear,
        count: usize,
        addr: SocketAddr,
        path: &str,
        truth: &Truth,
    ) -> Result<()> {
        let mut left = count;
        while left > 0 {
            let now = left.min(50);
            left -= now;
            let mut joining = tokio::task::JoinSet::new();
            for _ in 0..now {
                let (path, truth) = (path.to_owned(), truth.clone());
                joining.spawn(async move { Listener::join(ear, addr, &path, truth).await });
            }
            while let Some(joined) = joining.join_next().await {
                self.0.push(joined??);
            }
        }
        Ok(())
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Nobody.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Those that have ended or heard something wrong, and why.
    #[must_use]
    pub fn lost(&self) -> Vec<String> {
        let end = |listener: &Listener| {
            let end = listener.end.lock().expect("no panic while held");
            let what = end.as_ref()?;
            Some(format!("{:?}: {what}", listener.ear))
        };
        self.0.iter().filter_map(end).collect()
    }

    /// Waits until every listener has heard everything up to this index of the truth.
    ///
    /// # Panics
    /// If one has ended, has heard something wrong, or does not hear it in time.
    pub async fn wait_at(&self, index: u64, deadline: Duration) {
        let start = Instant::now();
        loop {
            let lost = self.lost();
            assert!(
                lost.is_empty(),
                "{} lost, the first: {}",
                lost.len(),
                lost[0]
            );
            let behind = self
                .0
                .iter()
                .filter(|listener| listener.at.load(Ordering::Relaxed) < index);
            let behind: Vec<_> = behind.collect();
            if behind.is_empty() {
                return;
            }
            assert!(
                start.elapsed() < deadline,
                "{} listeners are not at {index}, the first: {:?}",
                behind.len(),
                behind[0]
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Where the last of them is, as an index of the truth.
    #[must_use]
    pub fn first_and_last(&self) -> RangeInclusive<u64> {
        let at = || {
            self.0
                .iter()
                .map(|listener| listener.at.load(Ordering::Relaxed))
        };
        at().min().unwrap_or(0)..=at().max().unwrap_or(0)
    }

    /// All that was heard.
    #[must_use]
    pub fn heard(&self) -> u64 {
        let heard = self
            .0
            .iter()
            .map(|listener| listener.heard.load(Ordering::Relaxed));
        heard.sum()
    }

    /// The longest silence of each since this was last asked (those that read slowly left out), the longest first.
    #[must_use]
    pub fn silences(&self) -> Vec<Duration> {
        let quick = self.0.iter().filter(|listener| listener.ear != Ear::Slow);
        let mut silences: Vec<_> = quick
            .map(|listener| Duration::from_millis(listener.silence.swap(0, Ordering::Relaxed)))
            .collect();
        silences.sort_by(|a, b| b.cmp(a));
        silences
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Listener {
    async fn join(ear: Ear, addr: SocketAddr, path: &str, truth: Truth) -> Result<Self> {
        let socket = tokio::net::TcpSocket::new_v4()?;
        if ear == Ear::Slow {
            socket.set_recv_buffer_size(8 << 10)?;
        }
        let mut socket = socket.connect(addr).await?;
        socket
            .write_all(&request("GET", path, addr, ear.fields()))
            .await?;
        let mut bytes = Vec::new();
        let head = loop {
            if let Some(head) = Head::parse(&bytes)? {
                break head;
            }
            let read = socket.read_buf(&mut bytes);
            let n = tokio::time::timeout(Duration::from_secs(20), read).await??;
            ensure!(n > 0, "closed after {:?}", String::from_utf8_lossy(&bytes));
        };
        ensure!(head.status == 200, "{head:?}");
        bytes.drain(..head.len);
        let place = head.place().context("Stream-Offset")?;
        let at = truth.base + usize::try_from(place.offset)?;
        let shape = match (ear, head.metaint()) {
            (Ear::Feed, _) => Shape::Feed,
            (_, Some(metaint)) => Shape::Icy {
                metaint,
                left: metaint,
            },
            (Ear::Icy | Ear::Aware, None) => anyhow::bail!("no icy-metaint"),
            _ => Shape::Plain,
        };
        let mut judge = Judge {
            truth,
            at,
            shape,
            held: bytes,
        };
        let (heard, end) = (Arc::new(AtomicU64::new(0)), Arc::new(Mutex::new(None)));
        let (place, silence) = (
            Arc::new(AtomicU64::new(at as u64)),
            Arc::new(AtomicU64::new(0)),
        );
        let (told, ended, placed, quiet) =
            (heard.clone(), end.clone(), place.clone(), silence.clone());
        let task = tokio::spawn(async move {
            let why = judge.listen(ear, &mut socket, &told, &placed, &quiet).await;
            *ended.lock().expect("no panic while held") = Some(why);
        });
        Ok(Self {
            ear,
            heard,
            at: place,
            end,
            silence,
            task,
        })
    }
}

#[derive(Debug)]
enum Shape {
    Plain,
    Icy { metaint: usize, left: usize },
    Feed,
}

#[derive(Debug)]
struct Judge {
    truth: Truth,
    /// Index of the next byte.
    at: usize,
    shape: Shape,
    /// Received and not judged.
    held: Vec<u8>,
}

impl Judge {
    async fn listen(
        &mut self,
        ear: Ear,
        socket: &mut TcpStream,
        heard: &AtomicU64,
        place: &AtomicU64,
        silence: &AtomicU64,
    ) -> String {
        let size = if ear == Ear::Slow { 1000 } else { 16 << 10 };
        let mut buffer = vec![0; size];
        let mut last = Instant::now();
        loop {
            let before = self.at;
            if let Err(wrong) = self.judge() {
                return format!("{wrong:#}");
            }
            heard.fetch_add((self.at - before) as u64, Ordering::Relaxed);
            place.store(self.at as u64, Ordering::Relaxed);
            match socket.read(&mut buffer).await {
                Ok(0) => return "it was closed".to_owned(),
                Err(error) => return format!("it broke: {error}"),
                Ok(n) => self.held.extend_from_slice(&buffer[..n]),
            }
            let quiet = u64::try_from(last.elapsed().as_millis()).unwrap_or(u64::MAX);
            silence.fetch_max(quiet, Ordering::Relaxed);
            last = Instant::now();
            if ear == Ear::Slow {
                // A bit faster than the stream.
                tokio::time::sleep(Duration::from_millis(80)).await;
            }
        }
    }

    fn audio(&mut self, bytes: &[u8]) -> Result<()> {
        let truth = self
            .truth
            .bytes
            .get(self.at..self.at + bytes.len())
            .context("the truth is too short")?;
        // At once: a test is not optimised, and a comparison of slices is.
        if truth != bytes {
            let wrong = truth.iter().zip(bytes).position(|(a, b)| a != b);
            anyhow::bail!("a wrong byte at {}", self.at + wrong.unwrap_or(0));
        }
        self.at += bytes.len();
        Ok(())
    }

    /// Judges what is held, as far as it is whole.
    fn judge(&mut self) -> Result<()> {
        let held = std::mem::take(&mut self.held);
        let mut rest = &held[..];
        loop {
            match &mut self.shape {
                Shape::Plain => {
                    self.audio(rest)?;
                    return Ok(());
                }
                Shape::Icy { left: 0, metaint } => {
                    let Some(&length) = rest.first() else { break };
                    let length = 1 + usize::from(length) * 16;
                    if rest.len() < length {
                        break;
                    }
                    let text = &rest[1..length];
                    ensure!(
                        text.is_empty() || text.starts_with(b"Stream"),
                        "a block that is none: {:?}",
                        String::from_utf8_lossy(text)
                    );
                    rest = &rest[length..];
                    self.shape = Shape::Icy {
                        metaint: *metaint,
                        left: *metaint,
                    };
                }
                Shape::Icy { left, .. } => {
                    let take = rest.len().min(*left);
                    *left -= take;
                    let (audio, after) = rest.split_at(take);
                    self.audio(audio)?;
                    rest = after;
                }
                Shape::Feed => match frame(rest) {
                    None => break,
                    Some((kind, value, after)) => {
                        rest = after;
                        if kind == 2 {
                            let (offset, audio) = varint(value).context("an offset")?;
                            let at = self.truth.base + usize::try_from(offset)?;
                            ensure!(at == self.at, "DATA at {at} instead of {}", self.at);
                            self.audio(audio)?;
                        }
                        ensure!(kind != 6, "a splice");
                    }
                },
            }
            if rest.is_empty() {
                break;
            }
        }
        self.held = rest.to_vec();
        Ok(())
    }
}

/// The first frame: type, value, what follows.
fn frame(bytes: &[u8]) -> Option<(u64, &[u8], &[u8])> {
    let (kind, rest) = varint(bytes)?;
    let (length, rest) = varint(rest)?;
    let length = usize::try_from(length).ok()?;
    (rest.len() >= length).then(|| (kind, &rest[..length], &rest[length..]))
}

/// A variable-length integer (RFC 9000 section 16), and what follows.
fn varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let first = *bytes.first()?;
    let length = 1 << (first >> 6);
    let (number, rest) = bytes.split_at_checked(length)?;
    let number = number[1..]
        .iter()
        .fold(u64::from(first & 0x3f), |n, byte| n << 8 | u64::from(*byte));
    Some((number, rest))
}
