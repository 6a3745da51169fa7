//! Who has to say who he is: password files, and servers that are asked.

use icecast_ext_tests::hooks::{Call, Hooks};

use super::*;

/// The passwords are `secret`, as MD5 in hexadecimal.
const USERS: &str = "bob:5ebe2294ecd0e0f08eab7690d2a6ee69\neve:5ebe2294ecd0e0f08eab7690d2a6ee69\n";

const AUTHENTICATION: &str = "<authentication type=\"htpasswd\">\
    <option name=\"filename\" value=\"{dir}/users\"/>\
    <option name=\"allow_duplicate_users\" value=\"0\"/></authentication>";

async fn try_as(icecast: &Icecast, mount: &str, user: &str, password: &str) -> Tap {
    let auth = http::basic(user, password);
    let fields = [("Authorization", auth.as_str()), ("User-Agent", user)];
    Tap::open(icecast.addr(), mount, &fields).await.unwrap()
}

/// A refusal, whole.
async fn refused(tap: Tap) -> String {
    tap.wait_end(SOON).await;
    let body = tap.body();
    let head = tap.head.clone();
    let text = String::from_utf8_lossy(&body).into_owned();
    format!("{}{text}", seen::whole(&Answer { head, body }))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_lets_in_once_at_a_time() {
    twice("htpasswd", async |run| {
        let setup = Setup {
            more: mount("/a.mp3", AUTHENTICATION),
            files: vec![("users".to_owned(), USERS.as_bytes().to_vec())],
            ..run.setup()
        };
        let icecast = run.start(setup).await;
        let a = air(&icecast, "/a.mp3", 1).await;
        let mut seen = Seen::new();
        let anonymous = Tap::open(icecast.addr(), "/a.mp3", &[]).await.unwrap();
        seen.is("without a password", refused(anonymous).await);
        let wrong = try_as(&icecast, "/a.mp3", "bob", "wrong").await;
        seen.is("with a wrong one", refused(wrong).await);
        let nobody = try_as(&icecast, "/a.mp3", "nobody", "secret").await;
        seen.is("as nobody", refused(nobody).await);
        let bob = try_as(&icecast, "/a.mp3", "bob", "secret").await;
        seen.is("with the right one", seen::live(&bob.head));
        a.reaches(&bob).await;
        admin::wait_listeners(&icecast, "/a.mp3", 1).await;
        seen.is("list", admin::clients(&icecast, "/a.mp3").await);
        let again = try_as(&icecast, "/a.mp3", "bob", "secret").await;
        seen.is("twice", refused(again).await);
        let eve = try_as(&icecast, "/a.mp3", "eve", "secret").await;
        a.reaches(&eve).await;
        drop(bob);
        let again = wait_until("bob again", SOON, async || {
            let tap = try_as(&icecast, "/a.mp3", "bob", "secret").await;
            (tap.head.status == 200).then_some(tap)
        })
        .await;
        a.reaches(&again).await;
        again.wait_more(RATE, SOON).await;
        seen.is("streams", format!("{} {}", heard(&eve), heard(&again)));
        for order in [
            "mount=/a.mp3",
            "mount=/a.mp3&action=add&username=ann&password=secret",
            "mount=/a.mp3&action=delete&username=eve",
        ] {
            let target = format!("/admin/manageauth?{order}");
            let answer = icecast.admin(&target).await.unwrap();
            seen.is(target, format!("{}{}", seen::whole(&answer), answer.text()));
        }
        let ann = try_as(&icecast, "/a.mp3", "ann", "secret").await;
        seen.is("a new user", seen::live(&ann.head));
        let gone = try_as(&icecast, "/a.mp3", "eve", "secret").await;
        seen.is("a deleted one", refused(gone).await);
        eve.wait_more(RATE, SOON).await;
        seen.is("who was in already", format!("{:?}", eve.ended()));
        seen.in_short("401, 401, 200, 403, 200");
        run.end(icecast, seen)
    })
    .await;
}

/// A call's form but for what differs by nature.
fn form(call: &Call) -> String {
    let fields = call.form.iter().map(|(name, value)| match name.as_str() {
        "client" | "port" | "duration" => format!("{name}=…"),
        _ => format!("{name}={value}"),
    });
    fields.collect::<Vec<_>>().join("&")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_asked_is_told_who_comes_and_goes() {
    twice("url", async |run| {
        let hooks = Hooks::start("bob", "secret").await.unwrap();
        hooks.admit("eve", "secret");
        hooks.admit("kim", "secret");
        hooks.admit_for("short", "secret", 3);
        let url = |name: &str| {
            format!(
                "<option name=\"{name}\" value=\"http://{}/{name}\"/>",
                hooks.addr()
            )
        };
        let mounts = format!(
            "{}{}</authentication>",
            url("mount_add"),
            url("mount_remove")
        );
        let authentication = hooks.authentication().replace("</authentication>", &mounts);
        let icecast = run.icecast(&mount("/a.mp3", &authentication)).await;
        let mut seen = Seen::new();
        let a = air(&icecast, "/a.mp3", 1).await;
        let refusal = try_as(&icecast, "/a.mp3", "mallory", "secret").await;
        seen.is("refusal", refused(refusal).await);
        let anonymous = Tap::open(icecast.addr(), "/a.mp3", &[]).await.unwrap();
        seen.is("without a password", refused(anonymous).await);

        let start = Instant::now();
        let [bob, eve, kim, short] = [
            try_as(&icecast, "/a.mp3?a=b", "bob", "secret").await,
            try_as(&icecast, "/a.mp3", "eve", "secret").await,
            try_as(&icecast, "/a.mp3", "kim", "secret").await,
            try_as(&icecast, "/a.mp3", "short", "secret").await,
        ];
        seen.is("head", seen::live(&bob.head));
        // Kim is killed, bob leaves, the short one may not stay, and eve is there to the end.
        a.reaches(&kim).await;
        admin::wait_listeners(&icecast, "/a.mp3", 4).await;
        let id = admin::client(&icecast, "/a.mp3", "kim").await;
        icecast
            .admin(&format!("/admin/killclient?mount=/a.mp3&id={id}"))
            .await
            .unwrap();
        seen.is(
            "the killed one's end",
            format!("{:?}", kim.wait_end(SOON).await),
        );
        hooks.removed("kim", 1).await;
        bob.wait_more(2 * RATE, SOON).await;
        seen.is("bob's streams", heard(&bob));
        let stayed = start.elapsed();
        drop(bob);
        let removed = hooks.removed("bob", 1).await;
        seen.takes(
            "told that bob has left after",
            removed.at - start - stayed,
            1.0,
        );
        seen.takes("bob's duration", removed.duration().unwrap(), 1.5);
        seen.is(
            "the short one's end",
            format!("{:?}", short.wait_end(SOON).await),
        );
        let removed = hooks.removed("short", 1).await;
        seen.takes("the short one's duration", removed.duration().unwrap(), 1.5);
        eve.wait_more(RATE, SOON).await;
        seen.is("eve's streams", heard(&eve));
        drop(a);
        seen.is("eve's end", format!("{:?}", eve.wait_end(SOON).await));
        hooks.removed("eve", 1).await;
        wait_for("mount_remove", SOON, || {
            hooks
                .calls()
                .iter()
                .any(|call| call.get("action") == "mount_remove")
        })
        .await;
        // Calls of several listeners may come in any order.
        let mut calls: Vec<_> = hooks.calls().iter().map(form).collect();
        calls.sort();
        seen.is("calls", calls.join("\n"));
        seen.in_short(format!("{} calls", calls.len()));
        run.end(icecast, seen)
    })
    .await;
}
