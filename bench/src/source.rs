//! A source: the same content for every mount, a frame's worth every 24 ms, and when each byte was written.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use icecast_ext_tests::source::Method;

use crate::content;

/// What one frame plays for.
const FRAME_TIME: Duration = Duration::from_millis(24);
/// A run is over by then.
const MAX_TURNS: usize = 40_000;

/// When the bytes of each turn were written.
#[derive(Debug)]
pub(crate) struct Diary {
    origin: Instant,
    /// Bytes a turn.
    turn: u64,
    /// Microseconds after `origin`; zero: not yet.
    written: Vec<AtomicU64>,
}

impl Diary {
    fn new(turn: u64) -> Self {
        Self {
            origin: Instant::now(),
            turn,
            written: (0..MAX_TURNS).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// How long before `now` the source wrote the byte at `position`, in microseconds; `None` if it did not.
    pub(crate) fn age(&self, position: u64, now: Instant) -> Option<u64> {
        let turn = usize::try_from(position / self.turn).ok()?;
        let then = self.written.get(turn)?.load(Ordering::Relaxed);
        let now = now.saturating_duration_since(self.origin).as_micros() as u64;
        (then > 0).then(|| now.saturating_sub(then))
    }
}

/// Sources of one or more mounts. They stop when this is dropped.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) diary: Arc<Diary>,
    /// When the first byte was written, more or less.
    pub(crate) since: Instant,
    stop: Arc<AtomicBool>,
    /// Sources that a server has cut.
    lost: Arc<AtomicU64>,
    thread: Option<JoinHandle<()>>,
}

impl Sources {
    /// Connects one source a mount, and writes `frames` frames to each every 24 ms.
    pub(crate) fn start(server: SocketAddr, mounts: &[String], frames: u64) -> Result<Self> {
        let mut sockets = Vec::with_capacity(mounts.len());
        for mount in mounts {
            sockets.push(open(server, mount).with_context(|| format!("a source for {mount}"))?);
        }
        let diary = Arc::new(Diary::new(frames * content::FRAME as u64));
        let (stop, lost) = (Arc::default(), Arc::default());
        let writer = Writer {
            sockets,
            diary: Arc::clone(&diary),
            stop: Arc::clone(&stop),
            lost: Arc::clone(&lost),
        };
        let thread = std::thread::Builder::new()
            .name("source".to_owned())
            .spawn(move || writer.run(frames))?;
        Ok(Self {
            diary,
            since: Instant::now(),
            stop,
            lost,
            thread: Some(thread),
        })
    }

    /// Sources that are gone.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

impl Drop for Sources {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // It has nothing that could panic; if it did, the run shows it.
            let _ = thread.join();
        }
    }
}

fn open(server: SocketAddr, mount: &str) -> Result<TcpStream> {
    let mut socket = TcpStream::connect(server)?;
    socket.set_nodelay(true)?;
    socket.set_read_timeout(Some(Duration::from_secs(10)))?;
    let head = Method::Put.head(
        server,
        mount,
        "audio/mpeg",
        icecast_ext_tests::icecast::PASSWORD,
    );
    socket.write_all(head.as_bytes())?;
    let mut answer = [0; 256];
    let read = socket.read(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer[..read]);
    ensure!(
        answer.starts_with("HTTP/1.1 100") || answer.starts_with("HTTP/1.0 200"),
        "the server answered {answer:?}"
    );
    socket.set_nonblocking(true)?;
    Ok(socket)
}

struct Writer {
    sockets: Vec<TcpStream>,
    diary: Arc<Diary>,
    stop: Arc<AtomicBool>,
    lost: Arc<AtomicU64>,
}

impl Writer {
    fn run(mut self, frames: u64) {
        let start = Instant::now();
        let mut bytes = Vec::new();
        for turn in 0..MAX_TURNS as u64 {
            let due = start + FRAME_TIME * turn as u32;
            std::thread::sleep(due.saturating_duration_since(Instant::now()));
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            bytes.clear();
            for frame in turn * frames..(turn + 1) * frames {
                content::write(frame, &mut bytes);
            }
            let now = self.diary.origin.elapsed().as_micros() as u64;
            self.diary.written[turn as usize].store(now.max(1), Ordering::Relaxed);
            let lost = &self.lost;
            self.sockets.retain_mut(|socket| {
                let taken = write_all(socket, &bytes);
                if !taken {
                    lost.fetch_add(1, Ordering::Relaxed);
                }
                taken
            });
        }
    }
}

/// A server that does not take 24 ms of audio within a second has failed.
fn write_all(socket: &mut TcpStream, mut bytes: &[u8]) -> bool {
    let end = Instant::now() + Duration::from_secs(1);
    while !bytes.is_empty() {
        match socket.write(bytes) {
            Ok(written) => bytes = &bytes[written..],
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            Err(_) => return false,
        }
    }
    true
}
