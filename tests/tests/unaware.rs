//! The client at a stock Icecast: what can be proven by content is stitched, what cannot is said.

use std::time::Duration;

use icecast_ext_tests::cutter::{At, Cutter, How, Next, Plan};
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::{find, judge};
use icecast_ext_tests::wait::wait_for;

const SOON: Duration = Duration::from_secs(20);

async fn icecast() -> Icecast {
    let setup = icecast::Setup {
        burst: 131_072,
        ..icecast::Setup::default()
    };
    Icecast::with(setup).await.expect("icecast starts")
}

#[tokio::test(flavor = "multi_thread")]
async fn short_cuts_at_icecast_itself_are_stitched_by_content() {
    let icecast = icecast().await;
    let encoder = Encoder::start(icecast.addr(), "/live.mp3", Setup::new(Format::Mp3)).unwrap();
    icecast.wait_mount("/live.mp3").await;
    let mut left = 6;
    let target = [icecast.addr()];
    let wire = Cutter::planned(&target, move |_| {
        left -= 1;
        let how = if left % 2 == 0 { How::Fin } else { How::Reset };
        let at = At::Body(180_000 + left * 1111);
        (left > 0).then_some(Plan {
            at,
            how,
            next: Next::Any,
        })
    });
    let wire = wire.await.unwrap();
    let hearing = Hearing::start(&[format!("http://{}/live.mp3", wire.front(0))], false).unwrap();
    wait_for("five cuts", Duration::from_secs(60), || {
        wire.cuts().len() >= 5
    })
    .await;
    hearing.wait_more(60_000, SOON).await;
    let heard = hearing.stop();
    let sent = encoder.sent_by_now().await.unwrap();
    assert_eq!(heard.stitches, 5, "{:?}", heard.losses);
    let at = find(&sent, &heard.audio[..1000]).unwrap();
    assert!(judge(&sent, at, &heard.audio).is_exact());
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
