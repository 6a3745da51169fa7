//! Listeners that Icecast lets in, and does not see afterwards.

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn a_verdict_is_asked_once_and_only_the_proxy_ends_its_listener() {
    let table = "admission = \"verdict\"\npull-credentials = \"pull:secret\"";
    let stage = Stage::new(&[("/v.mp3", "HOOKS", table)]).await;
    let proxied = stage.proxy.addr();
    stage.hooks.admit("kill", "secret");
    stage.hooks.admit("lost", "secret");
    stage.hooks.admit_for("short", "secret", 2);
    let (kill, lost, short) = (Who::new("kill"), Who::new("lost"), Who::new("short"));
    let start = Instant::now();
    let limited = short.join(proxied, "/v.mp3", None).await;
    let killed = kill.join(proxied, "/v.mp3", None).await;
    let tap = lost.join(proxied, "/v.mp3", Some("live")).await;
    for tap in [&limited, &killed, &tap] {
        assert_eq!(tap.head.status, 200, "{:?}", tap.head);
        tap.wait_len(RATE, SOON).await;
    }

    // To the hooks they have come and gone.
    for user in ["short", "kill", "lost"] {
        let removed = stage.hooks.removed(user, 1).await;
        let lasted = removed.duration().unwrap();
        assert!(lasted <= Duration::from_secs(1), "{removed:?}");
        assert_eq!(stage.hooks.of("listener_add", user).len(), 1, "{user}");
    }
    for tap in [&limited, &killed, &tap] {
        tap.wait_more(RATE, SOON).await;
        assert_eq!(tap.ended(), None);
    }

    // Withdrawn: whoever listens goes on, whoever asks again is refused.
    stage.hooks.withdraw("lost");
    let place = tap.head.place().unwrap();
    let refused = lost.join(proxied, "/v.mp3", Some(&place.resume(1))).await;
    assert_eq!(refused.head.status, 401);
    assert!(place_fields(&refused.head).is_empty(), "{:?}", refused.head);
    tap.wait_more(RATE, SOON).await;
    assert_eq!(tap.ended(), None);
    let at = format!("{};session=\"{}\"", place.resume(1), place.session.unwrap());
    let refused = lost.join(proxied, "/v.mp3", Some(&at)).await;
    assert_eq!(refused.head.status, 401);
    assert!(place_fields(&refused.head).is_empty(), "{:?}", refused.head);

    // Killed with the number that the proxy's list has.
    let admin = basic("admin", icecast::PASSWORD);
    let fields = [("Authorization", admin.as_str())];
    let list = http::get(proxied, "/admin/listclients?mount=/v.mp3", &fields).await;
    let list = list.unwrap().text();
    let (_, row) = list.split_once("<UserAgent>kill<").expect(&list);
    let (_, id) = row.split_once("<ID>").expect(&list);
    let (id, _) = id.split_once('<').unwrap();
    let target = format!("/admin/killclient?mount=/v.mp3&id={id}");
    let answer = http::get(proxied, &target, &fields).await.unwrap().text();
    assert!(answer.contains("<return>1</return>"), "{answer}");
    killed.wait_end(SOON).await;

    // The hook's time limit was for a connection that is long gone.
    let past = 3 * RATE + limited.len();
    limited.wait_len(past, SOON).await;
    assert!(start.elapsed() > Duration::from_secs(3));
    assert_eq!(limited.ended(), None);
    let sent = stage.sent("/v.mp3");
    for tap in [&limited, &killed, &tap] {
        assert!(find(&sent, &tap.audio()).is_some(), "other bytes");
    }
}
