//! A wire that is cut where the test says.
//!
//! A [`Cutter`] listens on one *front* for each target and forwards. Every connection may have a [`Plan`]: where its
//! response is cut, how, and whether the client may come back to the same front or has to move to another.

mod progress;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Result;
use socket2::SockRef;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

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
    /// Inside the first ICY block that is not empty, at a byte chosen by this number; not at all if there is none.
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

/// What every connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Open,
    /// Reset as soon as it is accepted.
    Refuse,
    /// Accepted and never answered.
    Hole,
}

type Planner = Box<dyn FnMut(usize) -> Option<Plan> + Send>;

struct Shared {
    targets: Vec<SocketAddr>,
    planner: Mutex<Planner>,
    /// Bit i: front i may be used.
    open: AtomicU64,
    mode: Mutex<Mode>,
    /// Changes when everything is to be cut.
    now: watch::Sender<(u64, How)>,
    cuts: Mutex<Vec<Cut>>,
    accepted: AtomicU64,
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
        planner: impl FnMut(usize) -> Option<Plan> + Send + 'static,
    ) -> Result<Self> {
        let shared = Arc::new(Shared {
            targets: targets.to_vec(),
            planner: Mutex::new(Box::new(planner)),
            open: AtomicU64::new(u64::MAX),
            mode: Mutex::new(Mode::Open),
            now: watch::Sender::new((0, How::Fin)),
            cuts: Mutex::new(Vec::new()),
            accepted: AtomicU64::new(0),
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
    if mode == Mode::Hole {
        return stall(&mut client).await;
    }
    if mode == Mode::Refuse || shared.open.load(Ordering::SeqCst) >> front & 1 == 0 {
        return reset(client);
    }
    let Ok(mut server) = TcpStream::connect(shared.targets[front]).await else {
        return reset(client);
    };
    let _ = (client.set_nodelay(true), server.set_nodelay(true));
    shared.accepted.fetch_add(1, Ordering::SeqCst);
    let plan = (shared.planner.lock().expect("no panic while held"))(front);
    let mut progress = Progress::new(plan.map(|plan| plan.at));
    let mut up = vec![0; 16 << 10];
    let mut down = vec![0; 64 << 10];
    let how = loop {
        tokio::select! {
            changed = now.changed() => {
                if changed.is_err() {
                    return;
                }
                break now.borrow().1;
            }
            read = client.read(&mut up) => match read {
                Ok(n) if n > 0 => {
                    if server.write_all(&up[..n]).await.is_err() {
                        return;
                    }
                }
                // The client has what it wanted, or has gone: the server learns it.
                _ => return,
            },
            read = server.read(&mut down) => match read {
                Ok(n) if n > 0 => {
                    let (out, cut) = progress.feed(&down[..n]);
                    if client.write_all(&out).await.is_err() {
                        return;
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
                        break plan.how;
                    }
                }
                Ok(_) => break How::Fin,
                Err(_) => break How::Reset,
            },
        }
    };
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

/// Swallows what comes until the peer gives up.
async fn stall(client: &mut TcpStream) {
    let mut waste = vec![0; 4096];
    while matches!(read(client, &mut waste).await, Ok(n) if n > 0) {}
}

async fn read(socket: &mut TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
    socket.read(buffer).await
}
