//! A wire that is cut where the test says.
//!
//! A [`Cutter`] listens on one *front* for each target and forwards. Every connection may have a [`Plan`]: where its
//! response is cut, how, and whether the client may come back to the same front or has to move to another. What went
//! through is on record: see [`Cutter::passages`].

mod passage;
mod progress;
mod queue;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::Result;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

pub use passage::{Ending, Passage};

use passage::Ledger;
use progress::Progress;

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum How {
    /// As if the server had closed.
    Fin,
    /// RST.
    Reset,
    /// Nothing comes any more, and nobody says so.
    Stall,
}

/// Where in the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum At {
    /// Inside the head; which byte is chosen by this number.
    Head(u64),
    /// After so many bytes of body.
    Body(u64),
    /// Inside the first ICY block that is not empty, at a byte chosen by this number. An answer that does not say where
    /// its blocks are is cut somewhere in its first 40 000 bytes.
    Block(u64),
}

/// Where the client may go afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Next {
    /// Only to the same front.
    Stay,
    /// To any other front.
    Move,
    /// Anywhere.
    Any,
}

/// What happens to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// Where.
    pub at: At,
    /// How.
    pub how: How,
    /// And then.
    pub next: Next,
}

/// A cut that was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// As it was planned.
    pub plan: Plan,
    /// The front it was made at.
    pub front: usize,
    /// Body bytes that went through before it.
    pub body: u64,
}

/// How a wire behaves besides its cuts. As it is by default, a wire is frank and forgets.
#[derive(Debug, Clone, Copy, Default)]
pub struct Manners {
    /// How long a client is kept while the target refuses, as a port is that a service manager holds open.
    pub patience: Duration,
    /// Body bytes to keep of each passage.
    pub keep: usize,
    /// Before a reset, waits a little for the client's kernel to take what was sent: then the client has all of it.
    pub settle: bool,
}

/// What every connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Reset as soon as it is accepted.
    Refuse,
    /// Accepted and never answered.
    Hole,
}

/// Is told the front and how many cuts have been made.
type Planner = Box<dyn FnMut(usize, usize) -> Option<Plan> + Send>;

struct Shared {
    targets: Mutex<Vec<SocketAddr>>,
    planner: Mutex<Planner>,
    /// Bit i: front i may be used.
    open: AtomicU64,
    mode: Mutex<Mode>,
    /// Changes when everything is to be cut.
    now: watch::Sender<(u64, How)>,
    cuts: Mutex<Vec<Cut>>,
    accepted: AtomicU64,
    manners: Mutex<Manners>,
    ledger: Ledger,
}

/// The wire. It ends when dropped.
pub struct Cutter {
    shared: Arc<Shared>,
    fronts: Vec<SocketAddr>,
    _tasks: JoinSet<()>,
}

impl Cutter {
    /// A front for each target; `planner` is asked, with the front's index, for every connection that is let through.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn planned(
        targets: &[SocketAddr],
        mut planner: impl FnMut(usize) -> Option<Plan> + Send + 'static,
    ) -> Result<Self> {
        Self::counted(targets, move |front, _| planner(front)).await
    }

    /// As [`Cutter::planned`], but `planner` is told as well how many cuts have been made: a plan that a connection did
    /// not live to see can be given to the next.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn counted(
        targets: &[SocketAddr],
        planner: impl FnMut(usize, usize) -> Option<Plan> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            targets: Mutex::new(targets.to_vec()),
            planner: Mutex::new(Box::new(planner)),
            open: AtomicU64::new(u64::MAX),
            mode: Mutex::new(Mode::Open),
            now: watch::Sender::new((0, How::Fin)),
            cuts: Mutex::new(Vec::new()),
            accepted: AtomicU64::new(0),
            manners: Mutex::new(Manners::default()),
            ledger: Ledger::default(),
        });
        let mut tasks = JoinSet::new();
        let mut fronts = Vec::new();
        for front in 0..targets.len() {
            let listener = TcpListener::bind("127.0.0.1:0").await?;
            fronts.push(listener.local_addr()?);
            let shared = Arc::clone(&shared);
            tasks.spawn(async move {
                let mut carried = JoinSet::new();
                while let Ok((client, _)) = listener.accept().await {
                    carried.spawn(carry(client, front, Arc::clone(&shared)));
                    while carried.try_join_next().is_some() {}
                }
            });
        }
        Ok(Self {
            shared,
            fronts,
            _tasks: tasks,
        })
    }

    /// One front that cuts nothing until it is told to.
    ///
    /// # Errors
    /// If it cannot listen.
    pub async fn to(target: SocketAddr) -> Result<Self> {
        Self::planned(&[target], |_| None).await
    }

    /// The address of a front.
    #[must_use]
    pub fn front(&self, index: usize) -> SocketAddr {
        self.fronts[index]
    }

    /// Every cut made by a plan so far.
    #[must_use]
    pub fn cuts(&self) -> Vec<Cut> {
        self.shared
            .cuts
            .lock()
            .expect("no panic while held")
            .clone()
    }

    /// Connections let through so far.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.accepted.load(Ordering::SeqCst)
    }

    /// Changes how it behaves, for connections that are yet to come.
    pub fn behave(&self, manners: Manners) {
        *self.shared.manners.lock().expect("no panic while held") = manners;
    }

    /// Leads a front to another target, for connections that are yet to come.
    pub fn lead(&self, front: usize, target: SocketAddr) {
        self.shared.targets.lock().expect("no panic while held")[front] = target;
    }

    /// Every connection that it has carried or carries.
    #[must_use]
    pub fn passages(&self) -> Vec<Passage> {
        self.shared.ledger.passages()
    }

    /// Cuts whatever is open, now.
    pub fn cut_now(&self, how: How) {
        self.shared.now.send_modify(|(count, with)| {
            *count += 1;
            *with = how;
        });
    }

    /// Cuts whatever is open and resets every new connection until [`Cutter::mend`].
    pub fn cut(&self, how: How) {
        self.set(Mode::Refuse);
        self.cut_now(how);
    }

    /// Cuts without a sign: open connections stall, new ones are accepted and never answered.
    pub fn blackhole(&self) {
        self.set(Mode::Hole);
        self.cut_now(How::Stall);
    }

    /// Lets connections through again.
    pub fn mend(&self) {
        self.set(Mode::Open);
    }

    /// Cuts for a time.
    pub async fn cut_for(&self, how: How, time: Duration) {
        self.cut(how);
        tokio::time::sleep(time).await;
        self.mend();
    }

    fn set(&self, mode: Mode) {
        *self.shared.mode.lock().expect("no panic while held") = mode;
    }
}

/// Closes with RST.
fn reset(socket: TcpStream) {
    // If it fails the peer sees a FIN: the test that needs the RST will say so.
    let _ = SockRef::from(&socket).set_linger(Some(Duration::ZERO));
}

async fn carry(mut client: TcpStream, front: usize, shared: Arc<Shared>) {
    let mut now = shared.now.subscribe();
    let mode = *shared.mode.lock().expect("no panic while held");
    let manners = *shared.manners.lock().expect("no panic while held");
    if mode == Mode::Hole {
        return stall(&mut client).await;
    }
    if mode == Mode::Refuse || shared.open.load(Ordering::SeqCst) >> front & 1 == 0 {
        return reset(client);
    }
    let target = shared.targets.lock().expect("no panic while held")[front];
    let Some(mut server) = connect(target, manners.patience).await else {
        return reset(client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    let made = shared.cuts.lock().expect("no panic while held").len();
    let plan = (shared.planner.lock().expect("no panic while held"))(front, made);
    let entry = shared.ledger.open(front, manners.keep);
    // Last, so that who waits for a connection to be accepted finds it on record.
    shared.accepted.fetch_add(1, Ordering::SeqCst);
    let mut progress = Progress::new(plan.map(|plan| plan.at));
    let mut up = vec![0; 16 << 10];
    let mut down = vec![0; 64 << 10];
    let (how, ending) = loop {
        tokio::select! {
            changed = now.changed() => {
                if changed.is_err() {
                    return;
                }
                let how = now.borrow().1;
                break (how, Ending::Cut(how));
            }
            read = client.read(&mut up) => match read {
                Ok(n) if n > 0 => {
                    entry.asked(&up[..n]);
                    if server.write_all(&up[..n]).await.is_err() {
                        // The server's side has ended: its last words, if any, are still to be read.
                        continue;
                    }
                }
                // The client has what it wanted, or has gone: the server learns it.
                _ => return entry.ended(Ending::Client, 0),
            },
            read = server.read(&mut down) => match read {
                Ok(n) if n > 0 => {
                    let (out, cut) = progress.feed(&down[..n]);
                    entry.answered(&out);
                    if client.write_all(&out).await.is_err() {
                        return entry.ended(Ending::Client, 0);
                    }
                    if let (true, Some(plan)) = (cut, plan) {
                        let body = progress.body;
                        let mut cuts = shared.cuts.lock().expect("no panic while held");
                        cuts.push(Cut { plan, front, body });
                        let open = match plan.next {
                            Next::Stay => 1 << front,
                            Next::Move => !(1 << front),
                            Next::Any => u64::MAX,
                        };
                        shared.open.store(open, Ordering::SeqCst);
                        break (plan.how, Ending::Cut(plan.how));
                    }
                }
                Ok(_) => break (How::Fin, Ending::Server(How::Fin)),
                Err(_) => break (How::Reset, Ending::Server(How::Reset)),
            },
        }
    };
    let unsent = if manners.settle && how == How::Reset {
        queue::settle(&client).await
    } else {
        0
    };
    entry.ended(ending, unsent);
    match how {
        How::Fin => {
            let _ = client.shutdown().await;
        }
        How::Reset => reset(client),
        How::Stall => {
            drop(server);
            stall(&mut client).await;
        }
    }
}

/// Tries for so long.
async fn connect(target: SocketAddr, patience: Duration) -> Option<TcpStream> {
    let start = Instant::now();
    loop {
        match TcpStream::connect(target).await {
            Ok(server) => return Some(server),
            Err(_) if start.elapsed() >= patience => return None,
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// Swallows what comes until the peer gives up.
async fn stall(client: &mut TcpStream) {
    let mut waste = vec![0; 4096];
    while matches!(read(client, &mut waste).await, Ok(n) if n > 0) {}
}

async fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    socket.read(buffer).await
}
