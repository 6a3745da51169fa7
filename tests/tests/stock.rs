//! What the stock server and the encoders do: everything else in this crate builds on it.

use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_tests::cutter::{At, Cutter, How, Next, Plan};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::icecast::{self, Icecast, PASSWORD};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::{decode_errors, find, whole_units};
use icecast_ext_tests::{chance::Chance, http};
use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn two_listeners_get_slices_of_one_stream_in_each_format() {
    let icecast = Icecast::start().await.unwrap();
    let mut checks = JoinSet::new();
    for format in Format::ALL {
        let setup = Setup {
            kbps: 256,
            speed: 2.0,
            legacy: format == Format::Aac,
            ..Setup::new(format)
        };
        let encoder = Encoder::start(icecast.addr(), format.mount(), setup).unwrap();
        icecast.wait_mount(format.mount()).await;
        checks.spawn(check_slices(icecast.addr(), format, encoder));
    }
    while let Some(checked) = checks.join_next().await {
        checked.unwrap();
    }
}

async fn check_slices(addr: SocketAddr, format: Format, mut encoder: Encoder) {
    let open = async || {
        Tap::open(addr, format.mount(), &[])
            .await
            .expect("an answer")
    };
    let first = open().await;
    first.wait_len(150_000, SOON).await;
    let second = open().await;
    second.wait_len(150_000, SOON).await;
    let (first, second) = (first.body(), second.body());
    assert!(encoder.runs(), "{format:?}: {}", encoder.output());
    // The second listener's bytes, without the headers that a late joiner gets first, stand in the first's.
    assert!(
        find(&first, &second[20_000..60_000]).is_some(),
        "{format:?}: not a slice"
    );
    // What comes after an encoder's first frames never repeats.
    let rest = &first[4096..];
    for (i, piece) in rest.chunks_exact(256).enumerate() {
        let again = find(&rest[i * 256 + 1..], piece);
        assert_eq!(again, None, "{format:?}: 256 bytes occur twice");
    }
    if format.is_raw() {
        let sent = encoder.sent().expect("a file");
        assert!(
            find(&sent, &first[..80_000]).is_some(),
            "{format:?} is not what was sent"
        );
        assert!(
            find(&sent, &second[..80_000]).is_some(),
            "{format:?} is not what was sent"
        );
    }
    let file = encoder.dir().join("second");
    std::fs::write(&file, whole_units(format, &second)).expect("a file");
    let errors = decode_errors(&file);
    // A joiner of MP3 or AAC starts in the middle of a frame at a stock server.
    assert!(errors.is_empty() || format.is_raw(), "{format:?}: {errors}");
}

#[tokio::test(flavor = "multi_thread")]
async fn takes_every_kind_of_source_and_bursts_to_a_joiner() {
    let icecast = Icecast::start().await.unwrap();
    for (i, method) in Method::ALL.into_iter().enumerate() {
        let mount = format!("/m{i}.mp3");
        let mut source = Source::accepted(icecast.addr(), &mount, method)
            .await
            .unwrap();
        let sent = Chance::new(i as u64).bytes(200_000);
        source.send(&sent).await.unwrap();
        icecast.wait_mount(&mount).await;
        let tap = Tap::open(icecast.addr(), &mount, &[]).await.unwrap();
        tap.wait_len(40_000, SOON).await;
        let body = tap.body();
        assert!(find(&sent, &body).is_some(), "{method:?}");
        assert!(
            body.len() <= 65_536 + 1400,
            "{method:?}: a burst of {}",
            body.len()
        );
        let again = Source::open(icecast.addr(), &mount, method, "audio/mpeg", PASSWORD)
            .await
            .unwrap();
        assert_eq!(again.head.status, 403, "{method:?}: a busy mount");
        let wrong = Source::open(icecast.addr(), "/x", method, "audio/mpeg", "wrong")
            .await
            .unwrap();
        assert_eq!(wrong.head.status, 401, "{method:?}: a wrong password");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_come_in_blocks_whose_phase_starts_with_the_body() {
    let icecast = Icecast::start().await.unwrap();
    let source = Source::accepted(icecast.addr(), "/live.mp3", Method::Put)
        .await
        .unwrap();
    let mut chance = Chance::new(3);
    let source = source.stream(100_000, move |_, len| chance.bytes(len));
    icecast.wait_mount("/live.mp3").await;
    set_title(icecast.addr(), "/live.mp3", "A & B")
        .await
        .unwrap();
    let tap = Tap::open(icecast.addr(), "/live.mp3", &[("Icy-MetaData", "1")])
        .await
        .unwrap();
    assert_eq!(tap.head.metaint(), Some(16_000));
    tap.wait_len(100_000, SOON).await;
    set_title(icecast.addr(), "/live.mp3", "C").await.unwrap();
    tap.wait_more(100_000, SOON).await;
    let audio = tap.audio();
    assert!(find(&source.sent(), &audio).is_some());
    let titles: Vec<_> = tap
        .titles()
        .iter()
        .map(|t| t.title().map(str::to_owned))
        .collect();
    assert_eq!(titles.last(), Some(&Some("C".to_owned())), "{titles:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn comes_back_on_the_same_port_after_a_kill() {
    let mut icecast = Icecast::start().await.unwrap();
    let source = Source::accepted(icecast.addr(), "/live.mp3", Method::Put)
        .await
        .unwrap();
    let mut chance = Chance::new(3);
    let source = source.stream(16_000, move |_, len| chance.bytes(len));
    icecast.wait_mount("/live.mp3").await;
    let tap = Tap::open(icecast.addr(), "/live.mp3", &[]).await.unwrap();
    icecast.kill();
    tap.wait_end(SOON).await;
    icecast.restart().await.unwrap();
    assert!(!icecast.has("/live.mp3").await);
    drop(source);
    Source::accepted(icecast.addr(), "/live.mp3", Method::Put)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_wire_is_cut_as_planned_and_moves_the_client() {
    let icecast = Icecast::start().await.unwrap();
    let source = Source::accepted(icecast.addr(), "/live.mp3", Method::Put)
        .await
        .unwrap();
    let mut chance = Chance::new(3);
    let source = source.stream(100_000, move |_, len| chance.bytes(len));
    icecast.wait_mount("/live.mp3").await;
    let mut plans = [
        Plan {
            at: At::Body(5000),
            how: How::Fin,
            next: Next::Move,
        },
        Plan {
            at: At::Body(7000),
            how: How::Reset,
            next: Next::Stay,
        },
        Plan {
            at: At::Head(33),
            how: How::Fin,
            next: Next::Any,
        },
    ]
    .into_iter();
    let wire = Cutter::planned(&[icecast.addr(), icecast.addr()], move |_| plans.next())
        .await
        .unwrap();
    let first = Tap::open(wire.front(0), "/live.mp3", &[]).await.unwrap();
    assert_eq!(first.wait_end(SOON).await, End::Fin);
    assert_eq!(first.len(), 5000);
    assert!(
        Tap::open(wire.front(0), "/live.mp3", &[]).await.is_err(),
        "it has to move"
    );
    let second = Tap::open(wire.front(1), "/live.mp3", &[]).await.unwrap();
    assert_eq!(second.wait_end(SOON).await, End::Reset);
    assert!(
        Tap::open(wire.front(0), "/live.mp3", &[]).await.is_err(),
        "it has to stay"
    );
    assert!(
        Tap::open(wire.front(1), "/live.mp3", &[]).await.is_err(),
        "cut in the head"
    );
    let last = Tap::open(wire.front(0), "/live.mp3", &[]).await.unwrap();
    last.wait_len(10_000, SOON).await;
    wire.cut_now(How::Stall);
    assert_eq!(last.ended(), None);
    assert_eq!(wire.cuts().len(), 3);
    assert!(find(&source.sent(), &last.audio()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn protects_a_mount_and_serves_files() {
    let setup = icecast::Setup {
        more: "<mount type=\"normal\"><mount-name>/p.mp3</mount-name>\
               <authentication type=\"htpasswd\"><option name=\"filename\" value=\"{dir}/users\"/></authentication></mount>"
            .into(),
        ..icecast::Setup::default()
    };
    let icecast = Icecast::with(setup).await.unwrap();
    // bob:secret, MD5 in hexadecimal, as Icecast wants it.
    std::fs::write(
        icecast.file("users"),
        "bob:5ebe2294ecd0e0f08eab7690d2a6ee69\n",
    )
    .unwrap();
    let source = Source::accepted(icecast.addr(), "/p.mp3", Method::Put)
        .await
        .unwrap();
    let _source = source.stream(16_000, |at, len| (at..at + len).map(|i| i as u8).collect());
    icecast.wait_mount("/p.mp3").await;
    let refused = http::get(icecast.addr(), "/p.mp3", &[]).await.unwrap();
    assert_eq!(refused.head.status, 401);
    let auth = http::basic("bob", "secret");
    let tap = Tap::open(icecast.addr(), "/p.mp3", &[("Authorization", &auth)])
        .await
        .unwrap();
    assert_eq!(tap.head.status, 200);
    let page = http::get(icecast.addr(), "/style.css", &[]).await.unwrap();
    assert_eq!(page.head.status, 200);
}
