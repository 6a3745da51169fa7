//! Listeners over TLS, on the loops of the plain ones.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use common::*;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{EngineConfig, Mount, Reason, Socket};
use rustls::pki_types::{PrivateKeyDer, ServerName};
use rustls::version::{TLS12, TLS13};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

type Client = StreamOwned<ClientConnection, TcpStream>;

/// A server that a client trusts.
struct Trust {
    server: Arc<ServerConfig>,
    client: Arc<ClientConfig>,
}

impl Trust {
    fn new(version: &'static SupportedProtocolVersion) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let chain = vec![made.cert.der().clone()];
        let key = PrivateKeyDer::Pkcs8(made.signing_key.serialize_der().into());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut roots = RootCertStore::empty();
        roots.add(chain[0].clone()).unwrap();
        let server = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let client = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        Self {
            server: Arc::new(server),
            client: Arc::new(client),
        }
    }

    /// A connected pair whose handshake is done. `buffer`: what the client's kernel takes unread; zero: as the system has it.
    fn pair(&self, buffer: usize) -> (Client, TcpStream, ServerConnection) {
        let (mut client, mut server) = pair();
        if buffer > 0 {
            socket2::SockRef::from(&client)
                .set_recv_buffer_size(buffer)
                .unwrap();
        }
        let mut accepted = ServerConnection::new(Arc::clone(&self.server)).unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut connected = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        thread::scope(|scope| {
            scope.spawn(|| {
                while accepted.is_handshaking() {
                    accepted.complete_io(&mut server).unwrap();
                }
            });
            while connected.is_handshaking() {
                connected.complete_io(&mut client).unwrap();
            }
        });
        (StreamOwned::new(connected, client), server, accepted)
    }

    fn socket(&self, buffer: usize) -> (Client, Socket) {
        let (client, server, accepted) = self.pair(buffer);
        (client, Socket::tls(server, accepted))
    }
}

fn whole() -> Cursor {
    Cursor::plain(position(1, 0), true, true)
}

/// Bytes of epoch 1 in chunks of any size.
fn feed(mount: &Arc<Mount>, from: u64, to: u64) {
    let mut random = Random(to);
    let mut at = from;
    while at < to {
        let len = (random.below(900) + 1).min(to - at);
        mount.append(&content(1, at, len), Some(at / 100));
        at += len;
        if random.below(8) == 0 {
            mount.flush();
        }
        if random.below(40) == 0 {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

#[test]
fn plain_and_tls_listeners_of_one_mount_get_every_byte() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 100_000), Some(0));
    mount.flush();
    let trusts = [Trust::new(&TLS12), Trust::new(&TLS13)];
    let total = 2_500_000;
    let reference = Arc::new(content(1, 0, total));
    let mut random = Random(9);
    let listeners: Vec<_> = (0..60)
        .map(|i: u64| {
            let from = random.below(100_000);
            let buffer = if i.is_multiple_of(4) { 20_000 } else { 0 };
            let (mut client, socket): (Box<dyn std::io::Read + Send>, Socket) = match i % 3 {
                0 => {
                    let (client, server) = pair();
                    (Box::new(client), server.into())
                }
                tls => {
                    let (client, socket) = trusts[tls as usize - 1].socket(buffer);
                    (Box::new(client), socket)
                }
            };
            let mut admission =
                admission(socket, &mount, Cursor::plain(position(1, from), true, true));
            admission.head = format!("head {i}\r\n\r\n").into();
            let head = admission.head.clone();
            engine.admit(admission).unwrap();
            let reference = Arc::clone(&reference);
            thread::spawn(move || {
                let slow = i.is_multiple_of(5);
                let mut random = Random(i + 1);
                let mut scrap = vec![0; 70_000];
                let mut got = Vec::new();
                loop {
                    let len = random.below(scrap.len() as u64) as usize + 1;
                    // Over TLS, an end without close_notify is an error.
                    let n = client.read(&mut scrap[..len]).unwrap();
                    if n == 0 {
                        break;
                    }
                    got.extend_from_slice(&scrap[..n]);
                    if slow {
                        thread::sleep(Duration::from_millis(random.below(10)));
                    }
                }
                assert!(got.starts_with(&head), "{i}");
                assert!(
                    got[head.len()..] == reference[from as usize..],
                    "{i} from {from}"
                );
            })
        })
        .collect();
    feed(&mount, 100_000, total);
    mount.close();
    for listener in listeners {
        listener.join().unwrap();
    }
    until("all are counted out", || engine.listeners() == 0);
}

#[test]
fn an_epochs_end_waits_for_all_that_a_slow_reader_is_owed() {
    let (engine, ends) = engine(EngineConfig {
        linger: Duration::from_millis(5),
        ..EngineConfig::default()
    });
    for version in [&TLS12, &TLS13] {
        let mount = engine.mount("/live", quick());
        mount.begin(run(1, 0));
        let trust = Trust::new(version);
        let (mut client, socket) = trust.socket(20_000);
        engine.admit(admission(socket, &mount, whole())).unwrap();
        // The last bytes taken are more than a socket that is nearly full has room for.
        let total = 24 * 65_536;
        mount.append(&content(1, 0, total), Some(0));
        mount.flush();
        // It stops within a record, and goes on when the epoch is long over.
        assert_content(1, 0, &read_tls(&mut client, 70_001), "before");
        mount.begin(run(2, 0));
        mount.append(&content(2, 0, 1000), Some(1));
        mount.flush();
        assert!(ends.try_recv().is_err(), "it is still being sent");
        let mut rest = Vec::new();
        while (&mut client).take(50_000).read_to_end(&mut rest).unwrap() > 0 {
            thread::sleep(Duration::from_millis(30));
        }
        assert_eq!(rest.len() as u64, total - 70_001);
        assert_content(1, 70_001, &rest, "after");
        let ended = ends.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!((ended.reason, ended.audio_bytes), (Reason::Epoch, total));
        assert_eq!(client.sock.read(&mut [0; 9]).unwrap(), 0, "and a FIN");
    }
}

fn read_tls(client: &mut Client, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    client.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn one_that_is_told_to_go_in_the_middle_of_a_record_gets_the_record_and_a_close_notify() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let (mut client, socket) = Trust::new(&TLS13).socket(20_000);
    let mut admission = admission(socket, &mount, whole());
    admission.id = 5;
    engine.admit(admission).unwrap();
    mount.append(&content(1, 0, 8_000_000), Some(0));
    mount.flush();
    assert_content(1, 0, &read_tls(&mut client, 1000), "before");
    engine.kick(&mount, 5);
    let ended = ends.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(ended.reason, Reason::Kicked);
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).unwrap();
    assert_content(1, 1000, &rest, "after");
    assert_eq!(ended.audio_bytes, 1000 + rest.len() as u64);
}

#[test]
fn a_tls_listener_that_takes_nothing_is_cut_and_a_slow_one_is_not() {
    let (engine, ends) = engine(EngineConfig {
        stuck: Duration::from_millis(500),
        ..EngineConfig::default()
    });
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let trust = Trust::new(&TLS13);
    let (stuck, socket) = trust.socket(0);
    let mut admitted = admission(socket, &mount, whole());
    admitted.id = 66;
    engine.admit(admitted).unwrap();
    let (mut slow, socket) = trust.socket(0);
    engine.admit(admission(socket, &mount, whole())).unwrap();
    let total = 5_000_000;
    let slow = thread::spawn(move || {
        let mut got = Vec::new();
        while (&mut slow).take(400_000).read_to_end(&mut got).unwrap() > 0 {
            thread::sleep(Duration::from_millis(60));
        }
        assert_content(1, 0, &got, "slow");
        got.len()
    });
    mount.append(&content(1, 0, total), Some(0));
    mount.flush();
    let ended = ends.recv_timeout(Duration::from_secs(10)).unwrap();
    assert_eq!((ended.id, ended.reason), (66, Reason::Stuck));
    drop(stuck);
    mount.close();
    assert_eq!(slow.join().unwrap() as u64, total);
}

#[test]
fn a_peers_close_notify_ends_it_and_what_is_not_tls_as_well() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    for version in [&TLS12, &TLS13] {
        let trust = Trust::new(version);
        let (mut polite, socket) = trust.socket(0);
        engine.admit(admission(socket, &mount, whole())).unwrap();
        let (mut rude, socket) = trust.socket(0);
        engine.admit(admission(socket, &mount, whole())).unwrap();
        until("both are in", || mount.listeners().plain == 2);
        polite.conn.send_close_notify();
        polite.flush().unwrap();
        let ended = ends.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(ended.reason, Reason::PeerClosed);
        rude.sock.write_all(&[7; 3000]).unwrap();
        let ended = ends.recv_timeout(Duration::from_secs(5)).unwrap();
        assert_eq!(ended.reason, Reason::PeerClosed);
    }
}

#[test]
fn one_that_talks_or_changes_its_keys_is_not_disturbed() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    let (mut client, socket) = Trust::new(&TLS13).socket(0);
    engine.admit(admission(socket, &mount, whole())).unwrap();
    let mut at = 0;
    for _ in 0..50 {
        client.write_all(&[7; 10_000]).unwrap();
        client.conn.refresh_traffic_keys().unwrap();
        client.flush().unwrap();
        mount.append(&content(1, at, 3000), Some(at));
        mount.flush();
        assert_content(1, at, &read_tls(&mut client, 3000), "talks");
        at += 3000;
    }
    mount.close();
    assert_eq!(client.read(&mut [0; 9]).unwrap(), 0);
    let ended = ends.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(ended.reason, Reason::MountClosed);
}

#[test]
fn what_tls_had_read_or_still_to_send_when_it_was_admitted_counts() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 500), Some(0));
    mount.flush();
    let trust = Trust::new(&TLS13);
    let (mut client, mut server, mut accepted) = trust.pair(0);
    client
        .write_all(b"GET / and more than the request")
        .unwrap();
    client.flush().unwrap();
    accepted.read_tls(&mut server).unwrap();
    accepted.process_new_packets().unwrap();
    accepted.writer().write_all(b"said before ").unwrap();
    let socket = Socket::tls(server, accepted);
    engine.admit(admission(socket, &mount, whole())).unwrap();
    assert_eq!(read_tls(&mut client, 12), b"said before ");
    assert_content(1, 0, &read_tls(&mut client, 500), "then");

    let (mut leaves, mut server, mut accepted) = trust.pair(0);
    leaves.conn.send_close_notify();
    leaves.flush().unwrap();
    accepted.read_tls(&mut server).unwrap();
    let socket = Socket::tls(server, accepted);
    engine.admit(admission(socket, &mount, whole())).unwrap();
    let ended = ends.recv_timeout(Duration::from_secs(5)).unwrap();
    assert_eq!(
        (ended.reason, ended.sent_bytes),
        (Reason::PeerClosed, 0),
        "its close_notify is in no socket any more"
    );
}

#[test]
fn shutting_down_drains_those_who_read_and_cuts_those_who_do_not() {
    let (engine, _ends) = engine(EngineConfig::default());
    let mount = engine.mount("/live", quick());
    mount.begin(run(1, 0));
    mount.append(&content(1, 0, 4_000_000), Some(0));
    mount.flush();
    let trust = Trust::new(&TLS13);
    let (mut reads, socket) = trust.socket(0);
    engine.admit(admission(socket, &mount, whole())).unwrap();
    let (mut sleeps, socket) = trust.socket(20_000);
    engine.admit(admission(socket, &mount, whole())).unwrap();
    let reader = thread::spawn(move || {
        let mut got = Vec::new();
        reads.read_to_end(&mut got).unwrap();
        got
    });
    engine.shutdown(Duration::from_millis(800));
    let got = reader.join().unwrap();
    assert_eq!(got.len(), 4_000_000);
    assert_content(1, 0, &got, "drained");
    let mut cut = Vec::new();
    // With close_notify if the socket had room for it, without if not.
    let _ = sleeps.read_to_end(&mut cut);
    assert!(cut.len() < 4_000_000);
    assert_content(1, 0, &cut, "cut");
}
