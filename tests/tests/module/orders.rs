//! What an administrator sees of listeners, and does to them.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn listeners_are_counted_and_listed_as_they_are() {
    twice("counts and lists", async |run| {
        let setup = Setup {
            sockets: vec![Socket::at(Ipv6Addr::LOCALHOST)],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let addr = icecast.addr();
        let mut taps = Vec::new();
        for (i, agent) in ["one/1.0", "two/2.0", "three <&\"'>"]
            .into_iter()
            .enumerate()
        {
            let fields = [("User-Agent", agent), ("X-Forwarded-For", "192.0.2.7")];
            taps.push(
                Tap::from(run.client(), addr, "/a.mp3", &fields)
                    .await
                    .unwrap(),
            );
            admin::wait_listeners(&icecast, "/a.mp3", i + 1).await;
        }
        taps.push(
            Tap::open(icecast.sockets()[0], "/a.mp3", &[])
                .await
                .unwrap(),
        );
        admin::wait_listeners(&icecast, "/a.mp3", 4).await;
        taps[3].wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        seen.is("list", admin::clients(&icecast, "/a.mp3").await);
        seen.is("stats", admin::stats(&icecast, 4).await);
        let json = http::get(addr, "/status-json.xsl", &[]).await.unwrap();
        seen.is("json", seen::plain(&json.text(), &icecast));
        let page = http::get(addr, "/status.xsl", &[]).await.unwrap();
        seen.is("page", seen::plain(&page.text(), &icecast));
        let left = Instant::now();
        taps.truncate(1);
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        seen.takes("until who has left is not counted", left.elapsed(), 1.5);
        seen.is(
            "list of who is left",
            admin::clients(&icecast, "/a.mp3").await,
        );
        admin::wait_stat(&icecast, "/a.mp3", "listener_peak", 4).await;
        taps[0].wait_more(RATE, SOON).await;
        seen.is("streams", heard(&taps[0]));
        let of_none = icecast
            .admin("/admin/listclients?mount=/none")
            .await
            .unwrap();
        seen.is(
            "list of no mount",
            format!("{}{}", seen::whole(&of_none), of_none.text()),
        );
        seen.in_short("4 listed, 1 left, peak 4");
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_killed_ends_and_nobody_else() {
    twice("killclient", async |run| {
        let icecast = run.icecast("").await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let mut taps = Vec::new();
        for agent in ["one", "two"] {
            taps.push(hear_with(&icecast, "/a.mp3", &[("User-Agent", agent)]).await);
        }
        admin::wait_listeners(&icecast, "/a.mp3", 2).await;
        taps[0].wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        let id = admin::client(&icecast, "/a.mp3", "one").await;
        let at = Instant::now();
        let target = format!("/admin/killclient?mount=/a.mp3&id={id}");
        let answer = icecast.admin(&target).await.unwrap();
        seen.is(
            "answer",
            format!(
                "{}{}",
                seen::whole(&answer),
                seen::plain(&answer.text(), &icecast)
            ),
        );
        seen.is("end", format!("{:?}", taps[0].wait_end(SOON).await));
        seen.takes("until the end", at.elapsed(), 1.0);
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        taps[1].wait_more(RATE, SOON).await;
        seen.is("the other's end", format!("{:?}", taps[1].ended()));
        for tap in &taps {
            seen.is("streams", heard(tap));
        }
        for target in [
            "/admin/killclient?mount=/a.mp3&id=99999",
            "/admin/killclient?mount=/a.mp3",
        ] {
            let answer = icecast.admin(target).await.unwrap();
            seen.is(target, format!("{}{}", seen::whole(&answer), answer.text()));
        }
        seen.in_short(format!(
            "end {:?}, the other hears {}",
            taps[0].ended(),
            heard(&taps[1])
        ));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_moved_goes_on_there() {
    twice("moveclients", async |run| {
        let icecast = run.icecast("").await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let b = air(&icecast, "/b.mp3", 2).await;
        let taps = [
            hear(&icecast, "/a.mp3").await,
            hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await,
        ];
        let native = hear(&icecast, "/b.mp3").await;
        admin::wait_listeners(&icecast, "/a.mp3", 2).await;
        taps[0].wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        let target = "/admin/moveclients?mount=/a.mp3&destination=/b.mp3";
        let answer = icecast.admin(target).await.unwrap();
        seen.is(
            "answer",
            format!("{}{}", seen::whole(&answer), answer.text()),
        );
        for (i, tap) in taps.iter().enumerate() {
            seen.about(
                format!("{i}: behind when moved"),
                b.reaches(tap).await as f64,
                24_000.0,
            );
        }
        admin::wait_listeners(&icecast, "/b.mp3", 3).await;
        admin::wait_listeners(&icecast, "/a.mp3", 0).await;
        taps[0].wait_more(RATE, SOON).await;
        for tap in taps.iter().chain([&native]) {
            seen.is("streams", heard(tap));
        }
        for target in [
            "/admin/moveclients?mount=/a.mp3&destination=/none",
            "/admin/moveclients?mount=/a.mp3&destination=/a.mp3",
            "/admin/moveclients?mount=/a.mp3",
        ] {
            let answer = icecast.admin(target).await.unwrap();
            // The page says for how many seconds they have been there.
            let text = format!("{}{}", seen::whole(&answer), answer.text());
            seen.is(target, seen::plain(&text, &icecast));
        }
        seen.in_short(format!("heard {}; {}", heard(&taps[0]), heard(&taps[1])));
        run.end(icecast, seen)
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_source_ends_with_its_listeners() {
    twice("killsource", async |run| {
        let icecast = run.icecast("").await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let _b = air(&icecast, "/b.mp3", 2).await;
        let tap = hear(&icecast, "/a.mp3").await;
        let other = hear(&icecast, "/b.mp3").await;
        tap.wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        let at = Instant::now();
        let answer = icecast
            .admin("/admin/killsource?mount=/a.mp3")
            .await
            .unwrap();
        seen.is(
            "answer",
            format!("{}{}", seen::whole(&answer), answer.text()),
        );
        seen.is("end", format!("{:?}", tap.wait_end(SOON).await));
        seen.takes("until the end", at.elapsed(), 1.0);
        wait_for("the source's end", SOON, || a.ended()).await;
        other.wait_more(RATE, SOON).await;
        seen.is("streams", format!("{}, {}", heard(&tap), heard(&other)));
        let again = air(&icecast, "/a.mp3", 3).await;
        let tap = hear(&icecast, "/a.mp3").await;
        again.reaches(&tap).await;
        seen.is("streams again", heard(&tap));
        seen.in_short("end, and a new source is heard");
        run.end(icecast, seen)
    })
    .await;
}
