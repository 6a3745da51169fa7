//! The access log: line for line what Icecast writes, one line a listener session across resumes.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use icecast_ext_tests::child::Scratch;
use icecast_ext_tests::http::{self, basic, connect_from, request};
use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::stage::{RATE, Stage};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::wait_until;
use icecast_ext_tests::{icecast, proxy};

const SOON: Duration = Duration::from_secs(20);
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 21);

/// A line, taken apart by hand.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Line {
    /// Address to user; request; status; referer and agent.
    same: String,
    bytes: u64,
    seconds: u64,
}

fn lines(path: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let parse = |line: &str| {
        assert!(line.is_ascii(), "{line}");
        let (start, rest) = line.split_once(" [").expect("a date");
        let (date, rest) = rest.split_once("] \"").expect("a request");
        assert_eq!(date.len(), "23/Nov/2026:03:22:37 +0000".len(), "{line}");
        let parts: Vec<&str> = rest.split('"').collect();
        let [request, numbers, referer, " ", agent, seconds] = parts[..] else {
            panic!("{line}");
        };
        let (status, bytes) = numbers.trim().split_once(' ').expect("two numbers");
        Line {
            same: format!("{start} {request} {status} {referer} {agent}"),
            bytes: bytes.parse().expect("a number"),
            seconds: seconds.trim().parse().expect("seconds"),
        }
    };
    text.lines().map(parse).collect()
}

async fn line(path: &Path, what: &str) -> Line {
    wait_until(what, SOON, || async {
        lines(path)
            .into_iter()
            .find(|line| line.same.contains(what))
    })
    .await
}

/// The same requests, at either server.
async fn visit(addr: SocketAddr) {
    let ask = async |method: &str, target: &str, fields: &[(&str, &str)]| {
        let mut socket = connect_from(CLIENT, addr).await.expect("a connection");
        let bytes = request(method, target, addr, fields);
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        socket.write_all(&bytes).await.expect("sent");
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
    };
    let evil = "A\"g\\e'n`t<x>\t\u{e4} \" 200 5 \"-\" end";
    let fields = [("User-Agent", evil), ("Referer", "http://r/?q=\"x\" y")];
    let tap = Tap::from(CLIENT, addr, "/live.mp3?a=b", &fields);
    let tap = tap.await.expect("an answer");
    tap.wait_len(100_000, SOON).await;
    drop(tap);
    ask("GET", "/none\"%22%20.mp3", &[("User-Agent", "ua1")]).await;
    ask("HEAD", "/none.mp3", &[("User-Agent", "ua2")]).await;
    ask("GET", "/admin/stats", &[("User-Agent", "ua3")]).await;
    let auth = basic("u s\"er", "x");
    ask(
        "GET",
        "/admin/stats",
        &[("User-Agent", "ua4"), ("Authorization", &auth)],
    )
    .await;
    ask("GET", "/style.css", &[("User-Agent", "ua5")]).await;
    let auth = basic("admin", PASSWORD);
    let kick = "/admin/metadata?mount=/live.mp3&mode=updinfo&song=x";
    ask(
        "GET",
        kick,
        &[("User-Agent", "ua6"), ("Authorization", &auth)],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_lines_are_those_of_icecast_and_a_session_has_one() {
    let scratch = Scratch::new("log").unwrap();
    let (path, moved) = (scratch.file("access.log"), scratch.file("access.log.1"));
    let config = format!("access-log = {path:?}\n[mount.\"/live.mp3\"]\nwindow = 6\n");
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        config,
        ..proxy::Setup::before(upstream)
    });
    let mut stage = stage.await.unwrap();
    let icecasts = stage.icecast.file("access.log");

    visit(stage.icecast.addr()).await;
    // Icecast sees that a listener has gone when it sends the next block.
    line(&icecasts, "A.g.e").await;
    line(&icecasts, "ua6").await;
    let their = |agent: &str| {
        let mine = format!("{CLIENT} ");
        let lines = lines(&icecasts).into_iter();
        lines
            .filter(|line| line.same.starts_with(&mine) && line.same.contains(agent))
            .collect::<Vec<_>>()
    };
    let wanted: Vec<Vec<Line>> = ["A.g.e", "ua1", "ua2", "ua3", "ua4", "ua5", "ua6"]
        .map(|agent| {
            let lines = their(agent);
            assert_eq!(lines.len(), 1, "{agent}");
            lines
        })
        .into();
    visit(stage.proxy.addr()).await;
    for wanted in wanted.into_iter().flatten() {
        let found = wait_until(&wanted.same, SOON, || async {
            lines(&path)
                .into_iter()
                .find(|line| line.same == wanted.same)
        })
        .await;
        if !wanted.same.contains("/live.mp3") {
            assert_eq!(found.bytes, wanted.bytes, "{wanted:?}");
        } else {
            assert!(found.bytes >= 100_000, "{found:?}");
        }
    }

    // Cut and resumed five times.
    let mut resume = "live".to_owned();
    let mut heard = 0;
    let start = Instant::now();
    let mut ended = start.elapsed();
    for _ in 0..6 {
        let fields = [
            ("Resume-Offset", resume.as_str()),
            ("User-Agent", "resumer"),
        ];
        let tap = Tap::from(CLIENT, stage.proxy.addr(), "/live.mp3", &fields)
            .await
            .unwrap();
        assert_eq!(tap.head.status, 200);
        tap.wait_more(RATE / 4, SOON).await;
        let place = tap.head.place().unwrap();
        let audio = tap.audio().len() as u64;
        heard += audio + tap.head.len as u64;
        let session = place.session.clone().unwrap();
        resume = format!("{};session=\"{session}\"", place.resume(audio));
        drop(tap);
        ended = start.elapsed();
    }
    let whole = line(&path, "resumer").await;
    assert!(whole.bytes >= heard, "{whole:?}, {heard} heard");
    // Of each response, so much may have been on its way when it was cut.
    assert!(
        whole.bytes <= heard + 6 * (256 << 10),
        "{whole:?}, {heard} heard"
    );
    // From the first join to the last end, not to when the proxy stopped to wait for another.
    let lasted = Duration::from_secs(whole.seconds);
    assert!(whole.seconds >= 1, "{whole:?}");
    assert!(
        lasted.abs_diff(ended) <= Duration::from_secs(2),
        "{whole:?}, {ended:?} heard"
    );

    // Rotated.
    std::fs::rename(&path, &moved).unwrap();
    stage.proxy.signal("HUP").unwrap();
    wait_until("a new file", SOON, || async { path.exists().then_some(()) }).await;
    http::get(stage.proxy.addr(), "/style.css", &[("User-Agent", "ua9")])
        .await
        .unwrap();
    line(&path, "ua9").await;
    assert!(!lines(&moved).iter().any(|line| line.same.contains("ua9")));
    let resumers = lines(&moved).into_iter().chain(lines(&path));
    let resumers = resumers
        .filter(|line| line.same.contains("resumer"))
        .count();
    assert_eq!(resumers, 1);

    // Whoever is there at the end has a line.
    let last = Tap::open(stage.proxy.addr(), "/live.mp3", &[("User-Agent", "last")])
        .await
        .unwrap();
    last.wait_len(RATE, SOON).await;
    stage.proxy.signal("TERM").unwrap();
    wait_until("it ends", SOON, || {
        let runs = stage.proxy.runs();
        async move { (!runs).then_some(()) }
    })
    .await;
    let line = line(&path, "last").await;
    assert!(line.bytes >= RATE as u64);
}
