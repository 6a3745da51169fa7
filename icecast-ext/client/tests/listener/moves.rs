//! Moves that are called for, and relays that never answer.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use icecast_ext_client::{Event, Listener, Outcome, Proven, Trouble};

use crate::server::{Conn, Server, noise};

/// Serves `stream` from the byte asked for, as fast as a live one comes: 100 bytes a millisecond since the first request.
fn live(stream: &Arc<Vec<u8>>, began: Instant) -> Server {
    let stream = stream.clone();
    Server::start(move |mut conn: Conn| {
        let mut at = usize::try_from(conn.from()).unwrap();
        conn.ok(at as u64);
        while at < stream.len() {
            let millis = usize::try_from(began.elapsed().as_millis()).unwrap();
            let edge = (millis * 100).clamp(at, stream.len());
            if !conn.send(&stream[at..edge]) {
                return;
            }
            at = edge;
            thread::sleep(Duration::from_millis(2));
        }
        conn.hang();
    })
}

/// Takes what there is until so much was heard, and the longest time without audio.
async fn hear(listener: &mut Listener, heard: &mut Vec<u8>, bytes: usize) -> Duration {
    let (mut last, mut longest) = (Instant::now(), Duration::ZERO);
    while heard.len() < bytes {
        match listener.next().await.unwrap() {
            Event::Audio(bytes) => {
                longest = longest.max(last.elapsed());
                last = Instant::now();
                heard.extend_from_slice(&bytes);
            }
            Event::Lost(loss) => panic!("{loss:?}"),
            Event::Note(note) => panic!("{note:?}"),
            _ => {}
        }
    }
    longest
}

#[tokio::test]
async fn moves_there_and_back_lose_nothing_and_cut_nothing() {
    let stream = Arc::new(noise(6, 300_000));
    let began = Instant::now();
    let servers = [live(&stream, began), live(&stream, began)];
    let mut listener = Listener::builder([servers[0].url.as_str()]).open().unwrap();
    let mut heard = Vec::new();
    for n in 1..=8 {
        let goal = heard.len() + 20_000;
        hear(&mut listener, &mut heard, goal).await;
        let to = &servers[n % 2].url;
        let outcome = match n {
            1 => listener.move_to(to).await.unwrap(),
            _ => listener.move_on().await.unwrap(),
        };
        let Outcome::Moved(moved) = outcome else {
            panic!("{outcome:?}");
        };
        assert_eq!((&moved.to, moved.proof), (to, Some(Proven::Offset)));
    }
    let here = listener.move_to(&servers[0].url).await.unwrap();
    assert_eq!(here, Outcome::Stayed(Trouble::Here));
    hear(&mut listener, &mut heard, stream.len()).await;
    assert_eq!(heard, *stream);
    let stats = listener.stats();
    assert_eq!((stats.moves, stats.cuts, stats.losses), (8, 0, 0));
    assert_eq!(servers[1].heads.lock().unwrap().len(), 4);
}

#[tokio::test]
async fn a_move_to_nowhere_leaves_it_where_it_is() {
    let stream = Arc::new(noise(7, 150_000));
    let server = live(&stream, Instant::now());
    let refuses = Server::start(|mut conn| {
        conn.send(b"HTTP/1.1 412 Precondition Failed\r\nContent-Length: 0\r\n\r\n");
        conn.close();
    });
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut listener = Listener::builder([server.url.as_str()]).open().unwrap();
    let mut heard = Vec::new();
    hear(&mut listener, &mut heard, 20_000).await;
    let outcome = listener.move_to(&refuses.url).await.unwrap();
    assert_eq!(outcome, Outcome::Stayed(Trouble::Status(412)));
    let outcome = listener.move_to(&format!("http://{nobody}/live")).await;
    assert!(
        matches!(&outcome, Ok(Outcome::Stayed(Trouble::Unreachable(_)))),
        "{outcome:?}"
    );
    assert!(listener.move_to("radio").await.is_err());
    hear(&mut listener, &mut heard, stream.len()).await;
    assert_eq!(heard, *stream);
    assert_eq!(listener.stats().cuts, 0);
}

#[tokio::test]
async fn a_relay_that_takes_connections_and_never_answers_costs_less_than_a_second() {
    let stream = Arc::new(noise(8, 100_000));
    let whole = stream.clone();
    let dies = Server::start(move |mut conn: Conn| match conn.nth {
        0 => {
            conn.ok(0);
            conn.send(&whole[..50_000]);
            conn.close();
        }
        _ => conn.hang(),
    });
    let lives = live(&stream, Instant::now());
    let mut listener = Listener::builder([dies.url.as_str(), lives.url.as_str()])
        .open()
        .unwrap();
    let mut heard = Vec::new();
    hear(&mut listener, &mut heard, 50_000).await;
    let gap = hear(&mut listener, &mut heard, stream.len()).await;
    assert_eq!(heard, *stream);
    assert!(gap < Duration::from_secs(1), "{gap:?}");
    assert_eq!(listener.stats().moves, 1);
    assert_eq!(dies.heads.lock().unwrap().len(), 2);
}
