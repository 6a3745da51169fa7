//! Listeners that Icecast knows as long as they listen.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_billed_limited_and_killed_as_a_listener_of_icecast() {
    let shadow = "pull-credentials = \"pull:secret\"";
    let limited = "HOOKS<max-listener-duration>5</max-listener-duration>";
    let stage = Stage::new(&[
        ("/s.mp3", "HOOKS", shadow),
        ("/d.mp3", limited, shadow),
        ("/b.mp3", "USERS", "pull-credentials = \"late:secret\""),
        ("/full.mp3", "HOOKS<max-listeners>3</max-listeners>", shadow),
    ])
    .await;
    for user in [
        "bill", "back", "kill", "lost", "first", "second", "direct", "mine", "in", "too", "out",
    ] {
        stage.hooks.admit(user, "secret");
    }
    stage.hooks.admit_for("short", "secret", 3);
    stage.hooks.admit_for("short2", "secret", 3);
    tokio::join!(
        bills(&stage),
        bills_a_resume(&stage),
        kills(&stage),
        limits(&stage),
        withdraws(&stage),
        refused_pull(&stage),
        fills(&stage),
    );
}

/// Icecast's own `max-listeners`: the pull has one of three places.
async fn fills(stage: &Stage) {
    let (direct, proxied) = (stage.icecast.addr(), stage.proxy.addr());
    let mount = "/full.mp3";
    let (staying, leaving) = (Who::new("in"), Who::new("too"));
    let tap = staying.join(proxied, mount, Some("live")).await;
    let other = leaving.join(proxied, mount, None).await;
    assert_eq!((tap.head.status, other.head.status), (200, 200));
    tap.wait_len(RATE, SOON).await;

    let auth = basic("out", "secret");
    for resume in ["live", "5;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\""] {
        let fields = [("Authorization", auth.as_str()), ("Resume-Offset", resume)];
        let at_icecast = http::get(direct, mount, &fields).await.unwrap();
        // Of a mount with URL authentication Icecast says it like this.
        assert_eq!(at_icecast.head.status, 401, "{at_icecast:?}");
        let answer = http::get(proxied, mount, &fields).await.unwrap();
        assert_eq!(refusal(&answer), refusal(&at_icecast));
        assert!(place_fields(&answer.head).is_empty(), "{answer:?}");
    }

    // Its own place is not in its way.
    let place = tap.head.place().unwrap();
    let at = format!(
        "{};session=\"{}\"",
        place.resume(1000),
        place.session.unwrap()
    );
    let again = staying.join(proxied, mount, Some(&at)).await;
    assert_eq!(again.head.status, 200, "{:?}", again.head);
    assert_eq!(again.head.place().unwrap().offset, place.offset + 1000);
    let full = Who::new("out").join(proxied, mount, None).await;
    assert_eq!(full.head.status, 401, "still one too many");

    drop(other);
    let next = wait_until("a place", SOON, async || {
        let tap = Who::new("out").join(proxied, mount, None).await;
        (tap.head.status == 200).then_some(tap)
    })
    .await;
    next.wait_len(RATE, SOON).await;
    again.wait_more(RATE, SOON).await;
    assert_eq!(again.ended(), None);
}

/// As long as the client has listened.
async fn bills(stage: &Stage) {
    let start = Instant::now();
    let tap = Who::new("bill")
        .join(stage.proxy.addr(), "/s.mp3", None)
        .await;
    tap.wait_len(120_000, SOON).await;
    drop(tap);
    let heard = start.elapsed();
    let call = stage.hooks.removed("bill", 1).await;
    assert!(
        about(call.duration().unwrap(), heard),
        "{call:?}: {heard:?}"
    );
    assert!(
        call.at.duration_since(start).abs_diff(heard) < Duration::from_secs(1),
        "told late"
    );
    let added = stage.hooks.of("listener_add", "bill");
    assert_eq!((added.len(), added[0].get("pass")), (1, "secret"));
}

/// Each response of its own, and never two at once.
async fn bills_a_resume(stage: &Stage) {
    let who = Who::new("back");
    let tap = who.join(stage.proxy.addr(), "/s.mp3", Some("live")).await;
    tap.wait_len(RATE, SOON).await;
    let place = tap.head.place().unwrap();
    // The old connection is still there, as after a change of network.
    let at = format!(
        "{};session=\"{}\"",
        place.resume(1000),
        place.session.unwrap()
    );
    let again = who.join(stage.proxy.addr(), "/s.mp3", Some(&at)).await;
    assert_eq!(again.head.status, 200);
    assert_eq!(again.head.place().unwrap().offset, place.offset + 1000);
    assert_eq!(tap.wait_end(SOON).await, End::Reset);
    again.wait_len(RATE, SOON).await;
    drop(again);
    stage.hooks.removed("back", 2).await;
    assert!(find(&stage.sent("/s.mp3"), &tap.audio()).is_some());
}

/// Through Icecast's own page, asked directly.
async fn kills(stage: &Stage) {
    let who = Who::new("kill");
    let tap = who.join(stage.proxy.addr(), "/s.mp3", None).await;
    let other = Who::new("mine")
        .join(stage.proxy.addr(), "/s.mp3", None)
        .await;
    tap.wait_len(RATE, SOON).await;
    let client = stage.hooks.of("listener_add", "kill")[0]
        .get("client")
        .to_owned();
    let target = format!("/admin/killclient?mount=/s.mp3&id={client}");
    let killed = Instant::now();
    let answer = stage.icecast.admin(&target).await.unwrap();
    assert!(
        answer.text().contains("<return>1</return>"),
        "{}",
        answer.text()
    );
    assert_eq!(tap.wait_end(SOON).await, End::Fin);
    assert!(
        killed.elapsed() < Duration::from_secs(2),
        "{:?}",
        killed.elapsed()
    );
    stage.hooks.removed("kill", 1).await;
    other.wait_more(RATE, SOON).await;
    assert_eq!(other.ended(), None, "only the one that was meant");
}

/// A time limit of the hook, and one of the mount, which cuts the pull as well.
async fn limits(stage: &Stage) {
    let (direct, proxied) = (stage.icecast.addr(), stage.proxy.addr());
    let lasts = async |user: &str, addr, mount| {
        let start = Instant::now();
        let tap = Who::new(user).join(addr, mount, None).await;
        assert_eq!(tap.head.status, 200, "{user}");
        assert_eq!(tap.wait_end(SOON).await, End::Fin, "{user}");
        (start.elapsed(), tap.audio())
    };
    let second = async {
        let tap = Who::new("bob").join(proxied, "/d.mp3", Some("live")).await;
        tap.wait_len(80_000, SOON).await;
        lasts("second", proxied, "/d.mp3").await
    };
    let (a, b, c, d, e) = tokio::join!(
        lasts("short", direct, "/s.mp3"),
        lasts("short2", proxied, "/s.mp3"),
        lasts("direct", direct, "/d.mp3"),
        lasts("first", proxied, "/d.mp3"),
        second,
    );
    let near = |a: Duration, b: Duration| a.abs_diff(b) < Duration::from_millis(2500);
    assert!(near(a.0, b.0), "timelimit: {:?} and {:?}", a.0, b.0);
    assert!(
        near(c.0, d.0),
        "max-listener-duration: {:?} and {:?}",
        c.0,
        d.0
    );
    assert!(
        near(c.0, e.0),
        "max-listener-duration: {:?} and {:?}",
        c.0,
        e.0
    );
    let sent = stage.sent("/d.mp3");
    assert!(
        find(&sent, &d.1).is_some() && find(&sent, &e.1).is_some(),
        "the pull was cut, and healed"
    );
}

/// What was allowed at the join is judged anew at the resume.
async fn withdraws(stage: &Stage) {
    let who = Who::new("lost");
    let tap = who.join(stage.proxy.addr(), "/s.mp3", Some("live")).await;
    tap.wait_len(RATE, SOON).await;
    stage.hooks.withdraw("lost");
    let place = tap.head.place().unwrap();
    let at = format!("{};session=\"{}\"", place.resume(1), place.session.unwrap());
    let refused = who.join(stage.proxy.addr(), "/s.mp3", Some(&at)).await;
    assert_eq!(refused.head.status, 401);
    assert!(place_fields(&refused.head).is_empty());
    tap.wait_end(SOON).await;
}

/// A pull with wrong credentials: said once, tunnelled, tried again.
async fn refused_pull(stage: &Stage) {
    let who = Who::new("bob");
    let join = || who.join(stage.proxy.addr(), "/b.mp3", Some("live"));
    let tap = join().await;
    assert_eq!(
        (tap.head.status, tap.head.place()),
        (200, None),
        "tunnelled"
    );
    tap.wait_len(RATE, SOON).await;
    drop(tap);
    let users = format!("{USERS}late:5ebe2294ecd0e0f08eab7690d2a6ee69\n");
    std::fs::write(stage.icecast.file("users"), users).unwrap();
    let tap = wait_until("the pull to be let in", SOON, async || {
        let tap = join().await;
        tap.head.place().is_some().then_some(tap)
    })
    .await;
    tap.wait_len(RATE, SOON).await;
    let log = stage.proxy.log();
    assert_eq!(log.matches("the pull is refused").count(), 1, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_of_icecast_ends_only_those_who_may_not_come_back() {
    let shadow = "pull-credentials = \"pull:secret\"";
    let mut stage = Stage::new(&[("/s.mp3", "HOOKS", shadow)]).await;
    let names: Vec<String> = (0..8).map(|i| format!("u{i}")).collect();
    let mut taps = Vec::new();
    for name in &names {
        stage.hooks.admit(name, "secret");
        taps.push(
            Who::new(name)
                .join(stage.proxy.addr(), "/s.mp3", None)
                .await,
        );
    }
    for tap in &taps {
        tap.wait_len(RATE, SOON).await;
    }
    let before = stage.sent("/s.mp3");
    stage.hooks.withdraw("u3");
    stage.icecast.kill();
    stage.icecast.restart().await.unwrap();
    let source = noise(stage.icecast.addr(), "/s.mp3", 99).await.unwrap();
    // All were asked for again, with what each had sent.
    let added = |name: &str| stage.hooks.of("listener_add", name);
    wait_for("all to be asked for again", SOON, || {
        names.iter().all(|name| added(name).len() == 2)
    })
    .await;
    assert_eq!(
        taps[3].wait_end(SOON).await,
        End::Fin,
        "withdrawn meanwhile"
    );
    for (name, tap) in names.iter().zip(&taps).filter(|(name, _)| *name != "u3") {
        tap.wait_more(RATE, SOON).await;
        assert_eq!(tap.ended(), None, "{name}");
        let heard = tap.audio();
        let seam = heard.len() - 10_000;
        assert!(
            find(&source.sent(), &heard[seam..]).is_some(),
            "{name}: other bytes"
        );
        assert!(
            find(&before, &heard[..RATE]).is_some(),
            "{name}: other bytes"
        );
    }
    // And they are shadows again: one can be killed, one leaves.
    let client = added("u5")[1].get("client").to_owned();
    let target = format!("/admin/killclient?mount=/s.mp3&id={client}");
    stage.icecast.admin(&target).await.unwrap();
    assert_eq!(taps[5].wait_end(SOON).await, End::Fin);
    taps.remove(0);
    stage.hooks.removed("u0", 1).await;
    assert_eq!(added("u1").len(), 2, "asked for again once");
}
