//! SIGHUP: a new configuration under 2000 listeners, and none of them hears it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::Duration;

use icecast_ext_tests::chance::Frames;
use icecast_ext_tests::crowd::Crowd;
use icecast_ext_tests::icecast::Icecast;
use icecast_ext_tests::proxy::{Proxy, Setup};
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::stage::noise;
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::{wait_for, wait_until};

/// Bytes a second of the crowd's mount.
const RATE: usize = 8000;
const SOON: Duration = Duration::from_secs(20);

/// Listeners that Icecast itself has on a mount.
async fn pulled(icecast: &Icecast, mount: &str) -> bool {
    let answer = icecast.admin("/admin/listmounts").await.unwrap().text();
    let at = answer.find(&format!("mount=\"{mount}\"")).unwrap();
    let listeners = answer[at..].split("<listeners>").nth(1).unwrap();
    !listeners.starts_with('0')
}

async fn logged(proxy: &Proxy, what: &str) {
    wait_for(what, SOON, || proxy.log().contains(what)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_under_2000_listeners_is_heard_by_none_and_holds_for_who_comes_next() {
    let icecast = Icecast::start().await.unwrap();
    let source = Source::accepted(icecast.addr(), "/live.mp3", Method::Put)
        .await
        .unwrap();
    let mut frames = Frames::new(7);
    let source = source.stream(RATE, move |_, len| frames.take(len));
    let _other = noise(icecast.addr(), "/other.mp3", 2).await.unwrap();
    let _third = noise(icecast.addr(), "/third.mp3", 3).await.unwrap();
    for mount in ["/live.mp3", "/other.mp3", "/third.mp3"] {
        icecast.wait_mount(mount).await;
    }
    // All listeners are one address here.
    let first = "relays = [\"http://a.example:1\"]\nalways = [\"/other.mp3\"]\nwindow = 60\n[mount.\"/other.mp3\"]\nwindow = 2\n\
                 [limits]\nconnections-per-address = 0\njoins-per-second = 0\n";
    let setup = Setup {
        config: first.to_owned(),
        ..Setup::before(icecast.addr())
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    let id = proxy.id();
    let crowd = Crowd::join(proxy.addr(), "/live.mp3", 2000, &source.truth())
        .await
        .unwrap();
    crowd.each_hears(RATE as u64, SOON).await;
    wait_until("/other.mp3 is pulled", SOON, || async {
        pulled(&icecast, "/other.mp3").await.then_some(())
    })
    .await;
    assert!(!pulled(&icecast, "/third.mp3").await);

    // What is wrong changes nothing, and says where.
    proxy
        .rewrite("relays = [\"http://b.example:1\"]\nwindow = 0\n")
        .unwrap();
    proxy.signal("HUP").unwrap();
    logged(&proxy, "not reloaded").await;
    assert!(
        proxy.log().contains("config.toml:2: window is 0"),
        "{}",
        proxy.log()
    );
    let link = |tap: &Tap| tap.head.get("Link").unwrap_or_default().to_owned();
    let tap = Tap::aware(proxy.addr(), "/live.mp3").await.unwrap();
    assert!(link(&tap).contains("a.example"), "{:?}", tap.head);

    // What is right holds for who comes next.
    let second = "relays = [\"http://b.example:1\"]\nalways = [\"/third.mp3\"]\nwindow = 60\nstate = \"/nowhere\"\nsource-password = \"hemlig\"\n\
                  [mount.\"/other.mp3\"]\nwindow = 2\n[mount.\"/third.mp3\"]\nburst = 2000\n[mount.\"/live.mp3\"]\nmax-listeners = 5\n[limits]\nconnections-per-address = 0\njoins-per-second = 0\nmounts = 3\n";
    proxy.rewrite(second).unwrap();
    proxy.signal("HUP").unwrap();
    logged(&proxy, "reloaded changes=").await;
    let log = proxy.log();
    for line in [
        "option=\"relays\"",
        "option=\"limits.mounts\" from=\"default\" to=\"3\"",
        "cannot be changed while running",
    ] {
        assert!(log.contains(line), "{line}: {log}");
    }
    assert!(!log.contains("hemlig"), "{log}");
    let tap = Tap::aware(proxy.addr(), "/third.mp3").await.unwrap();
    assert!(link(&tap).contains("b.example"), "{:?}", tap.head);
    // Of a mount that was not there, with a burst of its own.
    let place = tap.head.place().unwrap().offset;
    let next = tap.head.window_number("next").unwrap();
    assert!(next - place <= 2000, "{place} to {next}");
    wait_until(
        "/third.mp3 is pulled, /other.mp3 is let go",
        SOON,
        || async {
            (pulled(&icecast, "/third.mp3").await && !pulled(&icecast, "/other.mp3").await)
                .then_some(())
        },
    )
    .await;

    let full = Tap::open(proxy.addr(), "/live.mp3", &[]).await.unwrap();
    assert_eq!(
        full.head.status, 403,
        "2000 are there, and 5 may be: {:?}",
        full.head
    );

    // A storm of them.
    for text in [first, second].iter().cycle().take(10) {
        proxy.rewrite(text).unwrap();
        proxy.signal("HUP").unwrap();
    }
    crowd.each_hears(3 * RATE as u64, SOON).await;
    crowd.unharmed();
    assert!(proxy.runs() && proxy.id() == id);
    assert!(!proxy.log().contains("panicked"));
}
