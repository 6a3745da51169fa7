//! Two relays that never heard of each other: each before an Icecast of its own, which knows nothing. A client that moves from one
//! to the other goes on at the next byte, because the bytes and the clock prove where that is.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_client::{Loss, Why};
use icecast_ext_core::anchor::Unproven;
use icecast_ext_core::codec::Canonical;
use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{At, Cutter, How, Next, Plan};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::Proxy;
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{Verdict, find, judge};
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(20);
/// What can be proven begins with twice the clock's bound, and some chunks: who has heard less is not moved yet.
const HEARD: Duration = Duration::from_secs(36);
/// Of each client.
const MOVES: usize = 8;
/// All whose bytes both relays have: those that a stock server passes on, and Vorbis, whose pages the relays make anew.
const FORMATS: [Format; 6] = Format::ALL;

/// Mounts that another Icecast relays.
fn relays(from: SocketAddr) -> String {
    let relay = |format: Format| {
        format!(
            "<relay><server>127.0.0.1</server><port>{}</port><mount>{mount}</mount><local-mount>{mount}</local-mount>\
             <on-demand>0</on-demand></relay>",
            from.port(),
            mount = format.mount(),
        )
    };
    FORMATS.map(relay).concat()
}

/// Clients that may be told of a loss: of a thousand places of a live stream, a few cannot be proven, because 32 names say too little
/// there. Who lost something then has too little evidence for a while, and may lose more.
const TOLD: usize = 1;

/// A client that is moved each time it is cut. Returns how many moves were proven, and whether it was told of a loss.
async fn moves(
    format: Format,
    places: [SocketAddr; 2],
    truth: SocketAddr,
    mut chance: Chance,
) -> (usize, bool) {
    let mount = format.mount();
    let tap = wait_until(mount, SOON, async || {
        let tap = Tap::open(truth, mount, &[]).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await;
    for place in places {
        // Both relays know the stream before the client comes.
        wait_until(mount, SOON, async || {
            let tap = Tap::aware(place, mount).await.ok()?;
            (tap.head.status == 200).then_some(())
        })
        .await;
    }
    let began = Instant::now();
    let cutter = Cutter::counted(&places, move |_, cuts| {
        let how = if chance.one_in(2) {
            How::Reset
        } else {
            How::Fin
        };
        let at = At::Body(chance.range(0, 60_000));
        let next = Next::Move;
        (began.elapsed() >= HEARD && cuts < MOVES).then_some(Plan { at, how, next })
    })
    .await
    .unwrap();
    let urls = [0, 1].map(|front| format!("http://{}{mount}", cutter.front(front)));
    let hearing = Hearing::start(&urls, false).unwrap();
    let patience = 4 * HEARD;
    wait_for(mount, patience, || began.elapsed() >= HEARD).await;
    cutter.cut_now(How::Reset);
    wait_for(&format!("{mount}: moves"), patience, || {
        cutter.cuts().len() == MOVES
    })
    .await;
    hearing.wait_more(60_000, patience).await;
    let heard = hearing.stop();
    tap.wait_more(40_000, patience).await;
    let mut truth = tap.body();
    if format == Format::Vorbis {
        let pages = std::mem::take(&mut truth);
        Canonical::default().feed(&pages, &mut truth);
    }
    let told = || format!("{mount}: {:#?}", heard.told);
    let unproven = |loss: &Loss| matches!(loss.why, Why::Unplaced(Unproven::Short));
    assert!(
        heard.losses.iter().all(|(_, loss)| unproven(loss)),
        "{}",
        told()
    );
    // Each piece between losses is a piece of the truth.
    let breaks = heard.losses.iter().map(|(at, _)| *at);
    let mut from = 0;
    for to in breaks.chain([heard.audio.len()]) {
        let piece = &heard.audio[from..to];
        let start = find(&truth, &piece[..piece.len().min(1024)]);
        let start = start.unwrap_or_else(|| panic!("{from} begins nowhere; {}", told()));
        assert_eq!(
            judge(&truth, start, piece),
            Verdict::default(),
            "{}",
            told()
        );
        from = to;
    }
    assert_eq!(
        (heard.anchored.len() + heard.losses.len()) as u64,
        heard.moves,
        "{}",
        told()
    );
    (heard.anchored.len(), !heard.losses.is_empty())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_moves_between_relays_that_share_nothing_but_the_source() {
    let first = Icecast::start().await.unwrap();
    let mut encoders = Vec::new();
    for (seed, format) in (1..).zip(FORMATS) {
        let setup = Setup {
            kbps: 192,
            seed,
            ..Setup::new(format)
        };
        encoders.push(Encoder::start(first.addr(), format.mount(), setup).unwrap());
        first.wait_mount(format.mount()).await;
    }
    let second = Icecast::with(icecast::Setup {
        more: relays(first.addr()),
        ..icecast::Setup::default()
    })
    .await
    .unwrap();
    let (one, two) = (
        Proxy::start(first.addr()).await.unwrap(),
        Proxy::start(second.addr()).await.unwrap(),
    );
    let mut chance = Chance::seeded("strangers");
    let addr = first.addr();
    let titles = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_secs(3));
        for n in 1.. {
            every.tick().await;
            for format in [Format::Mp3, Format::Vorbis] {
                let set = set_title(addr, format.mount(), &format!("Title {n}")).await;
                assert_eq!(set.unwrap().head.status, 200);
            }
        }
    });
    let mut trials = tokio::task::JoinSet::new();
    for format in FORMATS {
        second.wait_mount(format.mount()).await;
        let (places, chance) = ([one.addr(), two.addr()], chance.fork());
        trials.spawn(moves(format, places, addr, chance));
    }
    let (mut proven, mut told) = (0, 0);
    while let Some(done) = trials.join_next().await {
        let (some, lost) =
            done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
        (proven, told) = (proven + some, told + usize::from(lost));
    }
    titles.abort();
    // All but those that a client made back to where it was.
    assert!(proven >= FORMATS.len() * MOVES / 2, "{proven}");
    assert!(told <= TOLD, "{told} clients lost something");
    eprintln!("{proven} moves were proven, {told} clients lost something");
}
