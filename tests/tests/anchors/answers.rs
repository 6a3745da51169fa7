//! What each kind of request is answered.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_on_the_list_gets_what_stock_icecast_gives() {
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        config: "[mount.\"/other.mp3\"]\nstock-players = \"off\"\n".into(),
        ..proxy::Setup::before(upstream)
    })
    .await
    .unwrap();
    let radio: &[(&str, &str)] = &[("User-Agent", "Radio/1.0"), ("Icy-MetaData", "1")];
    let ios: &[(&str, &str)] = &[
        ("User-Agent", "AppleCoreMedia/1.0.0.21 (iPhone)"),
        ("Range", "bytes=0-1"),
        ("Icy-MetaData", "1"),
    ];
    let unknown: &[(&str, &str)] = &[("User-Agent", "Somebody/1"), ("Range", "bytes=0-")];
    let script: &[(&str, &str)] = &[
        ("User-Agent", "Chrome/156.0.0.0"),
        ("Range", "bytes=0-"),
        ("Sec-Fetch-Dest", "empty"),
    ];
    let ffmpeg: &[(&str, &str)] = &[
        ("User-Agent", "Lavf/59"),
        ("Range", "bytes=0-"),
        ("Icy-MetaData", "1"),
    ];
    let cases = [
        ("/live.mp3", radio),
        ("/live.mp3", ios),
        ("/live.mp3", unknown),
        ("/live.mp3", script),
        // The level is off.
        ("/other.mp3", ffmpeg),
    ];
    for (mount, fields) in cases {
        let ours = Tap::open(stage.proxy.addr(), mount, fields).await.unwrap();
        let theirs = Tap::open(stage.icecast.addr(), mount, fields)
            .await
            .unwrap();
        assert_eq!(
            (ours.head.status, theirs.head.status),
            (200, 200),
            "{fields:?}"
        );
        for name in [
            "Accept-Ranges",
            "ETag",
            "Set-Cookie",
            "Content-Length",
            "Content-Range",
            "Location",
        ] {
            assert_eq!(ours.head.get(name), theirs.head.get(name), "{fields:?}");
        }
        assert_eq!(ours.head.metaint(), theirs.head.metaint(), "{fields:?}");
        ours.wait_len(RATE, SOON).await;
    }
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_ends_and_tails_are_answered_as_the_chapter_says() {
    let stage = Stage::proxied(icecast::Setup::default(), |upstream| proxy::Setup {
        config: "[mount.\"/other.mp3\"]\nstock-players = \"full\"\n".into(),
        ..proxy::Setup::before(upstream)
    })
    .await
    .unwrap();
    let proxy = stage.proxy.addr();
    let first = PLAIN.ask(proxy, "/live.mp3", Some("bytes=0-"), &[]).await;
    assert_eq!(
        (first.head.status, first.head.get("Content-Length")),
        (200, None)
    );
    assert_eq!(first.head.get("Accept-Ranges"), Some("bytes"));
    // It did not ask for titles.
    assert!(
        first
            .head
            .fields
            .iter()
            .all(|(name, _)| !name.to_ascii_lowercase().starts_with("icy-"))
    );
    let full = PLAIN.ask(proxy, "/other.mp3", Some("bytes=0-"), &[]).await;
    assert_eq!(
        (full.head.status, full.head.get("Content-Length")),
        (200, Some(TOTAL))
    );
    full.wait_len(RATE, SOON).await;

    // The end of a file that there is not, and the beginning again: the same join.
    let anchor = cookie(&full.head).unwrap();
    let tail = PLAIN
        .ask(
            proxy,
            "/other.mp3",
            Some("bytes=999999999872-"),
            &[("Cookie", &anchor)],
        )
        .await;
    assert_eq!(tail.wait_end(SOON).await, End::Fin);
    assert_eq!((tail.head.status, tail.body()), (206, vec![0; 128]));
    assert_eq!(
        range(&tail.head),
        Some("bytes 999999999872-999999999999/1000000000000")
    );
    assert_eq!(tail.head.get("Content-Type"), full.head.get("Content-Type"));
    let again = PLAIN
        .ask(
            proxy,
            "/other.mp3",
            Some("bytes=0-"),
            &[("Cookie", &anchor)],
        )
        .await;
    assert_eq!(
        (again.head.status, cookie(&again.head)),
        (200, Some(anchor.clone()))
    );
    again.wait_len(RATE, SOON).await;
    assert_eq!(again.body()[..RATE], full.body()[..RATE]);
    let beyond = PLAIN
        .ask(
            proxy,
            "/other.mp3",
            Some("bytes=1000000000000-"),
            &[("Cookie", &anchor)],
        )
        .await;
    assert_eq!(
        (beyond.head.status, range(&beyond.head)),
        (416, Some("bytes */1000000000000"))
    );

    // A part with an end is as long as it says, and no longer.
    let part = PLAIN
        .ask(
            proxy,
            "/other.mp3",
            Some("bytes=1000-20999"),
            &[("Cookie", &anchor)],
        )
        .await;
    assert_eq!(
        (part.head.status, part.head.get("Content-Length")),
        (206, Some("20000"))
    );
    assert_eq!(range(&part.head), Some("bytes 1000-20999/1000000000000"));
    assert_eq!(part.wait_end(SOON).await, End::Fin);
    assert_eq!(part.body(), full.body()[1000..21_000]);
    // HEAD is GET's head.
    let head = http::raw(
        proxy,
        format!("HEAD /other.mp3 HTTP/1.1\r\nHost: x\r\nUser-Agent: Lavf/59\r\nRange: bytes=1000-\r\nCookie: {anchor}\r\n\r\n").as_bytes(),
    )
    .await
    .unwrap();
    assert_eq!((head.head.status, head.body.len()), (206, 0));
    assert_eq!(
        range(&head.head),
        Some("bytes 1000-999999999999/1000000000000")
    );
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_of_its_own_is_a_url_of_its_own() {
    let stage = Stage::new().await.unwrap();
    let proxy = stage.proxy.addr();
    let mut locations = Vec::new();
    for player in [VLC, CHROMIUM, WGET] {
        let range = (player.0 != WGET.0).then_some("bytes=0-");
        let sent = player.ask(proxy, "/live.mp3?a=b", range, &[]).await;
        assert_eq!(sent.head.status, 302);
        assert!(sent.head.get("Cache-Control").unwrap().contains("no-store"));
        let location = sent.head.get("Location").unwrap().to_owned();
        assert!(location.starts_with("/live.mp3?a=b&_anchor="), "{location}");
        let join = player.ask(proxy, &location, range, &[]).await;
        assert_eq!((join.head.status, cookie(&join.head)), (200, None));
        join.wait_len(RATE, SOON).await;
        let body = join.body();
        let back = player
            .ask(proxy, &location, Some("bytes=12345-"), &[])
            .await;
        assert_eq!(back.head.status, 206);
        back.wait_len(body.len() - 12_345, SOON).await;
        assert_eq!(back.body()[..body.len() - 12_345], body[12_345..]);
        locations.push(location);
    }
    locations.dedup();
    assert_eq!(locations.len(), 3);
    // By hand: nobody is redirected.
    let curl = Player(&[("User-Agent", "curl/7.88.1")]);
    let join = curl.ask(proxy, "/live.mp3", Some("bytes=0-"), &[]).await;
    assert_eq!(join.head.status, 200);
    join.wait_len(RATE, SOON).await;
    let by_hand = join.head.get("Content-Location").unwrap().to_owned();
    let back = curl.ask(proxy, &by_hand, Some("bytes=777-"), &[]).await;
    back.wait_len(RATE - 777, SOON).await;
    assert_eq!(back.body()[..RATE - 777], join.body()[777..RATE]);
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_ours_does_not_go_upstream_and_nobody_is_let_in_by_an_anchor() {
    let users = "<mount type=\"normal\"><mount-name>/p.mp3</mount-name><authentication type=\"htpasswd\">\
                 <option name=\"filename\" value=\"{dir}/users\"/></authentication></mount>";
    let setup = icecast::Setup {
        more: users.into(),
        ..icecast::Setup::default()
    };
    let table = "[mount.\"/p.mp3\"]\nadmission = \"verdict\"\npull-credentials = \"pull:secret\"\n";
    let (icecast, proxy) = start(setup, table).await;
    // bob:secret and pull:secret.
    let md5 = "5ebe2294ecd0e0f08eab7690d2a6ee69";
    std::fs::write(icecast.file("users"), format!("bob:{md5}\npull:{md5}\n")).unwrap();
    let _source = noise(icecast.addr(), "/p.mp3", 1).await.unwrap();
    icecast.wait_mount("/p.mp3").await;
    let bob = basic("bob", "secret");
    let auth = ("Authorization", bob.as_str());
    // Not even where the stream is may be known before.
    let stranger = VLC.ask(proxy.addr(), "/p.mp3", Some("bytes=0-"), &[]).await;
    assert_eq!(
        (stranger.head.status, stranger.head.get("Location")),
        (401, None)
    );
    let sent = VLC
        .ask(proxy.addr(), "/p.mp3", Some("bytes=0-"), &[auth])
        .await;
    let location = sent.head.get("Location").unwrap().to_owned();
    let join = VLC
        .ask(proxy.addr(), &location, Some("bytes=0-"), &[auth])
        .await;
    assert_eq!(join.head.status, 200);
    join.wait_len(RATE, SOON).await;
    let stranger = VLC
        .ask(proxy.addr(), &location, Some("bytes=100-"), &[])
        .await;
    assert_eq!(stranger.head.status, 401);
    let cookies = [auth, ("Cookie", "a=b; icx-AAAAAAAA=x; c=d")];
    let back = VLC
        .ask(proxy.addr(), &location, Some("bytes=100-"), &cookies)
        .await;
    assert_eq!(back.head.status, 206);
    let log = wait_until("icecast's log", SOON, async || {
        let log = std::fs::read_to_string(icecast.file("access.log")).ok()?;
        (log.matches("GET /p.mp3").count() >= 4).then_some(log)
    })
    .await;
    assert!(!log.contains("_anchor") && !log.contains("icx-"), "{log}");
}
