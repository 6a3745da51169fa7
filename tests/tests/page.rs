//! The status page in a real browser.

use std::time::Duration;

use icecast_ext_tests::browser::Browser;
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy;
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::stage::{RATE, Stage};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::{icecast, port};

const SOON: Duration = Duration::from_secs(20);
const HOSTILE: &str = "<img src=x onerror=\"window.hurt=1;alert(1)\"><script>window.hurt=2</script> \u{202e}' \u{1f600}";
const HOSTILE_MOUNT: &str = "/%3Cimg%20src=x%20onerror=alert(2)%3E.mp3";

/// A script that says whether a mount's card has a number greater than `least` at the `index`th place.
fn number(index: usize, least: u32) -> String {
    format!(
        "const card = document.querySelector('[data-mount=\"/live.mp3\"]');
         return card !== null && parseInt(card.querySelectorAll('dd')[{index}].textContent) > {least}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_shows_what_happens_and_plays_a_mount() {
    let admin = port::free();
    let starting = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        flags: ["--admin", &admin.to_string(), "--window", "4"]
            .map(str::to_owned)
            .to_vec(),
        ..proxy::Setup::before(upstream)
    });
    let (stage, browser) = tokio::join!(starting, Browser::start());
    let (stage, browser) = (stage.unwrap(), browser.unwrap());
    let _music =
        Encoder::start(stage.icecast.addr(), "/music.mp3", Setup::new(Format::Mp3)).unwrap();
    let source = Source::accepted(stage.icecast.addr(), HOSTILE_MOUNT, Method::Put)
        .await
        .unwrap();
    let mut frames = icecast_ext_tests::chance::Frames::new(5);
    let _hostile = source.stream(RATE, move |_, len| frames.take(len));
    let proxy = stage.proxy.addr();

    browser.go(&format!("http://{admin}/")).await.unwrap();
    browser.wait("the mount", &number(0, 0)).await;
    browser
        .wait(
            "all is well",
            "return document.getElementById('health').textContent === 'all is well'",
        )
        .await;
    browser
        .wait(
            "nothing lost",
            "return document.querySelector('#tile-lost .value').textContent === '0 bytes'",
        )
        .await;

    // Listeners, a resume, a loss.
    let aware = Tap::aware(proxy, "/live.mp3").await.unwrap();
    let place = aware.head.place().unwrap();
    let others = [Tap::open(proxy, "/live.mp3", &[("User-Agent", HOSTILE)])
        .await
        .unwrap()];
    browser.wait("three listeners", &number(0, 2)).await;
    drop(aware);
    let again = stage.ask("/live.mp3", &place.resume(1000)).await.unwrap();
    browser.wait("a resume", &number(2, 0)).await;
    again.wait_len(5 * RATE, SOON).await;
    let late = stage.ask("/live.mp3", &place.resume(0)).await.unwrap();
    assert!(late.head.place().unwrap().lost > Some(0));
    browser.wait("a miss", &number(3, 0)).await;
    browser
        .wait(
            "the loss is told",
            "return document.querySelector('#events [data-event=missed]') !== null",
        )
        .await;

    // Strange names stay names.
    let _bare = Tap::open(proxy, HOSTILE_MOUNT, &[]).await.unwrap();
    set_title(stage.icecast.addr(), "/live.mp3", HOSTILE)
        .await
        .unwrap();
    browser
        .wait("the title", "return [...document.querySelectorAll('.now bdi')].some((one) => one.textContent.includes('<script>window.hurt=2'))")
        .await;
    browser
        .wait("the mount with the strange name", "return [...document.querySelectorAll('.mount')].some((one) => one.textContent === '/<img src=x onerror=alert(2)>.mp3')")
        .await;
    assert_eq!(browser.dialog().await, None);
    let harm = "return [typeof window.hurt, document.querySelectorAll('img').length, document.querySelectorAll('script').length, document.querySelectorAll('iframe, object, embed, style').length].join()";
    assert_eq!(browser.run(harm).await.unwrap(), "undefined,1,1,0");

    // It plays.
    stage.icecast.wait_mount("/music.mp3").await;
    let _music = Tap::open(proxy, "/music.mp3", &[]).await.unwrap();
    browser
        .wait(
            "the music's card",
            "return document.querySelector('[data-mount=\"/music.mp3\"]') !== null",
        )
        .await;
    browser
        .click("[data-mount=\"/music.mp3\"] .play")
        .await
        .unwrap();
    browser
        .wait(
            "it plays",
            "return document.getElementById('audio').currentTime > 1",
        )
        .await;
    browser
        .wait(
            "the player says so",
            "return /0:0\\d played/.test(document.getElementById('elapsed').textContent)",
        )
        .await;

    // Wide and light, narrow and dark: nothing sticks out, nothing complains, nothing goes elsewhere.
    for (width, scheme) in [(1200, "light"), (390, "dark")] {
        browser.look(width, 1700, scheme).await.unwrap();
        let script = "return document.documentElement.scrollWidth <= innerWidth && document.querySelector('#tree svg') !== null";
        browser.wait("the page fits", script).await;
        let path =
            std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{scheme}.png"));
        std::fs::write(path, browser.picture().await.unwrap()).unwrap();
    }
    browser.click("#stop").await.unwrap();
    browser.wait("it stops", "return document.getElementById('audio').paused && document.getElementById('player').hidden").await;
    let allowed = [
        format!("http://{admin}/"),
        format!("http://{proxy}/music.mp3"),
    ];
    let asked = browser
        .run("return performance.getEntriesByType('resource').map((one) => one.name)")
        .await
        .unwrap();
    for url in asked.as_array().unwrap() {
        let url = url.as_str().unwrap();
        assert!(
            allowed.iter().any(|allowed| url.starts_with(allowed)),
            "{url}"
        );
    }
    let unnamed = "return [...document.querySelectorAll('button, svg[role=img], input')].filter((one) => !(one.getAttribute('aria-label') || one.textContent.trim() || one.closest('label'))).length";
    assert_eq!(
        browser.run(unnamed).await.unwrap(),
        0,
        "everything has a name"
    );
    assert_eq!(browser.console().await.unwrap(), Vec::<String>::new());
    drop(others);
    stage.unharmed().await;
}
