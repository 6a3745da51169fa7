//! How it starts, as whom it runs, and how it ends.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;

use super::*;

/// The ids that every thread of it has.
fn ids(icecast: &Icecast) -> String {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", icecast.id().unwrap())).unwrap();
    let mut ids = BTreeSet::new();
    for task in tasks {
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).unwrap();
        let lines = status.lines().filter(|line| {
            ["Uid:", "Gid:", "Groups:"]
                .iter()
                .any(|name| line.starts_with(name))
        });
        ids.insert(lines.collect::<Vec<_>>().join("; "));
    }
    ids.into_iter().collect::<Vec<_>>().join("\n")
}

/// SIGTERM, and what comes of it: how it ends, and how the listeners do.
async fn terminate(icecast: &mut Icecast, a: &Air, taps: &[Tap], seen: &mut Seen) {
    let at = Instant::now();
    let sent = a.at_now();
    icecast.signal("TERM").unwrap();
    for tap in taps {
        seen.is("listener's end", format!("{:?}", tap.wait_end(SOON).await));
        let missing = sent.saturating_sub(pieces(&tap.audio()).last().unwrap().to);
        // What the server had not read yet, and what did not fill a block.
        seen.about("not heard of what was sent before", missing as f64, 6000.0);
    }
    wait_for("the end", SOON, || !icecast.runs()).await;
    seen.takes("until it has ended", at.elapsed(), 2.0);
    wait_for("the source's end", SOON, || a.ended()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_when_it_is_told_to() {
    twice("SIGTERM", async |run| {
        let mut icecast = run.icecast("").await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let taps = [
            hear(&icecast, "/a.mp3").await,
            hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await,
        ];
        taps[1].wait_more(RATE, SOON).await;
        let mut seen = Seen::new();
        terminate(&mut icecast, &a, &taps, &mut seen).await;
        seen.is("exit code", format!("{:?}", icecast.code()));
        seen.is(
            "streams",
            format!("{} {}", heard(&taps[0]), heard(&taps[1])),
        );
        seen.is("output", seen::plain(&icecast.output(), &icecast));
        seen.in_short(format!(
            "exit code {:?}, {:?}",
            icecast.code(),
            taps[0].ended()
        ));
        seen
    })
    .await;
}

/// As SIGTERM, but with a queue that nobody fills: every byte is to be heard.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_before_the_end_is_heard() {
    twice("SIGTERM in a pause", async |run| {
        let mut icecast = run.icecast("").await;
        let mut source = Source::accepted(icecast.addr(), "/a.mp3", Method::Source)
            .await
            .unwrap();
        source
            .send(&marked::bytes(1, 0, 100 * air::BLOCK as usize))
            .await
            .unwrap();
        icecast.wait_mount("/a.mp3").await;
        let tap = hear(&icecast, "/a.mp3").await;
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        source
            .send(&marked::bytes(
                1,
                100 * air::BLOCK as usize,
                10 * air::BLOCK as usize,
            ))
            .await
            .unwrap();
        let all = || pieces(&tap.audio()).last().map(|last| last.to);
        wait_for("all of it", SOON, || all() == Some(110 * air::BLOCK)).await;
        icecast.signal("TERM").unwrap();
        let mut seen = Seen::new();
        seen.is("listener's end", format!("{:?}", tap.wait_end(SOON).await));
        seen.is("heard", format!("{:?}", pieces(&tap.audio())));
        wait_for("the end", SOON, || !icecast.runs()).await;
        seen.is("exit code", format!("{:?}", icecast.code()));
        seen.in_short(format!("exit code {:?}, {:?}", icecast.code(), tap.ended()));
        seen
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_to_the_background() {
    twice("-b", async |run| {
        let setup = Setup {
            background: true,
            ..run.setup()
        };
        let mut icecast = run.start(setup).await;
        let mut seen = Seen::new();
        wait_for("the end of what was started", SOON, || {
            icecast.code().is_some()
        })
        .await;
        seen.is(
            "exit code of what was started",
            format!("{:?}", icecast.code()),
        );
        // Two processes have written it, in any order.
        let output = seen::plain(&icecast.output(), &icecast);
        let mut lines: Vec<_> = output.lines().collect();
        lines.sort();
        seen.is("output", lines.join("\n"));
        let a = air(&icecast, "/a.mp3", 1).await;
        let taps = [
            hear(&icecast, "/a.mp3").await,
            hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await,
        ];
        taps[1].wait_more(2 * RATE, SOON).await;
        seen.is("complaints", seen::complaints(&icecast));
        terminate(&mut icecast, &a, &taps, &mut seen).await;
        seen.is(
            "process id is still there",
            icecast.file("icecast.pid").exists(),
        );
        seen.is(
            "streams",
            format!("{} {}", heard(&taps[0]), heard(&taps[1])),
        );
        seen.in_short(format!("heard {}, ends when told to", heard(&taps[0])));
        seen
    })
    .await;
}

fn owner(icecast: &Icecast, name: &str) -> u32 {
    std::fs::metadata(icecast.file(name)).unwrap().uid()
}

/// With and without a root of its own.
async fn becomes(run: &Run, jail: bool) -> Seen {
    let setup = Setup {
        jail,
        owner: Some(("icecast2", "icecast")),
        files: vec![("web/file.mp3".to_owned(), marked::bytes(7, 0, 50_000))],
        ..run.setup()
    };
    let mut icecast = run.start(setup).await;
    let a = air(&icecast, "/a.mp3", 1).await;
    let taps = [
        hear(&icecast, "/a.mp3").await,
        hear_with(&icecast, "/a.mp3", &[("Icy-MetaData", "1")]).await,
    ];
    taps[1].wait_more(2 * RATE, SOON).await;
    let mut seen = Seen::new();
    seen.is("ids", ids(&icecast));
    let root = std::fs::read_link(format!("/proc/{}/root", icecast.id().unwrap())).unwrap();
    seen.is("root", root == icecast.file("").components().as_path());
    let [access, error] = ["access.log", "error.log"].map(|name| owner(&icecast, name));
    seen.is("owner of logs", format!("{access} {error}"));
    for path in ["/file.mp3", "/style.css", "/status.xsl", "/none"] {
        let answer = http::get(icecast.addr(), path, &[]).await.unwrap();
        seen.is(path, seen::plain(&seen::whole(&answer), &icecast));
    }
    // Logs are opened anew by whom it has become; behind bars it does not find its configuration, and changes nothing.
    std::fs::rename(icecast.file("access.log"), icecast.file("access.log.1")).unwrap();
    icecast.signal("HUP").unwrap();
    let (asked, log) = match jail {
        true => ("the refusal", "error.log"),
        false => ("a new log", "access.log"),
    };
    wait_until(asked, SOON, async || {
        let asked = http::get(icecast.addr(), "/style.css", &[]).await.unwrap();
        assert_eq!(asked.head.status, 200);
        let log = icecast.read(log);
        let done = if jail {
            log.contains("EROR")
        } else {
            log.contains("/style.css")
        };
        done.then_some(())
    })
    .await;
    seen.is("a new log", icecast.file("access.log").exists());
    if !jail {
        seen.is("its owner", owner(&icecast, "access.log"));
    }
    taps[0].wait_more(RATE, SOON).await;
    seen.is("output", seen::plain(&icecast.output(), &icecast));
    seen.is("complaints", seen::complaints(&icecast));
    terminate(&mut icecast, &a, &taps, &mut seen).await;
    seen.is("exit code", format!("{:?}", icecast.code()));
    seen.is(
        "streams",
        format!("{} {}", heard(&taps[0]), heard(&taps[1])),
    );
    seen.in_short(format!(
        "heard {}, exit code {:?}",
        heard(&taps[0]),
        icecast.code()
    ));
    seen
}

#[tokio::test(flavor = "multi_thread")]
async fn it_becomes_another_user() {
    twice("changeowner", async |run| becomes(run, false).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn it_locks_itself_in() {
    twice("chroot and changeowner", async |run| {
        becomes(run, true).await
    })
    .await;
}
