//! Who would get next to nothing is held.

use super::*;
use icecast_ext_tests::chance::Frames;
use icecast_ext_tests::source::{Method, Source};

#[tokio::test(flavor = "multi_thread")]
async fn less_than_a_second_of_audio_is_held_and_then_paced() {
    let setup = icecast::Setup {
        source_timeout: 60,
        ..icecast::Setup::default()
    };
    let (icecast, proxy) = start(setup, "").await;
    let mut source = Source::accepted(icecast.addr(), "/live.mp3", Method::Put)
        .await
        .unwrap();
    let mut frames = Frames::new(1);
    source.send(&frames.take(200_000)).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let join = FFMPEG
        .ask(proxy.addr(), "/live.mp3", Some("bytes=0-"), &[])
        .await;
    let anchor = cookie(&join.head).unwrap();
    source.send(&frames.take(40_000)).await.unwrap();
    // The source pauses, and the player has all there is.
    let all = wait_until("all of it", SOON, async || {
        let silent = join
            .silence()
            .is_some_and(|silence| silence > Duration::from_secs(1));
        (silent && join.len() > 60_000).then(|| join.len())
    })
    .await;
    let asks = format!("bytes={}-", all - 100);
    let cookies = [("Cookie", anchor.as_str())];
    let held = Instant::now();
    let first = {
        let ask = FFMPEG.ask(proxy.addr(), "/live.mp3", Some(&asks), &cookies);
        tokio::pin!(ask);
        let second = FFMPEG.ask(proxy.addr(), "/live.mp3", Some(&asks), &cookies);
        let (first, second) = tokio::join!(async { (ask.await, Instant::now()) }, async {
            (second.await, Instant::now())
        });
        let apart = first.1.max(second.1) - first.1.min(second.1);
        assert!(apart >= Duration::from_millis(900), "{apart:?}");
        assert!(first.1.min(second.1) - held >= Duration::from_millis(9900));
        for (tap, _) in [&first, &second] {
            assert_eq!(tap.head.status, 206);
            assert_eq!(tap.head.place().unwrap().lost, None);
        }
        first.0
    };
    first.wait_len(100, SOON).await;
    assert_eq!(first.body()[..100], join.body()[all - 100..all]);
    // As soon as there is a second of audio, it is given.
    let rest = frames.take(200_000);
    let ask = FFMPEG.ask(proxy.addr(), "/live.mp3", Some(&asks), &cookies);
    let feed = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        source.send(&rest).await.unwrap();
    };
    let asked = Instant::now();
    let (tap, ()) = tokio::join!(ask, feed);
    assert!(
        asked.elapsed() < Duration::from_secs(5),
        "{:?}",
        asked.elapsed()
    );
    tap.wait_len(50_000, SOON).await;
    assert_eq!(tap.head.status, 206);
}
