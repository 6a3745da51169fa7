//! How many may listen, how long, and who.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn one_listener_too_many_is_refused() {
    twice("max-listeners", async |run| {
        let icecast = run
            .icecast(&mount("/a.mp3", "<max-listeners>2</max-listeners>"))
            .await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let first = hear(&icecast, "/a.mp3").await;
        let second = hear(&icecast, "/a.mp3").await;
        admin::wait_listeners(&icecast, "/a.mp3", 2).await;
        let mut seen = Seen::new();
        let refused = http::get(icecast.addr(), "/a.mp3", &[]).await.unwrap();
        seen.is(
            "refusal",
            format!("{}{}", seen::whole(&refused), refused.text()),
        );
        drop(first);
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        let third = hear(&icecast, "/a.mp3").await;
        third.wait_more(RATE, SOON).await;
        seen.is("streams", format!("{} {}", heard(&second), heard(&third)));
        admin::wait_stat(&icecast, "/a.mp3", "listener_peak", 2).await;
        seen.in_short(format!("200, 200, {}, 200", refused.head.status));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_client_too_many_is_refused() {
    twice("clients", async |run| {
        let setup = Setup {
            clients: 4,
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let a = Air::at(icecast.addr(), "/a.mp3", 1).await;
        let first = wait_until("a listener", SOON, async || {
            let tap = Tap::open(icecast.addr(), "/a.mp3", &[]).await.ok()?;
            (tap.head.status == 200).then_some(tap)
        })
        .await;
        let second = hear(&icecast, "/a.mp3").await;
        let third = hear(&icecast, "/a.mp3").await;
        let mut seen = Seen::new();
        let refused = http::get(icecast.addr(), "/a.mp3", &[]).await.unwrap();
        seen.is(
            "refusal",
            format!("{}{}", seen::whole(&refused), refused.text()),
        );
        drop(third);
        let fourth = wait_until("a place", SOON, async || {
            let tap = Tap::open(icecast.addr(), "/a.mp3", &[]).await.ok()?;
            (tap.head.status == 200).then_some(tap)
        })
        .await;
        a.reaches(&fourth).await;
        first.wait_more(RATE, SOON).await;
        seen.is(
            "streams",
            format!("{} {} {}", heard(&first), heard(&second), heard(&fourth)),
        );
        seen.in_short(format!("a source, 200, 200, 200, {}", refused.head.status));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_longer_than_he_may() {
    twice("max-listener-duration", async |run| {
        let elements = "<max-listener-duration>3</max-listener-duration>";
        let icecast = run.icecast(&mount("/a.mp3", elements)).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let mut seen = Seen::new();
        let listen = async |fields: &'static [(&'static str, &'static str)]| {
            let start = Instant::now();
            let tap = hear_with(&icecast, "/a.mp3", fields).await;
            let end = tap.wait_end(SOON).await;
            (end, start.elapsed(), tap)
        };
        let (plain, icy) = tokio::join!(listen(&[]), listen(&[("Icy-MetaData", "1")]));
        for (end, time, tap) in [&plain, &icy] {
            seen.is("end", format!("{end:?}"));
            seen.takes("listened", *time, 1.5);
            seen.is("streams", heard(tap));
        }
        admin::wait_listeners(&icecast, "/a.mp3", 0).await;
        seen.in_short(format!(
            "{:?} after {:.1} s",
            plain.0,
            plain.1.as_secs_f32()
        ));
        run.end(icecast, seen)
    })
    .await;
}

/// What comes back from an address of our own.
async fn from(client: Ipv4Addr, icecast: &Icecast, target: &str) -> String {
    match Tap::from(client, icecast.addr(), target, &[]).await {
        Ok(tap) => format!("{}", tap.head.status),
        // A connection that is closed at once, with or without a reset.
        Err(_) => "no answer".to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_are_let_in_or_kept_out() {
    twice("allow-ip, deny-ip", async |run| {
        let start = async |element: &str, list: &str| {
            run.start(Setup {
                paths: format!("<{element}>{{dir}}/list</{element}>"),
                files: vec![("list".to_owned(), list.as_bytes().to_vec())],
                sockets: vec![Socket::at(Ipv6Addr::LOCALHOST)],
                ..run.setup()
            })
            .await
        };
        let allow = start("allow-ip", "127.0.0.1\n127.0.8.1\n").await;
        let deny = start("deny-ip", "127.0.8.2\n127.0.8.3\n::1\n").await;
        let mut seen = Seen::new();
        let mut all = Vec::new();
        for (name, icecast) in [("allow", &allow), ("deny", &deny)] {
            let _a = air(icecast, "/a.mp3", 1).await;
            for last in 1..4 {
                let client = Ipv4Addr::new(127, 0, 8, last);
                for target in ["/a.mp3", "/status-json.xsl"] {
                    let answer = from(client, icecast, target).await;
                    seen.is(format!("{name}: {client} {target}"), &answer);
                    all.push(answer);
                }
            }
            let six = match Tap::open(icecast.sockets()[0], "/a.mp3", &[]).await {
                Ok(tap) => tap.head.status.to_string(),
                Err(_) => "no answer".to_owned(),
            };
            seen.is(format!("{name}: ::1"), six);
        }
        all.dedup();
        seen.in_short(all.join(", "));
        let seen = run.end(allow, seen);
        run.end(deny, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_that_says_nothing_is_dropped() {
    twice("source-timeout", async |run| {
        let setup = Setup {
            source_timeout: 2,
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let mut source = Source::accepted(icecast.addr(), "/a.mp3", Method::Source)
            .await
            .unwrap();
        source.send(&marked::bytes(1, 0, 100_000)).await.unwrap();
        let at = Instant::now();
        icecast.wait_mount("/a.mp3").await;
        let tap = hear(&icecast, "/a.mp3").await;
        let mut seen = Seen::new();
        seen.is("end", format!("{:?}", tap.wait_end(SOON).await));
        seen.takes("until the end", at.elapsed(), 1.5);
        let last = pieces(&tap.audio()).last().map(|last| last.to);
        seen.is("heard until", format!("{last:?}"));
        seen.in_short(format!(
            "{:?} after {:.1} s",
            tap.ended(),
            at.elapsed().as_secs_f32()
        ));
        run.end(icecast, seen)
    })
    .await;
}
