//! Listeners that are given back to who admitted them.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod common;

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use common::*;
use icecast_ext_core::address::Session;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::{Engine, EngineConfig, Kind, Mount, Next, Reason, Released};
use socket2::{Domain, Socket, Type};

const WAIT: Duration = Duration::from_secs(10);

fn release() -> (Next, Receiver<Released>) {
    let (send, released) = channel();
    let next = Next::Release(Box::new(move |given| send.send(given).unwrap()));
    (next, released)
}

#[test]
fn a_released_listener_is_the_callers_from_the_byte_on() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = mount(&engine, 1, 1000);
    let (mut client, server) = pair();
    let mut admission = admission(server, &mount, Cursor::plain(position(1, 0), true, true));
    let session = Session::from_bytes([7; 16]);
    (admission.id, admission.session) = (5, Some(session));
    admission.head = "head\r\n\r\n".into();
    engine.admit(admission).unwrap();
    assert_eq!(client.peek(&mut [0]).unwrap(), 1, "it is served");
    let (next, released) = release();
    engine.part(5, position(1, 2345), next);
    grow(&mount, 1, 1000, 3000);
    let given = released.recv_timeout(WAIT).unwrap();
    assert_eq!((given.sent_bytes, given.audio_bytes), (2345 + 8, 2345));
    assert_eq!((mount.listeners().total(), engine.listeners()), (0, 0));
    assert!(!engine.close_session(&mount, session), "it is forgotten");
    let mut socket = TcpStream::from(given.socket);
    grow(&mount, 1, 3000, 4000);
    engine.kick(&mount, 5);
    engine.part(5, position(1, 0), Next::End(Reason::Kicked));
    socket.write_all(b"and more").unwrap();
    client.write_all(b"said").unwrap();
    socket.set_nonblocking(false).unwrap();
    assert_eq!(read(&mut socket, 4), b"said");
    engine.shutdown(Duration::ZERO);
    drop(socket);
    let got = read_to_end(&mut client);
    assert_eq!(&got[..8], b"head\r\n\r\n");
    assert_content(1, 0, &got[8..][..2345], "before");
    assert_eq!(&got[8 + 2345..], b"and more");
    assert!(ends.try_recv().is_err(), "it has not ended");
}

/// One whose client's kernel takes little.
fn narrow(engine: &Engine, mount: &Arc<Mount>, id: u64, cursor: Cursor) -> TcpStream {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    client.set_recv_buffer_size(8000).unwrap();
    let there = listener.local_addr().unwrap().into();
    client.connect(&there).unwrap();
    client.set_read_timeout(Some(WAIT)).unwrap();
    let server = listener.accept().unwrap().0;
    let mut admission = admission(server, mount, cursor);
    (admission.id, admission.kind) = (id, Kind::Icy);
    engine.admit(admission).unwrap();
    client.into()
}

#[test]
fn a_listener_is_given_back_between_blocks_and_not_within_one() {
    let (engine, ends) = engine(EngineConfig {
        linger: Duration::from_millis(100),
        send_buffer: 4096,
        ..EngineConfig::default()
    });
    let mount = mount(&engine, 1, 1_000_000);
    let metaint = NonZeroU32::new(100).unwrap();
    let at = |at| Cursor::icy(position(1, at), metaint, false, true);
    // How much is queued for one that reads nothing.
    let _reads_nothing = narrow(&engine, &mount, 0, at(0));
    let (next, released) = release();
    engine.part(0, position(1, 1_000_000), next);
    let queued = released.recv_timeout(WAIT).unwrap().audio_bytes;
    assert!(queued < 60_000, "less than the blocks are");
    // From there on large blocks with little between them.
    let end = 1_001_600;
    for at in (1_000_000..end).step_by(100) {
        let text = format!("StreamTitle='{at}';").repeat(170);
        mount.title(None, text.into());
        grow(&mount, 1, at, at + 100);
    }
    let mut within = 0;
    for id in 1..=6 {
        let from = (1_000_000 - queued + queued / 7 * id) / 100 * 100;
        let mut client = narrow(&engine, &mount, id, at(from));
        let (next, released) = release();
        engine.part(id, position(1, end), next);
        let (mut got, mut asked) = (Vec::new(), false);
        let mut patience = Duration::from_millis(300);
        client.set_nonblocking(true).unwrap();
        // Stuck within a block it is not given back until that is read.
        let given = loop {
            if let Ok(given) = released.recv_timeout(patience) {
                break given;
            }
            asked = true;
            patience = Duration::from_millis(2);
            let mut scrap = [0; 20_000];
            let n = client.read(&mut scrap).unwrap_or(0);
            got.extend_from_slice(&scrap[..n]);
        };
        client.set_nonblocking(false).unwrap();
        drop(given.socket);
        got.extend(read_to_end(&mut client));
        assert_eq!(got.len() as u64, given.sent_bytes);
        let (audio, texts) = apart(metaint, got);
        assert_content(1, from, &audio, "before");
        assert_eq!(audio.len() as u64, given.audio_bytes);
        within += usize::from(asked && from + given.audio_bytes < end);
        let text: usize = texts
            .iter()
            .map(|text| text.len().next_multiple_of(16))
            .sum();
        let blocks = given.sent_bytes - given.audio_bytes - text as u64;
        let due = given.audio_bytes / 100;
        let at_one = given.audio_bytes.is_multiple_of(100);
        assert!(
            blocks == due || at_one && blocks + 1 == due,
            "no block is cut"
        );
    }
    assert!(within > 0, "some were stuck within one");
    assert!(ends.try_recv().is_err());
}

#[test]
fn a_listener_that_is_gone_hears_of_nothing_and_its_release_is_dropped() {
    let (engine, ends) = engine(EngineConfig::default());
    let mount = mount(&engine, 1, 1000);
    let client = enter(&engine, &mount, 4, Kind::Plain, stock(1, 0));
    let (next, released) = release();
    engine.part(4, position(1, 5000), next);
    drop(client);
    assert_eq!(ends.recv_timeout(WAIT).unwrap().reason, Reason::PeerClosed);
    let dropped = RecvTimeoutError::Disconnected;
    assert_eq!(released.recv_timeout(WAIT).unwrap_err(), dropped);
    let (next, released) = release();
    engine.part(4, position(1, 0), next);
    assert_eq!(released.recv_timeout(WAIT).unwrap_err(), dropped);
}
