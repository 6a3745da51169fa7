//! Servers that never answer, answer slowly, or send garbage: a clear failure or error in a bounded time, never a hang.
#![expect(clippy::unwrap_used, reason = "a test's own code may stop the test")]

mod common;

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use common::those;
use icecast_ext_conformance::case::Outcome;
use icecast_ext_conformance::report::Report;
use icecast_ext_conformance::runner::{self, Options};
use icecast_ext_conformance::target::Target;
use icecast_ext_conformance::{cases, http};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// Reads the head of a request, and answers with whatever a test wants.
async fn serve<F>(answer: impl Fn(String, TcpStream) -> F + Send + Sync + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let answer = Arc::new(answer);
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut head = Vec::new();
                while !head.windows(4).any(|four| four == b"\r\n\r\n") {
                    match stream.read_buf(&mut head).await {
                        Ok(read) if read > 0 => {}
                        _ => return,
                    }
                }
                answer(http::latin(&head), stream).await;
            });
        }
    });
    addr
}

/// Judges a server with a second of patience, within a time.
async fn judge(addr: SocketAddr, within: Duration) -> Report {
    let target = Target {
        answer: Duration::from_secs(1),
        patience: Duration::from_secs(1),
        ..Target::new(&format!("http://{addr}/live.mp3")).unwrap()
    };
    let began = Instant::now();
    let report = runner::run(
        target,
        &cases::all(),
        &Options {
            jobs: 50,
            ..Options::default()
        },
    )
    .await;
    assert!(began.elapsed() < within, "it took {:?}", began.elapsed());
    assert!(!report.is_good(false));
    report
}

/// Nothing can be judged, and the report says why.
async fn is_an_error(addr: SocketAddr, why: &str) {
    let report = judge(addr, Duration::from_secs(20)).await;
    let error = report.error.unwrap_or_default();
    assert!(error.contains(why), "{error}");
}

const LIVE: &str = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Type: audio/mpeg\r\n\
    Stream-Offset: 5;epoch=\"q83vEjRWeJCrze8SNFZ4kA\";prelude=0\r\n\
    Stream-Window: first=5000, next=900000, rate=16000, epoch=\"q83vEjRWeJCrze8SNFZ4kA\"\r\n\r\n";

#[tokio::test]
async fn nobody_is_there() {
    is_an_error(common::free(), "no connection to").await;
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let addr = serve(|_, stream| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    is_an_error(addr, "silence").await;
}

#[tokio::test]
async fn a_server_that_answers_octet_by_octet() {
    let addr = serve(|_, mut stream| async move {
        for octet in LIVE.bytes() {
            if stream.write_all(&[octet]).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    })
    .await;
    is_an_error(addr, "silence after").await;
}

#[tokio::test]
async fn a_server_that_sends_garbage() {
    let addr = serve(|_, mut stream| async move {
        let _ = stream.write_all(b"\x16\x03\x01\x02garbage").await;
    })
    .await;
    is_an_error(addr, "it begins with").await;
}

#[tokio::test]
async fn a_server_that_closes_in_the_midst_of_the_head() {
    let addr = serve(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nConnec").await;
    })
    .await;
    is_an_error(addr, "FIN after 23 octets").await;
}

#[tokio::test]
async fn a_server_whose_head_never_ends() {
    let addr = serve(|_, mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 200 OK\r\n").await;
        while stream.write_all(b"X-More: and more\r\n").await.is_ok() {}
    })
    .await;
    is_an_error(addr, "longer than").await;
}

#[tokio::test]
async fn a_server_whose_heads_are_right_and_whose_bodies_never_come() {
    let addr = serve(|_, mut stream| async move {
        let _ = stream.write_all(LIVE.as_bytes()).await;
        std::future::pending::<()>().await;
    })
    .await;
    let report = judge(addr, Duration::from_secs(60)).await;
    assert_eq!(report.error, None);
    assert!(
        report.count(Outcome::Fail) > 10,
        "{:#?}",
        those(&report, Outcome::Fail)
    );
    let exchange = &report.case("icecast/plain-get").unwrap().exchange;
    assert!(
        exchange
            .iter()
            .any(|record| record.sent.starts_with("GET /live.mp3")),
        "{exchange:?}"
    );
}

#[tokio::test]
async fn a_server_whose_bodies_are_garbage() {
    let addr = serve(|_, mut stream| async move {
        let _ = stream.write_all(LIVE.as_bytes()).await;
        let mut octet = 0_u8;
        loop {
            octet = octet.wrapping_mul(5).wrapping_add(13);
            if stream.write_all(&[octet; 7]).await.is_err() {
                return;
            }
        }
    })
    .await;
    let report = judge(addr, Duration::from_secs(60)).await;
    assert!(
        report.count(Outcome::Fail) > 5,
        "{:#?}",
        those(&report, Outcome::Fail)
    );
}
