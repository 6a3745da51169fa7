//! Relays of relays: loops, parents that die, links that go silent, bodies that are chunked all the same.

use std::time::Duration;

use icecast_ext_tests::chance::Frames;
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::http;
use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::upstream::{Script, Upstream};
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_leads_back_is_refused_and_said() {
    // Two relays, each the other's upstream.
    let placeholder = Upstream::start(&[]).await.unwrap();
    let first = Proxy::start(placeholder.addr()).await.unwrap();
    let second = Proxy::start(first.addr()).await.unwrap();
    let mut first = {
        let addr = first.addr();
        drop(first);
        let setup = proxy::Setup {
            flags: vec!["--listen".to_owned(), addr.to_string()],
            ..proxy::Setup::before(second.addr())
        };
        Proxy::with(setup).await.unwrap()
    };
    for relay in [&first, &second] {
        for target in ["/live.mp3", "/status-json.xsl"] {
            let answer = http::get(relay.addr(), target, &[]).await.unwrap();
            assert_eq!(answer.head.status, 508, "{target}: {}", answer.text());
        }
    }
    let logs = first.log() + &second.log();
    assert!(logs.contains("leads"), "{logs}");
    assert!(first.runs());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_parent_that_is_frozen_is_told_from_a_source_that_pauses() {
    let mut stage = Stage::new().await.unwrap();
    let relay = Proxy::start(stage.proxy.addr()).await.unwrap();
    let listener = Tap::aware(relay.addr(), "/live.mp3").await.unwrap();
    listener.wait_more(RATE, SOON).await;

    // A parent that says nothing: the relay notices, and takes up the feed where it was once the parent is back.
    stage.proxy.signal("STOP").unwrap();
    wait_for("the relay to notice", SOON, || {
        relay.log().contains("nothing came for")
    })
    .await;
    stage.proxy.signal("CONT").unwrap();
    wait_for("the feed to go on", SOON, || {
        relay.log().contains("goes on where it was cut")
    })
    .await;
    listener.wait_more(2 * RATE, SOON).await;
    assert_eq!(listener.ended(), None);

    // A source that pauses: Icecast stands still, the parent lives and says so.
    let before = relay.log();
    stage.icecast.signal("STOP").unwrap();
    wait_for("a pause of 2 s", SOON, || {
        listener.silence() > Some(Duration::from_secs(2))
    })
    .await;
    assert_eq!(relay.log(), before, "the relay keeps its feed");
    stage.icecast.signal("CONT").unwrap();
    listener.wait_more(2 * RATE, SOON).await;
    let heard = listener.audio();
    assert!(
        find(&stage.source.sent(), &heard).is_some(),
        "every byte once"
    );
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_loses_its_minter_says_so_and_goes_on_with_what_comes() {
    // Without a state directory the minter forgets everything.
    let setup = proxy::Setup {
        flags: vec!["--source-password".to_owned(), PASSWORD.to_owned()],
        ..proxy::Setup::default()
    };
    let mut origin = Proxy::with(setup).await.unwrap();
    let source = noise(origin.addr(), "/live.mp3", 30).await.unwrap();
    let relay = Proxy::start(origin.addr()).await.unwrap();
    let stock = wait_until("the mount", SOON, async || {
        let tap = Tap::open(relay.addr(), "/live.mp3", &[]).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await;
    let aware = Hearing::start(&[relay.url("/live.mp3")], false).unwrap();
    let joined = aware.joined(SOON).await;
    aware.wait_more(RATE, SOON).await;
    origin.restart().await.unwrap();
    let first = source.sent();
    drop(source);
    let second = noise(origin.addr(), "/live.mp3", 31).await.unwrap();
    wait_for("a loss", SOON, || !aware.heard().losses.is_empty()).await;
    aware.wait_more(RATE, SOON).await;
    stock.wait_more(RATE, SOON).await;
    let heard = aware.stop();
    assert_eq!(heard.losses.len(), 1, "{:?}", heard.losses);
    let seam = heard.losses[0].0;
    let at = usize::try_from(joined.offset.get()).unwrap();
    assert_eq!(
        heard.audio[..seam],
        first[at..at + seam],
        "the first source"
    );
    assert!(
        find(&second.sent(), &heard.audio[seam..]).is_some(),
        "then the second"
    );
    assert_eq!(stock.ended(), None, "a stock listener stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_is_chunked_all_the_same_is_read() {
    let upstream = Upstream::start(&[("/live.mp3", "audio/mpeg")])
        .await
        .unwrap();
    let audio = Frames::new(40).take(100_000);
    let mut bytes =
        b"HTTP/1.1 200 OK\r\nContent-Type: audio/mpeg\r\nTransfer-Encoding: chunked\r\n\r\n"
            .to_vec();
    for part in audio.chunks(777) {
        bytes.extend_from_slice(format!("{:x}\r\n", part.len()).as_bytes());
        bytes.extend_from_slice(part);
        bytes.extend_from_slice(b"\r\n");
    }
    upstream.script("/live.mp3", Script::Stream(bytes));
    let proxy = Proxy::start(upstream.addr()).await.unwrap();
    let tap = Tap::open(proxy.addr(), "/live.mp3?_shift=9", &[])
        .await
        .unwrap();
    tap.wait_len(90_000, SOON).await;
    assert!(audio.starts_with(&tap.audio()));
    assert_eq!(tap.head.get("Transfer-Encoding"), None);
}
