//! What a listener gets who joins.

use futures_util::future::join_all;

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_joiner_gets_the_burst_that_the_mount_says() {
    twice("bursts", async |run| {
        // Sizes of a mount's own; the last is the server's, which says that there is none.
        const SIZES: [Option<u64>; 6] = [
            Some(0),
            Some(5000),
            Some(65_536),
            Some(100_000),
            Some(300_000),
            None,
        ];
        let name = |i: usize| format!("/{i}.mp3");
        let own = SIZES.iter().enumerate().filter_map(|(i, size)| {
            let elements = format!("<burst-size>{}</burst-size>", (*size)?);
            Some(mount(&name(i), &elements))
        });
        let setup = Setup {
            limits: "<burst-on-connect>0</burst-on-connect>".to_owned(),
            more: own.collect(),
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let mut seen = Seen::new();
        let mut bursts = Vec::new();
        let joins = (0..SIZES.len()).map(|i| burst(&icecast, name(i)));
        for (size, (burst, streams)) in SIZES.into_iter().zip(join_all(joins).await) {
            seen.is(format!("{size:?}: burst"), burst);
            seen.is(format!("{size:?}: streams"), streams);
            bursts.push(burst.to_string());
        }
        seen.in_short(bursts.join(", "));
        run.end(icecast, seen)
    })
    .await;
}

/// How far back a joiner begins, and what he and one who was there hear.
async fn burst(icecast: &Icecast, mount: String) -> (u64, String) {
    // So many bytes and then a pause: what a joiner gets does not depend on when he joins.
    const SENT: u64 = 230 * air::BLOCK + 700;
    const WHOLE: u64 = SENT - SENT % air::BLOCK;
    let has = |tap: &Tap, to: u64| {
        let all = pieces(&tap.audio());
        all.last().is_some_and(|last| last.to >= to)
    };
    let mut source = Source::accepted(icecast.addr(), &mount, Method::Source)
        .await
        .unwrap();
    source.send(&marked::bytes(1, 0, 20_000)).await.unwrap();
    icecast.wait_mount(&mount).await;
    let first = Tap::open(icecast.addr(), &mount, &[]).await.unwrap();
    admin::wait_listeners(icecast, &mount, 1).await;
    source
        .send(&marked::bytes(1, 20_000, SENT as usize - 20_000))
        .await
        .unwrap();
    wait_for("all that was sent", SOON, || has(&first, WHOLE)).await;
    let second = Tap::open(icecast.addr(), &mount, &[]).await.unwrap();
    // Whatever the size, he gets the last block.
    wait_for("the burst", SOON, || has(&second, WHOLE)).await;
    let more = marked::bytes(1, SENT as usize, 50 * air::BLOCK as usize);
    source.send(&more).await.unwrap();
    let to = WHOLE + 50 * air::BLOCK;
    wait_for("what comes then", SOON, || has(&second, to)).await;
    let burst = WHOLE.saturating_sub(air::piece(&second, 1).from);
    (burst, format!("{} {}", heard(&first), heard(&second)))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_intro_comes_first_and_whole() {
    twice("intro", async |run| {
        let setup = Setup {
            more: mount("/a.mp3", "<intro>intro.mp3</intro>"),
            files: vec![("web/intro.mp3".to_owned(), marked::bytes(9, 0, 123_456))],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let mut seen = Seen::new();
        for fields in [&[][..], &[("Icy-MetaData", "1")]] {
            let name = format!("{} fields", fields.len());
            let tap = hear_with(&icecast, "/a.mp3", fields).await;
            let behind = a.reaches(&tap).await;
            tap.wait_more(RATE, SOON).await;
            seen.is(
                format!("{name}: intro"),
                format!("{:?}", air::piece(&tap, 9)),
            );
            seen.is(format!("{name}: streams"), heard(&tap));
            seen.about(format!("{name}: then behind"), behind as f64, 24_000.0);
            seen.in_short(format!("heard {}", heard(&tap)));
        }
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn heads_and_bytes_are_the_same_for_every_kind_of_player() {
    twice("players' requests", async |run| {
        let elements = "<stream-name>A name</stream-name><genre>any</genre><bitrate>512</bitrate>\
            <stream-description>what</stream-description><stream-url>http://a.example/</stream-url>\
            <type>audio/mpeg</type><public>0</public>";
        let icecast = run.icecast(&mount("/a.mp3", elements)).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let _b = rich(&icecast).await;
        let requests = [
            "GET /a.mp3 HTTP/1.0\r\n\r\n",
            "GET /a.mp3 HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n",
            "GET /a.mp3 HTTP/1.1\r\nHost: radio.example\r\n\r\n",
            "GET /a.mp3 HTTP/1.1\r\nHost: radio.example\r\nConnection: keep-alive\r\n\
             icy-metadata:1\r\n\r\n",
            "GET /b.mp3?a=b HTTP/1.1\r\nHost: radio.example\r\nIcy-MetaData: 1\r\n\
             User-Agent: VLC/3.0.20 LibVLC/3.0.20\r\n\r\n",
            "GET /b.mp3 HTTP/1.1\r\nHost: radio.example\r\nIcy-MetaData: 0\r\n\
             User-Agent: Mozilla/5.0\r\n\r\n",
        ];
        let mut seen = Seen::new();
        let mut taps = Vec::new();
        for request in &requests {
            let tap = Tap::raw(icecast.addr(), request.as_bytes()).await.unwrap();
            taps.push((request, tap));
        }
        for (request, tap) in &taps {
            tap.wait_len(2 * RATE, SOON).await;
            seen.is(format!("{request}: head"), seen::live(&tap.head));
            seen.is(format!("{request}: streams"), heard(tap));
        }
        seen.in_short(format!("{} requests, heads and bytes", requests.len()));
        run.end(icecast, seen)
    })
    .await;
}

/// A source that says everything about itself.
async fn rich(icecast: &Icecast) -> Air {
    let auth = http::basic("source", PASSWORD);
    let head = format!(
        "SOURCE /b.mp3 ICE/1.0\r\nAuthorization: {auth}\r\nContent-Type: audio/mpeg\r\n\
         Ice-Name: Nämé\r\nice-description: what\r\nice-url: http://b.example/\r\n\
         ice-genre: some\r\nice-bitrate: 128\r\nice-public: 1\r\nicy-notice1: a\r\nX-Other: b\r\n\
         ice-audio-info: ice-samplerate=48000;ice-bitrate=128;ice-channels=2\r\n\r\n"
    );
    let source = Source::raw(icecast.addr(), Method::Ice, head.as_bytes())
        .await
        .unwrap();
    let air = Air::with(source, 2).await;
    icecast.wait_mount("/b.mp3").await;
    air
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_comes_as_often_as_the_server_says() {
    twice("metaint", async |run| {
        let every =
            |every: usize| format!("<mp3-metadata-interval>{every}</mp3-metadata-interval>");
        let more = [
            mount("/a.mp3", &every(4096)),
            mount("/b.mp3", &every(1)),
            mount("/c.mp3", &every(100_000)),
        ]
        .concat();
        let icecast = run.icecast(&more).await;
        let mut seen = Seen::new();
        let mut all = Vec::new();
        let listen = |name: &'static str| {
            let icecast = &icecast;
            async move {
                let air = air(icecast, name, 1).await;
                let tap = hear_with(icecast, name, &[("Icy-MetaData", "1")]).await;
                tap.wait_more(4 * RATE, SOON).await;
                (name, tap, air)
            }
        };
        let taps = ["/a.mp3", "/b.mp3", "/c.mp3", "/d.mp3"].map(listen);
        for (name, tap, _air) in join_all(taps).await {
            let every = tap.head.get("icy-metaint").unwrap_or("none").to_owned();
            seen.is(format!("{name}: icy-metaint"), &every);
            seen.is(format!("{name}: streams"), heard(&tap));
            all.push(every);
        }
        seen.in_short(all.join(", "));
        run.end(icecast, seen)
    })
    .await;
}
