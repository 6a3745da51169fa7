//! A server that knows nothing of this protocol.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use icecast_ext_client::{Event, Listener};

use crate::server::{Conn, Server, noise};

/// Bytes a second: `icy-br: 512`.
const RATE: u128 = 64_000;
const BURST: usize = 65_536;

/// Live, a burst for each joiner, every connection cut after a second and a bit.
fn stock(stream: Arc<Vec<u8>>) -> Server {
    let start = Instant::now();
    let edge = move || BURST + usize::try_from(start.elapsed().as_millis() * RATE / 1000).unwrap();
    Server::start(move |mut conn: Conn| {
        conn.send(b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-br: 512\r\n\r\n");
        let opened = Instant::now();
        let mut next = edge() - BURST;
        while opened.elapsed() < Duration::from_millis(1300) {
            let upto = edge();
            if !conn.send(&stream[next..upto]) {
                return;
            }
            next = upto;
            thread::sleep(Duration::from_millis(20));
        }
        conn.close();
    })
}

#[tokio::test]
async fn is_stitched_by_content() {
    let stream = Arc::new(noise(1, 1_000_000));
    let server = stock(stream.clone());
    let mut listener = Listener::builder([server.url.as_str()]).open().unwrap();
    let mut heard = Vec::new();
    while listener.stats().stitches < 2 || heard.len() < 250_000 {
        match listener.next().await.unwrap() {
            Event::Audio(bytes) => heard.extend_from_slice(&bytes),
            Event::Lost(loss) => panic!("{loss:?}"),
            _ => {}
        }
    }
    let from = stream
        .windows(64)
        .position(|window| window == &heard[..64])
        .unwrap();
    assert_eq!(heard, stream[from..from + heard.len()]);
    assert_eq!((listener.stats().losses, listener.position()), (0, None));
}
