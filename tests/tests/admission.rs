//! Who may listen: a real Icecast with password files and URL hooks, behind each kind of admission.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be had fails the test"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_tests::hooks::Hooks;
use icecast_ext_tests::http::{self, basic, request};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::source::Streaming;
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};

use tokio::task::JoinSet;

const SOON: Duration = Duration::from_secs(15);
/// bob:secret and pull:secret, MD5 in hexadecimal, as Icecast wants it.
const USERS: &str = "bob:5ebe2294ecd0e0f08eab7690d2a6ee69\npull:5ebe2294ecd0e0f08eab7690d2a6ee69\n";
const PULL: &str = "pull:secret";

/// Icecast with mounts that are protected in two ways and served in three, and a proxy in front.
struct Stage {
    icecast: Icecast,
    proxy: Proxy,
    hooks: Hooks,
    sources: Vec<(String, Streaming)>,
}

impl Stage {
    /// `mounts`: path, elements of its `<mount>` (`HOOKS` and `USERS` stand for the two authenticators), lines of its table.
    async fn new(mounts: &[(&str, &str, &str)]) -> Self {
        let hooks = Hooks::start("bob", "secret").await.unwrap();
        hooks.admit("pull", "secret");
        let users = "<authentication type=\"htpasswd\"><option name=\"filename\" value=\"{dir}/users\"/>\
                     <option name=\"allow_duplicate_users\" value=\"0\"/></authentication>";
        let (mut more, mut config) = (String::new(), String::new());
        for (path, elements, table) in mounts {
            let elements = elements
                .replace("HOOKS", &hooks.authentication())
                .replace("USERS", users);
            more += &format!(
                "<mount type=\"normal\"><mount-name>{path}</mount-name>{elements}</mount>"
            );
            config += &format!("[mount.\"{path}\"]\n{table}\n");
        }
        let setup = icecast::Setup {
            more,
            ..icecast::Setup::default()
        };
        let icecast = Icecast::with(setup).await.unwrap();
        std::fs::write(icecast.file("users"), USERS).unwrap();
        let mut sources = Vec::new();
        for (i, (path, ..)) in mounts.iter().enumerate() {
            let source = noise(icecast.addr(), path, i as u64).await.unwrap();
            sources.push(((*path).to_owned(), source));
        }
        for (path, ..) in mounts {
            icecast.wait_mount(path).await;
        }
        let setup = proxy::Setup {
            config,
            ..proxy::Setup::before(icecast.addr())
        };
        let proxy = Proxy::with(setup).await.unwrap();
        Self {
            icecast,
            proxy,
            hooks,
            sources,
        }
    }

    /// What the source of a mount has sent.
    fn sent(&self, mount: &str) -> Vec<u8> {
        let mut sources = self.sources.iter();
        sources.find(|(path, _)| path == mount).unwrap().1.sent()
    }
}

/// What a refusal says to a listener.
fn refusal(answer: &http::Answer) -> (u16, String, Option<String>, String) {
    let head = &answer.head;
    (
        head.status,
        head.reason.clone(),
        head.get("WWW-Authenticate").map(str::to_owned),
        answer.text(),
    )
}

fn place_fields(head: &http::Head) -> Vec<&(String, String)> {
    let ours = |(name, _): &&(String, String)| name.to_ascii_lowercase().starts_with("stream-");
    head.fields.iter().filter(ours).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_let_in_or_refused_as_at_icecast() {
    let modes = ["fanout", "verdict", "shadow"];
    let mut mounts = Vec::new();
    for kind in ["USERS", "HOOKS"] {
        for mode in modes {
            let path = format!("/{}-{mode}.mp3", kind.to_lowercase());
            let table = format!("admission = \"{mode}\"\npull-credentials = \"{PULL}\"");
            mounts.push((path, kind, table));
        }
    }
    // Protected without credentials: tunnelled. With credentials: a shadow.
    mounts.push(("/none.mp3".into(), "HOOKS", String::new()));
    mounts.push((
        "/default.mp3".into(),
        "HOOKS",
        format!("pull-credentials = \"{PULL}\""),
    ));
    let rows: Vec<_> = mounts
        .iter()
        .map(|(path, kind, table)| (path.as_str(), *kind, table.as_str()))
        .collect();
    let stage = Stage::new(&rows).await;
    let (direct, proxied) = (stage.icecast.addr(), stage.proxy.addr());
    let mut checks = JoinSet::new();
    for (path, ..) in &mounts {
        checks.spawn(check(path.clone(), direct, proxied));
    }
    while let Some(checked) = checks.join_next().await {
        let (path, heard) = checked.unwrap();
        assert!(
            find(&stage.sent(&path), &heard).is_some(),
            "{path}: other bytes"
        );
    }
    let log = stage.proxy.log();
    assert!(!log.contains("secret") && !log.contains("Ym9i"), "{log}");
}

/// The matrix of one mount; what a listener heard across a resume.
async fn check(path: String, direct: SocketAddr, proxied: SocketAddr) -> (String, Vec<u8>) {
    let bob = basic("bob", "secret");
    let right = ("Authorization", bob.as_str());
    let wrong = basic("bob", "guess");
    let wrong = ("Authorization", wrong.as_str());
    let opened = path.contains("fanout");
    let aware = path != "/none.mp3";
    let open = async |fields: &[(&str, &str)]| Tap::open(proxied, &path, fields).await.unwrap();

    // Right: a join, and a resume that goes on where it was, with the session, while the same user may not log in twice.
    let join = open(&[right, ("Resume-Offset", "live")]).await;
    assert_eq!(join.head.status, 200, "{path}");
    assert_eq!(join.head.place().is_some(), aware, "{path}");
    join.wait_len(RATE, SOON).await;
    let mut heard = join.audio();
    let place = join.head.place();
    drop(join);
    if let Some(place) = &place {
        let at = format!(
            "{};session=\"{}\"",
            place.resume(heard.len() as u64),
            place.session.as_deref().unwrap_or_default()
        );
        let resumed = open(&[right, ("Resume-Offset", &at)]).await;
        assert_eq!(resumed.head.status, 200, "{path}: {:?}", resumed.head);
        let again = resumed.head.place().unwrap();
        assert_eq!(again.offset, place.offset + heard.len() as u64, "{path}");
        resumed.wait_len(RATE, SOON).await;
        heard.extend(resumed.audio());
    }

    // Wrong, or none: as Icecast says it, and nothing of ours, whatever position is asked for.
    let known = place.map_or_else(|| "live".to_owned(), |place| place.resume(1));
    let evicted = known
        .split_once(';')
        .map_or("live".to_owned(), |(_, epoch)| {
            format!("0;{epoch};miss=fail")
        });
    let ahead = known
        .split_once(';')
        .map_or("live".to_owned(), |(_, epoch)| {
            format!("99999999999;{epoch};miss=fail")
        });
    for credentials in [None, Some(wrong)] {
        let fields: Vec<_> = credentials.into_iter().collect();
        let refused = http::get(direct, &path, &fields).await.unwrap();
        for resume in [
            "live",
            &known,
            &evicted,
            &ahead,
            "5;epoch=\"AAAAAAAAAAAAAAAAAAAAAA\";miss=fail",
        ] {
            let mut fields = fields.clone();
            fields.push(("Resume-Offset", resume));
            if opened {
                if resume == "live" || resume == known {
                    assert_eq!(open(&fields).await.head.status, 200, "{path}");
                }
                continue;
            }
            let answer = http::get(proxied, &path, &fields).await.unwrap();
            assert_eq!(refusal(&answer), refusal(&refused), "{path} {resume}");
            assert_eq!(
                place_fields(&answer.head),
                Vec::<&(String, String)>::new(),
                "{path} {resume}"
            );
        }
        if !opened && aware {
            let head = http::raw(proxied, &request("HEAD", &path, proxied, &fields))
                .await
                .unwrap();
            assert_eq!((head.head.status, head.body.len()), (401, 0), "{path}");
            assert_eq!(
                place_fields(&head.head),
                Vec::<&(String, String)>::new(),
                "{path}"
            );
        }
    }
    (path, heard)
}

/// A listener of the shadow tests: one user and one agent each, so that the hooks can be told apart.
struct Who<'a> {
    user: &'a str,
    auth: String,
}

impl<'a> Who<'a> {
    fn new(user: &'a str) -> Self {
        Self {
            user,
            auth: basic(user, "secret"),
        }
    }

    async fn join(&self, addr: SocketAddr, mount: &str, resume: Option<&str>) -> Tap {
        let mut fields = vec![
            ("Authorization", self.auth.as_str()),
            ("User-Agent", self.user),
        ];
        fields.extend(resume.map(|resume| ("Resume-Offset", resume)));
        Tap::open(addr, mount, &fields).await.unwrap()
    }
}

/// Whether two lengths of time are the same to a server that counts whole seconds.
fn about(a: Duration, b: Duration) -> bool {
    a.abs_diff(b) <= Duration::from_millis(1500)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_is_billed_limited_and_killed_as_a_listener_of_icecast() {
    let shadow = "pull-credentials = \"pull:secret\"";
    let limited = "HOOKS<max-listener-duration>5</max-listener-duration>";
    let stage = Stage::new(&[
        ("/s.mp3", "HOOKS", shadow),
        ("/d.mp3", limited, shadow),
        ("/b.mp3", "USERS", "pull-credentials = \"late:secret\""),
    ])
    .await;
    for user in [
        "bill", "back", "kill", "lost", "first", "second", "direct", "mine",
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
    );
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

#[tokio::test(flavor = "multi_thread")]
async fn places_and_time_are_bounded_where_icecast_sees_only_the_pull() {
    let stage = Stage::new(&[
        ("/two.mp3", "", "max-listeners = 2"),
        (
            "/direct.mp3",
            "<max-listeners>2</max-listeners>",
            "admission = \"tunnel\"",
        ),
        (
            "/v.mp3",
            "HOOKS",
            "admission = \"verdict\"\nmax-listeners = 1\npull-credentials = \"pull:secret\"",
        ),
        ("/time.mp3", "", "max-listener-duration = 4"),
    ])
    .await;
    tokio::join!(bounded_places(&stage), bounded_time(&stage));
}

async fn bounded_places(stage: &Stage) {
    let proxied = stage.proxy.addr();
    let mut refusals = Vec::new();
    for (addr, mount) in [
        (stage.icecast.addr(), "/direct.mp3"),
        (proxied, "/direct.mp3"),
        (proxied, "/two.mp3"),
    ] {
        let taps = [
            Tap::aware(addr, mount).await.unwrap(),
            Tap::open(addr, mount, &[]).await.unwrap(),
        ];
        assert!(taps.iter().all(|tap| tap.head.status == 200), "{mount}");
        refusals.push(refusal(&http::get(addr, mount, &[]).await.unwrap()));
        let [aware, other] = taps;
        if let Some(place) = aware.head.place() {
            // Its own place is not in its way.
            let at = format!("{};session=\"{}\"", place.resume(1), place.session.unwrap());
            let again = Tap::open(addr, mount, &[("Resume-Offset", &at)])
                .await
                .unwrap();
            assert_eq!(again.head.status, 200);
            assert_eq!(http::get(addr, mount, &[]).await.unwrap().head.status, 403);
            drop(again);
        }
        drop((aware, other));
        wait_until("a place", SOON, async || {
            let tap = Tap::open(addr, mount, &[]).await.unwrap();
            (tap.head.status == 200).then_some(())
        })
        .await;
    }
    assert_eq!(refusals[0].0, 403);
    assert_eq!(refusals[0], refusals[1]);
    assert_eq!(refusals[0], refusals[2]);
    let bob = Who::new("bob");
    let tap = bob.join(proxied, "/v.mp3", None).await;
    assert_eq!(tap.head.status, 200);
    assert_eq!(
        http::get(proxied, "/v.mp3", &[]).await.unwrap().head.status,
        401
    );
    stage.hooks.admit("eve", "secret");
    let full = Who::new("eve").join(proxied, "/v.mp3", None).await;
    assert_eq!(full.head.status, 403);
}

async fn bounded_time(stage: &Stage) {
    let open = |resume: Option<String>| async move {
        let fields: Vec<_> = resume
            .iter()
            .map(|at| ("Resume-Offset", at.as_str()))
            .collect();
        Tap::open(stage.proxy.addr(), "/time.mp3", &fields)
            .await
            .unwrap()
    };
    let at = |tap: &Tap| {
        let place = tap.head.place().unwrap();
        format!("{};session=\"{}\"", place.resume(1), place.session.unwrap())
    };
    let start = Instant::now();
    let stock = open(None).await;
    let aware = open(Some("live".to_owned())).await;
    aware.wait_len(120_000, SOON).await;
    let again = open(Some(at(&aware))).await;
    let third = open(Some(at(&again))).await;
    assert_eq!(stock.wait_end(SOON).await, End::Fin);
    assert!(
        about(start.elapsed(), Duration::from_secs(4)),
        "{:?}",
        start.elapsed()
    );
    assert_eq!(third.wait_end(SOON).await, End::Fin);
    assert!(
        about(start.elapsed(), Duration::from_secs(4)),
        "a resume is no new beginning: {:?}",
        start.elapsed()
    );
    let late = open(Some(at(&third))).await;
    assert_eq!(late.head.status, 403, "nor is one after the end");
    assert_eq!(
        open(Some("live".to_owned())).await.head.status,
        200,
        "a join is"
    );
    assert!(find(&stage.sent("/time.mp3"), &third.audio()).is_some());
}
