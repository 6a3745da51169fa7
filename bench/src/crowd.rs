//! A crowd of listeners: many sockets, a thread a core, and what arrived, checked byte by byte.

mod ear;
mod tally;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context as _, Result};
use mio::{Poll, Token, Waker};

use crate::source::Diary;
pub(crate) use tally::Tally;
use worker::Worker;

const WAKE: Token = Token(usize::MAX);

/// How listeners read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// All that comes, at once.
    Prompt,
    /// So many bytes a second, with a small receive buffer.
    Slow(u64),
    /// Nothing, once they have been answered.
    Stuck,
}

/// Listeners that are alike.
#[derive(Debug, Clone)]
pub(crate) struct Group {
    pub(crate) server: SocketAddr,
    /// With TLS, whatever its certificate says.
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
    /// Each connects to one of them, in turn.
    pub(crate) mounts: Arc<[String]>,
    pub(crate) count: usize,
    /// They ask for addresses, and come back to their own.
    pub(crate) aware: bool,
    /// Further lines of the request, each ending in CRLF.
    pub(crate) fields: String,
    pub(crate) pace: Pace,
    /// How many connect in a second.
    pub(crate) rate: u64,
}

/// To a thread.
enum Order {
    /// So many more.
    Join(Group),
    /// All drop their connection, and come back at their own byte after a while, so many a second.
    Return(u64, Duration),
    /// What has been seen since the last time.
    Report(Sender<Tally>),
    Stop,
}

/// The listeners of a run. They hang up when this is dropped.
#[derive(Debug)]
pub(crate) struct Crowd {
    threads: Vec<(Sender<Order>, Waker, Option<JoinHandle<()>>)>,
}

impl Crowd {
    /// Nobody yet. `diary`: what the source wrote, and when.
    pub(crate) fn new(diary: &Arc<Diary>) -> Result<Self> {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let threads = (0..cores)
            .map(|index| {
                let poll = Poll::new()?;
                let waker = Waker::new(poll.registry(), WAKE)?;
                let (sender, orders) = channel();
                let worker = Worker::new(index, poll, orders, Arc::clone(diary));
                let thread = std::thread::Builder::new()
                    .name(format!("crowd-{index}"))
                    .spawn(move || worker.run())?;
                Ok((sender, waker, Some(thread)))
            })
            .collect::<Result<_>>()?;
        Ok(Self { threads })
    }

    /// More listeners come; returns before they are there.
    pub(crate) fn join(&self, group: &Group) -> Result<()> {
        let threads = self.threads.len();
        for (index, (orders, waker, _)) in self.threads.iter().enumerate() {
            let order = Order::Join(Group {
                count: group.count / threads + usize::from(index < group.count % threads),
                rate: (group.rate / threads as u64).max(1),
                ..group.clone()
            });
            orders
                .send(order)
                .context("a thread of the crowd has ended")?;
            waker.wake()?;
        }
        Ok(())
    }

    /// All drop their connection, and come back at their own byte after `down`, `rate` of them a second; returns at once.
    pub(crate) fn come_back(&self, rate: u64, down: Duration) -> Result<()> {
        let rate = (rate / self.threads.len() as u64).max(1);
        for (orders, waker, _) in &self.threads {
            orders
                .send(Order::Return(rate, down))
                .context("a thread of the crowd has ended")?;
            waker.wake()?;
        }
        Ok(())
    }

    /// What has been seen since the last report; how many are there is as of now.
    pub(crate) fn report(&self) -> Result<Tally> {
        let (sender, reports): (_, Receiver<Tally>) = channel();
        for (orders, waker, _) in &self.threads {
            orders
                .send(Order::Report(sender.clone()))
                .context("a thread of the crowd has ended")?;
            waker.wake()?;
        }
        let mut all = Tally::default();
        for _ in &self.threads {
            let one = reports
                .recv_timeout(Duration::from_secs(30))
                .context("a thread of the crowd does not answer")?;
            all.add(&one);
        }
        Ok(all)
    }
}

impl Drop for Crowd {
    fn drop(&mut self) {
        for (orders, waker, thread) in &mut self.threads {
            // Fails if the thread has ended already.
            let _ = orders.send(Order::Stop);
            let _ = waker.wake();
            if let Some(thread) = thread.take() {
                let _ = thread.join();
            }
        }
    }
}
