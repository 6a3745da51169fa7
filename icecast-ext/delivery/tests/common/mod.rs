//! Content that knows its own place, and listeners on loopback.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "each test file uses a part of it"
)]

use std::io::Read;
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::Format;
use icecast_ext_core::icy::{Deinterleaver, Part};
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{
    Admission, Ended, Engine, EngineConfig, Kind, Mount, MountConfig, Socket,
};

pub fn epoch(n: u8) -> Epoch {
    Epoch::from_bytes([n; 16])
}

pub fn offset(n: u64) -> Offset {
    Offset::new(n).unwrap()
}

pub fn position(n: u8, at: u64) -> Position {
    Position::new(epoch(n), offset(at))
}

/// The byte at `at` of epoch `n`: eight of them name their place.
pub fn byte(n: u8, at: u64) -> u8 {
    let word = (at / 8 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ u64::from(n);
    word.to_be_bytes()[(at % 8) as usize]
}

pub fn content(n: u8, from: u64, len: u64) -> Vec<u8> {
    (from..from + len).map(|at| byte(n, at)).collect()
}

/// Fails where `bytes` is not what stands at `from`.
pub fn assert_content(n: u8, from: u64, bytes: &[u8], what: &str) {
    let wrong = (from..)
        .zip(bytes)
        .position(|(at, got)| byte(n, at) != *got);
    assert_eq!(wrong, None, "{what}: {} bytes from {from}", bytes.len());
}

pub fn run(n: u8, first: u64) -> RunStart {
    RunStart {
        epoch: epoch(n),
        first: offset(first),
        declared: true,
        format: Format::Opaque,
        fields: Bytes::from_static(b"Content-Type: audio/x-test\r\n"),
        prelude: None,
    }
}

/// Ticks of 20 ms: tests are quick.
pub fn quick() -> MountConfig {
    MountConfig {
        tick: Duration::from_millis(20),
        ..MountConfig::default()
    }
}

/// An engine of two loops whose ends are heard.
pub fn engine(config: EngineConfig) -> (Engine, Receiver<Ended>) {
    let (send, ends) = channel();
    let config = EngineConfig { loops: 2, ..config };
    let engine = Engine::start(config, move |ended| {
        let _ = send.send(ended);
    });
    (engine.unwrap(), ends)
}

/// A connected pair: the client's end, the server's end.
pub fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    client
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    (client, listener.accept().unwrap().0)
}

pub fn admission(socket: impl Into<Socket>, mount: &Arc<Mount>, cursor: Cursor) -> Admission {
    Admission {
        socket: socket.into(),
        mount: Arc::clone(mount),
        head: Bytes::new(),
        cursor,
        kind: Kind::Plain,
        session: None,
        id: 0,
    }
}

/// A listener at `cursor`; the client's end.
pub fn listen(engine: &Engine, mount: &Arc<Mount>, cursor: Cursor) -> TcpStream {
    let (client, server) = pair();
    engine.admit(admission(server, mount, cursor)).unwrap();
    client
}

/// A mount of epoch `n` that holds so many bytes.
pub fn mount(engine: &Engine, n: u8, len: u64) -> Arc<Mount> {
    let mount = engine.mount(&format!("/{n}"), quick());
    mount.begin(run(n, 0));
    grow(&mount, n, 0, len);
    mount
}

/// Bytes `from..to` of epoch `n`.
pub fn grow(mount: &Arc<Mount>, n: u8, from: u64, to: u64) {
    mount.append(&content(n, from, to - from), Some(from));
    mount.flush();
}

/// A listener with an id, which has been sent what there is: what it is told from now on is in time for what is appended
/// from now on. The client's end.
pub fn enter(
    engine: &Engine,
    mount: &Arc<Mount>,
    id: u64,
    kind: Kind,
    cursor: Cursor,
) -> TcpStream {
    let (client, server) = pair();
    let mut admission = admission(server, mount, cursor);
    (admission.id, admission.kind) = (id, kind);
    engine.admit(admission).unwrap();
    let mut scrap = [0];
    assert_eq!(client.peek(&mut scrap).unwrap(), 1, "it is served");
    client
}

/// Where a plain stock listener is.
pub fn stock(n: u8, at: u64) -> Cursor {
    Cursor::plain(position(n, at), false, true)
}

/// Audio, and the texts of blocks that are not empty.
pub fn apart(metaint: NonZeroU32, bytes: Vec<u8>) -> (Vec<u8>, Vec<String>) {
    let mut parts = Vec::new();
    Deinterleaver::new(metaint).feed(bytes.into(), &mut parts);
    let (mut audio, mut texts) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Audio(bytes) => audio.extend_from_slice(&bytes),
            Part::Block(text) => texts.push(String::from_utf8(text.to_vec()).unwrap()),
        }
    }
    (audio, texts)
}

pub fn read(client: &mut TcpStream, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

pub fn read_to_end(client: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    client.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Waits for a state, at most 10 s.
pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(10);
    while !is() {
        assert!(Instant::now() < end, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A small deterministic generator.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % n.max(1)
    }
}
