//! TLS on every side: listeners, sources, certificates that are renewed, upstreams.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use futures_util::future::join_all;
use icecast_ext_client::Listener;
use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::cutter::{Cutter, How};
use icecast_ext_tests::encoder::{self, Encoder, Format};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{Proxy, Setup};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::tls::Authority;
use icecast_ext_tests::truth::{decode_errors, find, judge, whole_units};
use icecast_ext_tests::wait::{wait_for, wait_until};
use icecast_ext_tests::{http, port};

const SOON: Duration = Duration::from_secs(20);

/// A command that writes a file, until it has written so much.
async fn record(scratch: &Scratch, args: &[String], file: &Path, len: u64) {
    let mut child = Child::start(As::Me, args, &scratch.file("log")).unwrap();
    wait_for(&format!("{}'s file", args[0]), SOON, || {
        let grown = std::fs::metadata(file).is_ok_and(|file| file.len() >= len);
        assert!(grown || child.runs(), "{}", child.output());
        grown
    })
    .await;
}

/// The recording is a piece of what was sent.
fn assert_slice(sent: &[u8], got: &[u8], what: &str) {
    let probe = &got[..got.len().min(400)];
    let start = find(sent, probe).unwrap_or_else(|| panic!("{what}: not what was sent"));
    // All at once: these are many megabytes.
    if sent.get(start..start + got.len()) != Some(got) {
        panic!("{what}: {:?}", judge(sent, start, got));
    }
}

fn words(args: &[&str]) -> Vec<String> {
    args.iter().map(|arg| (*arg).to_owned()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn stock_players_aware_clients_and_sources_over_tls_lose_nothing() {
    let authority = Authority::new().unwrap();
    let local = authority.issue("local", &["localhost"]).unwrap();
    let other = authority
        .issue("other", &["other.example", "*.other.example"])
        .unwrap();
    let setup = |icecast| Setup {
        tls: true,
        config: local.config() + &other.config(),
        ..Setup::before(icecast)
    };
    let stage = Stage::proxied(icecast::Setup::default(), setup)
        .await
        .unwrap();
    let tls = stage.proxy.tls();
    let ca = authority.ca().display().to_string();
    let url = |path: &str| format!("https://localhost:{}{path}", tls.port());

    // Names.
    for (name, certificate) in [
        ("localhost", &local),
        ("other.example", &other),
        ("live.other.example", &other),
    ] {
        let shown = authority.shown(tls, name).await.unwrap();
        assert_eq!(shown, certificate.der, "{name}");
    }
    let unknown = authority.shown(tls, "unknown.example").await.unwrap_err();
    assert!(
        unknown.to_string().contains("unknown.example"),
        "{unknown:#}"
    );
    let plain = http::get(tls, "/live.mp3", &[]).await.unwrap();
    assert_eq!(plain.head.status, 400);
    assert!(plain.text().contains("https://"), "{}", plain.text());

    // A source over TLS, through the proxy to Icecast.
    let setup = encoder::Setup {
        tls: true,
        ..encoder::Setup::new(Format::Mp3)
    };
    let encoder = Encoder::start(tls, "/tls.mp3", setup).unwrap();
    stage.icecast.wait_mount("/tls.mp3").await;

    // The aware client, cut again and again.
    let wire = Cutter::to(tls).await.unwrap();
    let cut_url = format!("https://localhost:{}/live.mp3", wire.front(0).port());
    let aware = Hearing::of(Listener::builder([cut_url]).icy(true).trust(authority.ca())).unwrap();
    aware.wait_more(1, SOON).await;

    let players = async {
        let scratch = Scratch::new("players").unwrap();
        // curl, which knows nothing.
        let file = scratch.file("curl.mp3");
        let name = file.display().to_string();
        let args = words(&[
            "curl",
            "-sS",
            "--cacert",
            &ca,
            "-o",
            &name,
            &url("/tls.mp3"),
        ]);
        record(&scratch, &args, &file, 150_000).await;
        let got = std::fs::read(&file).unwrap();
        let sent = encoder.sent_by_now().await.unwrap();
        assert_slice(&sent, &got, "curl");
        std::fs::write(&file, whole_units(Format::Mp3, &got)).unwrap();
        assert_eq!(decode_errors(&file), "");
        // ffmpeg, which checks names, too.
        let file = scratch.file("ffmpeg.mp3");
        let name = file.display().to_string();
        let verify = ["-tls_verify", "1", "-ca_file", &ca];
        let input = url("/tls.mp3");
        let mut args = vec!["ffmpeg", "-nostdin", "-v", "error"];
        args.extend(verify);
        args.extend(["-i", &input, "-t", "4", "-c", "copy", &name]);
        record(&scratch, &words(&args), &file, 60_000).await;
        // Without the authority, neither wants to listen.
        let args = ["-sS", "-m", "10", &url("/tls.mp3")];
        let refused = Command::new("curl").args(args).output().unwrap();
        assert_eq!(refused.status.code(), Some(60));
    };
    let icy = async {
        let fields = [("Icy-MetaData", "1")];
        let tap = authority.tap(tls, "localhost", "/live.mp3", &fields).await;
        let tap = tap.unwrap();
        assert_eq!(tap.head.status, 200);
        set_title(stage.icecast.addr(), "/live.mp3", "Over TLS")
            .await
            .unwrap();
        wait_for("the title", SOON, || {
            let titles = tap.titles();
            titles.iter().any(|title| title.title() == Some("Over TLS"))
        })
        .await;
        let heard = tap.audio();
        assert_slice(&stage.source.sent(), &heard, "ICY");
    };
    let cuts = async {
        for how in [How::Reset, How::Fin, How::Reset, How::Stall, How::Fin] {
            aware.wait_more(RATE, SOON).await;
            wire.cut_now(how);
        }
        aware.wait_more(RATE, SOON).await;
    };
    tokio::join!(players, icy, cuts);
    let heard = aware.stop();
    assert!(heard.cuts >= 5, "{heard:?}");
    assert!(heard.losses.is_empty(), "{:?}", heard.losses);
    assert_slice(&stage.source.sent(), &heard.audio, "the aware client");

    // An answer that is no stream comes through the tunnel whole.
    let url = url("/status-json.xsl");
    let args = ["-sS", "--fail", "--cacert", &ca, &url];
    let stats = Command::new("curl").args(args).output().unwrap();
    assert!(stats.status.success(), "{stats:?}");
    assert!(String::from_utf8_lossy(&stats.stdout).contains("/tls.mp3"));
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_swapped_under_load_and_nobody_notices() {
    let authority = Authority::new().unwrap();
    let first = authority.issue("live", &["localhost"]).unwrap();
    let setup = |icecast| Setup {
        tls: true,
        config: first.config(),
        ..Setup::before(icecast)
    };
    let mut stage = Stage::proxied(icecast::Setup::default(), setup)
        .await
        .unwrap();
    let (plain, tls) = (stage.proxy.addr(), stage.proxy.tls());
    let taps = async |count: usize| {
        let aware = [("Resume-Offset", "live")];
        let over_tls = (0..count).map(|_| authority.tap(tls, "localhost", "/live.mp3", &aware));
        let plain = (0..count / 3).map(|_| Tap::open(plain, "/live.mp3", &[]));
        let (over_tls, plain) = tokio::join!(join_all(over_tls), join_all(plain));
        over_tls
            .into_iter()
            .chain(plain)
            .map(Result::unwrap)
            .collect::<Vec<_>>()
    };
    let mut listeners = taps(150).await;
    let shown = async || authority.shown(tls, "localhost").await.unwrap();
    assert_eq!(shown().await, first.der);

    // Noticed by itself, as certbot leaves it.
    let second = authority.issue("live", &["localhost"]).unwrap();
    wait_until("the second certificate", SOON, async || {
        (shown().await == second.der).then_some(())
    })
    .await;
    listeners.extend(taps(30).await);

    // Bad files change nothing.
    std::fs::write(&second.key, "-----BEGIN PRIVATE KEY-----\nAAAA\n").unwrap();
    wait_for("what the log says of a bad key", SOON, || {
        stage.proxy.log().contains("the certificates in use stay")
    })
    .await;
    assert_eq!(shown().await, second.der);
    listeners.extend(taps(10).await);

    // Good ones at a SIGHUP.
    let third = authority.issue("live", &["localhost"]).unwrap();
    stage.proxy.signal("HUP").unwrap();
    wait_until("the third certificate", SOON, async || {
        (shown().await == third.der).then_some(())
    })
    .await;

    let goals: Vec<usize> = listeners.iter().map(|tap| tap.len() + RATE).collect();
    for (tap, goal) in listeners.iter().zip(goals) {
        tap.wait_len(goal, SOON).await;
        assert_eq!(tap.ended(), None);
    }
    let heard: Vec<_> = listeners.iter().map(Tap::audio).collect();
    let sent = stage.source.sent();
    for (i, audio) in heard.iter().enumerate() {
        assert_slice(&sent, audio, &format!("listener {i}"));
    }
    stage.unharmed().await;
}

/// An Icecast 2.4.4 that speaks TLS itself, on a further port.
async fn icecast_with_tls(authority: &Authority) -> (Icecast, u16) {
    let issued = authority.issue("icecast", &["localhost"]).unwrap();
    let both = ["chain", "key"].map(|what| {
        let path = if what == "chain" {
            &issued.chain
        } else {
            &issued.key
        };
        std::fs::read_to_string(path).unwrap()
    });
    let file = authority.dir().join("icecast-both.pem");
    std::fs::write(&file, both.concat()).unwrap();
    let port = port::free().port();
    let more = format!(
        "<listen-socket><port>{port}</port><bind-address>127.0.0.1</bind-address><ssl>1</ssl></listen-socket>\
         <paths><ssl-certificate>{}</ssl-certificate></paths>",
        file.display()
    );
    let icecast = Icecast::with(icecast::Setup {
        more,
        ..icecast::Setup::default()
    });
    (icecast.await.unwrap(), port)
}

#[tokio::test(flavor = "multi_thread")]
async fn upstreams_over_https_are_pulled_tunnelled_and_checked() {
    let authority = Authority::new().unwrap();
    let stranger = Authority::new().unwrap();
    let (icecast, port) = icecast_with_tls(&authority).await;
    let trusting = |host: &str, port: u16, authority: &Authority| Setup {
        upstream: Some(format!("https://{host}:{port}")),
        flags: vec![
            "--upstream-ca".to_owned(),
            authority.ca().display().to_string(),
        ],
        ..Setup::default()
    };
    let local = authority.issue("local", &["localhost"]).unwrap();
    let near = Proxy::with(Setup {
        tls: true,
        config: local.config(),
        ..trusting("localhost", port, &authority)
    })
    .await
    .unwrap();
    let far = Proxy::with(trusting("localhost", near.tls().port(), &authority))
        .await
        .unwrap();

    // A source and its titles through both, over TLS twice; listeners at each.
    let source = noise(far.addr(), "/live.mp3", 1).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let mut taps = Vec::new();
    for proxy in [&near, &far] {
        // Icecast says the end of one TLS connection on another one that has its number by now: a pull may have to try twice.
        wait_until("the mount over TLS", SOON, async || {
            let tap = Tap::aware(proxy.addr(), "/live.mp3").await.ok()?;
            (tap.head.status == 200).then_some(())
        })
        .await;
        let stock = Tap::open(proxy.addr(), "/live.mp3", &[("Icy-MetaData", "1")]).await;
        taps.push(stock.unwrap());
        taps.push(Tap::aware(proxy.addr(), "/live.mp3").await.unwrap());
    }
    set_title(far.addr(), "/live.mp3", "Through").await.unwrap();
    for tap in &taps {
        assert_eq!(tap.head.status, 200, "{:?}", tap.head);
        tap.wait_len(3 * RATE, SOON).await;
    }
    for tap in &taps {
        let heard = tap.audio();
        assert_slice(&source.sent(), &heard, "over two hops");
    }
    let epochs: Vec<_> = taps
        .iter()
        .filter_map(|tap| tap.head.place().map(|place| place.epoch))
        .collect();
    assert!(
        epochs.windows(2).all(|two| two[0] == two[1]),
        "a relay feed over TLS: {epochs:?}"
    );
    let blocks: Vec<_> = taps.iter().flat_map(Tap::titles).collect();
    assert!(
        blocks.iter().any(|title| title.title() == Some("Through")),
        "{blocks:?}"
    );

    // Whom it does not trust, and why, is in the log.
    for (setup, says) in [
        (trusting("localhost", port, &stranger), "into upstream-ca"),
        (trusting("127.0.0.1", port, &authority), "not for 127.0.0.1"),
        (
            trusting("localhost", icecast.addr().port(), &authority),
            "does it speak TLS",
        ),
    ] {
        let proxy = Proxy::with(setup).await.unwrap();
        let answer = http::get(proxy.addr(), "/live.mp3", &[]).await.unwrap();
        assert_eq!(answer.head.status, 503, "{}", answer.text());
        assert!(proxy.log().contains(says), "{}", proxy.log());
    }
}
