//! No open files are left: whoever comes is told, and whoever is there notices nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use icecast_ext_tests::http::Head;
use icecast_ext_tests::proxy::{Proxy, Setup};
use icecast_ext_tests::stage::{RATE, Stage};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_until;

const SOON: Duration = Duration::from_secs(15);
/// As many descriptors as a test can use up.
const FEW_FILES: [&str; 2] = ["prlimit", "--nofile=256:256"];
const UNBOUNDED: &str = "[limits]\nconnections-per-address = 0\njoins-per-second = 0\n";

/// A relay in front of a stage's Icecast.
async fn beside(stage: &Stage, config: String) -> Proxy {
    let setup = Setup {
        config,
        wrap: FEW_FILES.map(str::to_owned).into(),
        ..Setup::before(stage.icecast.addr())
    };
    Proxy::with(setup).await.unwrap()
}

#[track_caller]
fn full_up(head: &Head) {
    assert_eq!(head.status, 503, "{head:?}");
    assert!(head.get("Retry-After").is_some(), "{head:?}");
}

/// A place is free again, those who were there have noticed nothing, and the log says what to do.
async fn recovered(relay: &mut Proxy, path: &str, there: &[Tap]) {
    let again = wait_until("a place is free again", SOON, || async {
        let tap = Tap::open(relay.addr(), path, &[]).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await;
    again.wait_len(RATE / 4, SOON).await;
    for tap in there {
        assert_eq!(tap.ended(), None);
    }
    let log = relay.log();
    assert!(log.contains("LimitNOFILE"), "{log}");
    assert!(!log.contains("cannot accept"), "{log}");
    assert!(relay.runs() && !log.contains("panicked"), "{log}");
}

/// Listeners who take one each.
async fn one_each(stage: &Stage) {
    let config = format!("{UNBOUNDED}listeners = 5000\n");
    let mut relay = beside(stage, config).await;
    let said = "256 open files are allowed, which is room for 222 listeners (a shadowed one takes two), and `listeners` of [limits] is 5000";
    let log = relay.log();
    assert!(
        log.contains(said) && log.contains("LimitNOFILE=5514"),
        "{log}"
    );
    let bystander = Tap::aware(relay.addr(), "/live.mp3").await.unwrap();
    assert_eq!(bystander.head.status, 200);
    let mut held = Vec::new();
    let full = loop {
        let tap = Tap::open(relay.addr(), "/live.mp3", &[]).await.unwrap();
        if tap.head.status != 200 {
            break tap;
        }
        held.push(tap);
        assert!(held.len() < 256, "never full");
    };
    full_up(&full.head);
    assert!(held.len() > 200, "{} were let in", held.len());
    // Many who are turned away and do not go take nothing that others need: some are told, all are closed.
    let mut silent = Vec::new();
    for _ in 0..40 {
        silent.push(tokio::net::TcpStream::connect(relay.addr()).await.unwrap());
    }
    let start = Instant::now();
    let _ = Tap::open(relay.addr(), "/live.mp3", &[]).await;
    let took = start.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    bystander.wait_more(RATE, SOON).await;
    drop(silent);
    held.pop();
    held.push(bystander);
    recovered(&mut relay, "/live.mp3", &held).await;
    let bystander = held.last().map(Tap::audio).unwrap_or_default();
    assert!(find(&stage.source.sent(), &bystander).is_some());
}

/// Listeners who take two descriptors each, one of them at the upstream: both are counted, and the pull keeps its own.
async fn two_each(stage: &Stage, mount: &str, path: &str) {
    let config = format!("{UNBOUNDED}{mount}");
    let mut relay = beside(stage, config).await;
    let bystander = Tap::aware(relay.addr(), "/live.mp3").await.unwrap();
    assert_eq!(bystander.head.status, 200);
    let mut held = Vec::new();
    let full = loop {
        let tap = Tap::open(relay.addr(), path, &[]).await.unwrap();
        if tap.head.status != 200 {
            break tap;
        }
        held.push(tap);
        assert!(held.len() < 256, "never full");
    };
    full_up(&full.head);
    let count = held.len();
    assert!((100..=111).contains(&count), "{count} were let in");
    let pid = relay.id().unwrap();
    let open = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .unwrap()
        .count();
    assert!(open < 250, "{open} files are open");
    bystander.wait_more(RATE, SOON).await;
    held.truncate(count / 2);
    held.push(bystander);
    recovered(&mut relay, path, &held).await;
    let bystander = held.last().map(Tap::audio).unwrap_or_default();
    assert!(find(&stage.source.sent(), &bystander).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_open_file_that_a_client_causes_is_counted_and_the_rest_have_theirs() {
    let stage = Stage::new().await.unwrap();
    let tunnelled = "[mount.\"/other.mp3\"]\nadmission = \"tunnel\"\n";
    let shadowed = "[mount.\"/live.mp3\"]\nadmission = \"shadow\"\n";
    tokio::join!(
        one_each(&stage),
        two_each(&stage, tunnelled, "/other.mp3"),
        two_each(&stage, shadowed, "/live.mp3"),
    );
    stage.unharmed().await;
}
