//! What cannot be given is a loss that is told, never somebody else's bytes.

use super::*;

const WINDOW: &str = "window = 3\nadmin = \"ADMIN\"\n";

/// A stage whose buffer holds three seconds, and its metrics' address.
async fn short() -> (Stage, SocketAddr) {
    let admin = icecast_ext_tests::port::free();
    let config = WINDOW.replace("ADMIN", &admin.to_string());
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        config,
        ..proxy::Setup::before(upstream)
    })
    .await
    .unwrap();
    (stage, admin)
}

async fn misses(admin: SocketAddr) -> u64 {
    let text = http::get(admin, "/metrics", &[]).await.unwrap().text();
    metric(&text, "icecast_ext_misses_total")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_byte_that_is_gone_is_answered_live_at_that_byte_and_counts_from_there() {
    let (stage, admin) = short().await;
    let proxy = stage.proxy.addr();
    let before = misses(admin).await;
    for (round, player) in [PLAIN, VLC, CHROMIUM].into_iter().enumerate() {
        let mut target = "/live.mp3".to_owned();
        let mut join = player.ask(proxy, &target, Some("bytes=0-"), &[]).await;
        if let Some(location) = join.head.get("Location") {
            target = location.to_owned();
            join = player.ask(proxy, &target, Some("bytes=0-"), &[]).await;
        }
        let anchor = cookie(&join.head);
        join.wait_len(10_000, SOON).await;
        drop(join);
        // Four seconds later the bytes have left the window.
        let held = stage.source.sent().len();
        wait_until("the window to move", SOON, async || {
            (stage.source.sent().len() > held + 4 * RATE).then_some(())
        })
        .await;
        let fields: Vec<_> = anchor
            .iter()
            .map(|anchor| ("Cookie", anchor.as_str()))
            .collect();
        let lost = player
            .ask(proxy, &target, Some("bytes=10000-"), &fields)
            .await;
        assert_eq!(lost.head.status, 206);
        assert_eq!(
            range(&lost.head),
            Some("bytes 10000-999999999999/1000000000000")
        );
        let place = lost.head.place().unwrap();
        assert!(place.lost.is_some_and(|lost| lost > 0), "{place:?}");
        lost.wait_len(RATE, SOON).await;
        assert!(find(&stage.source.sent(), &lost.body()).is_some());
        let renewed = cookie(&lost.head).unwrap();
        // Cut again: from the new place on, with the cookie, and for a page of another site without it.
        let n = 10_000 + 7000;
        let body = lost.body();
        drop(lost);
        let without = fields.clone();
        let with = vec![("Cookie", renewed.as_str())];
        for fields in [with, without] {
            if player.0 == PLAIN.0 && fields.iter().all(|(_, value)| *value != renewed) {
                continue;
            }
            let back = player
                .ask(proxy, &target, Some(&format!("bytes={n}-")), &fields)
                .await;
            back.wait_len(RATE - 7000, SOON).await;
            assert_eq!(back.body()[..RATE - 7000], body[7000..RATE], "{fields:?}");
        }
        assert_eq!(misses(admin).await, before + round as u64 + 1);
    }
    let log = stage.proxy.log();
    assert_eq!(log.matches("began=\"miss\"").count(), 3, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn anchors_that_disagree_are_a_loss_and_never_anothers_bytes() {
    let stage = Stage::new().await.unwrap();
    let proxy = stage.proxy.addr();
    let mut jar = Vec::new();
    let mut bodies = Vec::new();
    for _ in 0..2 {
        let join = FFMPEG.ask(proxy, "/live.mp3", Some("bytes=0-"), &[]).await;
        join.wait_len(3 * RATE, SOON).await;
        jar.push(cookie(&join.head).unwrap());
        bodies.push(join.body());
    }
    // Alone, each is exact.
    for (cookie, body) in jar.iter().zip(&bodies) {
        let back = FFMPEG
            .ask(
                proxy,
                "/live.mp3",
                Some("bytes=1000-"),
                &[("Cookie", cookie)],
            )
            .await;
        back.wait_len(10_000, SOON).await;
        assert_eq!(back.head.place().unwrap().lost, None);
        assert_eq!(back.body()[..10_000], body[1000..11_000]);
    }
    let both = jar.join("; ");
    let lost = FFMPEG
        .ask(
            proxy,
            "/live.mp3",
            Some("bytes=1000-"),
            &[("Cookie", &both)],
        )
        .await;
    assert_eq!(lost.head.status, 206);
    lost.wait_len(10_000, SOON).await;
    for body in &bodies {
        assert_ne!(lost.body()[..10_000], body[1000..11_000]);
    }
    // One of another mount, or of nobody, is none.
    let other = FFMPEG
        .ask(
            proxy,
            "/other.mp3",
            Some("bytes=1000-"),
            &[("Cookie", &jar[0])],
        )
        .await;
    let broken = jar[1].replace("=A", "=B");
    let broken = FFMPEG
        .ask(
            proxy,
            "/live.mp3",
            Some("bytes=1000-"),
            &[("Cookie", &broken)],
        )
        .await;
    for lost in [other, broken] {
        assert_eq!(
            (lost.head.status, range(&lost.head)),
            (206, Some("bytes 1000-999999999999/1000000000000"))
        );
        assert!(cookie(&lost.head).is_some());
    }
    // The tag of another join.
    let named = [("Cookie", jar[0].as_str()), ("If-Range", "\"AAAAAAAA\"")];
    let lost = FFMPEG
        .ask(proxy, "/live.mp3", Some("bytes=1000-"), &named)
        .await;
    lost.wait_len(10_000, SOON).await;
    assert_ne!(lost.body()[..10_000], bodies[0][1000..11_000]);
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_moved_to_another_mount_loses_its_place_and_hears_of_no_other() {
    let stage = Stage::new().await.unwrap();
    let proxy = stage.proxy.addr();
    let join = PLAIN.ask(proxy, "/live.mp3", Some("bytes=0-"), &[]).await;
    let anchor = cookie(&join.head).unwrap();
    join.wait_len(3 * RATE, SOON).await;
    let auth = basic("admin", icecast::PASSWORD);
    let target = "/admin/moveclients?mount=/live.mp3&destination=/other.mp3";
    let moved = http::get(proxy, target, &[("Authorization", &auth)])
        .await
        .unwrap();
    assert!(moved.text().contains("Clients moved"), "{}", moved.text());
    wait_until("the move", SOON, async || {
        let n = join.len();
        (find(&stage.source.sent(), &join.body()[n - 1000..]).is_none()).then_some(())
    })
    .await;
    let n = format!("bytes={}-", join.len());
    let lost = PLAIN
        .ask(proxy, "/live.mp3", Some(&n), &[("Cookie", &anchor)])
        .await;
    assert_eq!(lost.head.status, 206);
    let log = stage.proxy.log();
    assert!(log.contains("began=\"miss\""), "{log}");
}
