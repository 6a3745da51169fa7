//! The admin address: what it counts, tells and says agrees with what happened, and what strangers name things does no harm.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod said;

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use icecast_ext_tests::http::{self, Answer, basic};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::{Method, Source, Streaming};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::wait_until;
use icecast_ext_tests::{icecast, port};
use said::*;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(20);
/// Markup, quotes, a line end, a direction override, an emoji.
const HOSTILE: &str = "<script>alert(1)</script> \"q\" 'q' \u{202e}abc \u{1f600}";
/// A mount's name, as in a URL.
const HOSTILE_MOUNT: &str = "/%3Cimg%20src=x%20onerror=alert(2)%3E.mp3";

/// Icecast passes titles on in Latin-1.
fn strange_title(title: &Value) -> bool {
    title
        .as_str()
        .is_some_and(|title| title.starts_with("<script>alert(1)</script> \"q\" 'q'"))
}

async fn hostile_source(icecast: SocketAddr) -> Streaming {
    let source = Source::accepted(icecast, HOSTILE_MOUNT, Method::Put)
        .await
        .unwrap();
    let mut frames = icecast_ext_tests::chance::Frames::new(9);
    source.stream(RATE, move |_, len| frames.take(len))
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_and_events_agree_with_what_happened() {
    let (stage, admin) = stage(&["--window", "4"]).await;
    let _hostile = hostile_source(stage.icecast.addr()).await;
    let events = Events::open(admin, "/events", "").await;
    let proxy = stage.proxy.addr();

    // Three joins, the last by somebody with a strange name; one of them resumes twice; one comes too late.
    let stock = Tap::open(proxy, "/live.mp3", &[]).await.unwrap();
    let titled = Tap::open(proxy, "/live.mp3", &[("Icy-MetaData", "1")])
        .await
        .unwrap();
    let strange = Tap::open(
        proxy,
        "/live.mp3",
        &[("Resume-Offset", "live"), ("User-Agent", HOSTILE)],
    )
    .await
    .unwrap();
    let place = strange.head.place().unwrap();
    let live = mount(admin, "/live.mp3").await;
    assert_eq!(live["listeners"]["plain"], 3, "{live:#}");
    assert_eq!(live["listeners"]["icy"], 1);
    assert_eq!(live["supply"]["state"], "live");
    drop(strange);
    for more in [RATE as u64, RATE as u64 + 4000] {
        let again = stage.ask("/live.mp3", &place.resume(more)).await.unwrap();
        assert_eq!(again.head.place().unwrap().offset, place.offset + more);
        again.wait_len(1000, SOON).await;
    }
    let evicted = wait_until("the first byte to leave the window", SOON, async || {
        let window = mount(admin, "/live.mp3").await["runs"][0]["first"].as_u64()?;
        (window > place.offset).then_some(())
    });
    evicted.await;
    let late = stage.ask("/live.mp3", &place.resume(0)).await.unwrap();
    let lost = late.head.place().unwrap().lost.unwrap();
    assert!(lost > 0);
    let bare = Tap::open(proxy, HOSTILE_MOUNT, &[]).await.unwrap();
    assert_eq!(bare.head.status, 200);
    bare.wait_len(1000, SOON).await;
    let nothing = http::get(proxy, "/nothing.mp3", &[]).await.unwrap();
    assert_eq!(nothing.head.status, 404);
    let refused = http::get(proxy, "/live.mp3", &[("Resume-Offset", "?!")])
        .await
        .unwrap();
    assert_eq!(refused.head.status, 400);

    // Events.
    let resumed = events.wait("resumed", |_| true).await;
    assert_eq!(resumed["offset"], place.offset + RATE as u64);
    assert_eq!(resumed["mount"], "/live.mp3");
    let missed = events.wait("missed", |_| true).await;
    assert_eq!(missed["lost"].as_u64(), Some(lost));
    let joined = events
        .wait("joined", |event| {
            event["agent"]
                .as_str()
                .is_some_and(|agent| agent.contains("script"))
        })
        .await;
    assert!(
        joined["agent"]
            .as_str()
            .unwrap()
            .starts_with("<script>alert(1)</script> \"q\"")
    );
    events
        .wait("left", |event| event["reason"] == "closed")
        .await;
    set_title(stage.icecast.addr(), "/live.mp3", HOSTILE)
        .await
        .unwrap();
    let title = events
        .wait("title", |event| strange_title(&event["title"]))
        .await;
    events
        .wait("epoch", |event| {
            event["mount"] == "/<img src=x onerror=alert(2)>.mp3"
        })
        .await;
    let live = mount(admin, "/live.mp3").await;
    assert!(strange_title(&live["title"]["title"]), "{live:#}");
    assert_eq!(
        live["title"]["offset"], title["offset"],
        "a title has its place"
    );

    // Somebody who comes back gets what is new; somebody who wants one mount gets that.
    let id = title["id"].as_u64().unwrap();
    let back = Events::open(admin, "/events", &format!("Last-Event-ID: {}\r\n", id - 1)).await;
    back.wait("title", |event| event["id"] == id).await;
    assert!(
        back.all()
            .iter()
            .all(|event| event["id"].as_u64() >= Some(id))
    );
    let other = Events::open(admin, "/events?mount=/other.mp3", "").await;
    let one = Events::open(admin, "/events?mount=/live.mp3", "").await;
    one.wait("title", |event| event["id"] == id).await;
    assert!(
        other
            .all()
            .iter()
            .all(|event| event["mount"] == "/other.mp3")
    );

    // Figures.
    let bodies = stock.len() + titled.len() + late.len() + stage.bystander.len();
    let text = wait_until("what was sent to be counted", SOON, async || {
        let text = metrics(admin).await;
        (value(&text, "icecast_ext_sent_bytes_total{mount=\"/live.mp3\"}") >= bodies as f64)
            .then_some(text)
    })
    .await;
    parse_strictly(&text);
    let of = |name: &str, labels: &str| {
        let comma = if labels.is_empty() { "" } else { "," };
        value(
            &text,
            &format!("icecast_ext_{name}{{mount=\"/live.mp3\"{comma}{labels}}}"),
        )
    };
    assert_eq!(of("joins_total", "client=\"stock\""), 2.0);
    assert_eq!(
        of("joins_total", "client=\"aware\""),
        2.0,
        "the bystander, and the stranger"
    );
    assert_eq!(of("resumes_total", "client=\"aware\""), 2.0);
    assert_eq!(of("misses_total", "client=\"aware\""), 1.0);
    assert_eq!(of("lost_bytes_total", ""), lost as f64);
    assert_eq!(of("listeners_left_total", "reason=\"closed\""), 3.0);
    assert_eq!(of("listeners", "kind=\"plain\""), 3.0);
    assert_eq!(of("epochs_total", ""), 1.0);
    assert!(
        (2.0..=8.0).contains(&of("window_seconds", "")),
        "{}",
        of("window_seconds", "")
    );
    assert_eq!(value(&text, "icecast_ext_tunnelled_requests_total"), 1.0);
    assert_eq!(
        value(&text, "icecast_ext_answers_total{status=\"400\"}"),
        1.0
    );
    assert!(value(&text, "process_resident_memory_bytes") > 1e6);
    assert!(!text.contains("/nothing.mp3"), "no stranger makes a label");
    let own =
        "icecast_ext_joins_total{mount=\"/<img src=x onerror=alert(2)>.mp3\",client=\"stock\"}";
    assert_eq!(value(&text, own), 1.0);
    let totals = &status(admin).await["totals"];
    assert_eq!(
        (&totals["resumes"], &totals["misses"]),
        (&2.into(), &1.into())
    );

    // The log shows no line that a stranger wrote.
    let log = stage.proxy.log();
    assert!(
        !log.contains('\u{202e}') && !log.contains('\u{1b}'),
        "{log}"
    );
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn health_follows_the_upstream_of_a_mount_that_is_always_wanted() {
    let (mut stage, admin) = stage(&[]).await;
    let healthz = |wanted: u16| async move {
        wait_until(&format!("healthz to say {wanted}"), SOON, async || {
            let answer = ask(admin, "/healthz", "Accept: application/json\r\n").await;
            (answer.head.status == wanted)
                .then(|| serde_json::from_slice::<Value>(&answer.body).unwrap())
        })
        .await
    };
    let ok = healthz(200).await;
    assert_eq!(ok["status"], "ok");
    stage.icecast.kill();
    let failing = healthz(503).await;
    assert_eq!(failing["status"], "failing");
    assert!(
        failing["reasons"][0]
            .as_str()
            .unwrap()
            .contains("/live.mp3"),
        "{failing}"
    );
    assert_eq!(value(&metrics(admin).await, "icecast_ext_healthy"), 0.0);
    stage.icecast.restart().await.unwrap();
    let _again = noise(stage.icecast.addr(), "/live.mp3", 3).await.unwrap();
    healthz(200).await;
    let text = metrics(admin).await;
    assert_eq!(
        value(&text, "icecast_ext_pull_losses_total{mount=\"/live.mp3\"}"),
        1.0
    );
    let events = Events::open(admin, "/events?mount=/live.mp3", "").await;
    events.wait("upstream-lost", |_| true).await;
    let back = events
        .wait("upstream-live", |event| !event["lost_seconds"].is_null())
        .await;
    assert!(back["lost_seconds"].as_f64().unwrap() >= 3.0, "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_who_may_look_does_and_only_looks() {
    let (stage, admin) = stage(&[]).await;
    // Without a password: no name that another site could have pointed here.
    for (host, status) in [
        ("localhost:1", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
        ("", 421),
    ] {
        let request =
            format!("GET /status.json HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        let answer = http::raw(admin, request.as_bytes()).await.unwrap();
        assert_eq!(answer.head.status, status, "{host}");
    }
    let post =
        format!("POST /status.json HTTP/1.1\r\nHost: {admin}\r\nContent-Length: 2\r\n\r\nhi");
    assert_eq!(
        http::raw(admin, post.as_bytes()).await.unwrap().head.status,
        405
    );
    assert_eq!(ask(admin, "/etc/passwd", "").await.head.status, 404);
    let page = ask(admin, "/", "").await;
    let policy = page.head.get("Content-Security-Policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self';") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(
        policy.contains(&format!(
            "media-src http://127.0.0.1:{};",
            stage.proxy.addr().port()
        )),
        "{policy}"
    );
    for outside in ["http://", "https://", "onclick", "style="] {
        assert!(!page.text().contains(outside), "{outside}");
    }

    // With one.
    let closed = port::free();
    let setup = proxy::Setup {
        flags: ["--admin", &closed.to_string(), "--admin-password", "s3cret"]
            .map(str::to_owned)
            .to_vec(),
        ..proxy::Setup::before(stage.icecast.addr())
    };
    let _proxy = Proxy::with(setup).await.unwrap();
    wait_until("the admin address", SOON, async || {
        tokio::net::TcpStream::connect(closed).await.ok()
    })
    .await;
    let right = format!("Authorization: {}\r\n", basic("admin", "s3cret"));
    let wrong = format!("Authorization: {}\r\n", basic("admin", "s3cre"));
    for target in ["/", "/status.json", "/metrics", "/events", "/page.js"] {
        for fields in ["", &wrong] {
            let answer = ask(closed, target, fields).await;
            assert_eq!(answer.head.status, 401, "{target}");
            assert!(answer.head.get("WWW-Authenticate").is_some());
        }
    }
    assert_eq!(ask(closed, "/status.json", &right).await.head.status, 200);
    assert_eq!(
        ask(closed, "/healthz", "").await.text(),
        "ok\n",
        "a load balancer has no password"
    );

    // Connections that say nothing, and heads without an end.
    let mut silent = Vec::new();
    for _ in 0..30 {
        silent.push(tokio::net::TcpStream::connect(admin).await.unwrap());
    }
    let long = format!("GET / HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(20_000));
    let _ = http::exchange(admin, long.as_bytes(), SOON).await;
    assert_eq!(ask(admin, "/healthz", "").await.head.status, 200);
    drop(silent);
    stage.unharmed().await;
}
