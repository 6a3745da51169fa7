//! Ogg Vorbis, whose pages every stock server makes anew: relays of servers that know nothing share bytes all the same, and what
//! a listener hears is what Icecast's own would, sample by sample.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use icecast_ext_core::codec::Canonical;
use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{Cutter, How};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{find, judge};
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(20);
const MOUNT: &str = Format::Vorbis.mount();

fn source(to: &Icecast, seed: u64) -> Encoder {
    let setup = Setup {
        kbps: 192,
        seed,
        ..Setup::new(Format::Vorbis)
    };
    Encoder::start(to.addr(), MOUNT, setup).unwrap()
}

async fn tap(addr: SocketAddr) -> Tap {
    wait_until("the stream", SOON, async || {
        let tap = Tap::open(addr, MOUNT, &[]).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

fn canonical(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Canonical::default().feed(bytes, &mut out);
    out
}

/// The pages that are whole.
fn pages(bytes: &[u8]) -> Vec<&[u8]> {
    let mut starts: Vec<_> = memchr::memmem::find_iter(bytes, b"OggS\0").collect();
    let last = starts.pop().unwrap_or(0);
    starts.push(last);
    starts.windows(2).map(|at| &bytes[at[0]..at[1]]).collect()
}

fn begins(page: &[u8]) -> bool {
    page[5] & 2 != 0
}

/// The samples, stereo, by each decoder.
fn decoded(recording: &[u8]) -> [(&'static str, Vec<u8>); 2] {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pages(recording).concat()).unwrap();
    let run = |program: &str, args: &[&str], file: &Path, rest: &[&str]| {
        let output = Command::new(program)
            .args(args)
            .arg(file)
            .args(rest)
            .output()
            .unwrap_or_else(|e| panic!("{program}: {e}: ./test installs it"));
        assert!(!output.stdout.is_empty(), "{program} says nothing");
        output.stdout
    };
    let ffmpeg = ["-nostdin", "-v", "quiet", "-i"];
    [
        (
            "ffmpeg",
            run("ffmpeg", &ffmpeg, file.path(), &["-f", "f32le", "-"]),
        ),
        (
            "libvorbis",
            run("oggdec", &["-Q", "-R", "-o", "-"], file.path(), &[]),
        ),
    ]
}

/// The samples of `part` are a piece of those of `whole`, from beginning to end.
fn sounds_like(part: &[u8], whole: &[u8]) {
    for ((decoder, part), (_, whole)) in decoded(part).into_iter().zip(decoded(whole)) {
        assert!(part.len() > 500_000, "{decoder}: {} bytes", part.len());
        let at = find(&whole, &part[..4096]);
        let at = at.unwrap_or_else(|| panic!("{decoder}: it begins nowhere"));
        let rest = &whole[at..];
        assert!(
            rest.len() >= part.len(),
            "{decoder}: {} of {}",
            rest.len(),
            part.len()
        );
        let same = rest.iter().zip(&part).take_while(|(a, b)| a == b).count();
        assert_eq!(same, part.len(), "{decoder}: not the same samples");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn relays_of_two_servers_share_pages_and_both_sound_like_the_server() {
    let first = Icecast::start().await.unwrap();
    let _encoder = source(&first, 1);
    first.wait_mount(MOUNT).await;
    let relay = format!(
        "<relay><server>127.0.0.1</server><port>{}</port><mount>{MOUNT}</mount><local-mount>{MOUNT}</local-mount>\
         <on-demand>0</on-demand></relay>",
        first.addr().port()
    );
    let second = Icecast::with(icecast::Setup {
        more: relay,
        ..icecast::Setup::default()
    })
    .await
    .unwrap();
    second.wait_mount(MOUNT).await;
    let direct = [tap(first.addr()).await, tap(second.addr()).await];
    let one = Proxy::start(first.addr()).await.unwrap();
    let two = Proxy::start(second.addr()).await.unwrap();
    let below = Proxy::start(two.addr()).await.unwrap();
    let taps = [
        tap(one.addr()).await,
        tap(two.addr()).await,
        tap(below.addr()).await,
    ];
    // A title that is set again is another chain, too.
    for title in ["one", "two", "two"] {
        taps[1].wait_more(80_000, SOON).await;
        let set = set_title(first.addr(), MOUNT, title).await.unwrap();
        assert_eq!(set.head.status, 200);
    }
    taps[2].wait_more(80_000, SOON).await;
    let heard = taps[1].body();
    let ahead = heard.len() + 100_000;
    for tap in taps.iter().chain(&direct) {
        tap.wait_len(ahead, SOON).await;
    }

    let heard = pages(&heard);
    let chains = heard.iter().filter(|page| begins(page)).count();
    assert_eq!(chains, 4, "one for each title");
    let by_one = taps[0].body();
    let by_one = pages(&by_one);
    // Headers, perhaps a cell that the relay did not get all of; from then on the same bytes.
    let slice = heard[3..].concat();
    assert!(slice.len() > 250_000, "{}", slice.len());
    assert!(
        find(&by_one.concat(), &slice).is_some(),
        "the relays of two servers differ"
    );
    let raw = direct[1].body();
    assert!(
        find(&raw, &slice).is_none(),
        "the servers agree by themselves"
    );
    let here = taps[2].body();
    let headers = taps[2].head.place().unwrap().prelude;
    let from_two = taps[1].body();
    assert!(
        find(&from_two, &here[headers..headers + 100_000]).is_some(),
        "a feed changes bytes"
    );

    for (tap, server) in taps.iter().zip([&direct[0], &direct[1], &direct[1]]) {
        let part = tap.body();
        server.wait_more(60_000, SOON).await;
        sounds_like(&part, &server.body());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_link_heals_within_a_cell() {
    const CUTS: usize = 5;
    let icecast = Icecast::start().await.unwrap();
    let _encoder = source(&icecast, 2);
    icecast.wait_mount(MOUNT).await;
    let direct = tap(icecast.addr()).await;
    let link = Cutter::to(icecast.addr()).await.unwrap();
    let proxy = Proxy::start(link.front(0)).await.unwrap();
    let heard = tap(proxy.addr()).await;
    // The clock of the healing rule wants a rate that it has seen for a while.
    heard.wait_len(220_000, SOON).await;
    let mut chance = Chance::seeded("vorbis");
    for cut in 1..=CUTS {
        let how = if chance.one_in(2) {
            How::Fin
        } else {
            How::Reset
        };
        link.cut_now(how);
        if cut == 2 {
            set_title(icecast.addr(), MOUNT, "meanwhile").await.unwrap();
        }
        wait_for("it heals", SOON, || {
            proxy.log().matches("healed").count() == cut
        })
        .await;
        let more = chance.range(5_000, 40_000) as usize;
        heard.wait_more(more, SOON).await;
    }
    let later = Tap::aware(proxy.addr(), MOUNT).await.unwrap();
    let epoch = |tap: &Tap| tap.head.place().unwrap().epoch;
    assert_eq!(epoch(&later), epoch(&heard));
    let body = heard.body();
    direct.wait_more(60_000, SOON).await;
    let truth = canonical(&direct.body());
    let prelude = heard.head.place().unwrap().prelude;
    let body = &body[prelude..];
    // The truth begins with the headers, and perhaps later than this one.
    let at = find(&truth, &body[20_000..21_000]).expect("the same stream");
    assert!(judge(&truth, at, &body[20_000..]).is_exact());
    sounds_like(&heard.body(), &direct.body());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_source_that_vanishes_is_heard() {
    let icecast = Icecast::start().await.unwrap();
    let mut encoder = source(&icecast, 3);
    icecast.wait_mount(MOUNT).await;
    let direct = tap(icecast.addr()).await;
    let proxy = Proxy::start(icecast.addr()).await.unwrap();
    let heard = tap(proxy.addr()).await;
    heard.wait_len(120_000, SOON).await;
    encoder.kill();
    direct.wait_end(SOON).await;
    let _next = source(&icecast, 4);
    wait_for("another chain", SOON, || {
        let body = heard.body();
        pages(&body).iter().filter(|page| begins(page)).count() == 2
    })
    .await;
    let body = heard.body();
    let pages = pages(&body);
    let second = pages.iter().rposition(|page| begins(page)).unwrap();
    let before = pages[..second].concat();
    let mut whole = Vec::new();
    let mut server = Canonical::default();
    server.feed(&direct.body(), &mut whole);
    server.finish(&mut whole);
    assert!(
        whole.ends_with(&before[before.len() - 50_000..]),
        "the last cell is missing"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn as_is_leaves_the_pages_of_the_server() {
    let icecast = Icecast::start().await.unwrap();
    let _encoder = source(&icecast, 5);
    icecast.wait_mount(MOUNT).await;
    let direct = tap(icecast.addr()).await;
    let proxy = Proxy::with(proxy::Setup {
        config: format!("[mount.\"{MOUNT}\"]\nvorbis = \"as-is\"\n"),
        ..proxy::Setup::before(icecast.addr())
    });
    let proxy = proxy.await.unwrap();
    let heard = tap(proxy.addr()).await;
    heard.wait_len(80_000, SOON).await;
    let body = heard.body();
    direct.wait_more(60_000, SOON).await;
    assert!(find(&direct.body(), &body[20_000..]).is_some());
}
