//! Requests that no honest client makes. Each gets a clear answer, and costs nobody else a byte.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_tests::http::{self, Head, basic, exchange};
use icecast_ext_tests::icecast::{self, PASSWORD};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(15);
/// The status of the first answer; 0 if there was none.
async fn status(addr: SocketAddr, request: &[u8]) -> (u16, String) {
    let bytes = exchange(addr, request, Duration::from_secs(3))
        .await
        .expect("a connection");
    let head = Head::parse(&bytes).ok().flatten().unwrap_or_default();
    (head.status, String::from_utf8_lossy(&bytes).into_owned())
}

/// Requests that Icecast reads in one way and others in another, or not at all: what stands in front refuses them.
#[tokio::test(flavor = "multi_thread")]
async fn heads_that_two_parsers_read_differently_are_refused() {
    let long = format!(
        "GET /live.mp3 HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n",
        "x".repeat(9000)
    );
    let many = format!("GET /live.mp3 HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(65));
    let cases: &[(u16, &str)] = &[
        (431, &long),
        (431, &many),
        (400, "GET /live.mp3 HTTP/1.1\nHost: a\n\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nHost: a\nX: y\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nHost: a\r\nX: y\n\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nHost: a\rX: y\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nHost: a\0b\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
        (
            400,
            "GET /live.mp3 HTTP/1.1\r\nAuthorization: Basic eDp5\r\nauthorization: Basic eDp6\r\n\r\n",
        ),
        (
            400,
            "GET /live.mp3 HTTP/1.1\r\nRange: bytes=0-\r\nRange: bytes=1-\r\n\r\n",
        ),
        (
            400,
            "GET /live.mp3 HTTP/1.1\r\nContent-Length: 0\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            400,
            "PUT /x.mp3 HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\n",
        ),
        (
            400,
            "PUT /x.mp3 HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n",
        ),
        (400, "PUT /x.mp3 HTTP/1.1\r\nContent-Length: +4\r\n\r\n"),
        (
            400,
            "PUT /x.mp3 HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
        ),
        (400, "GET /live.mp3 HTTP/1.1\r\nX: y\r\n z\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nX: y\r\n\tz\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nHost : a\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nHost\t: a\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\nno colon\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/1.1\r\n: y\r\n\r\n"),
        (400, "GET  /live.mp3 HTTP/1.1\r\n\r\n"),
        (400, "GET /live.mp3  HTTP/1.1\r\n\r\n"),
        (400, "GET /live.mp3 HTTP/9.9zz\r\n\r\n"),
        (400, "GET /live.mp3\r\n\r\n"),
        (400, "GET /li\tve.mp3 HTTP/1.1\r\n\r\n"),
        (400, "\r\nGET /live.mp3 HTTP/1.1\r\n\r\n"),
        (400, "get /live.mp3 HTTP/1.1\r\n\r\n"),
        (400, "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n"),
    ];
    let stage = Stage::new().await.unwrap();
    let before = stage.proxy.log().len();
    for (expected, request) in cases {
        let shown: String = request.chars().take(90).collect();
        let (status, answer) = status(stage.proxy.addr(), request.as_bytes()).await;
        assert_eq!(status, *expected, "{shown:?}: {answer}");
    }
    let log = stage.proxy.log();
    let lines = log[before..].lines().count();
    assert!(
        lines >= cases.len(),
        "{lines} lines for {} refusals: {}",
        cases.len(),
        &log[before..]
    );
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn malformed_fields_are_named() {
    let epoch = "AAECAwQFBgcICQoLDA0ODw";
    let ask = |value: &str| format!("GET /live.mp3 HTTP/1.1\r\nResume-Offset: {value}\r\n\r\n");
    let mut cases = vec![
        ("Resume-Offset", ask("")),
        ("Resume-Offset", ask("12")),
        ("Resume-Offset", ask("now")),
        ("Resume-Offset", ask("\"live\"")),
        ("Resume-Offset", ask(&format!("live;epoch=\"{epoch}\""))),
        ("Resume-Offset", ask("12;epoch=\"short\"")),
        ("Resume-Offset", ask("12;epoch=\"AAECAwQFBgcICQoLDA0OD*\"")),
        ("Resume-Offset", ask("12;epoch=\"AAECAwQFBgcICQoLDA0ODx\"")),
        ("Resume-Offset", ask(&format!("12;epoch={epoch}"))),
        ("Resume-Offset", ask(&format!("-1;epoch=\"{epoch}\""))),
        ("Resume-Offset", ask(&format!("1.5;epoch=\"{epoch}\""))),
        (
            "Resume-Offset",
            ask(&format!("1000000000000000;epoch=\"{epoch}\"")),
        ),
        (
            "Resume-Offset",
            ask(&format!("99999999999999999999999999;epoch=\"{epoch}\"")),
        ),
        (
            "Resume-Offset",
            ask(&format!("12;epoch=\"{epoch}\";miss=never")),
        ),
        (
            "Resume-Offset",
            ask(&format!("12;epoch=\"{epoch}\";miss=\"live\"")),
        ),
        (
            "Resume-Offset",
            ask(&format!("12;epoch=\"{epoch}\";max-lag=-1")),
        ),
        (
            "Resume-Offset",
            ask(&format!("12;epoch=\"{epoch}\";max-lag=soon")),
        ),
        (
            "Resume-Offset",
            ask(&format!("12;epoch=\"{epoch}\";session=\"x\"")),
        ),
        ("Resume-Offset", ask("live, live")),
        ("Resume-Offset", ask("live\r\nResume-Offset: live")),
    ];
    for (name, query) in [
        ("_resume", "_resume="),
        ("_resume", "_resume=x"),
        ("_resume", "_resume=AAECAwQFBgcICQoLDA0ODw"),
        ("_resume", "_resume=AAECAwQFBgcICQoLDA0ODw."),
        ("_resume", "_resume=AAECAwQFBgcICQoLDA0ODw.-1"),
        ("_resume", "_resume=AAECAwQFBgcICQoLDA0ODw.1000000000000000"),
        ("_shift", "_shift="),
        ("_shift", "_shift=-1"),
        ("_shift", "_shift=soon"),
        ("_shift", "a=b&_shift=1e9"),
        ("_shift", "_shift=1&_shift=2"),
    ] {
        cases.push((name, format!("GET /live.mp3?{query} HTTP/1.1\r\n\r\n")));
    }
    let stage = Stage::new().await.unwrap();
    for (name, request) in &cases {
        let (status, answer) = status(stage.proxy.addr(), request.as_bytes()).await;
        assert_eq!(status, 400, "{request:?}: {answer}");
        let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
        assert!(
            body.contains(name),
            "{request:?} is not told which field: {answer}"
        );
    }
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn positions_that_cannot_be_given_are_refused_or_missed_aloud() {
    let stage = Stage::new().await.unwrap();
    let place = stage.bystander.head.place().unwrap();
    let edge = stage.bystander.head.window_number("next").unwrap();
    // Far ahead of the edge: at once, whatever `miss` says.
    for further in [10 * 60 * RATE as u64, 999_999_999_999_999 - place.offset] {
        for miss in ["", ";miss=live", ";miss=fail"] {
            let start = Instant::now();
            let refused = stage
                .ask("/live.mp3", &(place.resume(further) + miss))
                .await
                .unwrap();
            assert_eq!(refused.head.status, 412, "{:?}", refused.head);
            assert!(refused.head.window_number("next").unwrap() >= edge);
            assert_eq!(refused.head.place(), None);
            assert!(start.elapsed() < Duration::from_secs(2), "held");
        }
    }
    // A little ahead: held until it comes, then exact.
    let next = stage
        .ask("/live.mp3", "live")
        .await
        .unwrap()
        .head
        .window_number("next")
        .unwrap();
    let soon = next + 3 * RATE as u64;
    let held = stage
        .ask("/live.mp3", &place.resume(soon - place.offset))
        .await
        .unwrap();
    assert_eq!(
        (held.head.status, held.head.place().unwrap().offset),
        (200, soon)
    );
    // An epoch that nobody knows, and one of another mount: live, with a loss that nobody can count.
    let other = stage
        .ask("/other.mp3", "live")
        .await
        .unwrap()
        .head
        .place()
        .unwrap();
    assert_ne!(other.epoch, place.epoch);
    for epoch in ["AAECAwQFBgcICQoLDA0ODw", &other.epoch] {
        for miss in ["", ";miss=oldest", ";miss=live"] {
            let missed = stage
                .ask("/live.mp3", &format!("5;epoch=\"{epoch}\"{miss}"))
                .await
                .unwrap();
            let at = missed.head.place().unwrap();
            assert_eq!(
                (missed.head.status, at.epoch.as_str(), at.lost),
                (200, place.epoch.as_str(), None)
            );
            assert!(!at.spliced);
        }
        let refused = stage
            .ask("/live.mp3", &format!("5;epoch=\"{epoch}\";miss=fail"))
            .await
            .unwrap();
        assert_eq!(refused.head.status, 412);
    }
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_path_is_not_a_mount() {
    // With a default fallback any path is a live stream at Icecast.
    let more = "<mount type=\"default\"><fallback-mount>/live.mp3</fallback-mount></mount>";
    let stage = Stage::with(icecast::Setup {
        more: more.into(),
        ..icecast::Setup::default()
    });
    let stage = stage.await.unwrap();
    let place = stage.bystander.head.place().unwrap();
    for alias in ["/%6cive.mp3", "/live%2Emp3", "/live.mp3?a=b", "/live.mp3?"] {
        let tap = Tap::open(stage.proxy.addr(), alias, &[]).await.unwrap();
        assert_eq!(
            (tap.head.status, tap.head.place().unwrap().epoch),
            (200, place.epoch.clone()),
            "{alias}"
        );
    }
    let odd = [
        "/live.mp3%00",
        "//live.mp3",
        "/x/../live.mp3",
        "/./live.mp3",
        "/%2e/live.mp3",
        "/x/%2E%2e/live.mp3",
    ];
    for path in odd {
        let (status, answer) = status(
            stage.proxy.addr(),
            &http::request("GET", path, stage.proxy.addr(), &[]),
        )
        .await;
        assert!(status == 400 || status == 404, "{path}: {answer}");
    }
    // A path that only the fallback answers is tunnelled: it has no address, and its pull is nobody else's.
    let any = Tap::open(stage.proxy.addr(), "/any/thing.mp3", &[])
        .await
        .unwrap();
    assert_eq!((any.head.status, any.head.place()), (200, None));
    any.wait_len(RATE, SOON).await;
    assert!(find(&stage.source.sent(), &any.body()).is_some());
    let twice = stage.ask("/live.mp3%2500", "live").await.unwrap();
    assert_eq!(twice.head.place(), None, "decoded twice");
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_follows_a_head_is_nobodys_second_request() {
    let stage = Stage::new().await.unwrap();
    let admin = basic("admin", PASSWORD);
    let second = format!("GET /admin/stats HTTP/1.1\r\nAuthorization: {admin}\r\n\r\n");
    for first in ["/live.mp3", "/style.css", "/missing"] {
        let request = format!("GET {first} HTTP/1.1\r\nHost: a\r\n\r\n{second}");
        let bytes = exchange(
            stage.proxy.addr(),
            request.as_bytes(),
            Duration::from_secs(2),
        )
        .await
        .unwrap();
        assert!(Head::parse(&bytes).unwrap().is_some(), "{first}");
        assert_eq!(
            find(&bytes, b"<icestats>"),
            None,
            "{first}: a second answer"
        );
    }
    // Beyond Icecast's 32 fields an Authorization is no Authorization, here as there.
    let late = format!(
        "GET /admin/stats HTTP/1.1\r\n{}Authorization: {admin}\r\n\r\n",
        "X: y\r\n".repeat(40)
    );
    let (direct, _) = status(stage.icecast.addr(), late.as_bytes()).await;
    let (tunnelled, answer) = status(stage.proxy.addr(), late.as_bytes()).await;
    assert_eq!(direct, 401);
    assert!((400..500).contains(&tunnelled), "{answer}");
    // Icecast resets at a head over 4096 bytes: a clear answer is better.
    let long = format!("GET /style.css HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(6000));
    let (tunnelled, answer) = status(stage.proxy.addr(), long.as_bytes()).await;
    assert!((400..600).contains(&tunnelled), "{answer}");
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_dribbles_in_is_closed() {
    let stage = Stage::new().await.unwrap();
    let mut socket = TcpStream::connect(stage.proxy.addr()).await.unwrap();
    let start = Instant::now();
    let mut answer = Vec::new();
    while start.elapsed() < Duration::from_secs(30) {
        if socket.write_all(b"G").await.is_err() {
            break;
        }
        let wait = tokio::time::timeout(Duration::from_millis(500), socket.read_buf(&mut answer));
        if let Ok(Ok(0) | Err(_)) = wait.await {
            break;
        }
    }
    assert!(start.elapsed() < Duration::from_secs(20), "still open");
    let answer = String::from_utf8_lossy(&answer);
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_is_down_is_said_so_and_costs_nobody_his_connection() {
    let mut stage = Stage::new().await.unwrap();
    let plain = Tap::open(stage.proxy.addr(), "/live.mp3", &[])
        .await
        .unwrap();
    stage.icecast.kill();
    let down = || async {
        let answer = http::get(stage.proxy.addr(), "/new.mp3", &[]).await.ok()?;
        (answer.head.status == 503).then_some(answer)
    };
    let answer = wait_until("503", SOON, down).await;
    let after: u64 = answer
        .head
        .get("Retry-After")
        .expect("Retry-After")
        .parse()
        .unwrap();
    assert!((1..=60).contains(&after));
    wait_for("silence", SOON, || {
        plain.silence().is_some_and(|s| s > Duration::from_secs(2))
    })
    .await;
    // A mount that was known takes no new listeners either, once its upstream has been gone for some seconds; who has heard it
    // may still have what is held.
    wait_until("503 on a known mount", SOON, async || {
        let tap = Tap::open(stage.proxy.addr(), "/live.mp3", &[]).await.ok()?;
        (tap.head.status == 503).then_some(())
    })
    .await;
    let place = stage.bystander.head.place().unwrap();
    let resumed = stage.ask("/live.mp3", &place.resume(0)).await.unwrap();
    assert_eq!(resumed.head.place().unwrap().offset, place.offset);
    assert_eq!((plain.ended(), stage.bystander.ended()), (None, None));
    stage.icecast.restart().await.unwrap();
    let _again = noise(stage.icecast.addr(), "/live.mp3", 9).await.unwrap();
    plain.wait_more(RATE, SOON).await;
    assert_eq!(plain.ended(), None, "fed again on the same connection");
}
