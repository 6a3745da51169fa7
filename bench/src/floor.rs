//! The floor: the least that a server can do which sends each listener what is new once a tick. No HTTP but two fixed heads, no
//! address, no statistics, no limits, no slow path: a thread a core, an epoll, and one `send` a listener a tick.

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token, Waker};
use socket2::{Domain, Protocol, Socket, Type};

const LISTENER: Token = Token(usize::MAX);
const WAKE: Token = Token(usize::MAX - 1);
const HEAD: &[u8] = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n";
const BURST: usize = 65_536;

/// `icecast-ext-bench floor`
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Where listeners connect
    #[arg(long)]
    listen: SocketAddr,
    /// Where the source connects
    #[arg(long)]
    source: SocketAddr,
    /// Milliseconds between two sends
    #[arg(long)]
    tick: u64,
}

/// Until it is killed.
pub(crate) fn run(options: &Options) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let mut shards = Vec::new();
    for _ in 0..cores {
        let poll = Poll::new()?;
        let waker = Waker::new(poll.registry(), WAKE)?;
        let (sender, chunks) = channel();
        let shard = Shard {
            poll,
            listener: listen(options.listen)?,
            chunks,
            tail: Vec::new(),
            conns: Vec::new(),
            free: Vec::new(),
        };
        std::thread::spawn(move || shard.run());
        shards.push((sender, waker));
    }
    let (mut source, _) = TcpListener::bind(options.source)?.accept()?;
    // Its head is small, and it waits for the answer.
    let mut scrap = [0; 4096];
    let _ = source.read(&mut scrap)?;
    source.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
    publish(source, Duration::from_millis(options.tick), &shards)
}

fn publish(
    mut source: std::net::TcpStream,
    tick: Duration,
    shards: &[(Sender<Arc<[u8]>>, Waker)],
) -> Result<()> {
    source.set_nonblocking(true)?;
    let mut due = Instant::now() + tick;
    let mut buffer = vec![0; 1 << 20];
    loop {
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        due += tick;
        let mut chunk = Vec::new();
        loop {
            match source.read(&mut buffer) {
                Ok(0) => return Ok(()),
                Ok(read) => chunk.extend_from_slice(&buffer[..read]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error).context("the source"),
            }
        }
        if chunk.is_empty() {
            continue;
        }
        let chunk: Arc<[u8]> = chunk.into();
        for (shard, waker) in shards {
            shard
                .send(Arc::clone(&chunk))
                .ok()
                .context("a shard has ended")?;
            waker.wake()?;
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<mio::net::TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(mio::net::TcpListener::from_std(socket.into()))
}

struct Conn {
    stream: TcpStream,
    asked: bool,
    /// What the socket had no room for.
    rest: Vec<u8>,
}

struct Shard {
    poll: Poll,
    listener: mio::net::TcpListener,
    chunks: Receiver<Arc<[u8]>>,
    /// The newest bytes, for who joins.
    tail: Vec<u8>,
    conns: Vec<Option<Conn>>,
    free: Vec<usize>,
}

impl Shard {
    fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(1024);
        let registry = self.poll.registry();
        registry.register(&mut self.listener, LISTENER, Interest::READABLE)?;
        loop {
            self.poll.poll(&mut events, None)?;
            for event in &events {
                match event.token() {
                    WAKE => {
                        while let Ok(chunk) = self.chunks.try_recv() {
                            self.tick(&chunk);
                        }
                    }
                    LISTENER => self.accept()?,
                    Token(key) => self.event(key),
                }
            }
        }
    }

    fn accept(&mut self) -> io::Result<()> {
        while let Ok((mut stream, _)) = self.listener.accept() {
            stream.set_nodelay(true)?;
            let key = self.free.pop().unwrap_or_else(|| {
                self.conns.push(None);
                self.conns.len() - 1
            });
            let both = Interest::READABLE | Interest::WRITABLE;
            self.poll
                .registry()
                .register(&mut stream, Token(key), both)?;
            self.conns[key] = Some(Conn {
                stream,
                asked: false,
                rest: Vec::new(),
            });
        }
        Ok(())
    }

    fn tick(&mut self, chunk: &[u8]) {
        self.tail.extend_from_slice(chunk);
        self.tail.drain(..self.tail.len().saturating_sub(BURST));
        for key in 0..self.conns.len() {
            let Some(conn) = &mut self.conns[key] else {
                continue;
            };
            if !conn.asked {
                continue;
            }
            let sent = match conn.rest.is_empty() {
                true => send(&mut conn.stream, chunk),
                false => Ok(0),
            };
            match sent {
                Ok(sent) => conn.rest.extend_from_slice(&chunk[sent..]),
                Err(_) => self.close(key),
            }
        }
    }

    fn event(&mut self, key: usize) {
        let Some(Some(conn)) = self.conns.get_mut(key) else {
            return;
        };
        let mut scrap = [0; 4096];
        loop {
            match conn.stream.read(&mut scrap) {
                Ok(0) => return self.close(key),
                Ok(_) if !conn.asked => {
                    conn.asked = true;
                    conn.rest = HEAD.to_vec();
                    conn.rest.extend_from_slice(&self.tail);
                }
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => return self.close(key),
            }
        }
        let rest = std::mem::take(&mut conn.rest);
        match send(&mut conn.stream, &rest) {
            Ok(sent) => conn.rest.extend_from_slice(&rest[sent..]),
            Err(_) => self.close(key),
        }
    }

    fn close(&mut self, key: usize) {
        self.conns[key] = None;
        self.free.push(key);
    }
}

/// As much as there is room for.
fn send(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    match stream.write(bytes) {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}
