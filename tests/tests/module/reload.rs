//! SIGHUP.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_changes_what_it_should_and_nobody_notices() {
    twice("SIGHUP", async |run| {
        let setup = Setup {
            sockets: vec![Socket::at(Ipv6Addr::LOCALHOST)],
            ..run.setup()
        };
        let mut icecast = run.start(setup.clone()).await;
        let _a = air(&icecast, "/a.mp3", 1).await;
        let b = air(&icecast, "/b.mp3", 2).await;
        let icy = [("Icy-MetaData", "1")];
        let taps = [
            hear(&icecast, "/a.mp3").await,
            hear_with(&icecast, "/a.mp3", &icy).await,
            hear(&icecast, "/b.mp3").await,
            Tap::open(icecast.sockets()[0], "/a.mp3", &[])
                .await
                .unwrap(),
        ];
        taps[0].wait_more(RATE, SOON).await;
        admin::wait_listeners(&icecast, "/a.mp3", 3).await;
        for name in ["access.log", "error.log"] {
            std::fs::rename(icecast.file(name), icecast.file(&format!("{name}.1"))).unwrap();
        }
        let mut seen = Seen::new();
        let max = |count| format!("<max-listeners>{count}</max-listeners>");
        let more = [
            // Now it is full already, falls back, and has another interval.
            mount(
                "/a.mp3",
                &format!(
                    "{}<mp3-metadata-interval>4096</mp3-metadata-interval>",
                    max(3)
                ),
            ),
            mount(
                "/b.mp3",
                "<fallback-mount>/a.mp3</fallback-mount><burst-size>10000</burst-size>",
            ),
            mount(
                "/c.mp3",
                &format!("<stream-name>New</stream-name>{}", max(1)),
            ),
        ];
        let changed = Setup {
            more: more.concat(),
            paths: "<alias source=\"/other\" destination=\"/c.mp3\"/>".to_owned(),
            ..setup
        };
        icecast.reload(changed).unwrap();
        admin::wait_stat(&icecast, "/a.mp3", "max_listeners", 3).await;
        let full = http::get(icecast.addr(), "/a.mp3", &[]).await.unwrap();
        seen.is("full", format!("{}{}", seen::whole(&full), full.text()));
        let _c = air(&icecast, "/c.mp3", 3).await;
        let new = hear_with(&icecast, "/other", &icy).await;
        new.wait_more(RATE, SOON).await;
        seen.is("head of the new one", seen::live(&new.head));
        let second = http::get(icecast.addr(), "/c.mp3", &[]).await.unwrap();
        seen.is("a second listener there", second.head.status);
        let late = hear(&icecast, "/b.mp3").await;
        let behind = b.at_now() - air::piece(&late, 2).from;
        seen.about("burst of b", behind as f64, 24_000.0);
        let six = Tap::open(icecast.sockets()[0], "/b.mp3", &[])
            .await
            .unwrap();
        seen.is("at the other socket", six.head.status);
        air::go_on(&taps).await;
        for tap in &taps {
            seen.is("still there", format!("{:?} {}", tap.ended(), heard(tap)));
        }
        // The mount is full: for those who are moved, too.
        drop(b);
        seen.is(
            "moved to a full mount",
            format!("{:?}", taps[2].wait_end(SOON).await),
        );
        taps[0].wait_more(RATE, SOON).await;
        seen.is("streams", heard(&taps[0]));
        for name in ["access.log", "error.log"] {
            seen.is(format!("new {name}"), icecast.file(name).exists());
            let old = icecast.read(&format!("{name}.1"));
            seen.is(
                format!("old {name} has the new request"),
                old.contains("/other"),
            );
        }
        drop(new);
        let logged = || icecast.read("access.log").contains("/other");
        wait_for("a line in the new log", SOON, logged).await;
        seen.in_short("all is new, nobody was cut");
        run.end(icecast, seen)
    })
    .await;
}
