//! Relays with several upstreams: one dies, another gives the stream on, and nobody who listens hears of it.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_tests::cutter::Cutter;
use icecast_ext_tests::encoder::{self, Encoder, Format};
use icecast_ext_tests::heard::{Heard, Hearing};
use icecast_ext_tests::http;
use icecast_ext_tests::icecast::{self, Icecast, PASSWORD};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{find, sha256};
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// Deaths of the parent that is in use.
const DEATHS: usize = 10;
/// What can be proven by content begins with twice the clock's bound, and some chunks.
const PROVABLE: Duration = Duration::from_secs(30);
/// Logged at each move.
const MOVED: &str = "another upstream gives the stream";

/// One in front of two servers.
async fn edge(first: SocketAddr, second: SocketAddr, flags: &[&str]) -> Proxy {
    let mut all = vec!["--upstream".to_owned(), format!("http://{second}")];
    all.extend(flags.iter().map(ToString::to_string));
    let setup = proxy::Setup {
        flags: all,
        ..proxy::Setup::before(first)
    };
    Proxy::with(setup).await.unwrap()
}

/// An origin with one mount.
async fn origin() -> Proxy {
    let setup = proxy::Setup {
        flags: vec!["--source-password".to_owned(), PASSWORD.to_owned()],
        ..proxy::Setup::default()
    };
    Proxy::with(setup).await.unwrap()
}

async fn joined(addr: SocketAddr, mount: &str) -> Tap {
    wait_until(mount, SOON, async || {
        let tap = Tap::open(addr, mount, &[]).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

/// The epoch that an aware listener gets.
async fn epoch(addr: SocketAddr, mount: &str) -> String {
    let tap = Tap::aware(addr, mount).await.unwrap();
    let offset = tap.head.get("Stream-Offset").unwrap().to_owned();
    let epoch = offset.split("epoch=\"").nth(1).unwrap();
    epoch.split('"').next().unwrap().to_owned()
}

fn moves(edge: &Proxy) -> usize {
    edge.log().matches(MOVED).count()
}

/// All that was heard is one piece of `truth`, by its digest.
fn is_a_piece(truth: &[u8], heard: &[u8], who: &str) {
    let start = find(truth, &heard[..1024]).unwrap_or_else(|| panic!("{who}: begins nowhere"));
    let piece = truth.get(start..start + heard.len());
    let piece = piece.unwrap_or_else(|| panic!("{who}: more than there is"));
    assert_eq!(sha256(heard), sha256(piece), "{who}");
}

fn nothing_lost(heard: &Heard) {
    assert!(heard.losses.is_empty(), "{:?}", heard.losses);
    assert_eq!(heard.notes, Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn parents_of_one_tree_die_in_turn_and_every_listener_hears_every_byte_once() {
    let minter = origin().await;
    let source = noise(minter.addr(), "/live.mp3", 41).await.unwrap();
    let mut parents = [
        Proxy::start(minter.addr()).await.unwrap(),
        Proxy::start(minter.addr()).await.unwrap(),
    ];
    let edge = edge(parents[0].addr(), parents[1].addr(), &[]).await;
    let unaware = joined(edge.addr(), "/live.mp3").await;
    let aware = Hearing::start(&[edge.url("/live.mp3")], false).unwrap();
    let began = epoch(edge.addr(), "/live.mp3").await;
    aware.wait_more(RATE, SOON).await;
    let mut late = Vec::new();
    for death in 0..DEATHS {
        parents[death % 2].kill();
        if death % 3 == 0 {
            // In the midst of it.
            let tap = Tap::open(edge.addr(), "/live.mp3", &[]).await.unwrap();
            assert_eq!(tap.head.status, 200);
            late.push(tap);
        }
        wait_for("a move", SOON, || moves(&edge) > death).await;
        unaware.wait_more(RATE / 2, SOON).await;
        parents[death % 2].restart().await.unwrap();
    }
    aware.wait_more(RATE, SOON).await;
    assert_eq!(moves(&edge), DEATHS, "{}", edge.log());
    assert_eq!(epoch(edge.addr(), "/live.mp3").await, began);
    for tap in &late {
        tap.wait_more(RATE, SOON).await;
        assert_eq!(tap.ended(), None);
    }
    assert_eq!(unaware.ended(), None);
    let heard = aware.stop();
    nothing_lost(&heard);
    assert!(
        heard.splices.is_empty() && heard.cuts == 0,
        "{:?}",
        heard.told.last()
    );
    let bodies: Vec<_> = late.iter().chain([&unaware]).map(Tap::body).collect();
    let truth = source.sent();
    is_a_piece(&truth, &heard.audio, "aware");
    for body in &bodies {
        is_a_piece(&truth, body, "unaware");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_while_no_upstream_answers_waits_for_one() {
    let minter = origin().await;
    let mut parents = [
        Proxy::start(minter.addr()).await.unwrap(),
        Proxy::start(minter.addr()).await.unwrap(),
    ];
    let edge = edge(parents[0].addr(), parents[1].addr(), &[]).await;
    for parent in &mut parents {
        parent.kill();
    }
    let addr = edge.addr();
    let early = tokio::spawn(async move { Tap::open(addr, "/live.mp3", &[]).await });
    wait_for("the edge to ask in vain", SOON, || {
        edge.log().contains("waits for an upstream")
    })
    .await;
    let source = noise(minter.addr(), "/live.mp3", 42).await.unwrap();
    parents[1].restart().await.unwrap();
    let tap = early.await.unwrap().unwrap();
    assert_eq!(tap.head.status, 200, "{}", edge.log());
    tap.wait_more(RATE, SOON).await;
    is_a_piece(&source.sent(), &tap.body(), "early");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_lives_and_has_lost_its_own_is_left() {
    let minter = origin().await;
    let source = noise(minter.addr(), "/live.mp3", 43).await.unwrap();
    let link = Cutter::to(minter.addr()).await.unwrap();
    let parents = [
        Proxy::start(link.front(0)).await.unwrap(),
        Proxy::start(minter.addr()).await.unwrap(),
    ];
    let edge = edge(parents[0].addr(), parents[1].addr(), &[]).await;
    let unaware = joined(edge.addr(), "/live.mp3").await;
    unaware.wait_more(RATE, SOON).await;
    link.blackhole();
    wait_for("a move", SOON, || moves(&edge) == 1).await;
    assert!(edge.log().contains("has had no audio"), "{}", edge.log());
    unaware.wait_more(2 * RATE, SOON).await;
    is_a_piece(&source.sent(), &unaware.body(), "unaware");
    // Tunnels and statistics stay where they are: it is alive.
    assert!(!edge.log().contains("another upstream is used"));
}

/// Two Icecasts, of which the second relays the first, and what is fed to that.
async fn icecasts(formats: &[Format]) -> (Icecast, Icecast, Vec<Encoder>) {
    let first = Icecast::start().await.unwrap();
    let mut encoders = Vec::new();
    for (seed, format) in (51..).zip(formats) {
        let setup = encoder::Setup {
            kbps: 192,
            seed,
            ..encoder::Setup::new(*format)
        };
        encoders.push(Encoder::start(first.addr(), format.mount(), setup).unwrap());
        first.wait_mount(format.mount()).await;
    }
    let relay = |format: &Format| {
        format!(
            "<relay><server>127.0.0.1</server><port>{}</port><mount>{mount}</mount>\
             <local-mount>{mount}</local-mount><on-demand>0</on-demand></relay>",
            first.addr().port(),
            mount = format.mount(),
        )
    };
    let second = Icecast::with(icecast::Setup {
        more: formats.iter().map(relay).collect(),
        ..icecast::Setup::default()
    })
    .await
    .unwrap();
    for format in formats {
        second.wait_mount(format.mount()).await;
    }
    (first, second, encoders)
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_stock_servers_one_dies_and_the_epoch_goes_on() {
    let (first, mut second, _encoder) = icecasts(&[Format::Mp3]).await;
    let mount = Format::Mp3.mount();
    let truth = joined(first.addr(), mount).await;
    truth.wait_more(50_000, SOON).await;
    let edge = edge(second.addr(), first.addr(), &[]).await;
    let unaware = joined(edge.addr(), mount).await;
    let aware = Hearing::start(&[edge.url(mount)], false).unwrap();
    aware.wait_more(200_000, SOON).await;
    let before = epoch(edge.addr(), mount).await;
    second.kill();
    wait_for("a move", SOON, || moves(&edge) == 1).await;
    aware.wait_more(100_000, SOON).await;
    unaware.wait_more(50_000, SOON).await;
    assert_eq!(epoch(edge.addr(), mount).await, before, "{}", edge.log());
    let heard = aware.stop();
    nothing_lost(&heard);
    let body = unaware.body();
    truth.wait_more(50_000, SOON).await;
    is_a_piece(&truth.body(), &heard.audio, "aware");
    is_a_piece(&truth.body(), &body, "unaware");
}

/// Where the first page of audio begins: after the two of the headers.
fn after_headers(body: &[u8]) -> usize {
    let pages = body.windows(4).enumerate();
    let mut pages = pages.filter(|(_, four)| four == b"OggS");
    pages.nth(2).unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn between_strangers_content_proves_where_the_stream_goes_on() {
    let formats = [Format::Mp3, Format::Opus];
    let (first, second, _encoders) = icecasts(&formats).await;
    let mut always = Vec::new();
    for format in formats {
        always.extend(["--always".to_owned(), format.mount().to_owned()]);
    }
    let before = |addr| proxy::Setup {
        flags: always.clone(),
        ..proxy::Setup::before(addr)
    };
    let mut one = Proxy::with(before(second.addr())).await.unwrap();
    let two = Proxy::with(before(first.addr())).await.unwrap();
    let mut truths = Vec::new();
    for format in formats {
        truths.push(joined(first.addr(), format.mount()).await);
    }
    let edge = edge(one.addr(), two.addr(), &[]).await;
    let mut listeners = Vec::new();
    for (format, truth) in formats.iter().zip(&truths) {
        // So that what the edge begins with is in the truth.
        truth.wait_more(50_000, SOON).await;
        let mount = format.mount();
        let unaware = joined(edge.addr(), mount).await;
        let aware = Hearing::start(&[edge.url(mount)], false).unwrap();
        listeners.push((mount, unaware, aware, epoch(edge.addr(), mount).await));
    }
    let began = Instant::now();
    wait_for("enough to prove", 2 * PROVABLE, || {
        began.elapsed() >= PROVABLE
    })
    .await;
    one.kill();
    wait_for("moves", SOON, || moves(&edge) == formats.len()).await;
    for ((mount, unaware, aware, before), truth) in listeners.iter().zip(&truths) {
        unaware.wait_more(50_000, SOON).await;
        aware.wait_more(50_000, SOON).await;
        assert_ne!(epoch(edge.addr(), mount).await, *before);
        let (heard, body) = (aware.stop(), unaware.body());
        nothing_lost(&heard);
        assert_eq!((heard.splices.len(), unaware.ended()), (1, None), "{mount}");
        truth.wait_more(50_000, SOON).await;
        let truth = truth.body();
        is_a_piece(&truth, &heard.audio, mount);
        let start = if *mount == Format::Opus.mount() {
            after_headers(&body)
        } else {
            0
        };
        is_a_piece(&truth, &body[start..], mount);
        // Who comes later has headers again.
        let late = joined(edge.addr(), mount).await;
        late.wait_more(20_000, SOON).await;
        let late = late.body();
        assert_eq!(late.starts_with(b"OggS"), start > 0);
        if start > 0 {
            is_a_piece(&truth, &late[after_headers(&late)..][..4096], "late");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_left_the_edge_is_fetched_from_its_parent() {
    let minter = origin().await;
    let source = noise(minter.addr(), "/live.mp3", 61).await.unwrap();
    let parent = Proxy::start(minter.addr()).await.unwrap();
    let setup = proxy::Setup {
        flags: ["--window", "3"].map(str::to_owned).to_vec(),
        ..proxy::Setup::before(parent.addr())
    };
    let edge = Proxy::with(setup).await.unwrap();
    drop(joined(edge.addr(), "/live.mp3").await);
    let first = Tap::aware(edge.addr(), "/live.mp3").await.unwrap();
    let began = first.head.get("Stream-Offset").unwrap();
    let began = began.split(";prelude").next().unwrap().to_owned();
    first.wait_more(8 * RATE, SOON).await;
    for (miss, secret) in [("oldest", "Basic eDp5"), ("fail", "Basic eDp6")] {
        let resume = format!("{began};miss={miss}");
        let fields = [("Resume-Offset", &resume[..]), ("Authorization", secret)];
        let older = Tap::open(edge.addr(), "/live.mp3", &fields).await.unwrap();
        assert_eq!(older.head.status, 200, "{}", edge.log());
        let offset = older.head.get("Stream-Offset").unwrap();
        assert!(offset.starts_with(&began), "{offset}");
        // Until the edge has it, in order.
        older.wait_end(SOON).await;
        let body = older.body();
        assert!(body.len() > 4 * RATE, "{}", body.len());
        assert_eq!(body[..RATE], first.body()[..RATE]);
        is_a_piece(&source.sent(), &body, miss);
    }
    assert_eq!(edge.log().matches("passed on from the upstream").count(), 2);
    // What nobody has is a miss as ever.
    let unknown = "7;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\";miss=fail";
    let fields = [("Resume-Offset", unknown)];
    let miss = Tap::open(edge.addr(), "/live.mp3", &fields).await.unwrap();
    assert_eq!(miss.head.status, 412);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_has_a_depth() {
    let origin = origin().await;
    let relays = |count: usize| {
        let names = (0..count).map(|n| format!("1.1 icx-{n:016x}"));
        names.collect::<Vec<_>>().join(", ")
    };
    let ask = async |via: &str| {
        let fields = [("Via", via)];
        let answer = http::get(origin.addr(), "/status-json.xsl", &fields);
        answer.await.unwrap()
    };
    assert_eq!(
        ask(&format!("1.0 cache, {}", relays(8))).await.head.status,
        200
    );
    let answer = ask(&relays(9)).await;
    assert_eq!(answer.head.status, 508);
    assert!(
        answer.text().contains("8 relays in a row"),
        "{}",
        answer.text()
    );
}
