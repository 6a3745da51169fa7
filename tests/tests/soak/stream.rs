//! A mount whose source comes and goes, and all that its sources have sent.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::source::{Method, Source, Streaming};
use icecast_ext_tests::wait::wait_until;

use crate::formats::Format;

/// Bytes a second.
pub(crate) const RATE: usize = 32_000;
const SOON: Duration = Duration::from_secs(20);
/// Nobody hears a source that has gone for so long.
const FORGOTTEN: Duration = Duration::from_secs(60);

/// What one source sent.
#[derive(Debug)]
pub(crate) struct Run {
    sent: Arc<Mutex<Vec<u8>>>,
    gone: OnceLock<Instant>,
    /// As the first listener was told it.
    pub(crate) epoch: OnceLock<String>,
}

impl Run {
    pub(crate) fn with<T>(&self, look: impl FnOnce(&[u8]) -> T) -> T {
        look(&self.sent.lock().expect("no panic while held"))
    }
}

#[derive(Debug)]
pub(crate) struct Stream {
    addr: SocketAddr,
    pub(crate) mount: &'static str,
    format: Format,
    /// Where listeners go while there is no source.
    spare: Option<Arc<Stream>>,
    runs: Mutex<Vec<Arc<Run>>>,
    /// Bytes of those that are forgotten.
    before: AtomicUsize,
    source: tokio::sync::Mutex<Option<Streaming>>,
}

impl Stream {
    pub(crate) async fn start(
        addr: SocketAddr,
        mount: &'static str,
        format: Format,
        spare: Option<Arc<Self>>,
    ) -> Arc<Self> {
        let stream = Arc::new(Self {
            addr,
            mount,
            format,
            spare,
            runs: Mutex::default(),
            before: AtomicUsize::new(0),
            source: tokio::sync::Mutex::default(),
        });
        let seed = mount
            .bytes()
            .fold(0, |seed, byte| seed * 31 + u64::from(byte));
        stream.come_back(seed).await;
        stream
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The offset at which a run ended.
    pub(crate) fn end(&self, run: &Run) -> u64 {
        run.with(|sent| self.format.whole(sent)) as u64
    }

    /// Whether a listener's response may go on elsewhere.
    pub(crate) fn has_spare(&self) -> bool {
        self.spare.is_some()
    }

    /// The source goes, and another one comes.
    pub(crate) async fn come_back(&self, seed: u64) {
        let mut source = self.source.lock().await;
        drop(source.take());
        if let Some(last) = self.runs.lock().expect("no panic while held").last() {
            let _ = last.gone.set(Instant::now());
        }
        let kind = self.format.content_type();
        let next = wait_until("the source is let in", SOON, async || {
            let open = Source::open(self.addr, self.mount, Method::Source, kind, PASSWORD);
            let source = open.await.ok()?;
            (source.head.status == 200).then_some(source)
        });
        let mut bytes = self.format.bytes(seed);
        let next = next.await;
        // Nobody hears of it before it can be looked up.
        let mut runs = self.runs.lock().expect("no panic while held");
        let next = next.stream(RATE, move |_, len| bytes(len));
        runs.retain(|run| {
            let forgotten = run
                .gone
                .get()
                .is_some_and(|gone| gone.elapsed() > FORGOTTEN);
            if forgotten {
                self.before
                    .fetch_add(run.with(<[u8]>::len), Ordering::Relaxed);
            }
            !forgotten
        });
        runs.push(Arc::new(Run {
            sent: next.truth(),
            gone: OnceLock::new(),
            epoch: OnceLock::new(),
        }));
        *source = Some(next);
    }

    /// What its listeners may hear, the newest first.
    pub(crate) fn runs(&self) -> Vec<Arc<Run>> {
        let own = self.runs.lock().expect("no panic while held").clone();
        let mut runs: Vec<_> = own.into_iter().rev().collect();
        runs.extend(self.spare.iter().flat_map(|spare| spare.runs()));
        runs
    }

    /// Bytes of all its sources.
    pub(crate) fn sent(&self) -> usize {
        let runs = self.runs.lock().expect("no panic while held");
        let held: usize = runs.iter().map(|run| run.with(<[u8]>::len)).sum();
        held + self.before.load(Ordering::Relaxed)
    }
}
