//! Upstreams whose list of mounts lies. Whoever asks gets a fair answer soon, and whoever listens notices nothing.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::time::{Duration, Instant};

use icecast_ext_tests::chance::Frames;
use icecast_ext_tests::http::Head;
use icecast_ext_tests::proxy::Proxy;
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::upstream::{Script, Upstream};
use icecast_ext_tests::wait::wait_for;

const MP3: &str = "audio/mpeg";
const SOON: Duration = Duration::from_secs(15);
const LIST: &str = "/status-json.xsl";

fn answer(status: &str, kind: &str, body: &[u8]) -> Vec<u8> {
    let head = format!(
        "HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Asks as an aware listener; the answer comes within 5 s.
async fn ask(proxy: &Proxy, target: &str) -> Head {
    let start = Instant::now();
    let tap = Tap::aware(proxy.addr(), target).await.expect(target);
    let took = start.elapsed();
    assert!(took < Duration::from_millis(5500), "{target}: {took:?}");
    tap.head.clone()
}

/// It is not live, so nothing of ours is promised.
async fn not_live(proxy: &Proxy, target: &str) -> u16 {
    let head = ask(proxy, target).await;
    assert_eq!(head.get("Stream-Offset"), None, "{target}: {head:?}");
    head.status
}

/// Bounds of the list's age: what is asked from now on is by the list of now.
async fn list_is_old() {
    tokio::time::sleep(Duration::from_millis(1100)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_of_mounts_that_lies_costs_nobody_a_byte() {
    let honest = ("/honest.mp3", MP3);
    let upstream = Upstream::start(&[honest]).await.unwrap();
    let mut frames = Frames::new(11);
    let mut sent = frames.take(8000);
    let stream = b"HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\n\r\n".to_vec();
    let live = Script::Stream([&stream[..], &sent].concat());
    upstream.script("/honest.mp3", live.clone());
    let mut proxy = Proxy::start(upstream.addr()).await.unwrap();
    let listener = Tap::aware(proxy.addr(), "/honest.mp3").await.unwrap();
    assert!(listener.head.place().is_some(), "{:?}", listener.head);
    let mut more = |upstream: &Upstream| {
        let bytes = frames.take(2000);
        upstream.push("/honest.mp3", &bytes);
        sent.extend(bytes);
        sent.len()
    };

    // Names that are none, and one name twice.
    let odd = ["/../x", "//x", "/a%00", "/a%0d%0aSet-Cookie:x", "/%", ""];
    let mut list = vec![honest, honest, ("/twice.mp3", MP3), ("/twice.mp3", "x/y")];
    list.extend(odd.iter().map(|path| (*path, MP3)));
    upstream.list(&list);
    upstream.script("/twice.mp3", live.clone());
    list_is_old().await;
    for target in odd.iter().filter(|path| !path.is_empty()) {
        let status = not_live(&proxy, target).await;
        assert!((400..500).contains(&status), "{target}: {status}");
    }
    let twice = ask(&proxy, "/twice.mp3").await;
    assert!(twice.status == 200 && twice.place().is_some(), "{twice:?}");
    more(&upstream);

    // What is said to be open and is not, or is no stream.
    let wrong: [(&str, Vec<u8>, &[u16]); 4] = [
        ("/secret.mp3", answer("401 No", "text/plain", b"no"), &[401]),
        ("/file.mp3", answer("200 OK", MP3, &[7; 5000]), &[200]),
        ("/page.mp3", answer("200 OK", "text/html", b"<p>"), &[200]),
        ("/gone.mp3", answer("404 No", "text/plain", b"gone"), &[404]),
    ];
    let mut list = vec![honest];
    for (path, script, _) in &wrong {
        upstream.script(path, Script::Bytes(script.clone()));
        list.push((path, MP3));
    }
    upstream.script("/mute.mp3", Script::Hang(Vec::new()));
    list.push(("/mute.mp3", MP3));
    upstream.list(&list);
    list_is_old().await;
    for (path, _, fair) in &wrong {
        let status = not_live(&proxy, path).await;
        assert!(fair.contains(&status), "{path}: {status}");
    }
    // It may still be about to come: whoever asks waits for it, while all that follows happens.
    let mute = tokio::spawn(Tap::aware(proxy.addr(), "/mute.mp3"));
    more(&upstream);

    // More of them than anybody has.
    let names: Vec<String> = (0..5000).map(|n| format!("/{n}.mp3")).collect();
    let mut list: Vec<_> = names.iter().map(|name| (name.as_str(), MP3)).collect();
    list.push(honest);
    upstream.list(&list);
    list_is_old().await;
    assert_eq!(not_live(&proxy, "/4999.mp3").await, 404);
    assert_eq!(not_live(&proxy, "/none.mp3").await, 404);
    more(&upstream);

    // Too long, cut, no list at all, not to be read; what is new is the upstream's to answer.
    upstream.script("/new.mp3", Script::Bytes(answer("200 OK", MP3, b"stock")));
    let long = format!("{{\"icestats\":{{\"x\":\"{}\"}}}}", "x".repeat(17 << 20));
    for body in [
        long.as_bytes(),
        b"{\"icestats\":{\"source\":[{\"listenurl\":\"http://h/new",
        b"\xff\0<html>",
    ] {
        let script = answer("200 OK", "application/json", body);
        upstream.script(LIST, Script::Bytes(script));
        list_is_old().await;
        assert_eq!(not_live(&proxy, "/new.mp3").await, 200);
        more(&upstream);
    }
    assert!(proxy.log().contains("every mount is tunnelled"));

    // It never comes.
    upstream.script(LIST, Script::Hang(b"HTTP/1.0 200 OK\r\n\r\n{".to_vec()));
    list_is_old().await;
    let (status, again) = tokio::join!(not_live(&proxy, "/new.mp3"), ask(&proxy, "/honest.mp3"));
    assert_eq!(status, 503);
    assert!(
        again.place().is_some(),
        "who is served is served: {again:?}"
    );

    let mute = mute.await.unwrap().unwrap().head.clone();
    assert_eq!((mute.status, mute.place()), (503, None), "{mute:?}");
    let wanted = more(&upstream);
    // A frame that is not over yet waits for its end.
    wait_for("every byte", SOON, || {
        let audio = listener.audio();
        audio.len() + 1000 > wanted && sent.starts_with(&audio)
    })
    .await;
    assert_eq!(listener.ended(), None);
    let log = proxy.log();
    assert!(proxy.runs() && !log.contains("panicked"), "{log}");
}
