//! Listeners whose TLS somebody else drives. The seal here is a toy, but keeps OpenSSL's rules and sees that they are kept.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use common::*;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{EngineConfig, Next, Reason, Seal, Socket};

const WAIT: Duration = Duration::from_secs(10);

/// What became of a seal.
#[derive(Debug, Default)]
struct Fate {
    again: AtomicUsize,
    parts: AtomicUsize,
    closed: AtomicUsize,
    owed: Mutex<Option<Owed>>,
}

/// What must be given again, and how much of it the record has that was begun.
#[derive(Debug)]
struct Owed {
    at: usize,
    bytes: Vec<u8>,
    taken: usize,
}

/// Its records are a length in two bytes, and as many that are turned over; one of length zero says close_notify.
#[derive(Debug)]
struct Toy {
    stream: TcpStream,
    /// Of the record that was begun.
    wire: Vec<u8>,
    fate: Arc<Fate>,
    random: Random,
}

const TURNED: u8 = 0x5a;

impl Toy {
    /// A sealed socket, its client's end.
    fn pair(buffer: usize) -> (TcpStream, Socket, Arc<Fate>) {
        let (client, server) = pair();
        if buffer > 0 {
            let client = socket2::SockRef::from(&client);
            client.set_recv_buffer_size(buffer).unwrap();
        }
        let fate = Arc::new(Fate::default());
        let toy = Self {
            stream: server.try_clone().unwrap(),
            wire: Vec::new(),
            fate: Arc::clone(&fate),
            random: Random(buffer as u64 + 1),
        };
        (client, Socket::sealed(server, Box::new(toy)), fate)
    }
}

impl Seal for Toy {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        assert!((1..=16_384).contains(&bytes.len()));
        assert_eq!(self.fate.closed.load(Ordering::SeqCst), 0);
        let mut owed = self.fate.owed.lock().unwrap();
        let taken = match owed.take() {
            Some(before) => {
                assert_eq!(
                    (bytes.as_ptr() as usize, bytes),
                    (before.at, &before.bytes[..])
                );
                before.taken
            }
            None => {
                let taken = self.random.below(bytes.len() as u64) as usize + 1;
                let turned = bytes[..taken].iter().map(|byte| byte ^ TURNED);
                self.wire.extend_from_slice(&(taken as u16).to_be_bytes());
                self.wire.extend(turned);
                taken
            }
        };
        while !self.wire.is_empty() {
            match self.stream.write(&self.wire) {
                Ok(sent) => drop(self.wire.drain(..sent)),
                Err(error) => {
                    assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                    self.fate.again.fetch_add(1, Ordering::SeqCst);
                    *owed = Some(Owed {
                        at: bytes.as_ptr() as usize,
                        bytes: bytes.to_vec(),
                        taken,
                    });
                    return Err(error);
                }
            }
        }
        let part = usize::from(taken < bytes.len());
        self.fate.parts.fetch_add(part, Ordering::SeqCst);
        Ok(taken)
    }

    fn read(&mut self, scrap: &mut [u8]) -> io::Result<usize> {
        self.stream.read(scrap)
    }

    fn close(&mut self) {
        assert!(self.fate.owed.lock().unwrap().is_none());
        self.fate.closed.fetch_add(1, Ordering::SeqCst);
        let _ = self.stream.write(&[0, 0]);
    }
}

/// What the records hold that have come whole, and whether close_notify was said.
fn opened(wire: &[u8]) -> (Vec<u8>, bool) {
    let (mut plain, mut rest) = (Vec::new(), wire);
    while let [a, b, after @ ..] = rest {
        let len = usize::from(u16::from_be_bytes([*a, *b]));
        if len == 0 {
            assert!(after.is_empty(), "nothing follows a close_notify");
            return (plain, true);
        }
        let Some((record, after)) = after.split_at_checked(len) else {
            break;
        };
        plain.extend(record.iter().map(|byte| byte ^ TURNED));
        rest = after;
    }
    (plain, false)
}

fn whole() -> Cursor {
    Cursor::plain(position(1, 0), true, true)
}

#[test]
fn every_byte_is_sealed_once_and_in_order_however_little_the_socket_takes() {
    let (engine, ends) = engine(EngineConfig {
        send_buffer: 8192,
        ..EngineConfig::default()
    });
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let total = 1_500_000;
    let listeners: Vec<_> = [0, 20_000, 60_000]
        .into_iter()
        .map(|buffer| {
            let (mut client, socket, fate) = Toy::pair(buffer);
            assert!(socket.is_tls());
            let mut admission = admission(socket, &mount, whole());
            admission.head = "head\r\n\r\n".into();
            engine.admit(admission).unwrap();
            let slow = buffer > 0;
            let reader = thread::spawn(move || {
                let (mut got, mut scrap) = (Vec::new(), vec![0; 50_000]);
                loop {
                    let n = client.read(&mut scrap).unwrap();
                    if n == 0 {
                        break;
                    }
                    got.extend_from_slice(&scrap[..n]);
                    if slow {
                        thread::sleep(Duration::from_millis(1));
                    }
                }
                let (plain, closed) = opened(&got);
                assert!(closed, "close_notify is last");
                assert_eq!(&plain[..8], b"head\r\n\r\n");
                assert_content(1, 0, &plain[8..], "sealed");
                assert_eq!(plain.len() as u64, total + 8);
            });
            (reader, fate, slow)
        })
        .collect();
    let mut plain = listen(&engine, &mount, whole());
    let mut random = Random(5);
    let mut at = 0;
    while at < total {
        let len = (random.below(40_000) + 1).min(total - at);
        mount.append(&content(1, at, len), Some(at / 100));
        mount.flush();
        at += len;
    }
    let neighbour = thread::spawn(move || read(&mut plain, total as usize));
    mount.close();
    for (reader, fate, slow) in listeners {
        reader.join().unwrap();
        assert_eq!(fate.closed.load(Ordering::SeqCst), 1);
        assert!(fate.parts.load(Ordering::SeqCst) > 0);
        assert!(!slow || fate.again.load(Ordering::SeqCst) > 0);
    }
    assert_content(1, 0, &neighbour.join().unwrap(), "a plain neighbour");
    for ended in ends.iter().take(4) {
        assert_eq!(ended.reason, Reason::MountClosed);
        assert_eq!(ended.audio_bytes, total);
    }
}

#[test]
fn one_that_is_told_to_go_when_nothing_fits_is_sent_what_its_seal_was_given() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = mount(&engine, 1, 8_000_000);
    let (mut client, socket, fate) = Toy::pair(20_000);
    let mut admission = admission(socket, &mount, whole());
    admission.id = 3;
    engine.admit(admission).unwrap();
    engine.part(3, position(1, 8_000_000), Next::End(Reason::Kicked));
    let ended = ends.recv_timeout(WAIT).unwrap();
    assert_eq!((ended.id, ended.reason), (3, Reason::Kicked));
    let (plain, closed) = opened(&read_to_end(&mut client));
    assert!(closed && fate.closed.load(Ordering::SeqCst) == 1);
    assert_content(1, 0, &plain, "what it had taken");
    assert_eq!(plain.len() as u64, ended.audio_bytes);
}

#[test]
fn a_sealed_listener_is_given_back_with_nothing_owed_to_its_seal() {
    let (engine, ends) = engine(EngineConfig {
        linger: Duration::from_millis(50),
        ..EngineConfig::default()
    });
    let mount = mount(&engine, 1, 8_000_000);
    let (mut client, socket, fate) = Toy::pair(20_000);
    let mut admission = admission(socket, &mount, whole());
    admission.id = 3;
    engine.admit(admission).unwrap();
    let (send, released) = std::sync::mpsc::channel();
    let next = Next::Release(Box::new(move |given| send.send(given).unwrap()));
    engine.part(3, position(1, 8_000_000), next);
    until("it is stuck", || fate.owed.lock().unwrap().is_some());
    let (mut got, mut scrap) = (Vec::new(), [0; 50_000]);
    client.set_nonblocking(true).unwrap();
    // It may go on from time to time, and is not given back before it has been read from.
    let given = loop {
        if let Ok(given) = released.recv_timeout(Duration::from_millis(100)) {
            break given;
        }
        let n = client.read(&mut scrap).unwrap_or(0);
        got.extend_from_slice(&scrap[..n]);
    };
    client.set_nonblocking(false).unwrap();
    assert!(fate.owed.lock().unwrap().is_none());
    assert!(given.socket.is_tls());
    drop(given.socket);
    got.extend(read_to_end(&mut client));
    let (plain, closed) = opened(&got);
    assert!(!closed && fate.closed.load(Ordering::SeqCst) == 0);
    assert_content(1, 0, &plain, "before");
    assert_eq!(plain.len() as u64, given.audio_bytes);
    assert!(ends.try_recv().is_err());
}

#[test]
fn a_peer_that_talks_is_not_disturbed_and_one_that_hangs_up_is_noticed() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = mount(&engine, 1, 1000);
    let (mut client, socket, _) = Toy::pair(0);
    engine.admit(admission(socket, &mount, whole())).unwrap();
    for _ in 0..50 {
        client.write_all(&[7; 1000]).unwrap();
    }
    let (mut got, mut scrap) = (Vec::new(), [0; 5000]);
    while opened(&got).0.len() < 1000 {
        let n = client.read(&mut scrap).unwrap();
        got.extend_from_slice(&scrap[..n]);
    }
    assert_content(1, 0, &opened(&got).0, "talks");
    assert!(ends.try_recv().is_err());
    drop(client);
    assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::PeerClosed);
}
