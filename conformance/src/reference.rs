//! A small server of the protocol, to learn from and to judge the judge with.
//!
//! It is an origin (PUT, SOURCE, `/admin/metadata`), a minter below a stock server, or a relay below a server of the protocol;
//! it keeps some seconds of each mount, and answers listeners, relays and stock players. Told to, it misbehaves: [`bug::BUGS`]. Not for
//! broadcasting: one task a listener, no TLS, no limits worth the name.
//!
//! Where things are: `head` and `ask` read requests, `timeline` knows the stream, `decide` what becomes of a request, `written` and `body` are
//! answers to listeners, `feed` is one to relays, `heard` and `proof` know content anchors, `players` knows
//! stock players, `origin` takes sources, `pull` asks an upstream.

mod ask;
mod bodies;
mod body;
pub mod bug;
mod decide;
mod families;
mod feed;
mod head;
mod heal;
mod heard;
mod listener;
mod mount;
pub mod names;
mod origin;
pub mod place;
mod plain;
mod players;
mod proof;
mod pull;
mod receive;
pub mod scan;
mod serve;
mod timeline;
mod tunnel;
mod written;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::task::JoinHandle;

pub use head::RequestHead;
pub use mount::Mount;
use serve::House;

/// How the server is started.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it listens.
    pub listen: SocketAddr,
    /// How long bytes are held.
    pub window: Duration,
    /// `user:password` of sources.
    pub source: String,
    /// `HOST:PORT` of an upstream; without one it is an origin.
    pub upstream: Option<String>,
    /// Other servers of its streams, as `http://HOST:PORT`.
    pub links: Vec<String>,
    /// A mount that asks for a password: path and `user:password`.
    pub protected: Option<(String, String)>,
    /// Requests that are held at once (R-SEC-2).
    pub held: usize,
    /// S: how far apart it takes clocks and delays to be (R-ANCHOR-13).
    pub skew: Duration,
    /// Whether it knows nothing of the protocol, as a stock server.
    pub stock: bool,
    /// Whether anybody but the suite may not feed it: the suite's own upstream has no sources.
    pub closed: bool,
    /// What it does wrong.
    pub bug: Option<&'static str>,
}

impl Config {
    /// An origin that does everything right, with a window of 5 seconds.
    #[must_use]
    pub fn new(listen: SocketAddr) -> Self {
        Self {
            listen,
            window: Duration::from_secs(5),
            source: "source:hackme".to_owned(),
            upstream: None,
            links: Vec::new(),
            protected: None,
            held: 64,
            skew: Duration::from_secs(10),
            stock: false,
            closed: false,
            bug: None,
        }
    }

    /// S in milliseconds.
    pub(crate) fn skew_ms(&self) -> u64 {
        u64::try_from(self.skew.as_millis()).unwrap_or(u64::MAX)
    }

    /// The suite's own, above a server that is judged.
    #[must_use]
    pub fn above(listen: SocketAddr) -> Self {
        Self {
            closed: true,
            window: Duration::from_secs(30),
            ..Self::new(listen)
        }
    }

    pub(crate) fn is(&self, bug: &str) -> bool {
        self.bug == Some(bug)
    }
}

/// A running server. It ends when dropped.
#[derive(Debug)]
pub struct Server {
    house: Arc<House>,
    addr: SocketAddr,
    task: JoinHandle<()>,
}

/// Starts a server.
///
/// # Errors
/// If it cannot listen.
pub async fn start(config: Config) -> io::Result<Server> {
    let listener = TcpListener::bind(config.listen).await?;
    let addr = listener.local_addr()?;
    let house = Arc::new(House::new(config, addr));
    let task = tokio::spawn(serve::run(Arc::clone(&house), listener));
    Ok(Server { house, addr, task })
}

impl Server {
    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// A mount that the caller feeds.
    #[must_use]
    pub fn mount(&self, path: &str, content_type: &str) -> Arc<Mount> {
        self.house.open(path, content_type)
    }

    /// How many mounts there are.
    #[must_use]
    pub fn mounts(&self) -> usize {
        self.house.mounts().len()
    }

    /// The requests for a path that have come so far: heads, and their octets as characters.
    #[must_use]
    pub fn seen(&self, path: &str) -> Vec<(RequestHead, String)> {
        self.house.seen(path)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
        self.house.close();
    }
}
