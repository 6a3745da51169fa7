//! Players that know nothing of us, and those who hear an intro.

use icecast_ext_tests::icy;

use super::*;

const VLC: (&str, &str) = ("User-Agent", "VLC/3.0.24 LibVLC/3.0.24");
const FFMPEG: (&str, &str) = ("User-Agent", "Lavf/59.27.100");

#[tokio::test(flavor = "multi_thread")]
async fn stock_players_come_back_with_a_range() {
    let (icecast, source) = start("", "").await;
    let fields = [FFMPEG, ("Range", "bytes=0-"), ("Icy-MetaData", "1")];
    let first = Tap::open(icecast.addr(), "/live.mp3", &fields)
        .await
        .unwrap();
    assert_eq!(first.head.status, 200);
    let cookie = first.head.get("Set-Cookie").unwrap();
    let cookie = cookie.split(';').next().unwrap().to_owned();
    first.wait_len(3 * RATE, SOON).await;
    let (body, first_place) = (first.body(), first.head.place().unwrap());
    drop(first);
    for cut in [40_000, 50_001] {
        let range = format!("bytes={cut}-");
        let fields = [
            FFMPEG,
            ("Range", &range),
            ("Icy-MetaData", "1"),
            ("Cookie", &cookie),
        ];
        let again = Tap::open(icecast.addr(), "/live.mp3", &fields)
            .await
            .unwrap();
        assert_eq!(again.head.status, 206, "{:?}", again.head);
        // The byte after those that it has, without what was a block; its phase begins anew.
        let (audio, _) = icy::split(&body[..cut], 16_000);
        let there = again.head.place().unwrap();
        assert_eq!(there.offset, first_place.offset + audio.len() as u64);
        again.wait_len(40_000, SOON).await;
        is_at_its_place(&again, &source.sent());
    }
    // What it heard is the source's.
    let plain = Tap::open(icecast.addr(), "/live.mp3", &[VLC])
        .await
        .unwrap();
    plain.wait_len(RATE, SOON).await;
    assert!(find(&source.sent(), &plain.audio()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intro_is_for_those_who_do_not_count() {
    let intro: Vec<u8> = (0..200_000_u32).map(|i| (i % 251) as u8).collect();
    let mount =
        "<mount type=\"normal\"><mount-name>/live.mp3</mount-name><intro>intro.mp3</intro></mount>";
    let setup = icecast::Setup {
        files: vec![("web/intro.mp3".to_owned(), intro.clone())],
        ..setup(mount, "")
    };
    let icecast = Icecast::with(setup).await.unwrap();
    let source = noise(icecast.addr(), "/live.mp3", 1).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let stock = Tap::open(icecast.addr(), "/live.mp3", &[]).await.unwrap();
    stock.wait_len(intro.len() + 2 * RATE, SOON).await;
    let heard = stock.audio();
    let (first, then) = heard.split_at(intro.len());
    assert!(first == intro, "not the intro");
    assert!(find(&source.sent(), then).is_some(), "not the stream");
    let aware = ask(&icecast, "live").await;
    aware.wait_len(2 * RATE, SOON).await;
    is_at_its_place(&aware, &source.sent());
    let again = ask(&icecast, &aware.head.place().unwrap().resume(1000)).await;
    again.wait_len(RATE, SOON).await;
    is_at_its_place(&again, &source.sent());
}
