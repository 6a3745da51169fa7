//! A thread of the crowd: its own epoll, its own listeners.

use std::collections::VecDeque;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, TryRecvError};
use std::time::{Duration, Instant};

use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConnection;
use rustls::pki_types::ServerName;
use socket2::{Domain, Protocol, Socket, Type};

use super::ear::{Ear, Fault, Heard, State, Wire};
use super::tally::Tally;
use super::{Group, Order, Pace, WAKE};
use crate::source::Diary;

/// Who has no answer by then tries again.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often that is looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How often those who read slowly do.
const SLOW: Duration = Duration::from_millis(50);
/// Their receive buffer.
const SMALL: usize = 16 << 10;
/// Read at once.
const BUFFER: usize = 256 << 10;

/// Who is to connect, and when.
struct Queue {
    ears: VecDeque<usize>,
    /// When the next one may.
    due: Instant,
    every: Duration,
}

pub(super) struct Worker {
    index: usize,
    poll: Poll,
    orders: Receiver<Order>,
    diary: Arc<Diary>,
    groups: Vec<Group>,
    ears: Vec<Ear>,
    queue: Queue,
    tally: Tally,
    buffer: Vec<u8>,
    slow: Instant,
    look: Instant,
}

impl Worker {
    pub(super) fn new(
        index: usize,
        poll: Poll,
        orders: Receiver<Order>,
        diary: Arc<Diary>,
    ) -> Self {
        Self {
            index,
            poll,
            orders,
            diary,
            groups: Vec::new(),
            ears: Vec::new(),
            queue: Queue {
                ears: VecDeque::new(),
                due: Instant::now(),
                every: Duration::from_millis(1),
            },
            tally: Tally::default(),
            buffer: vec![0; BUFFER],
            slow: Instant::now(),
            look: Instant::now() + LOOK,
        }
    }

    pub(super) fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        loop {
            if let Err(error) = self.poll.poll(&mut events, Some(self.timeout()))
                && error.kind() != io::ErrorKind::Interrupted
            {
                tracing::error!(%error, "the crowd's epoll");
                return;
            }
            if !self.obey() {
                return;
            }
            for event in &events {
                if event.token() != WAKE {
                    self.event(event.token().0, event.is_writable());
                }
            }
            self.connect();
            if self.slow <= Instant::now() {
                self.read_slowly();
            }
            if self.look <= Instant::now() {
                self.try_again();
            }
        }
    }

    fn timeout(&self) -> Duration {
        let now = Instant::now();
        let next = match self.queue.ears.is_empty() {
            true => self.slow,
            false => self.slow.min(self.queue.due),
        };
        next.saturating_duration_since(now)
    }

    /// False: to stop.
    fn obey(&mut self) -> bool {
        loop {
            match self.orders.try_recv() {
                Ok(Order::Join(group)) => {
                    self.queue.every = Duration::from_secs(1) / group.rate as u32;
                    self.queue.due = Instant::now();
                    for index in 0..group.count {
                        self.queue.ears.push_back(self.ears.len());
                        let ear = Ear::new(self.groups.len() as u32, index as u32, group.pace);
                        self.ears.push(ear);
                    }
                    self.groups.push(group);
                }
                Ok(Order::Return(rate, down)) => {
                    self.queue.every = Duration::from_secs(1) / rate as u32;
                    for (key, ear) in self.ears.iter_mut().enumerate() {
                        if matches!(ear.state, State::Hearing) {
                            ear.wire = None;
                            ear.state = State::Gone;
                            self.queue.ears.push_back(key);
                        }
                    }
                    self.queue.due = Instant::now() + down;
                }
                Ok(Order::Report(reply)) => {
                    for ear in &self.ears {
                        match ear.state {
                            State::Hearing | State::Deaf => self.tally.hearing += 1,
                            State::Gone => {}
                            _ => self.tally.waiting += 1,
                        }
                    }
                    self.tally.waiting += self.queue.ears.len() as u64;
                    // Who asked has gone only if the run has failed.
                    let _ = reply.send(std::mem::take(&mut self.tally));
                }
                Err(TryRecvError::Empty) => return true,
                Ok(Order::Stop) | Err(TryRecvError::Disconnected) => return false,
            }
        }
    }

    /// Those whose time has come.
    fn connect(&mut self) {
        let now = Instant::now();
        while self.queue.due <= now
            && let Some(key) = self.queue.ears.pop_front()
        {
            self.queue.due += self.queue.every;
            if let Err(error) = self.begin(key) {
                self.fault(key, Fault::Refused(format!("cannot connect: {error}")));
            }
        }
    }

    fn begin(&mut self, key: usize) -> io::Result<()> {
        let ear = &mut self.ears[key];
        let group = &self.groups[ear.group as usize];
        let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        // RST at the end: ports that wait for a minute would make the kernel look for free ones longer and longer.
        socket.set_linger(Some(Duration::ZERO))?;
        if ear.pace != Pace::Prompt {
            socket.set_recv_buffer_size(SMALL)?;
        }
        // One address has too few ports for all.
        let host = 1 + (key / 4000) as u8 + 100 * (self.index as u8 % 2);
        let from = SocketAddr::from((Ipv4Addr::new(127, 0, 1, host), 0));
        socket.bind(&from.into())?;
        let now = Instant::now();
        match socket.connect(&group.server.into()) {
            Ok(()) => {}
            Err(error)
                if error.raw_os_error() == Some(rustix::io::Errno::INPROGRESS.raw_os_error()) => {}
            Err(error) => return Err(error),
        }
        let mut stream = TcpStream::from_std(socket.into());
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut stream, Token(key), both)?;
        let tls = match &group.tls {
            None => None,
            Some(config) => {
                let name = ServerName::IpAddress(group.server.ip().into());
                let made = ClientConnection::new(Arc::clone(config), name);
                Some(made.map_err(io::Error::other)?)
            }
        };
        ear.begin(Wire::new(stream, tls), now);
        Ok(())
    }

    fn event(&mut self, key: usize, writable: bool) {
        let Some(ear) = self.ears.get_mut(key) else {
            return;
        };
        if matches!(ear.state, State::Connecting) && writable {
            let group = &self.groups[ear.group as usize];
            let mount = &group.mounts[ear.index as usize % group.mounts.len()];
            let place = match group.aware {
                true => ear.resume(),
                false => String::new(),
            };
            let Group { server, fields, .. } = group;
            let request = format!(
                "GET {mount} HTTP/1.0\r\nHost: {server}\r\nUser-Agent: icecast-ext-bench\r\n{fields}{place}\r\n"
            );
            let Some(wire) = &mut ear.wire else {
                return;
            };
            match wire.write(request.as_bytes()) {
                Ok(true) => ear.state = State::Head(Vec::new()),
                Ok(false) => {
                    return self.fault(key, Fault::Refused("no room for a request".to_owned()));
                }
                Err(error) => {
                    return self.fault(key, Fault::Refused(format!("cannot ask: {error}")));
                }
            }
        }
        let ear = &self.ears[key];
        if ear.pace == Pace::Prompt || matches!(ear.state, State::Head(_)) {
            self.read(key, BUFFER, usize::MAX);
        }
    }

    /// Reads what there is, up to `most` bytes, `piece` at once.
    fn read(&mut self, key: usize, piece: usize, mut most: usize) {
        let now = Instant::now();
        let mut heard = Heard::default();
        let fault = loop {
            let ear = &mut self.ears[key];
            if matches!(ear.state, State::Deaf | State::Gone | State::Connecting) || most == 0 {
                break None;
            }
            let Some(wire) = &mut ear.wire else {
                break None;
            };
            let buffer = &mut self.buffer[..piece.min(most)];
            let room = buffer.len();
            match wire.read(buffer) {
                Ok(0) => break Some(ended(ear, "the connection was closed")),
                Ok(read) => {
                    if let Err(fault) = ear.take(&self.buffer[..read], &mut heard) {
                        break Some(fault);
                    }
                    most -= read;
                    // Less than there is room for: no more has come, but for TLS, whose records are smaller.
                    if read < room && self.groups[ear.group as usize].tls.is_none() {
                        break None;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                Err(error) => break Some(ended(ear, &error.to_string())),
            }
        };
        self.note(key, &heard, now);
        if let Some(fault) = fault {
            self.fault(key, fault);
        }
    }

    fn note(&mut self, key: usize, heard: &Heard, now: Instant) {
        let ear = &self.ears[key];
        self.tally.bytes += heard.bytes;
        if ear.pace != Pace::Prompt {
            return;
        }
        if heard.first {
            let took = now.saturating_duration_since(ear.since).as_micros() as u64;
            self.tally.first_byte.saturating_record(took);
        }
        if let Some((oldest, newest)) = heard.span {
            if let Some(age) = self.diary.age(oldest, now) {
                self.tally.oldest.saturating_record(age);
            }
            if let Some(age) = self.diary.age(newest, now) {
                self.tally.newest.saturating_record(age);
            }
        }
    }

    /// Those who do not read as it comes.
    fn read_slowly(&mut self) {
        self.slow = Instant::now() + SLOW;
        for key in 0..self.ears.len() {
            if let Pace::Slow(rate) = self.ears[key].pace {
                let most = rate * SLOW.as_millis() as u64 / 1000;
                self.read(key, most as usize, most as usize);
            }
        }
    }

    /// Those who have waited for an answer for too long.
    fn try_again(&mut self) {
        let now = Instant::now();
        self.look = now + LOOK;
        for key in 0..self.ears.len() {
            let ear = &self.ears[key];
            let asking = matches!(ear.state, State::Connecting | State::Head(_));
            if asking && now.saturating_duration_since(ear.since) > PATIENCE {
                self.fault(
                    key,
                    Fault::Refused(format!("no answer within {PATIENCE:?}")),
                );
                self.queue.ears.push_back(key);
            }
        }
    }

    fn fault(&mut self, key: usize, fault: Fault) {
        let ear = &mut self.ears[key];
        let why = match fault {
            Fault::Refused(why) => {
                self.tally.refused += 1;
                why
            }
            Fault::Dropped(why) if ear.pace == Pace::Prompt => {
                self.tally.dropped += 1;
                why
            }
            Fault::Dropped(_) => {
                self.tally.slow_dropped += 1;
                String::new()
            }
            Fault::Wrong(why) => {
                self.tally.wrong += 1;
                why
            }
        };
        if !why.is_empty() {
            self.tally.sample.get_or_insert(why);
        }
        ear.state = State::Gone;
        ear.wire = None;
    }
}

/// The connection has ended.
fn ended(ear: &Ear, why: &str) -> Fault {
    match ear.state {
        State::Hearing | State::Audio(_) => Fault::Dropped(why.to_owned()),
        _ => Fault::Refused(why.to_owned()),
    }
}
