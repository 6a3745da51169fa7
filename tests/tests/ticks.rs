//! `delivery-tick`: how often a mount's listeners are sent something, and that nobody waits for it who has just come.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::proxy::{Proxy, Setup};
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(30);
/// Whoever is not made to wait has an answer by then, on a busy machine, too.
const AT_ONCE: Duration = Duration::from_millis(500);
/// Gaps that are looked at.
const GAPS: usize = 5;

async fn origin(config: &str) -> Proxy {
    let setup = Setup {
        flags: vec!["--source-password".to_owned(), PASSWORD.to_owned()],
        config: config.to_owned(),
        upgrades: true,
        ..Setup::default()
    };
    Proxy::with(setup).await.unwrap()
}

/// A listener of a mount that may not be there yet.
async fn listen(proxy: &Proxy, mount: &str) -> Tap {
    wait_until(mount, SOON, || async {
        let tap = Tap::aware(proxy.addr(), mount).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

/// The one in the middle: what a busy machine delays is a few of them.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort();
    times[times.len() / 2]
}

/// One is sent something every second, the other every 50 ms, from now on.
async fn ticks(slow: &Tap, quick: &Tap) {
    let since = Instant::now();
    for tap in [slow, quick] {
        wait_for("some sends", SOON, || tap.gaps(since).len() >= GAPS).await;
    }
    let (slow, quick) = (median(slow.gaps(since)), median(quick.gaps(since)));
    let slowly = Duration::from_millis(800)..Duration::from_millis(1500);
    assert!(slowly.contains(&slow), "{slow:?} instead of 1 s");
    let quickly = Duration::from_millis(30)..Duration::from_millis(250);
    assert!(quickly.contains(&quick), "{quick:?} instead of 50 ms");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_mount_has_its_own_tick_and_a_reload_and_an_upgrade_change_it() {
    let ticks_of = |a, b| {
        format!(
            "delivery-tick = 1000\n[mount.\"/a.mp3\"]\ndelivery-tick = {a}\n[mount.\"/b.mp3\"]\ndelivery-tick = {b}\n"
        )
    };
    let mut origin = origin(&ticks_of(50, 1000)).await;
    let a_source = noise(origin.addr(), "/a.mp3", 1).await.unwrap();
    let b_source = noise(origin.addr(), "/b.mp3", 2).await.unwrap();
    let a = listen(&origin, "/a.mp3").await;
    let b = listen(&origin, "/b.mp3").await;
    // Of all that follows a relay's listener hears nothing, and the relay takes no tick for a dead parent.
    let relay = Proxy::start(origin.addr()).await.unwrap();
    let far = listen(&relay, "/a.mp3").await;
    ticks(&b, &a).await;

    origin.rewrite(&ticks_of(1000, 50)).unwrap();
    origin.signal("HUP").unwrap();
    wait_for("it is reloaded", SOON, || {
        origin.log().contains("reloaded changes=2")
    })
    .await;
    // The tick that had begun is the last of its kind.
    b.wait_more(RATE, SOON).await;
    ticks(&a, &b).await;

    origin.rewrite(&ticks_of(50, 1000)).unwrap();
    origin.upgrade().await.unwrap();
    a.wait_more(RATE, SOON).await;
    ticks(&b, &a).await;

    for (tap, source) in [(&a, &a_source), (&b, &b_source), (&far, &a_source)] {
        assert_eq!(tap.ended(), None);
        assert!(find(&source.sent(), &tap.audio()).is_some());
    }
    let log = relay.log();
    assert!(!log.contains("nothing came for"), "{log}");
}

/// How long it takes until the first byte of the body, or the head alone, has come: the one in the middle of three.
async fn time_to(proxy: &Proxy, fields: &[(&str, &str)], body: bool) -> Duration {
    let mut times = Vec::new();
    for _ in 0..3 {
        let start = Instant::now();
        let tap = Tap::open(proxy.addr(), "/live.mp3", fields).await.unwrap();
        assert!(matches!(tap.head.status, 200 | 206), "{:?}", tap.head);
        if body {
            tap.wait_len(1000, SOON).await;
        }
        times.push(start.elapsed());
    }
    median(times)
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_joins_or_resumes_is_fed_at_once_however_slow_the_tick_is() {
    let origin = origin("[mount.\"/live.mp3\"]\ndelivery-tick = 5000\n").await;
    let mut source = Source::accepted(origin.addr(), "/live.mp3", Method::Put)
        .await
        .unwrap();
    // Whoever is there before the first byte has it as soon as there is one.
    let early = tokio::spawn({
        let addr = origin.addr();
        async move { Tap::open(addr, "/live.mp3", &[]).await.unwrap() }
    });
    let mut frames = icecast_ext_tests::chance::Frames::new(1);
    let first = frames.take(2 * RATE);
    source.send(&first).await.unwrap();
    let start = Instant::now();
    let early = early.await.unwrap();
    early.wait_len(1000, SOON).await;
    let took = start.elapsed();
    assert!(took < Duration::from_millis(1500), "{took:?}");
    let _source = source.stream(RATE, move |_, len| frames.take(len));

    let aware = listen(&origin, "/live.mp3").await;
    aware.wait_more(RATE, SOON).await;
    let place = aware.head.place().unwrap();
    let inside = place.resume(RATE as u64);
    let player = [("Range", "bytes=0-"), ("User-Agent", "Lavf/60.16.100")];
    for (fields, what) in [
        (&[][..], "a stock player joins"),
        (&player[..], "a stock player that may resume joins"),
        (&[("Resume-Offset", "live")], "an aware client joins"),
        (&[("Resume-Offset", &inside)], "an aware client resumes"),
    ] {
        let took = time_to(&origin, fields, true).await;
        assert!(took < AT_ONCE, "{what}: {took:?}");
    }

    // There is nothing to send, but the answer is there.
    let next = aware.head.window_number("next").unwrap();
    let edge = wait_until("an answer at the edge", SOON, || async {
        let now = Tap::aware(origin.addr(), "/live.mp3").await.ok()?;
        let edge = now.head.window_number("next")?;
        (edge >= next).then_some(edge)
    })
    .await;
    let at_edge = place.resume(edge - place.offset);
    let fields = [("Resume-Offset", at_edge.as_str())];
    let took = time_to(&origin, &fields, false).await;
    assert!(took < AT_ONCE, "at the edge: {took:?}");
    let tap = Tap::open(origin.addr(), "/live.mp3", &fields)
        .await
        .unwrap();
    assert_eq!(tap.head.place().unwrap().offset, edge);
    tap.wait_len(1000, SOON).await;
}
