//! Upstreams and sources that lie. What they said before stands, and nobody else notices.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use icecast_ext_tests::chance::{Chance, Frames};
use icecast_ext_tests::child::Scratch;
use icecast_ext_tests::feed;
use icecast_ext_tests::http;
use icecast_ext_tests::icy::block;
use icecast_ext_tests::proxy::{Proxy, Setup};
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::stage::noise;
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::upstream::{Script, Upstream};
use icecast_ext_tests::wait::wait_for;

const SOON: Duration = Duration::from_secs(15);
const EPOCH: &str = "AAECAwQFBgcICQoLDA0ODw";
const EPOCH_BYTES: [u8; 16] = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];

fn mp3_head(metaint: &str) -> Vec<u8> {
    format!("HTTP/1.0 200 OK\r\nContent-Type: audio/mpeg\r\nicy-metaint:{metaint}\r\n\r\n")
        .into_bytes()
}

fn no_panic(proxy: &mut Proxy) {
    let log = proxy.log();
    assert!(proxy.runs() && !log.contains("panicked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn icy_blocks_that_lie_about_their_length_cost_nobody_else_a_byte() {
    let mp3 = "audio/mpeg";
    let upstream = Upstream::start(&[("/honest.mp3", mp3), ("/lie.mp3", mp3), ("/odd.mp3", mp3)])
        .await
        .unwrap();
    let mut frames = Frames::new(5);
    let first = frames.take(4000);
    for mount in ["/honest.mp3", "/lie.mp3"] {
        let start: Vec<_> = first.chunks(1000).flat_map(|part| [part, &[0]]).collect();
        upstream.script(
            mount,
            Script::Stream([mp3_head("1000"), start.concat()].concat()),
        );
    }
    let mut proxy = Proxy::start(upstream.addr()).await.unwrap();
    let piece = |frames: &mut Frames| (frames.take(1000), frames.take(1000));

    let icy = &[("Icy-MetaData", "1")];
    let (honest, lie) = tokio::join!(
        Tap::open(proxy.addr(), "/honest.mp3", icy),
        Tap::open(proxy.addr(), "/lie.mp3", icy)
    );
    let (honest, lie) = (honest.unwrap(), lie.unwrap());
    let (mut true_audio, mut false_audio) = (first.clone(), first);
    let lies: &[&[u8]] = &[
        // No text at all, text without an end, without a key, not UTF-8, with NULs inside.
        &[255],
        b"\x01StreamTitle='abc",
        b"\x01................",
        b"\x02StreamTitle='\xff\xfe\xfd\0\0\0';\0\0\0\0\0\0\0\0\0\0\0",
        b"\x01=';=';=';=';=';=",
        b"\x02StreamAt='99999999999999999999';",
    ];
    for lie in lies {
        let (audio, other) = piece(&mut frames);
        upstream.push(
            "/honest.mp3",
            &[&audio[..], &block("StreamTitle='True';")].concat(),
        );
        upstream.push("/lie.mp3", &[&other[..], lie].concat());
        true_audio.extend(audio);
        false_audio.extend(other);
        if lie.len() == 1 {
            // The length says 4080: they are gone, as the framing says, and the next piece starts behind them.
            upstream.push("/lie.mp3", &frames.take(4080));
        }
    }
    // And one that ends inside a block.
    upstream.push(
        "/lie.mp3",
        &[&frames.take(1000)[..], b"\xffStream"].concat(),
    );
    upstream.end("/lie.mp3");
    wait_for("the honest bytes", SOON, || {
        honest.audio().len() >= true_audio.len()
    })
    .await;
    assert_eq!(honest.audio(), true_audio);
    wait_for("the other bytes", SOON, || {
        lie.audio().len() >= false_audio.len()
    })
    .await;
    assert_eq!(lie.audio()[..false_audio.len()], false_audio);
    assert!(proxy.log().contains("names no title"), "a line in the log");
    no_panic(&mut proxy);

    for metaint in [
        "0",
        "-1",
        "many",
        "99999999999999999999999",
        "18446744073709551615",
    ] {
        upstream.script(
            "/odd.mp3",
            Script::Bytes([mp3_head(metaint), frames.take(5000)].concat()),
        );
        let request = b"GET /odd.mp3 HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n";
        // Any clear answer will do.
        let odd = Tap::raw(proxy.addr(), request).await.unwrap();
        assert!(
            odd.head.status == 200 || odd.head.status >= 500,
            "{metaint}: {:?}",
            odd.head
        );
        no_panic(&mut proxy);
    }
    let (audio, _) = piece(&mut frames);
    upstream.push("/honest.mp3", &[&audio[..], &[0]].concat());
    true_audio.extend(audio);
    wait_for("the honest bytes", SOON, || {
        honest.audio().len() >= true_audio.len()
    })
    .await;
    assert_eq!((honest.audio(), honest.ended()), (true_audio, None));
}

/// A scripted parent: what it has sent, in one epoch.
struct Parent {
    upstream: Upstream,
    sent: Vec<u8>,
    frames: Frames,
}

impl Parent {
    fn next(&self) -> u64 {
        self.sent.len() as u64
    }

    /// What the next request is answered with: a feed from the next byte on.
    fn prepare(&self) {
        let at = self.next();
        let start = [
            feed::head(EPOCH, at),
            feed::format(&EPOCH_BYTES, at),
            feed::keepalive(at),
        ]
        .concat();
        self.upstream.script("/feed.mp3", Script::Stream(start));
    }

    fn data(&mut self) -> Vec<u8> {
        let bytes = self.frames.take(7 * 417);
        let frame = feed::data(self.next(), &bytes);
        self.sent.extend(bytes);
        frame
    }

    fn asked(&self, what: &str) -> usize {
        let requests = self.upstream.requests();
        requests
            .iter()
            .filter(|head| head.starts_with("GET /feed.mp3") && head.contains(what))
            .count()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relay_frames_out_of_order_end_the_feed_and_nothing_before_them_is_lost() {
    let upstream = Upstream::start(&[("/feed.mp3", "audio/mpeg")])
        .await
        .unwrap();
    let mut parent = Parent {
        upstream,
        sent: Vec::new(),
        frames: Frames::new(9),
    };
    parent.prepare();
    let mut proxy = Proxy::start(parent.upstream.addr()).await.unwrap();
    let addr = proxy.addr();
    let listener = tokio::spawn(async move { Tap::aware(addr, "/feed.mp3").await });
    wait_for("the pull", SOON, || {
        parent.asked("application/vnd.icecast-ext.relay") > 0
    })
    .await;
    // The pull has the head and FORMAT as soon as it is answered.
    let first = parent.data();
    parent.upstream.push("/feed.mp3", &first);
    let listener = listener.await.unwrap().unwrap();
    assert_eq!(listener.head.place().unwrap().epoch, EPOCH);

    let other = [9; 16];
    type Bad = (&'static str, fn(u64, &[u8; 16]) -> Vec<u8>);
    let bad: &[Bad] = &[
        ("DATA after a gap", |n, _| feed::data(n + 5, b"hello")),
        ("DATA again", |n, _| feed::data(n - 5, b"hello")),
        ("DATA of nothing", |n, _| feed::data(n, b"")),
        ("DATA without an offset", |_, _| feed::frame(2, b"")),
        ("DATA with half an offset", |_, _| {
            feed::frame(2, &[0xc0, 1])
        }),
        ("an offset beyond all", |_, _| {
            feed::data(1_000_000_000_000_000, b"x")
        }),
        ("a frame over the limit", |_, _| {
            [feed::varint(2), feed::varint(1 << 40)].concat()
        }),
        ("a title in the past", |n, _| {
            feed::title(n - 1, "StreamTitle='x';")
        }),
        ("a time in the past", |n, _| feed::time(n - 1, 1)),
        ("KEEPALIVE elsewhere", |n, _| feed::keepalive(n + 1)),
        ("KEEPALIVE with more", |n, _| {
            feed::frame(5, &[feed::varint(n), vec![0]].concat())
        }),
        ("SPLICE elsewhere", |n, other| {
            feed::splice(true, n + 1, other, 0)
        }),
        ("FORMAT without SPLICE", |n, other| feed::format(other, n)),
        ("FORMAT of half an epoch", |_, _| {
            feed::frame(0, b"12345678")
        }),
        ("SPLICE without FORMAT", |n, other| {
            [feed::splice(true, n, other, 0), feed::data(0, b"x")].concat()
        }),
    ];
    for (what, make) in bad.iter().take(bad.len() - 1) {
        let at = format!("Resume-Offset: {};epoch=\"{EPOCH}\"", parent.next());
        let before = parent.asked(&at);
        parent.prepare();
        parent
            .upstream
            .push("/feed.mp3", &make(parent.next(), &other));
        wait_for(&format!("a resume after {what}"), SOON, || {
            parent.asked(&at) > before
        })
        .await;
        // What is unknown is skipped.
        let unknown = feed::frame(4242, b"from the future");
        let data = parent.data();
        parent.upstream.push("/feed.mp3", &[unknown, data].concat());
        wait_for(&format!("bytes after {what}"), SOON, || {
            listener.audio().len() >= parent.sent.len()
        })
        .await;
        assert_eq!(listener.ended(), None, "{what}");
    }
    assert_eq!(listener.audio(), parent.sent);
    // The last one takes the epoch with it, but neither a byte nor the process.
    let (_, make) = bad[bad.len() - 1];
    parent.prepare();
    parent
        .upstream
        .push("/feed.mp3", &make(parent.next(), &other));
    let asked = bad.len() + 1;
    wait_for("another request", SOON, || parent.asked("") >= asked).await;
    assert_eq!(listener.audio(), parent.sent);
    no_panic(&mut proxy);
}

/// Five seconds of Opus in Ogg.
fn opus(dir: &Path) -> Vec<u8> {
    let file = dir.join("a.ogg");
    let made = Command::new("ffmpeg")
        .args([
            "-nostdin",
            "-v",
            "error",
            "-f",
            "lavfi",
            "-i",
            "anoisesrc=seed=4",
            "-t",
            "5",
            "-c:a",
            "libopus",
        ])
        .args(["-page_duration", "100000"])
        .arg(&file)
        .status();
    assert!(made.expect("ffmpeg starts").success());
    std::fs::read(file).expect("a file")
}

#[tokio::test(flavor = "multi_thread")]
async fn ogg_with_broken_checksums_is_passed_on_and_harms_nobody() {
    let origin = Setup {
        flags: ["--source-password", "hackme"].map(str::to_owned).to_vec(),
        ..Setup::default()
    };
    let mut proxy = Proxy::with(origin).await.unwrap();
    let honest = noise(proxy.addr(), "/live.mp3", 1).await.unwrap();
    let bystander = Tap::aware(proxy.addr(), "/live.mp3").await.unwrap();

    let scratch = Scratch::new("ogg").unwrap();
    let whole = opus(scratch.path());
    let mut chance = Chance::seeded("broken pages");
    for round in 0..4 {
        let mut bytes = whole.clone();
        let headers = if round < 2 { 300 } else { 0 };
        for _ in 0..40 {
            let at = chance.range(headers, bytes.len() as u64) as usize;
            bytes[at] ^= 1 << chance.range(0, 8);
        }
        let mount = format!("/broken{round}.ogg");
        let kind = "application/ogg";
        let mut source = Source::open(proxy.addr(), &mount, Method::Put, kind, "hackme")
            .await
            .unwrap();
        for part in bytes.chunks(4000) {
            source.send(part).await.unwrap();
            tokio::task::yield_now().await;
        }
        let tap = Tap::aware(proxy.addr(), &mount).await.unwrap();
        if tap.head.status == 200 {
            wait_for("some bytes", SOON, || tap.audio().len() > 8000).await;
            let at = tap.head.place().unwrap().offset as usize;
            let got = tap.audio();
            assert_eq!(
                find(&bytes[at..], &got),
                Some(0),
                "round {round}: other bytes than the place says"
            );
        }
        assert!(
            proxy.log().contains("broken Ogg pages"),
            "a line in the log"
        );
        no_panic(&mut proxy);
    }
    bystander.wait_more(32_000, SOON).await;
    assert!(find(&honest.sent(), &bystander.audio()).is_some());
    assert_eq!(bystander.ended(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_answers_nonsense_is_a_clear_refusal() {
    let upstream = Upstream::start(&[("/live.mp3", "audio/mpeg")])
        .await
        .unwrap();
    let mut proxy = Proxy::start(upstream.addr()).await.unwrap();
    let endless = [b"HTTP/1.0 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(20_000)].concat();
    for nonsense in [
        &b""[..],
        b"\0\0\0\0\r\n\r\n",
        b"HTTP/1.0 200\r\n",
        b"HTTP/1.0 banana OK\r\n\r\n",
        &endless,
    ] {
        upstream.script("/live.mp3", Script::Bytes(nonsense.to_vec()));
        upstream.script("/page", Script::Bytes(nonsense.to_vec()));
        let request = http::request("GET", "/live.mp3", proxy.addr(), &[]);
        let answer = http::raw(proxy.addr(), &request).await.unwrap();
        assert!(
            (500..600).contains(&answer.head.status),
            "{:?}: {answer:?}",
            &nonsense[..nonsense.len().min(20)]
        );
        // A page may be passed on as it is: it harms nobody but its reader.
        let request = http::request("GET", "/page", proxy.addr(), &[]);
        http::exchange(proxy.addr(), &request, SOON).await.unwrap();
    }
    no_panic(&mut proxy);
}
