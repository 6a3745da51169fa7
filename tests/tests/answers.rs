//! What an answer says: heads, HEAD and OPTIONS, query forms, time shift, sessions, max-lag, relays.

use std::time::Duration;

use icecast_ext_tests::encoder::{self, Encoder, Format};
use icecast_ext_tests::http::{self, request};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::stage::{RATE, Stage};
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::{decode_errors, find};

const SOON: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_stock_listener_gets_the_fields_of_icecast_and_ours_beside_them() {
    let stage = Stage::new().await.unwrap();
    for icy in [&[][..], &[("Icy-MetaData", "1")][..]] {
        let direct = Tap::open(stage.icecast.addr(), "/live.mp3", icy)
            .await
            .unwrap();
        let ours = Tap::open(stage.proxy.addr(), "/live.mp3", icy)
            .await
            .unwrap();
        let known = ["date", "connection"];
        for (name, value) in &direct.head.fields {
            if !known.contains(&name.to_ascii_lowercase().as_str()) {
                assert_eq!(ours.head.get(name), Some(value.as_str()), "{name}");
            }
        }
        let place = ours.head.place().expect("Stream-Offset");
        assert_eq!(place.session, None, "only aware clients have sessions");
        assert!(ours.head.window_number("next").is_some());
        assert_eq!(ours.head.get("Accept-Ranges"), None);
        direct.wait_len(100_000, SOON).await;
        ours.wait_len(100_000, SOON).await;
        direct.wait_more(2 * RATE, SOON).await;
        let (direct, ours) = (direct.audio(), ours.audio());
        assert!(find(&stage.source.sent(), &ours).is_some());
        assert!(find(&stage.source.sent(), &direct).is_some());
    }
    let old = Tap::raw(stage.proxy.addr(), b"GET /live.mp3 HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    assert_eq!(
        (old.head.version.as_str(), old.head.status),
        ("HTTP/1.0", 200)
    );
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn head_and_options_answer_for_a_mount_without_a_body() {
    let stage = Stage::new().await.unwrap();
    let ask = async |method: &str| {
        let fields = &[("Resume-Offset", "live"), ("Origin", "http://page.example")];
        let request = request(method, "/live.mp3", stage.proxy.addr(), fields);
        http::raw(stage.proxy.addr(), &request).await.unwrap()
    };
    let head = ask("HEAD").await;
    assert_eq!((head.head.status, head.body.len()), (200, 0));
    let place = head.head.place().unwrap();
    assert_eq!(place.session, None, "HEAD admits nobody (R-HTTP-3)");
    assert_eq!(head.head.get("Content-Type"), Some("audio/mpeg"));

    let options = ask("OPTIONS").await;
    assert_eq!((options.head.status, options.body.len()), (204, 0));
    assert_eq!(options.head.get("Access-Control-Allow-Origin"), Some("*"));
    let allowed = options.head.get("Access-Control-Allow-Headers").unwrap();
    assert!(allowed.contains("Resume-Offset"), "{allowed}");
    let exposed = head.head.get("Access-Control-Expose-Headers").unwrap();
    assert!(
        exposed.contains("Stream-Offset") && exposed.contains("Link"),
        "{exposed}"
    );
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn query_forms_resume_and_shift_and_do_not_go_upstream() {
    let stage = Stage::new().await.unwrap();
    let place = stage.bystander.head.place().unwrap();
    let start = place.offset + 1000;
    let target = format!("/live.mp3?a=b&_resume={}.{start}", place.epoch);
    let resumed = Tap::open(stage.proxy.addr(), &target, &[]).await.unwrap();
    let found = resumed.head.place().unwrap();
    assert_eq!(
        (found.offset, &found.epoch, found.prelude),
        (start, &place.epoch, 0)
    );
    assert!(
        found.session.is_some(),
        "_resume makes a request aware (R-FIELD-15)"
    );
    resumed.wait_len(RATE, SOON).await;
    let heard = stage.bystander.audio();
    assert!(heard[1000..].starts_with(&resumed.audio()[..RATE]));

    // The field beats the query.
    let both = stage.ask(&target, &place.resume(2000)).await.unwrap();
    assert_eq!(both.head.place().unwrap().offset, place.offset + 2000);

    stage.bystander.wait_len(6 * RATE, SOON).await;
    let shifted = Tap::open(stage.proxy.addr(), "/live.mp3?_shift=3", &[])
        .await
        .unwrap();
    let at = shifted.head.place().unwrap();
    let next = shifted.head.window_number("next").unwrap();
    let back = (next - at.offset) as f64 / RATE as f64;
    assert!((2.0..4.5).contains(&back), "{back} s back");
    assert_eq!(
        at.session, None,
        "_shift alone does not make a request aware"
    );
    shifted.wait_len(RATE, SOON).await;
    assert!(find(&stage.source.sent(), &shifted.audio()).is_some());
    // Beyond what is held: the oldest byte, and the answer says which.
    let oldest = Tap::open(stage.proxy.addr(), "/live.mp3?_shift=9000", &[])
        .await
        .unwrap();
    let first = oldest.head.window_number("first").unwrap();
    assert!(oldest.head.place().unwrap().offset - first < 2000);
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_comes_back_closes_its_ghost_and_nobody_else() {
    let stage = Stage::new().await.unwrap();
    let ghost = stage.ask("/live.mp3", "live").await.unwrap();
    let place = ghost.head.place().unwrap();
    let session = place.session.clone().unwrap();
    let resume = format!("{};session=\"{session}\"", place.resume(0));
    // Of another mount, and in a HEAD, it closes nothing.
    let other = stage
        .ask("/other.mp3", &format!("live;session=\"{session}\""))
        .await
        .unwrap();
    assert_eq!(other.head.status, 200);
    let head = request(
        "HEAD",
        "/live.mp3",
        stage.proxy.addr(),
        &[("Resume-Offset", &resume)],
    );
    assert_eq!(
        http::raw(stage.proxy.addr(), &head)
            .await
            .unwrap()
            .head
            .status,
        200
    );
    ghost.wait_more(RATE, SOON).await;
    let back = stage.ask("/live.mp3", &resume).await.unwrap();
    ghost.wait_end(SOON).await;
    assert_ne!(back.head.place().unwrap().session, Some(session));
    back.wait_more(RATE, SOON).await;
    assert_eq!((back.ended(), other.ended()), (None, None::<End>));
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_too_far_behind_for_his_taste_joins_live_and_is_told() {
    let stage = Stage::new().await.unwrap();
    stage
        .bystander
        .wait_len(8 * RATE, Duration::from_secs(30))
        .await;
    let place = stage.bystander.head.place().unwrap();
    let within = stage
        .ask("/live.mp3", &format!("{};max-lag=60", place.resume(0)))
        .await
        .unwrap();
    assert_eq!(
        within.head.place().unwrap().offset,
        place.offset,
        "within the limit"
    );
    let late = stage
        .ask("/live.mp3", &format!("{};max-lag=1", place.resume(0)))
        .await
        .unwrap();
    let at = late.head.place().unwrap();
    assert_eq!(
        at.lost,
        Some(at.offset - place.offset),
        "a miss, and its size"
    );
    assert!(at.offset > place.offset);
    let fail = format!("{};max-lag=1;miss=fail", place.resume(0));
    let refused = stage.ask("/live.mp3", &fail).await.unwrap();
    assert_eq!(refused.head.status, 412);
    assert!(refused.head.window_number("next").is_some());
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn siblings_are_told_in_link() {
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        config: "relays = [\"http://relay-b.example:8100/\", \"https://relay-c.example\"]\n"
            .to_owned(),
        ..proxy::Setup::before(upstream)
    });
    let stage = stage.await.unwrap();
    let link = stage.bystander.head.get("Link").unwrap();
    for url in [
        "<http://relay-b.example:8100/live.mp3>",
        "<https://relay-c.example/live.mp3>",
    ] {
        assert!(
            link.contains(url) && link.contains("rel=duplicate"),
            "{link}"
        );
    }
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_late_joiner_of_each_format_decodes_from_its_first_byte() {
    let icecast = Icecast::start().await.unwrap();
    let mut encoders = Vec::new();
    for (seed, format) in (20..).zip(Format::ALL) {
        let setup = encoder::Setup {
            seed,
            ..encoder::Setup::new(format)
        };
        encoders.push(Encoder::start(icecast.addr(), format.mount(), setup).unwrap());
    }
    let proxy = Proxy::start(icecast.addr()).await.unwrap();
    let relay = Proxy::start(proxy.addr()).await.unwrap();
    for format in Format::ALL {
        icecast.wait_mount(format.mount()).await;
        // The mount has been pulled for longer than a burst when the joiner comes.
        let early = Tap::open(relay.addr(), format.mount(), &[]).await.unwrap();
        early.wait_len(150_000, Duration::from_secs(40)).await;
        for from in [&proxy, &relay] {
            let joiner = Tap::open(from.addr(), format.mount(), &[]).await.unwrap();
            joiner.wait_len(60_000, SOON).await;
            let body = joiner.body();
            let place = joiner.head.place().unwrap();
            assert!(place.offset > 0, "{format:?}: late");
            let start: &[u8] = match format {
                Format::Mp3 | Format::Aac => &[0xff],
                Format::WebM => &[0x1a, 0x45, 0xdf, 0xa3],
                _ => b"OggS",
            };
            assert!(
                body.starts_with(start),
                "{format:?} begins with {:02x?}",
                &body[..4]
            );
            assert_eq!(
                place.prelude > 0,
                !matches!(format, Format::Mp3 | Format::Aac)
            );
            let whole = icecast_ext_tests::truth::whole_units(format, &body);
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), whole).unwrap();
            assert_eq!(decode_errors(file.path()), "", "{format:?}");
        }
    }
}
