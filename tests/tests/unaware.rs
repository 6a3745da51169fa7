//! The client at a stock Icecast: what can be proven by content is stitched, what cannot is said.

use std::time::Duration;

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::cutter::{Cutter, How};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{find, judge};
use icecast_ext_tests::wait::wait_for;

const SOON: Duration = Duration::from_secs(20);
const CUTS: usize = 8;

async fn icecast() -> Icecast {
    let setup = icecast::Setup {
        burst: 131_072,
        ..icecast::Setup::default()
    };
    Icecast::with(setup).await.expect("icecast starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn cuts_within_the_burst_are_stitched_to_the_byte() {
    let icecast = icecast().await;
    let formats = [Format::Mp3, Format::Aac, Format::Vorbis, Format::Opus];
    let mut encoders = Vec::new();
    let mut listeners = Vec::new();
    for (seed, format) in (50..).zip(formats) {
        let setup = Setup {
            seed,
            ..Setup::new(format)
        };
        encoders.push(Encoder::start(icecast.addr(), format.mount(), setup).unwrap());
        icecast.wait_mount(format.mount()).await;
        let truth = Tap::open(icecast.addr(), format.mount(), &[])
            .await
            .unwrap();
        truth.wait_len(30_000, SOON).await;
        let link = Cutter::to(icecast.addr()).await.unwrap();
        let url = format!("http://{}{}", link.front(0), format.mount());
        let hearing = Hearing::start(&[url], format.is_raw()).unwrap();
        listeners.push((format, truth, link, hearing));
    }
    let mut chance = Chance::seeded("unaware");
    // The clock of the healing rule wants a rate that it has seen for a while.
    for (_, _, _, hearing) in &listeners {
        wait_for("8 s of audio", SOON, || hearing.len() > 128_000).await;
    }
    for _ in 0..CUTS {
        for (_, _, link, hearing) in &listeners {
            let cuts = hearing.heard().cuts;
            link.cut_now(if chance.one_in(2) {
                How::Fin
            } else {
                How::Reset
            });
            wait_for("the cut", SOON, || hearing.heard().cuts > cuts).await;
        }
        for (_, _, _, hearing) in &listeners {
            let more = chance.range(5_000, 30_000) as usize;
            hearing.wait_more(more, SOON).await;
        }
    }
    for (format, truth, _, hearing) in &listeners {
        let heard = hearing.stop();
        assert!(heard.losses.is_empty(), "{format:?}: {:?}", heard.losses);
        assert!(
            heard.stitches >= CUTS as u64,
            "{format:?}: {} stitches",
            heard.stitches
        );
        let body = {
            wait_for("the truth to be ahead", SOON, || {
                let tail = &heard.audio[heard.audio.len() - 1000..];
                find(&truth.body(), tail).is_some()
            })
            .await;
            truth.body()
        };
        // The first answer began with headers, which the truth has at its own start; what follows is one slice of it.
        let start = heard.audio.len().min(20_000);
        let at = find(&body, &heard.audio[start..start + 1000]).expect("the same stream");
        let verdict = judge(&body, at, &heard.audio[start..]);
        assert!(verdict.is_exact(), "{format:?}: {verdict:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_that_the_burst_does_not_span_is_a_loss_of_unknown_size() {
    let icecast = icecast().await;
    let mut setup = Setup::new(Format::Mp3);
    setup.kbps = 320;
    let encoder = Encoder::start(icecast.addr(), "/live.mp3", setup).unwrap();
    icecast.wait_mount("/live.mp3").await;
    let wire = Cutter::to(icecast.addr()).await.unwrap();
    let hearing = Hearing::start(&[format!("http://{}/live.mp3", wire.front(0))], false).unwrap();
    hearing.wait_more(200_000, SOON).await;
    wire.cut(How::Reset);
    let elsewhere = Tap::open(icecast.addr(), "/live.mp3", &[]).await.unwrap();
    elsewhere.wait_len(131_072 + 250_000, SOON).await;
    wire.mend();
    wait_for("a loss", SOON, || !hearing.heard().losses.is_empty()).await;
    hearing.wait_more(100_000, SOON).await;
    let heard = hearing.stop();
    let [(at, loss)] = heard.losses.as_slice() else {
        panic!("{:?}", heard.losses);
    };
    assert_eq!((loss.bytes, heard.stitches), (None, 0));
    let sent = encoder.sent_by_now().await.unwrap();
    let before = find(&sent, &heard.audio[..*at]).expect("before the loss");
    let after = find(&sent, &heard.audio[*at..]).expect("after the loss");
    assert!(after >= before + at, "something came twice");
}
