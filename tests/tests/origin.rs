//! Without an Icecast: the proxy as the origin, real encoders, a relay behind it.

use std::time::Duration;

use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::http;
use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(15);

async fn origin(flags: &[&str]) -> Proxy {
    let mut all = vec!["--source-password".to_owned(), PASSWORD.to_owned()];
    all.extend(flags.iter().map(|flag| (*flag).to_owned()));
    let setup = proxy::Setup {
        flags: all,
        ..proxy::Setup::default()
    };
    Proxy::with(setup).await.expect("an origin")
}

/// A listener of a mount that may not be there yet.
async fn tap(proxy: &Proxy, mount: &str, fields: &[(&str, &str)]) -> Tap {
    wait_until(mount, SOON, async || {
        let tap = Tap::open(proxy.addr(), mount, fields).await.ok()?;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_encoder_is_heard_through_an_origin_and_a_relay() {
    let origin = origin(&[]).await;
    let relay = Proxy::start(origin.addr()).await.unwrap();
    for (seed, format) in (1..).zip([Format::Mp3, Format::Aac]) {
        let mount = format.mount();
        let setup = Setup {
            legacy: format == Format::Aac,
            seed,
            ..Setup::new(format)
        };
        let encoder = Encoder::start(origin.addr(), mount, setup).unwrap();
        let near = tap(&origin, mount, &[("Resume-Offset", "live")]).await;
        let far = tap(&relay, mount, &[("Resume-Offset", "live")]).await;
        near.wait_more(60_000, SOON).await;
        far.wait_more(60_000, SOON).await;
        let sent = encoder.sent_by_now().await.unwrap();
        let (near_place, far_place) = (near.head.place().unwrap(), far.head.place().unwrap());
        assert_eq!(near_place.epoch, far_place.epoch, "{mount}");
        for (tap, place) in [(near, near_place), (far, far_place)] {
            let audio = tap.audio();
            let audio = &audio[..60_000];
            // An origin counts what the source sent from its first byte on.
            let at = usize::try_from(place.offset).unwrap();
            assert!(sent[at..].starts_with(audio), "{mount} at {at}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_source_is_taken_and_wrong_ones_are_refused() {
    let origin = origin(&[]).await;
    for (i, method) in Method::ALL.into_iter().enumerate() {
        let mount = format!("/{i}.mp3");
        let wrong = Source::open(origin.addr(), &mount, method, "audio/mpeg", "wrong")
            .await
            .unwrap();
        assert_eq!(wrong.head.status, 401, "{method:?}");
        let missing = http::get(origin.addr(), &mount, &[]).await.unwrap();
        assert_eq!(missing.head.status, 404, "a refused source makes no mount");

        let mut source = Source::accepted(origin.addr(), &mount, method)
            .await
            .unwrap();
        let sent = icecast_ext_tests::chance::Frames::new(i as u64).take(200_000);
        source.send(&sent).await.unwrap();
        let listener = tap(&origin, &mount, &[("Resume-Offset", "live")]).await;
        listener.wait_len(60_000, SOON).await;
        let place = listener.head.place().unwrap();
        let at = usize::try_from(place.offset).unwrap();
        let heard = listener.audio();
        assert_eq!(heard, sent[at..at + heard.len()], "{method:?}");

        let second = Source::open(origin.addr(), &mount, method, "audio/mpeg", PASSWORD)
            .await
            .unwrap();
        assert_eq!(second.head.status, 403, "{method:?}: busy");
        drop(source);
    }
    let untyped = format!(
        "PUT /x HTTP/1.1\r\nHost: h\r\nAuthorization: {}\r\n\r\n",
        http::basic("source", PASSWORD)
    );
    let untyped = http::raw(origin.addr(), untyped.as_bytes()).await.unwrap();
    assert_eq!(untyped.head.status, 403, "no Content-Type");
}

#[tokio::test(flavor = "multi_thread")]
async fn titles_are_set_and_have_one_place_at_every_relay() {
    let origin = origin(&[]).await;
    let relay = Proxy::start(origin.addr()).await.unwrap();
    let _source = noise(origin.addr(), "/live.mp3", 3).await.unwrap();
    tap(&origin, "/live.mp3", &[]).await;
    let heard: Vec<_> = [&origin, &relay]
        .map(|proxy| Hearing::start(&[proxy.url("/live.mp3")], true).unwrap())
        .into();
    for hearing in &heard {
        hearing.joined(SOON).await;
    }
    let titles = ["One; 'two' and \"three\"", "Zwölf Töne", "Last"];
    for title in titles {
        let answer = set_title(origin.addr(), "/live.mp3", title).await.unwrap();
        assert_eq!(answer.head.status, 200, "{}", answer.text());
        heard[0].wait_more(RATE, SOON).await;
    }
    let wrong = http::basic("source", "wrong");
    let target = "/admin/metadata?mode=updinfo&mount=/live.mp3&song=x";
    let refused = http::get(origin.addr(), target, &[("Authorization", &wrong)]).await;
    assert_eq!(refused.unwrap().head.status, 401);
    for hearing in &heard {
        wait_for("three titles", SOON, || hearing.heard().titles.len() == 3).await;
    }
    let (near, far) = (heard[0].heard().titles, heard[1].heard().titles);
    assert_eq!(near, far, "the same titles at the same offsets");
    for (title, text) in near.iter().zip(titles) {
        assert!(
            format!("{title:?}").contains(&text[..4]),
            "{title:?} is not {text}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_source_follows_by_a_declared_splice() {
    let origin = origin(&["--patience", "30"]).await;
    let first = noise(origin.addr(), "/live.mp3", 4).await.unwrap();
    let stock = tap(&origin, "/live.mp3", &[]).await;
    let aware = Tap::aware(origin.addr(), "/live.mp3").await.unwrap();
    let place = aware.head.place().unwrap();
    aware.wait_more(2 * RATE, SOON).await;
    let first_sent = first.sent();
    drop(first);
    // The seat is free once the origin has noticed.
    let second = wait_until("the seat", SOON, async || {
        noise(origin.addr(), "/live.mp3", 5).await.ok()
    })
    .await;
    assert_eq!(aware.wait_end(SOON).await, End::Fin, "ends with its epoch");
    let heard = aware.audio();
    let next = place.offset + heard.len() as u64;
    let answer = Tap::open(
        origin.addr(),
        "/live.mp3",
        &[("Resume-Offset", &place.resume(heard.len() as u64))],
    )
    .await
    .unwrap();
    let follows = answer.head.place().unwrap();
    assert!(
        follows.spliced && follows.lost.is_none(),
        "{follows:?} after {next}"
    );
    assert_ne!(follows.epoch, place.epoch);
    answer.wait_len(20_000, SOON).await;
    stock.wait_more(20_000, SOON).await;
    assert!(stock.ended().is_none(), "a stock listener stays");
    let second_sent = second.sent();
    let at = usize::try_from(follows.offset).unwrap();
    assert!(second_sent[at..].starts_with(&answer.audio()[..20_000]));
    // A stock listener: all of the first source's whole frames, then the second source's.
    let whole = stock.audio();
    let seam = find(&whole, &second_sent[at..at + 1000]).expect("the second source");
    assert!(
        find(&first_sent, &whole[..seam]).is_some(),
        "nothing else before"
    );
    assert!(second_sent[at..].starts_with(&whole[seam..seam + 20_000]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mount_whose_source_does_not_come_back_ends() {
    let origin = origin(&["--patience", "1"]).await;
    let source = noise(origin.addr(), "/live.mp3", 6).await.unwrap();
    let listener = tap(&origin, "/live.mp3", &[]).await;
    drop(source);
    listener.wait_end(SOON).await;
    let gone = http::get(origin.addr(), "/live.mp3", &[]).await.unwrap();
    assert_eq!(gone.head.status, 404);
    let _again = noise(origin.addr(), "/live.mp3", 7).await.unwrap();
    tap(&origin, "/live.mp3", &[])
        .await
        .wait_len(10_000, SOON)
        .await;
}
