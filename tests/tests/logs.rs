//! The log is for eyes and for collectors: nothing that a client, a source or an upstream says forges a line of it.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_tests::http::{self, exchange};
use icecast_ext_tests::icecast;
use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(15);
/// Clears a terminal and begins a line, once decoded.
const EVIL: &str = "%1b%5b2J%0aERROR%20forged%0d%0aERROR%20forged";
const EVIL_TITLE: &str = "\u{1b}[31mred\nERROR forged\r\nERROR forged";

/// How the proxy is to log.
fn wrap(format: &str) -> Vec<String> {
    // All that there is to be read in the text; of the other, what operators collect.
    let level = if format == "json" { "info" } else { "debug" };
    let format = format!("ICECAST_EXT_LOG_FORMAT={format}");
    vec!["env".into(), format, format!("ICECAST_EXT_LOG={level}")]
}

/// Requests that say what they should not, each of them answered.
async fn provoke(addr: SocketAddr, live: &str) {
    let evil = "a\u{1b}[2Jb\u{7}\u{9b}2J";
    for target in [
        format!("/{EVIL}"),
        format!("/{EVIL}.mp3?x={EVIL}"),
        format!("{live}?_resume={EVIL}"),
        format!("{live}?_resume=%0aERROR%20forged"),
        format!("{live}?{EVIL}"),
        format!("/admin/metadata?mount=/{EVIL}&mode=updinfo&song={EVIL}"),
        format!("/admin/{EVIL}"),
    ] {
        for method in ["HEAD", "OPTIONS", "PUT", "POST", "GET"] {
            let request = format!("{method} {target} HTTP/1.0\r\nContent-Length: 0\r\n\r\n");
            let answer = exchange(addr, request.as_bytes(), Duration::from_millis(300));
            assert!(!answer.await.unwrap().is_empty(), "{method} {target}");
        }
    }
    for field in [
        "User-Agent",
        "Referer",
        "Resume-Offset",
        "X-Forwarded-For",
        "Via",
    ] {
        for target in [live, "/none.mp3"] {
            let request = format!("GET {target} HTTP/1.0\r\n{field}: {evil}\r\n\r\n");
            let answer = exchange(addr, request.as_bytes(), Duration::from_millis(300));
            assert!(!answer.await.unwrap().is_empty(), "{field} {target}");
        }
    }
    for head in [
        format!("G\u{1b}[2JT / HTTP/1.0\r\n{evil}\r\n\r\n"),
        format!("GET /{evil} HTTP/1.0\r\n\r\n"),
        format!("GET / HTTP/1.0{evil}\r\n\r\n"),
        format!("GET / HTTP/1.0\r\n{evil}: x\r\n\r\n"),
    ] {
        exchange(addr, head.as_bytes(), Duration::from_millis(300))
            .await
            .unwrap();
    }
}

/// A listener who comes, hears and goes.
async fn visit(proxy: &Proxy, mount: &str) {
    let agent = [("User-Agent", "who-comes-and-goes")];
    let tap = wait_until("the mount", SOON, async || {
        let tap = Tap::open(proxy.addr(), mount, &agent).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await;
    tap.wait_len(RATE / 2, SOON).await;
    drop(tap);
    wait_for("the line of its end", SOON, || {
        proxy
            .log()
            .lines()
            .any(|line| line.contains("listener gone") && line.contains("who-comes-and-goes"))
    })
    .await;
}

/// Every line is whole, and is what it seems to be.
fn judge(log: &str, format: &str) {
    for line in log.lines() {
        // An object may hold what terminals of old obey (U+0080 to U+009F): it is not for eyes.
        let odd = line
            .chars()
            .find(|c| c.is_control() && (format != "json" || c.is_ascii()));
        assert_eq!(odd, None, "{line:?}");
        assert!(!line.starts_with("ERROR forged"), "{line}");
        if format != "json" {
            let stamp = line.split(' ').next().unwrap();
            let shape: String = stamp
                .chars()
                .map(|c| if c.is_ascii_digit() { '0' } else { c })
                .collect();
            assert_eq!(shape, "0000-00-00T00:00:00.000000Z", "{line:?}");
            continue;
        }
        let value: serde_json::Value = serde_json::from_str(line).expect(line);
        let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
        assert!(!text("timestamp").is_empty() && !text("level").is_empty());
        let more = match text("message").as_str() {
            "listener" => "began",
            "listener gone" => "reason",
            _ => continue,
        };
        for key in ["address", "mount", more] {
            assert!(!text(key).is_empty(), "{key}: {line}");
        }
        assert!(text("mount").starts_with('/'), "{line}");
        assert_eq!(text("address"), "127.0.0.1", "{line}");
    }
    assert!(log.contains("listener gone"), "the level is right: {log}");
    assert!(log.contains("forged"), "something was provoked: {log}");
}

async fn behind_icecast(format: &str) {
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        wrap: wrap(format),
        ..proxy::Setup::before(upstream)
    });
    let stage = stage.await.unwrap();
    // Icecast may refuse such a mount; if it does not, its list has it.
    let path = format!("/{EVIL}.mp3");
    let _source = noise(stage.icecast.addr(), &path, 7).await;
    set_title(stage.icecast.addr(), "/live.mp3", EVIL_TITLE)
        .await
        .unwrap();
    provoke(stage.proxy.addr(), "/live.mp3").await;
    visit(&stage.proxy, "/live.mp3").await;
    judge(&stage.proxy.log(), format);
    stage.unharmed().await;
}

async fn at_an_origin(format: &str) {
    let setup = proxy::Setup {
        flags: vec!["--source-password".to_owned(), PASSWORD.to_owned()],
        wrap: wrap(format),
        ..proxy::Setup::default()
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    let refused = noise(proxy.addr(), &format!("/{EVIL}.mp3"), 8).await;
    assert!(refused.is_err(), "such a mount is none");
    // What is left to a source: quotes, a space, what only some take for the end of a line.
    let path = "/%22,%22level%22:%22ERROR%20%e2%80%a8.mp3";
    let source = noise(proxy.addr(), path, 9).await.unwrap();
    let titled = set_title(proxy.addr(), path, EVIL_TITLE).await.unwrap();
    assert_eq!(titled.head.status, 200);
    let kind = "audio/mpeg\u{1b}[2J";
    // Any answer will do.
    let _ = Source::open(proxy.addr(), "/odd.mp3", Method::Put, kind, PASSWORD).await;
    provoke(proxy.addr(), path).await;
    visit(&proxy, path).await;
    drop(source);
    let list = http::get(proxy.addr(), "/status-json.xsl", &[]).await;
    assert_eq!(list.unwrap().head.status, 200);
    let log = proxy.log();
    judge(&log, format);
    assert!(proxy.runs() && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_forges_a_line_of_the_log() {
    tokio::join!(behind_icecast("text"), at_an_origin("text"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_is_an_object_for_who_collects_logs() {
    tokio::join!(behind_icecast("json"), at_an_origin("json"));
}
