//! Thousands of stock listeners at once. Each byte of each is compared with what the source sent, as it comes, so nothing
//! has to be kept.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::http::{Head, connect_from, request};
use crate::truth::find;
use crate::wait::wait_for;

/// Bytes by which a listener's place in the stream is found.
const PROBE: usize = 256;
/// The place is looked for among so many of the newest bytes: the burst, and what came since.
const RECENT: usize = 1 << 20;
/// Connects that are under way at once.
const AT_ONCE: usize = 100;

#[derive(Debug, Default)]
struct One {
    heard: AtomicU64,
    ended: AtomicBool,
    wrong: OnceLock<String>,
}

/// The crowd. It leaves when dropped.
#[derive(Debug)]
pub struct Crowd {
    all: Vec<Arc<One>>,
    _tasks: JoinSet<()>,
}

/// This process may open as many files as the machine lets it.
///
/// # Errors
/// If the limit cannot be read or set.
pub fn raise_descriptor_limit() -> Result<()> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("the limit of open files")
}

impl Crowd {
    /// `count` listeners join `path`, whose source sends what `truth` holds. All have a 200 when this returns.
    ///
    /// # Errors
    /// If one is refused or gets no head.
    pub async fn join(
        addr: SocketAddr,
        path: &str,
        count: usize,
        truth: &Arc<Mutex<Vec<u8>>>,
    ) -> Result<Self> {
        raise_descriptor_limit()?;
        let mut all = Vec::with_capacity(count);
        let mut tasks = JoinSet::new();
        while all.len() < count {
            let mut batch = JoinSet::new();
            for _ in 0..AT_ONCE.min(count - all.len()) {
                let request = request("GET", path, addr, &[]);
                batch.spawn(open(all.len(), addr, request));
                all.push(Arc::new(One::default()));
            }
            let mut ones = all[all.len() - batch.len()..].to_vec();
            while let Some(opened) = batch.join_next().await {
                let (socket, early) = opened??;
                let one = ones.pop().context("one for each")?;
                tasks.spawn(listen(socket, early, one, truth.clone()));
            }
        }
        Ok(Self { all, _tasks: tasks })
    }

    /// How many bytes each has heard, and each was right.
    #[must_use]
    pub fn heard(&self) -> Vec<u64> {
        self.all
            .iter()
            .map(|one| one.heard.load(Ordering::Relaxed))
            .collect()
    }

    /// Waits until each has heard `more` bytes than now.
    ///
    /// # Panics
    /// After `deadline`, or if one has heard something wrong or was cut.
    pub async fn each_hears(&self, more: u64, deadline: Duration) {
        let goal: Vec<u64> = self.heard().iter().map(|heard| heard + more).collect();
        wait_for("everybody hears on", deadline, || {
            self.unharmed();
            self.heard()
                .iter()
                .zip(&goal)
                .all(|(heard, goal)| heard >= goal)
        })
        .await;
    }

    /// Nobody has heard a wrong byte, and nobody was cut.
    ///
    /// # Panics
    /// If not.
    pub fn unharmed(&self) {
        let wrong: Vec<&String> = self.all.iter().filter_map(|one| one.wrong.get()).collect();
        assert!(
            wrong.is_empty(),
            "{} heard something else: {}",
            wrong.len(),
            wrong[0]
        );
        let ended = self
            .all
            .iter()
            .filter(|one| one.ended.load(Ordering::Relaxed))
            .count();
        assert_eq!(ended, 0, "were cut");
    }
}

/// From one of 200 addresses: the proxy bounds what one may take.
async fn open(number: usize, addr: SocketAddr, request: Vec<u8>) -> Result<(TcpStream, Vec<u8>)> {
    let opening = async {
        let from = Ipv4Addr::new(127, 0, 1, (number % 200) as u8);
        let mut socket = connect_from(from, addr).await?;
        socket.write_all(&request).await?;
        let mut bytes = Vec::new();
        loop {
            if let Some(head) = Head::parse(&bytes)? {
                ensure!(head.status == 200, "{head:?}");
                return Ok((socket, bytes.split_off(head.len)));
            }
            ensure!(
                socket.read_buf(&mut bytes).await? > 0,
                "closed without a head"
            );
        }
    };
    tokio::time::timeout(Duration::from_secs(30), opening)
        .await
        .context("no head within 30 s")?
}

async fn listen(
    mut socket: TcpStream,
    mut early: Vec<u8>,
    one: Arc<One>,
    truth: Arc<Mutex<Vec<u8>>>,
) {
    let mut at = None;
    let mut part = vec![0; 16 << 10];
    loop {
        match at {
            None if early.len() >= PROBE => {
                let truth = truth.lock().expect("no panic while held");
                let from = truth.len().saturating_sub(RECENT);
                let Some(place) = find(&truth[from..], &early[..PROBE]) else {
                    let _ = one
                        .wrong
                        .set(format!("nothing that was sent: {:02x?}", &early[..16]));
                    return;
                };
                drop(truth);
                at = Some(from + place);
            }
            None => {}
            Some(place) if !early.is_empty() => {
                let truth = truth.lock().expect("no panic while held");
                if truth.get(place..place + early.len()) != Some(early.as_slice()) {
                    let _ = one
                        .wrong
                        .set(format!("at {place}, within {} bytes", early.len()));
                    return;
                }
                drop(truth);
                at = Some(place + early.len());
                one.heard.fetch_add(early.len() as u64, Ordering::Relaxed);
                early.clear();
            }
            Some(_) => {}
        }
        if at.is_some() && !early.is_empty() {
            continue;
        }
        match socket.read(&mut part).await {
            Ok(0) | Err(_) => {
                one.ended.store(true, Ordering::Relaxed);
                return;
            }
            Ok(read) => early.extend_from_slice(&part[..read]),
        }
    }
}
