//! Request heads, as players, browsers and a player with a full jar send them.

mod hour;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecast_ext_core::head::{Request, Target};
use icecast_ext_core::stock::{Anchor, Join};

use hour::{position, quick};

/// VLC: 4 fields.
const PLAYER: &str = "GET /live.mp3 HTTP/1.1\r\nHost: radio.example:8000\r\nUser-Agent: VLC/3.0.21 LibVLC/3.0.21\r\n\
                      Range: bytes=0-\r\nConnection: close\r\n\r\n";

/// Chromium's media element: 15 fields.
const BROWSER: &str = "GET /live.mp3?session=b1946ac92492d2347c6235b4d2611184 HTTP/1.1\r\nHost: radio.example\r\n\
    Connection: keep-alive\r\nPragma: no-cache\r\nCache-Control: no-cache\r\nsec-ch-ua-platform: \"Linux\"\r\n\
    User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36\r\n\
    sec-ch-ua: \"Not:A-Brand\";v=\"8\", \"Chromium\";v=\"156\"\r\nsec-ch-ua-mobile: ?0\r\nAccept: */*\r\n\
    Sec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: audio\r\n\
    Accept-Encoding: identity;q=1, *;q=0\r\nAccept-Language: en-US,en;q=0.9\r\nRange: bytes=0-\r\n\r\n";

/// ffmpeg, back with the cookies of 8 joins.
fn jar() -> String {
    let cookie = |n| {
        let join = Join::from_bytes([n; 6]);
        let at = position(1, 57_600_000 + u64::from(n));
        let anchor = Anchor {
            join,
            body: 0,
            at,
            metaint: None,
        };
        anchor.cookie()
    };
    let cookies: Vec<String> = (0..8).map(cookie).collect();
    format!(
        "GET /live.mp3 HTTP/1.1\r\nUser-Agent: Lavf/61.7.100\r\nAccept: */*\r\nRange: bytes=1234567-\r\n\
         Connection: close\r\nHost: radio.example\r\nCookie: {}\r\nIcy-MetaData: 1\r\n\r\n",
        cookies.join("; ")
    )
}

fn heads(c: &mut Criterion) {
    let jar = jar();
    let mut group = c.benchmark_group("heads");
    for (name, fields, head) in [
        ("a player, 4 fields", 4, PLAYER),
        ("a browser, 15 fields", 15, BROWSER),
        ("ffmpeg, 7 fields, 8 anchors", 7, &jar),
    ] {
        let parsed = Request::parse(head.as_bytes()).expect("it is a head");
        let (request, len) = parsed.expect("it is whole");
        assert_eq!((request.fields.len(), len), (fields, head.len()), "{name}");
        group.throughput(Throughput::Bytes(len as u64));
        group.bench_function(name, |b| {
            b.iter(|| Request::parse(black_box(head.as_bytes())))
        });
    }
    group.finish();
    c.bench_function("heads/a target", |b| {
        let target = "/radio/live%20music.mp3?session=b1946ac92492d2347c6235b4d2611184";
        b.iter(|| Target::parse(black_box(target)))
    });
}

criterion_group! {
    name = benches;
    config = quick();
    targets = heads
}
criterion_main!(benches);
