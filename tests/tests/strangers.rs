//! Two relays that never heard of each other: each before an Icecast of its own, which knows nothing. A client that moves from one
//! to the other goes on at the next byte, because the bytes and the clock prove where that is.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

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

/// A client that is moved each time it is cut. Returns how many moves were proven.
async fn moves(
    format: Format,
    places: [SocketAddr; 2],
    truth: SocketAddr,
    mut chance: Chance,
) -> usize {
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
    let start =
        find(&truth, &heard.audio[..1024]).unwrap_or_else(|| panic!("{mount}: it begins nowhere"));
    assert!(heard.losses.is_empty(), "{mount}: {:#?}", heard.told);
    let verdict = judge(&truth, start, &heard.audio);
    assert_eq!(
        verdict,
        Verdict::default(),
        "{mount}: {} moves, anchored {:?}",
        heard.moves,
        heard.anchored
    );
    assert_eq!(
        heard.anchored.len() as u64,
        heard.moves,
        "{mount}: {} stitches",
        heard.stitches
    );
    heard.anchored.len()
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
    let mut proven = 0;
    while let Some(done) = trials.join_next().await {
        proven += done.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()));
    }
    titles.abort();
    // All but those that a client made back to where it was.
    assert!(proven >= FORMATS.len() * MOVES / 2, "{proven}");
    eprintln!("{proven} moves were proven");
}
