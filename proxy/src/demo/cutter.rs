//! A wire that breaks on order: what the listener's connections go through on their way to a relay.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::broadcast;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::board::{Cuts, Shared};
use super::content::Noise;

/// How long a link stays down, if it does.
const DOWN: Duration = Duration::from_millis(250);
/// No answer's head is longer; what follows is audio, or a title.
const HEAD: usize = 2000;

/// How a connection is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum How {
    /// Closed, as if all were well.
    Fin,
    /// Reset.
    Rst,
    /// Closed within the head of the answer.
    Head,
}

/// To be cut after so many more bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Order {
    after: usize,
    how: How,
    then: Then,
}

/// What the next connection meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    /// Nothing.
    Nothing,
    /// For a while nothing gets through to the same relay.
    Down,
    /// A cut after so many bytes, within the head.
    Head(usize),
}

/// Gives the orders.
#[derive(Debug)]
pub(super) struct Cutter {
    board: Shared,
    orders: broadcast::Sender<Order>,
    /// For the next connection.
    next: Arc<Mutex<Option<Order>>>,
    spoil: Arc<AtomicBool>,
}

impl Cutter {
    pub(super) fn new(board: Shared) -> Self {
        Self {
            board,
            orders: broadcast::Sender::new(16),
            next: Arc::default(),
            spoil: Arc::default(),
        }
    }

    /// Orders a cut every 0.3 to 0.8 s, until it is dropped.
    pub(super) async fn run(&self, mut dice: Noise) {
        let mut below = |bound| usize::try_from(dice.below(bound)).unwrap_or(0);
        loop {
            tokio::time::sleep(Duration::from_millis(300 + below(500) as u64)).await;
            // One trouble more only while both relays are alive: else this would show how a client waits, and nothing else.
            let alive = self.board.lock().nodes.iter().all(|node| node.up);
            let _ = self.orders.send(Order {
                // Within what a relay sends in a quarter of a second, so that any byte may be the last.
                after: below(10_000),
                how: if below(2) == 0 { How::Fin } else { How::Rst },
                then: match below(3) {
                    0 if alive => Then::Down,
                    1 if alive => Then::Head(1 + below(200)),
                    _ => Then::Nothing,
                },
            });
        }
    }

    /// Forgets a cut that was ordered and has not happened.
    pub(super) fn stop(&self) {
        set(&self.next, None);
    }

    /// Flips one bit on its way, for whoever wants to see that the judge sees it.
    pub(super) fn spoil(&self) {
        self.spoil.store(true, Ordering::Relaxed);
    }

    /// Carries every connection from `listener` to `relay`, until it is dropped.
    pub(super) async fn forward(
        &self,
        listener: &TcpListener,
        relay: SocketAddr,
    ) -> anyhow::Result<()> {
        let link = Arc::new(Link {
            relay,
            down_until: Mutex::new(Instant::now()),
            next: self.next.clone(),
            spoil: self.spoil.clone(),
            board: self.board.clone(),
        });
        let mut wires = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => {
                    let (client, _) = accepted?;
                    if link.is_down() {
                        reset(client);
                    } else {
                        let order = set(&self.next, None);
                        wires.spawn(link.clone().carry(client, order, self.orders.subscribe()));
                    }
                }
                Some(_) = wires.join_next() => {}
            }
        }
    }
}

fn set<T>(place: &Mutex<T>, value: T) -> T {
    std::mem::replace(
        &mut *place.lock().unwrap_or_else(PoisonError::into_inner),
        value,
    )
}

/// The way to one relay.
#[derive(Debug)]
struct Link {
    relay: SocketAddr,
    down_until: Mutex<Instant>,
    next: Arc<Mutex<Option<Order>>>,
    spoil: Arc<AtomicBool>,
    board: Shared,
}

/// How a connection ended.
enum End {
    Cut(Order),
    /// By itself: one side closed.
    Closed,
    /// By itself: the relay is gone, or was killed.
    Broken,
}

impl Link {
    fn is_down(&self) -> bool {
        Instant::now()
            < *self
                .down_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
    }

    async fn carry(
        self: Arc<Self>,
        mut client: TcpStream,
        order: Option<Order>,
        orders: broadcast::Receiver<Order>,
    ) {
        let end = match TcpStream::connect(self.relay).await {
            Err(_) => End::Broken,
            Ok(mut relay) => wire(&mut client, &mut relay, order, orders, &self.spoil).await,
        };
        if let End::Cut(order) = end {
            match order.then {
                Then::Nothing => {}
                Then::Down => {
                    set(&self.down_until, Instant::now() + DOWN);
                }
                Then::Head(after) => {
                    set(
                        &self.next,
                        Some(Order {
                            after,
                            how: How::Head,
                            then: Then::Nothing,
                        }),
                    );
                }
            }
            count(&mut self.board.lock().cuts, order.how);
        }
        match end {
            End::Broken | End::Cut(Order { how: How::Rst, .. }) => reset(client),
            End::Closed | End::Cut(_) => {
                let _ = client.shutdown().await;
            }
        }
    }
}

fn reset(client: TcpStream) {
    let _ = socket2::SockRef::from(&client).set_linger(Some(Duration::ZERO));
}

fn count(cuts: &mut Cuts, how: How) {
    match how {
        How::Fin => cuts.fin += 1,
        How::Rst => cuts.rst += 1,
        How::Head => cuts.head += 1,
    }
}

async fn wire(
    client: &mut TcpStream,
    relay: &mut TcpStream,
    mut order: Option<Order>,
    mut orders: broadcast::Receiver<Order>,
    spoil: &AtomicBool,
) -> End {
    let (mut from_client, mut to_client) = client.split();
    let (mut from_relay, mut to_relay) = relay.split();
    let (mut up, mut down) = (vec![0; 8 << 10], vec![0; 64 << 10]);
    let mut carried = 0;
    loop {
        if let Some(order) = order.filter(|order| order.after == 0) {
            return End::Cut(order);
        }
        tokio::select! {
            given = orders.recv() => {
                if order.is_none() {
                    order = given.ok();
                }
            }
            read = from_client.read(&mut up) => match read {
                Ok(n @ 1..) => {
                    if to_relay.write_all(&up[..n]).await.is_err() {
                        return End::Broken;
                    }
                }
                _ => return End::Closed,
            },
            read = from_relay.read(&mut down) => {
                let got = match read {
                    Ok(0) => return End::Closed,
                    Ok(got) => got,
                    Err(_) => return End::Broken,
                };
                let passed = order.map_or(got, |order| got.min(order.after));
                if carried > HEAD && passed > 0 && spoil.swap(false, Ordering::Relaxed) {
                    down[passed / 2] ^= 0x10;
                }
                if to_client.write_all(&down[..passed]).await.is_err() {
                    return End::Closed;
                }
                carried += passed;
                if let Some(order) = &mut order {
                    order.after -= passed;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A relay that sends `bytes` to whoever connects, and then waits.
    async fn relay(bytes: Vec<u8>) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((mut stream, _)) = listener.accept().await {
                stream.write_all(&bytes).await.unwrap();
                held.push(stream);
            }
        });
        address
    }

    async fn received(order: Order, bytes: Vec<u8>) -> (Vec<u8>, bool, Cuts) {
        let relay = relay(bytes).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let board = Shared::default();
        let cutter = Cutter::new(board.clone());
        set(&cutter.next, Some(order));
        let mut got = Vec::new();
        let read = async {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.read_to_end(&mut got).await.is_ok()
        };
        let clean = tokio::select! {
            _ = cutter.forward(&listener, relay) => unreachable!("it never ends"),
            clean = read => clean,
        };
        let cuts = board.lock().cuts;
        (got, clean, cuts)
    }

    #[tokio::test]
    async fn cuts_at_the_byte_that_was_ordered() {
        let bytes: Vec<u8> = (0..200_000u32).map(|n| n as u8).collect();
        for after in [1, 777, 65_536, 100_001] {
            let (got, clean, _) = received(
                Order {
                    after,
                    how: How::Fin,
                    then: Then::Nothing,
                },
                bytes.clone(),
            )
            .await;
            assert!(clean && got == bytes[..after], "{after}");
        }
    }

    #[tokio::test]
    async fn a_reset_is_an_error_to_the_listener() {
        let (_, clean, _) = received(
            Order {
                after: 10,
                how: How::Rst,
                then: Then::Nothing,
            },
            vec![1; 100],
        )
        .await;
        assert!(!clean);
    }
}
