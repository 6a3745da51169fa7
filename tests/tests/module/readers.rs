//! Listeners who do not read as they should.

use socket2::{Domain, Socket as Raw, Type};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// A connection that buffers as little as it can.
async fn narrow(addr: SocketAddr) -> TcpStream {
    let socket = Raw::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.set_nonblocking(true).unwrap();
    let socket = tokio::net::TcpSocket::from_std_stream(socket.into());
    socket.connect(addr).await.unwrap()
}

async fn ask(icecast: &Icecast, path: &str) -> TcpStream {
    let mut socket = narrow(icecast.addr()).await;
    let request = format!("GET {path} HTTP/1.0\r\nUser-Agent: slow\r\n\r\n");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

/// A body without its head.
fn body(mut bytes: Vec<u8>) -> Vec<u8> {
    let head = Head::parse(&bytes).unwrap().unwrap();
    assert_eq!(head.status, 200);
    bytes.split_off(head.len)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_slowly_loses_nothing_as_long_as_he_keeps_up() {
    twice("slow reader", async |run| {
        let icecast = run.icecast("").await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let bystander = hear(&icecast, "/a.mp3").await;
        let mut socket = ask(&icecast, "/a.mp3").await;
        admin::wait_listeners(&icecast, "/a.mp3", 2).await;
        // As long as three seconds of audio wait for him, which is less than the queue, and then for ever a little.
        bystander.wait_more(3 * RATE, SOON).await;
        let (mut bytes, until) = (Vec::new(), a.at_now());
        let mut every = tokio::time::interval(Duration::from_millis(4));
        let mut part = [0; 1000];
        let all = async {
            loop {
                every.tick().await;
                let read = socket.read(&mut part).await.unwrap();
                assert!(read > 0, "closed after {} bytes", bytes.len());
                bytes.extend_from_slice(&part[..read]);
                if bytes.len() > 400_000 {
                    break;
                }
            }
        };
        tokio::time::timeout(SOON, all).await.unwrap();
        let mut seen = Seen::new();
        let all = pieces(&body(bytes));
        seen.is("streams", order(&all));
        seen.is("caught up", all[0].to >= until);
        bystander.wait_more(RATE, SOON).await;
        seen.is("the bystander's streams", heard(&bystander));
        seen.in_short(format!("heard {}, a pause of 3 s", order(&all)));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_nothing_is_dropped_in_the_end() {
    twice("dead reader", async |run| {
        let setup = Setup {
            queue: 100_000,
            burst: 60_000,
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        // Fast, so that the kernel's buffers are soon full.
        let source = Source::accepted(icecast.addr(), "/a.mp3", Method::Source)
            .await
            .unwrap();
        let _a = source.stream(400_000, |at, len| marked::bytes(1, at, len));
        icecast.wait_mount("/a.mp3").await;
        let bystander = hear(&icecast, "/a.mp3").await;
        let socket = ask(&icecast, "/a.mp3").await;
        admin::wait_listeners(&icecast, "/a.mp3", 2).await;
        wait_until("the end of who does not read", 4 * SOON, async || {
            (admin::stat(&icecast, "/a.mp3", "listeners").await == "1").then_some(())
        })
        .await;
        bystander.wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        seen.is("dropped", true);
        seen.is("the bystander's streams", heard(&bystander));
        let line = wait_until("a line in the log", SOON, async || {
            let log = icecast.read("access.log");
            Some(log.lines().find(|line| line.contains("slow"))?.to_owned())
        })
        .await;
        seen.is("logged", line.split('"').nth(1).unwrap());
        drop(socket);
        seen.in_short("dropped");
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_nothing_more_to_say_listens_on() {
    twice("half-closed", async |run| {
        let icecast = run.icecast("").await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let mut socket = ask(&icecast, "/a.mp3").await;
        socket.shutdown().await.unwrap();
        let tap = Tap::on(socket, b"").await;
        let mut seen = Seen::new();
        match tap {
            Ok(tap) => {
                a.reaches(&tap).await;
                tap.wait_more(3 * RATE, SOON).await;
                seen.is("end", format!("{:?}", tap.ended()));
                seen.is("streams", heard(&tap));
                seen.in_short(format!("heard {}", heard(&tap)));
            }
            Err(error) => seen.is("no answer", error),
        }
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_listener_sends_after_its_request_is_ignored() {
    twice("talking listener", async |run| {
        let icecast = run.icecast("").await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let more = "GET /none HTTP/1.1\r\n\r\n".repeat(20);
        let at_once = format!("GET /a.mp3 HTTP/1.1\r\nHost: a\r\n\r\n{more}");
        let first = Tap::raw(icecast.addr(), at_once.as_bytes()).await.unwrap();
        let (reader, mut writer) = ask(&icecast, "/a.mp3").await.into_split();
        let second = Tap::on(tokio::io::join(reader, tokio::io::sink()), b"")
            .await
            .unwrap();
        second.wait_more(RATE, SOON).await;
        writer.write_all(&vec![b'x'; 20_000]).await.unwrap();
        second.wait_more(3 * RATE, SOON).await;
        let mut seen = Seen::new();
        for tap in [&first, &second] {
            seen.is("end", format!("{:?}", tap.ended()));
            seen.is("streams", heard(tap));
        }
        seen.in_short(format!("heard {} and {}", heard(&first), heard(&second)));
        run.end(icecast, seen)
    })
    .await;
}
