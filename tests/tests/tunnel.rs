//! What is tunnelled is what Icecast says: status, fields, body.

use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::http::{self, Answer, Head, basic, request};
use icecast_ext_tests::icecast::{self, Icecast, PASSWORD};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::Proxy;
use icecast_ext_tests::source::{Method, Source, Streaming};
use icecast_ext_tests::stage::noise;
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::upstream::{Script, Upstream};
use icecast_ext_tests::wait::wait_for;

const SOON: Duration = Duration::from_secs(15);

/// Icecast with a public and a protected mount, and a proxy in front.
struct Stage {
    icecast: Icecast,
    proxy: Proxy,
    _sources: Vec<Streaming>,
}

async fn stage() -> Stage {
    let more = "<mount type=\"normal\"><mount-name>/p.mp3</mount-name><authentication type=\"htpasswd\">\
                <option name=\"filename\" value=\"{dir}/users\"/></authentication></mount>";
    let icecast = Icecast::with(icecast::Setup {
        more: more.into(),
        ..icecast::Setup::default()
    });
    let icecast = icecast.await.expect("icecast starts");
    std::fs::write(
        icecast.file("users"),
        "bob:5ebe2294ecd0e0f08eab7690d2a6ee69\neve:5ebe2294ecd0e0f08eab7690d2a6ee69\n",
    )
    .expect("a file");
    let mut sources = Vec::new();
    for (i, mount) in ["/live.mp3", "/p.mp3"].into_iter().enumerate() {
        sources.push(
            noise(icecast.addr(), mount, i as u64)
                .await
                .expect("a source"),
        );
        icecast.wait_mount(mount).await;
    }
    let proxy = Proxy::start(icecast.addr())
        .await
        .expect("the proxy starts");
    Stage {
        icecast,
        proxy,
        _sources: sources,
    }
}

/// Fields that may differ: the date, and what the design says we change.
fn fields(head: &Head) -> Vec<(String, String)> {
    let mut fields: Vec<_> = head
        .fields
        .iter()
        .map(|(name, value)| (name.to_ascii_lowercase(), value.clone()))
        .filter(|(name, _)| !["date", "connection"].contains(&name.as_str()))
        .collect();
    fields.sort();
    fields
}

/// Counters and times of statistics pages differ from one request to the next, and the proxy says where it was asked itself.
fn without_digits(text: &str) -> String {
    let text = text.replace("//127.0.0.1:", "//localhost:");
    text.split(|c: char| c.is_ascii_digit())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("#")
}

fn same(what: &str, direct: &Answer, tunnelled: &Answer) {
    assert_eq!(
        direct.head.status,
        tunnelled.head.status,
        "{what}: {}",
        tunnelled.text()
    );
    assert_eq!(direct.head.reason, tunnelled.head.reason, "{what}");
    if direct.body == tunnelled.body {
        assert_eq!(fields(&direct.head), fields(&tunnelled.head), "{what}");
        return;
    }
    assert_eq!(
        without_digits(&direct.text()),
        without_digits(&tunnelled.text()),
        "{what}"
    );
    let counted = |head: &Head| {
        let mut fields = fields(head);
        fields.retain(|(name, _)| name != "content-length");
        fields
    };
    assert_eq!(counted(&direct.head), counted(&tunnelled.head), "{what}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_statistics_and_refusals_are_those_of_icecast() {
    let stage = stage().await;
    let admin = basic("admin", PASSWORD);
    let wrong = basic("admin", "wrong");
    let bob = basic("bob", "guess");
    type Fields<'a> = &'a [(&'a str, &'a str)];
    let cases: &[(&str, &str, Fields<'_>)] = &[
        ("GET", "/", &[]),
        ("GET", "/status.xsl", &[]),
        ("GET", "/status.xsl?mount=/live.mp3", &[]),
        ("GET", "/status-json.xsl", &[]),
        ("GET", "/server_version.xsl", &[]),
        ("GET", "/style.css", &[]),
        ("GET", "/style.css", &[("Range", "bytes=10-19")]),
        ("GET", "/live.mp3.m3u", &[]),
        ("GET", "/missing.mp3", &[]),
        ("GET", "/missing/file.html", &[]),
        ("GET", "/p.mp3", &[]),
        ("GET", "/p.mp3", &[("Authorization", &bob)]),
        ("GET", "/p.mp3", &[("Authorization", &admin)]),
        ("GET", "/admin/stats", &[]),
        ("GET", "/admin/stats", &[("Authorization", &wrong)]),
        ("GET", "/admin/stats", &[("Authorization", &admin)]),
        ("GET", "/admin/stats.xsl", &[("Authorization", &admin)]),
        ("GET", "/admin/listmounts", &[("Authorization", &admin)]),
        (
            "GET",
            "/admin/listclients?mount=/live.mp3",
            &[("Authorization", &admin)],
        ),
        ("GET", "/admin/listclients", &[("Authorization", &admin)]),
        (
            "GET",
            "/admin/killclient?mount=/live.mp3&id=99999",
            &[("Authorization", &admin)],
        ),
        (
            "GET",
            "/admin/metadata?mode=updinfo&mount=/live.mp3&song=x",
            &[],
        ),
        ("GET", "/admin/nothing", &[("Authorization", &admin)]),
        ("HEAD", "/style.css", &[]),
        (
            "POST",
            "/admin/stats",
            &[("Authorization", &admin), ("Content-Length", "0")],
        ),
    ];
    for (method, target, fields) in cases {
        let ask = async |addr: SocketAddr| {
            http::raw(addr, &request(method, target, stage.icecast.addr(), fields)).await
        };
        let what = format!("{method} {target} {fields:?}");
        let direct = ask(stage.icecast.addr()).await;
        let tunnelled = ask(stage.proxy.addr()).await;
        match (direct, tunnelled) {
            (Ok(direct), Ok(tunnelled)) => same(&what, &direct, &tunnelled),
            (direct, tunnelled) => panic!("{what}: {direct:?}, through the proxy {tunnelled:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_protected_mount_plays_for_its_listener_only() {
    let stage = stage().await;
    // Icecast lets nobody in twice at the same time.
    let (eve, bob) = (basic("eve", "secret"), basic("bob", "secret"));
    let fields = &[("Authorization", eve.as_str())];
    let direct = Tap::open(stage.icecast.addr(), "/p.mp3", fields)
        .await
        .unwrap();
    let fields = &[("Authorization", bob.as_str())];
    let tunnelled = Tap::open(stage.proxy.addr(), "/p.mp3", fields)
        .await
        .unwrap();
    assert_eq!((direct.head.status, tunnelled.head.status), (200, 200));
    assert_eq!(self::fields(&direct.head), self::fields(&tunnelled.head));
    direct.wait_len(150_000, SOON).await;
    tunnelled.wait_len(100_000, SOON).await;
    direct.wait_more(100_000, SOON).await;
    assert!(find(&direct.body(), &tunnelled.body()[..100_000]).is_some());
    // Somebody who comes while bob listens is still asked for a password.
    let refused = http::get(stage.proxy.addr(), "/p.mp3", &[]).await.unwrap();
    assert_eq!(refused.head.status, 401);
    assert_eq!(refused.head.get("Stream-Offset"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn sources_of_every_kind_reach_icecast_byte_for_byte() {
    let stage = stage().await;
    let (direct, through) = (stage.icecast.addr(), stage.proxy.addr());
    for (i, method) in Method::ALL.into_iter().enumerate() {
        let mounts = [format!("/direct{i}.mp3"), format!("/through{i}.mp3")];
        let mut heads = Vec::new();
        let mut lasts = Vec::new();
        for (mount, addr) in mounts.iter().zip([direct, through]) {
            let mut source = Source::accepted(addr, mount, method).await.unwrap();
            heads.push(source.head.clone());
            let sent = Chance::new(i as u64).bytes(150_000);
            source.send(&sent).await.unwrap();
            stage.icecast.wait_mount(mount).await;
            let tap = Tap::open(direct, mount, &[]).await.unwrap();
            tap.wait_len(60_000, SOON).await;
            assert!(find(&sent, &tap.body()).is_some(), "{method:?} {mount}");
            let busy = Source::open(addr, mount, method, "audio/mpeg", PASSWORD)
                .await
                .unwrap();
            heads.push(busy.head.clone());
            lasts.push(busy.finish().await.unwrap_or_default());
            let wrong = Source::open(addr, "/other.mp3", method, "audio/mpeg", "wrong")
                .await
                .unwrap();
            heads.push(wrong.head.clone());
            lasts.push(wrong.finish().await.unwrap_or_default());
            lasts.push(source.finish().await.unwrap_or_default());
        }
        let (a, b) = heads.split_at(3);
        assert_eq!([a[1].status, a[2].status], [403, 401]);
        for (a, b) in a.iter().zip(b) {
            assert_eq!(
                (a.status, &a.reason, fields(a)),
                (b.status, &b.reason, fields(b)),
                "{method:?}"
            );
        }
        let undated = |text: &String| -> Vec<String> {
            let lines = text
                .lines()
                .filter(|line| !line.starts_with("Date:") && !line.starts_with("Connection:"));
            lines.map(str::to_owned).collect()
        };
        let (a, b) = lasts.split_at(3);
        for (a, b) in a.iter().zip(b) {
            assert_eq!(undated(a), undated(b), "{method:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_encoder_behind_the_proxy_is_heard_with_its_titles() {
    let stage = stage().await;
    let mut encoders = Vec::new();
    for (legacy, mount) in [(false, "/enc-put.mp3"), (true, "/enc-source.mp3")] {
        let setup = Setup {
            legacy,
            ..Setup::new(Format::Mp3)
        };
        let encoder = Encoder::start(stage.proxy.addr(), mount, setup).unwrap();
        stage.icecast.wait_mount(mount).await;
        encoders.push((encoder, mount));
    }
    for (encoder, mount) in &mut encoders {
        let answer = set_title(stage.proxy.addr(), mount, "Bach & Soehne = 100%")
            .await
            .unwrap();
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        let tap = Tap::open(stage.proxy.addr(), mount, &[("Icy-MetaData", "1")])
            .await
            .unwrap();
        assert!(encoder.runs(), "{}", encoder.output());
        // The burst has what was in force before.
        let last = || {
            tap.titles()
                .iter()
                .rev()
                .find_map(|block| block.title().map(str::to_owned))
        };
        wait_for("the title", SOON, || {
            last().as_deref() == Some("Bach & Soehne = 100%")
        })
        .await;
        let heard = tap.audio();
        assert!(find(&encoder.sent_by_now().await.unwrap(), &heard).is_some());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_upstream_is_written_anew() {
    let upstream = Upstream::start(&[]).await.unwrap();
    upstream.script(
        "/page",
        Script::Bytes(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok".to_vec()),
    );
    let proxy = Proxy::start(upstream.addr()).await.unwrap();
    let fields = [
        ("X-Forwarded-For", "6.6.6.6"),
        ("x-forwarded-for", "7.7.7.7"),
        ("Connection", "keep-alive"),
        ("X-Mine", "stays"),
    ];
    let target = "/page?a=b&_shift=3&c=d";
    let answer = http::get(proxy.addr(), target, &fields).await.unwrap();
    assert_eq!((answer.head.status, answer.text().as_str()), (200, "ok"));
    let pages = || -> Vec<String> {
        let requests = upstream.requests().into_iter();
        requests.filter(|head| head.contains(" /page")).collect()
    };
    wait_for("the request", SOON, || !pages().is_empty()).await;
    let seen = pages().pop().unwrap();
    assert!(seen.starts_with("GET /page?a=b&c=d HTTP/1."), "{seen}");
    let all = |name: &str| -> Vec<String> {
        let lines = seen.lines().filter_map(|line| line.split_once(": "));
        lines
            .filter(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
            .collect()
    };
    assert_eq!(all("X-Forwarded-For"), ["127.0.0.1"], "{seen}");
    assert_eq!(all("Connection"), ["close"], "{seen}");
    assert_eq!(all("X-Mine"), ["stays"], "{seen}");
    assert!(all("Via").iter().any(|via| via.contains(" icx-")), "{seen}");
}
