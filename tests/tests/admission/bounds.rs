//! What Icecast cannot bound, because it sees the pull alone.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn places_and_time_are_bounded_where_icecast_sees_only_the_pull() {
    let stage = Stage::new(&[
        ("/two.mp3", "", "max-listeners = 2"),
        (
            "/direct.mp3",
            "<max-listeners>2</max-listeners>",
            "admission = \"tunnel\"",
        ),
        (
            "/v.mp3",
            "HOOKS",
            "admission = \"verdict\"\nmax-listeners = 1\npull-credentials = \"pull:secret\"",
        ),
        ("/time.mp3", "", "max-listener-duration = 4"),
    ])
    .await;
    tokio::join!(bounded_places(&stage), bounded_time(&stage));
}

async fn bounded_places(stage: &Stage) {
    let proxied = stage.proxy.addr();
    let mut refusals = Vec::new();
    for (addr, mount) in [
        (stage.icecast.addr(), "/direct.mp3"),
        (proxied, "/direct.mp3"),
        (proxied, "/two.mp3"),
    ] {
        let taps = [
            Tap::aware(addr, mount).await.unwrap(),
            Tap::open(addr, mount, &[]).await.unwrap(),
        ];
        assert!(taps.iter().all(|tap| tap.head.status == 200), "{mount}");
        refusals.push(refusal(&http::get(addr, mount, &[]).await.unwrap()));
        let [aware, other] = taps;
        if let Some(place) = aware.head.place() {
            // Its own place is not in its way.
            let at = format!("{};session=\"{}\"", place.resume(1), place.session.unwrap());
            let again = Tap::open(addr, mount, &[("Resume-Offset", &at)])
                .await
                .unwrap();
            assert_eq!(again.head.status, 200);
            assert_eq!(http::get(addr, mount, &[]).await.unwrap().head.status, 403);
            drop(again);
        }
        drop((aware, other));
        wait_until("a place", SOON, async || {
            let tap = Tap::open(addr, mount, &[]).await.unwrap();
            (tap.head.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(refusals[0].0, 403);
    assert_eq!(refusals[0], refusals[1]);
    assert_eq!(refusals[0], refusals[2]);
    let bob = Who::new("bob");
    let tap = bob.join(proxied, "/v.mp3", None).await;
    assert_eq!(tap.head.status, 200);
    assert_eq!(
        http::get(proxied, "/v.mp3", &[]).await.unwrap().head.status,
        401
    );
    stage.hooks.admit("eve", "secret");
    let full = Who::new("eve").join(proxied, "/v.mp3", None).await;
    assert_eq!(full.head.status, 403);
}

async fn bounded_time(stage: &Stage) {
    let open = |resume: Option<String>| async move {
        let fields: Vec<_> = resume
            .iter()
            .map(|at| ("Resume-Offset", at.as_str()))
            .collect();
        Tap::open(stage.proxy.addr(), "/time.mp3", &fields)
            .await
            .unwrap()
    };
    let at = |tap: &Tap| {
        let place = tap.head.place().unwrap();
        format!("{};session=\"{}\"", place.resume(1), place.session.unwrap())
    };
    let start = Instant::now();
    let stock = open(None).await;
    let aware = open(Some("live".to_owned())).await;
    aware.wait_len(120_000, SOON).await;
    let again = open(Some(at(&aware))).await;
    let third = open(Some(at(&again))).await;
    assert_eq!(stock.wait_end(SOON).await, End::Fin);
    assert!(
        about(start.elapsed(), Duration::from_secs(4)),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(third.wait_end(SOON).await, End::Fin);
    assert!(
        about(start.elapsed(), Duration::from_secs(4)),
        "a resume is no new beginning: {:?}",
        start.elapsed()
    );
    let late = open(Some(at(&third))).await;
    assert_eq!(late.head.status, 403, "nor is one after the end");
    assert_eq!(
        open(Some("live".to_owned())).await.head.status,
        200,
        "a join is"
    );
    assert!(find(&stage.sent("/time.mp3"), &third.audio()).is_some());
}
