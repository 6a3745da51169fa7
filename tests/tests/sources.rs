//! Source clients that stations use, and Icecast's own relays, on both sides of the proxy.

use std::time::Duration;

use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::hooks::Hooks;
use icecast_ext_tests::http::basic;
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::studio::{Studio, TITLES};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{decode_errors, find, whole_units};
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(15);
/// Until a source client has started, or has come back.
const SLOW: Duration = Duration::from_secs(60);

/// A listener of a mount, once it has a source.
async fn tune(proxy: &Proxy, mount: &str) -> Tap {
    wait_until(mount, SLOW, async || {
        let fields = [("Icy-MetaData", "1"), ("Resume-Offset", "live")];
        let tap = Tap::open(proxy.addr(), mount, &fields).await.ok()?;
        (tap.head.status == 200 && tap.head.place().is_some()).then_some(tap)
    })
    .await
}

/// Waits until a title has been heard.
async fn title(tap: &Tap, titles: &[&str]) {
    let heard = || {
        tap.titles()
            .iter()
            .any(|block| titles.iter().any(|title| block.title() == Some(title)))
    };
    wait_for("a title", Duration::from_secs(30), heard).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_behind_the_proxy_are_heard_with_their_titles_and_come_back() {
    let icecast = Icecast::start().await.unwrap();
    let mut proxy = Proxy::start(icecast.addr()).await.unwrap();
    let mut ezstream = Studio::ezstream(proxy.addr(), "/ez.mp3").unwrap();
    let mut liquidsoap = Studio::liquidsoap(proxy.addr(), "/liq.mp3").unwrap();
    let mut ffmpeg = Encoder::start(proxy.addr(), "/ff.mp3", Setup::new(Format::Mp3)).unwrap();

    // Twice: the proxy is restarted in between, and they come back by themselves.
    for round in 0..2 {
        let (ez, liq) = tokio::join!(tune(&proxy, "/ez.mp3"), tune(&proxy, "/liq.mp3"));
        if round == 0 {
            let tap = tune(&proxy, "/ff.mp3").await;
            tap.wait_len(RATE, SOON).await;
            assert!(find(&ffmpeg.sent_by_now().await.unwrap(), &tap.audio()).is_some());
            ffmpeg.kill();
        }
        tokio::join!(title(&ez, &TITLES), title(&liq, &TITLES));
        ez.wait_more(RATE, SOON).await;
        liq.wait_len(3 * RATE, SOON).await;
        // ezstream sends a file from its first byte on, perhaps without its tag, and then the other.
        let [a, b] = ezstream.files().unwrap();
        let heard = ez.audio();
        let tail = &heard[heard.len() - 16_000..];
        let all = [a.as_slice(), &b, &a].concat();
        let frames = [&a[sound(&a)..], &b[sound(&b)..], &a[sound(&a)..]].concat();
        assert!(
            find(&all, tail).is_some() || find(&frames, tail).is_some(),
            "ezstream, round {round}: other bytes"
        );
        // liquidsoap writes what it has encoded to a file, in large pieces.
        let heard = liq.audio();
        wait_for("liquidsoap's file", SOON, || {
            find(&liquidsoap.sent().unwrap(), &heard[..2 * RATE]).is_some()
        })
        .await;
        let start = heard
            .windows(2)
            .position(|pair| pair[0] == 0xff && pair[1] & 0xfe == 0xfa);
        let file = icecast.file("liq.mp3");
        std::fs::write(&file, whole_units(Format::Mp3, &heard[start.unwrap()..])).unwrap();
        assert_eq!(decode_errors(&file), "");
        assert!(ezstream.runs() && liquidsoap.runs());
        drop((ez, liq));
        if round == 0 {
            proxy.restart().await.unwrap();
        }
    }
}

/// Where a file's frames begin: after its ID3 tag.
fn sound(file: &[u8]) -> usize {
    let size = file[6..10]
        .iter()
        .fold(0, |size, &byte| size << 7 | usize::from(byte));
    if file.starts_with(b"ID3") {
        size + 10
    } else {
        0
    }
}

/// An Icecast that relays `mount` from somebody.
async fn relay_of(server: std::net::SocketAddr, mount: &str, more: &str) -> Icecast {
    let setup = icecast::Setup {
        more: format!(
            "<relay><server>127.0.0.1</server><port>{}</port><mount>{mount}</mount><local-mount>{mount}</local-mount>\
             <on-demand>0</on-demand><relay-shoutcast-metadata>1</relay-shoutcast-metadata>{more}</relay>",
            server.port()
        ),
        ..icecast::Setup::default()
    };
    Icecast::with(setup).await.expect("icecast starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_icecast_relays_from_the_proxy_and_the_proxy_from_a_relay() {
    let hooks = Hooks::start("pull", "secret").await.unwrap();
    hooks.admit("relay", "secret");
    hooks.admit("bob", "secret");
    let setup = icecast::Setup {
        more: format!(
            "<mount type=\"normal\"><mount-name>/p.mp3</mount-name>{}</mount>",
            hooks.authentication()
        ),
        ..icecast::Setup::default()
    };
    let master = Icecast::with(setup).await.unwrap();
    let open = noise(master.addr(), "/live.mp3", 1).await.unwrap();
    let closed = noise(master.addr(), "/p.mp3", 2).await.unwrap();
    master.wait_mount("/live.mp3").await;
    master.wait_mount("/p.mp3").await;
    let setup = proxy::Setup {
        config: "[mount.\"/p.mp3\"]\npull-credentials = \"pull:secret\"\n".into(),
        ..proxy::Setup::before(master.addr())
    };
    let proxy = Proxy::with(setup).await.unwrap();

    // From the proxy, without and with a password; and a proxy in front of such a relay.
    let password = "<username>relay</username><password>secret</password>";
    let slave = relay_of(proxy.addr(), "/live.mp3", "").await;
    let inner = relay_of(proxy.addr(), "/p.mp3", password).await;
    let wrong = relay_of(proxy.addr(), "/p.mp3", "").await;
    slave.wait_mount("/live.mp3").await;
    inner.wait_mount("/p.mp3").await;
    let edge = Proxy::start(slave.addr()).await.unwrap();
    let aware = Hearing::start(&[edge.url("/live.mp3")], true).unwrap();
    let bob = basic("bob", "secret");
    let bob = [("Authorization", bob.as_str())];
    let taps = [
        (
            Tap::open(slave.addr(), "/live.mp3", &[]).await.unwrap(),
            &open,
        ),
        (
            Tap::open(proxy.addr(), "/live.mp3", &[]).await.unwrap(),
            &open,
        ),
        (
            Tap::open(edge.addr(), "/live.mp3", &[]).await.unwrap(),
            &open,
        ),
        (
            Tap::open(inner.addr(), "/p.mp3", &[]).await.unwrap(),
            &closed,
        ),
        (
            Tap::open(proxy.addr(), "/p.mp3", &bob).await.unwrap(),
            &closed,
        ),
    ];
    for (i, (tap, source)) in taps.iter().enumerate() {
        assert_eq!(tap.head.status, 200, "{i}");
        tap.wait_len(3 * RATE, SOON).await;
        assert!(
            find(&source.sent(), &tap.audio()).is_some(),
            "{i}: other bytes"
        );
    }
    assert_eq!(
        hooks
            .of("listener_add", "Icecast 2.4.4")
            .iter()
            .filter(|call| call.get("user") == "relay")
            .count(),
        1
    );
    assert!(
        !wrong.has("/p.mp3").await,
        "a relay without a password hears nothing"
    );

    // A relay in the middle that is restarted: the edge's listeners stay, and lose what the relay lost.
    let mut slave = slave;
    slave.restart().await.unwrap();
    slave.wait_mount("/live.mp3").await;
    let (tap, _) = &taps[2];
    tap.wait_more(2 * RATE, SOON).await;
    aware.wait_more(2 * RATE, SOON).await;
    let heard = aware.stop();
    assert!(
        heard.losses.is_empty() || heard.losses.len() == 1,
        "{:?}",
        heard.losses
    );
    let end = tap.audio();
    assert!(find(&open.sent(), &end[end.len() - RATE..]).is_some());
    assert_eq!(tap.ended(), None);
}
