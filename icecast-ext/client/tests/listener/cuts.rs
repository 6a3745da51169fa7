//! Cuts of every kind.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use icecast_ext_client::{Error, Event, Listener};
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

use crate::server::{Conn, Server, noise, ok};

const PIECE: usize = 30_000;

/// Serves `stream` exactly, and cuts each connection in another way.
fn faulty(stream: Arc<Vec<u8>>) -> Server {
    Server::start(move |mut conn| {
        let from = conn.from();
        let rest = &stream[usize::try_from(from).unwrap()..];
        let some = &rest[..rest.len().min(PIECE + conn.nth * 7)];
        match conn.nth % 6 {
            // In the middle of the head, and before it.
            1 => {
                let head = ok(from);
                conn.send(&head.as_bytes()[..head.len() / 2]);
            }
            2 => conn.reset(),
            3 => {
                conn.ok(from);
                conn.reset();
            }
            4 => {
                conn.ok(from);
                conn.send(some);
                // What is still on its way may be lost with it.
                conn.reset();
            }
            _ => {
                conn.ok(from);
                conn.send(some);
                conn.close();
            }
        }
    })
}

async fn hear(listener: &mut Listener, bytes: usize) -> Vec<u8> {
    let mut heard = Vec::new();
    while heard.len() < bytes {
        match listener.next().await.unwrap() {
            Event::Audio(bytes) => heard.extend_from_slice(&bytes),
            Event::Lost(loss) => panic!("{loss:?}"),
            _ => {}
        }
    }
    heard
}

#[tokio::test]
async fn no_cut_loses_or_repeats_a_byte() {
    let stream = Arc::new(noise(1, 600_000));
    let servers = [faulty(stream.clone()), faulty(stream.clone())];
    let mut listener = Listener::builder(servers.iter().map(|server| server.url.clone()))
        .open()
        .unwrap();
    assert_eq!(hear(&mut listener, stream.len()).await, *stream);
    let stats = listener.stats();
    assert!(stats.cuts >= 10 && stats.moves >= 2, "{stats:?}");
    assert_eq!((stats.losses, stats.audio_bytes), (0, 600_000));
    assert_eq!(listener.position().map(|at| at.offset.get()), Some(600_000));
}

#[tokio::test]
async fn a_reader_never_notices() {
    let stream = Arc::new(noise(2, 300_000));
    let server = faulty(stream.clone());
    let mut reader = Listener::builder([server.url.as_str()])
        .open()
        .unwrap()
        .into_reader();
    let mut heard = vec![0; stream.len()];
    reader.read_exact(&mut heard).await.unwrap();
    assert_eq!(heard, *stream);
    assert!(reader.listener().stats().cuts >= 5);
}

#[tokio::test]
async fn waiting_can_be_cancelled_at_any_time() {
    let stream = Arc::new(noise(3, 200_000));
    let server = faulty(stream.clone());
    let mut listener = Listener::builder([server.url.as_str()]).open().unwrap();
    let mut heard = Vec::new();
    while heard.len() < stream.len() {
        if let Ok(Ok(Event::Audio(bytes))) =
            timeout(Duration::from_micros(200), listener.next()).await
        {
            heard.extend_from_slice(&bytes);
        }
    }
    assert_eq!(heard, *stream);
}

#[tokio::test]
async fn silence_moves_to_the_next_relay() {
    let stream = Arc::new(noise(4, 100_000));
    let (first, second) = (stream.clone(), stream.clone());
    let silent = Server::start(move |mut conn: Conn| {
        conn.ok(0);
        conn.send(&first[..50_000]);
        conn.hang();
    });
    let lively = Server::start(move |mut conn: Conn| {
        let from = conn.from();
        conn.ok(from);
        conn.send(&second[usize::try_from(from).unwrap()..]);
        conn.hang();
    });
    let mut listener = Listener::builder([silent.url.as_str(), lively.url.as_str()])
        .silence(Duration::from_millis(300))
        .open()
        .unwrap();
    assert_eq!(hear(&mut listener, stream.len()).await, *stream);
    let stats = listener.stats();
    assert_eq!((stats.cuts, stats.moves, stats.losses), (1, 1, 0));
}

#[tokio::test]
async fn a_caller_that_was_away_does_not_blame_the_relay() {
    let stream = Arc::new(noise(5, 3_000_000));
    let whole = stream.clone();
    let server = Server::start(move |mut conn: Conn| {
        conn.ok(0);
        for piece in whole.chunks(20_000) {
            if !conn.send(piece) {
                return;
            }
            thread::sleep(Duration::from_millis(1));
        }
        conn.hang();
    });
    let mut listener = Listener::builder([server.url.as_str()])
        .silence(Duration::from_millis(200))
        .open()
        .unwrap();
    let mut heard = hear(&mut listener, 100_000).await;
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        heard.extend(hear(&mut listener, 100_000).await);
    }
    heard.extend(hear(&mut listener, stream.len() - heard.len()).await);
    assert_eq!(heard, *stream);
    assert_eq!(listener.stats().cuts, 0);
}

#[tokio::test]
async fn gives_up_with_what_each_relay_said() {
    let lost = Server::start(|mut conn| {
        conn.send(b"HTTP/1.0 404 Not Found\r\n\r\n");
    });
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut listener = Listener::builder([lost.url.clone(), format!("http://{nobody}/live")])
        .give_up_after(Some(Duration::from_millis(400)))
        .open()
        .unwrap();
    let error = loop {
        match listener.next().await {
            Ok(Event::Refused { .. } | Event::Waiting { .. }) => {}
            Ok(other) => panic!("{other:?}"),
            Err(error) => break error,
        }
    };
    let text = error.to_string();
    assert!(
        text.contains("status 404") && text.contains("refused"),
        "{text}"
    );
    assert!(matches!(listener.next().await, Err(Error::GaveUp(_))));
}
