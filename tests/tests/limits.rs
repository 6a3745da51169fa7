//! What one address may take, and who may not connect at all: each bound is reached by one client, and nobody else notices.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use icecast_ext_tests::child::Scratch;
use icecast_ext_tests::http::{self, Answer, Head, request};
use icecast_ext_tests::source::{Method, Source};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_until;
use icecast_ext_tests::{icecast, proxy};

const SOON: Duration = Duration::from_secs(15);
/// A proxy that the configuration names.
const TRUSTED: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 90);

fn client(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(127, 0, 0, last)
}

async fn stage(lists: &Path) -> Stage {
    let deny = lists.join("deny.txt");
    // Icecast reads the same list.
    let setup = icecast::Setup {
        more: format!("<paths><deny-ip>{}</deny-ip></paths>", deny.display()),
        ..icecast::Setup::default()
    };
    let config = format!(
        "trusted-proxy = [\"{TRUSTED}\"]\ndeny-ip = {deny:?}\n\
         [limits]\nlisteners = 30\nconnections-per-address = 5\njoins-per-second = 2\nresumes-per-second = 2\n\
         window-bytes-per-minute = 600000\n[mount.\"/other.mp3\"]\nmax-listeners = 2\n"
    );
    let stage = Stage::proxied(setup, |upstream| proxy::Setup {
        config,
        ..proxy::Setup::before(upstream)
    });
    stage.await.expect("a stage")
}

async fn listen(stage: &Stage, from: Ipv4Addr, path: &str, fields: &[(&str, &str)]) -> Tap {
    let tap = Tap::from(from, stage.proxy.addr(), path, fields).await;
    tap.expect("an answer")
}

/// The head of HEAD.
async fn look(stage: &Stage, from: Ipv4Addr, fields: &[(&str, &str)]) -> Head {
    let addr = stage.proxy.addr();
    let socket = http::connect_from(from, addr).await.expect("a connection");
    let tap = Tap::on(socket, &request("HEAD", "/live.mp3", addr, fields)).await;
    tap.expect("an answer").head.clone()
}

fn retry_after(head: &Head) -> u64 {
    let seconds = head.get("Retry-After").expect("Retry-After");
    seconds.parse().expect("seconds")
}

#[track_caller]
fn limited(head: &Head, status: u16) {
    assert_eq!(head.status, status, "{head:?}");
    assert!((1..=70).contains(&retry_after(head)), "{head:?}");
}

/// Asks until it is refused; how often it was not.
async fn until_refused(stage: &Stage, from: Ipv4Addr, fields: &[(&str, &str)]) -> usize {
    for passed in 0..200 {
        let head = look(stage, from, fields).await;
        if head.status != 200 {
            limited(&head, 429);
            // Whoever waits as he was told gets in.
            tokio::time::sleep(Duration::from_secs(retry_after(&head))).await;
            assert_eq!(look(stage, from, fields).await.status, 200);
            return passed;
        }
    }
    panic!("never refused");
}

/// The next request from there is let in, soon.
async fn let_in(stage: &Stage, from: Ipv4Addr, fields: &[(&str, &str)]) -> Tap {
    wait_until("a place is free again", SOON, || async {
        let tap = listen(stage, from, "/live.mp3", fields).await;
        (tap.head.status == 200).then_some(tap)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn each_limit_is_reached_by_one_and_harms_nobody_else() {
    let lists = Scratch::new("lists").unwrap();
    std::fs::write(lists.file("deny.txt"), "").unwrap();
    let stage = stage(lists.path()).await;
    let good = listen(&stage, client(2), "/live.mp3", &[]).await;
    assert_eq!(good.head.status, 200);

    // Connections.
    let mut held = Vec::new();
    for _ in 0..5 {
        let tap = listen(&stage, client(11), "/live.mp3", &[]).await;
        assert_eq!(tap.head.status, 200);
        held.push(tap);
    }
    let sixth = listen(&stage, client(11), "/live.mp3", &[]).await;
    limited(&sixth.head, 429);
    let other = listen(&stage, client(12), "/live.mp3", &[]).await;
    assert_eq!(other.head.status, 200);
    held.pop();
    held.push(let_in(&stage, client(11), &[]).await);

    // An address that nobody vouches for is not believed, and one that a proxy of ours forwards counts.
    let mut forged = Vec::new();
    for n in 0..6 {
        let told = format!("192.0.2.{n}");
        let fields = [("X-Forwarded-For", told.as_str())];
        forged.push(listen(&stage, client(16), "/live.mp3", &fields).await);
    }
    limited(&forged[5].head, 429);
    assert_eq!(forged[4].head.status, 200);
    drop(forged);
    let one = [("X-Forwarded-For", "6.6.6.6, 192.0.2.1")];
    let mut forwarded = Vec::new();
    for _ in 0..5 {
        forwarded.push(listen(&stage, TRUSTED, "/live.mp3", &one).await);
    }
    assert!(forwarded.iter().all(|tap| tap.head.status == 200));
    limited(&listen(&stage, TRUSTED, "/live.mp3", &one).await.head, 429);
    let another = [("X-Forwarded-For", "6.6.6.6, 192.0.2.2")];
    forwarded.push(listen(&stage, TRUSTED, "/live.mp3", &another).await);
    assert_eq!(forwarded[5].head.status, 200);
    drop(forwarded);

    // Joins, resumes and bytes of the window, each by an address of its own, at once.
    stage
        .bystander
        .wait_len(8 * RATE, Duration::from_secs(30))
        .await;
    let place = stage.bystander.head.place().unwrap();
    let resume = place.resume(0);
    let resumes = [("Resume-Offset", resume.as_str())];
    let window = async {
        let mut passed = 0;
        loop {
            let tap = listen(&stage, client(15), "/live.mp3", &resumes).await;
            if tap.head.status != 200 {
                limited(&tap.head, 429);
                break passed;
            }
            tap.wait_len(RATE, SOON).await;
            assert!(stage.bystander.audio().starts_with(&tap.audio()[..RATE]));
            passed += 1;
            assert!(passed < 20, "never refused");
        }
    };
    let (joins, resumed, drawn) = tokio::join!(
        until_refused(&stage, client(13), &[]),
        until_refused(&stage, client(14), &resumes),
        window
    );
    assert!((20..=60).contains(&joins), "{joins} joins");
    assert!((20..=60).contains(&resumed), "{resumed} resumes");
    assert!((1..=12).contains(&drawn), "{drawn} windows");
    let live = listen(&stage, client(15), "/live.mp3", &[]).await;
    assert_eq!(live.head.status, 200, "live costs nothing");
    let shifted = listen(&stage, client(15), "/live.mp3?_shift=6", &[]).await;
    limited(&shifted.head, 429);

    // Listeners of a mount, and of all.
    let two: Vec<Tap> = vec![
        listen(&stage, client(20), "/other.mp3", &[]).await,
        listen(&stage, client(21), "/other.mp3", &[]).await,
    ];
    assert!(two.iter().all(|tap| tap.head.status == 200));
    let third = listen(&stage, client(22), "/other.mp3", &[]).await;
    assert_eq!(third.head.status, 403);
    let mut all = Vec::new();
    let full = 'full: {
        for n in 30..40 {
            for _ in 0..5 {
                let tap = listen(&stage, client(n), "/live.mp3", &[]).await;
                if tap.head.status != 200 {
                    break 'full tap;
                }
                all.push(tap);
            }
        }
        panic!("never full");
    };
    limited(&full.head, 503);
    assert!(all.len() < 30);
    all.pop();
    all.push(let_in(&stage, client(60), &[]).await);
    drop(all);

    good.wait_more(RATE, SOON).await;
    assert_eq!(good.ended(), None);
    assert!(find(&stage.source.sent(), &good.audio()).is_some());
    let log = stage.proxy.log();
    for option in [
        "connections-per-address",
        "joins-per-second",
        "resumes-per-second",
        "window-bytes-per-minute",
    ] {
        assert!(log.contains(option), "{option} is not in the log");
    }
    stage.unharmed().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_banned_at_icecast_is_banned_here_and_the_list_may_change() {
    let lists = Scratch::new("lists").unwrap();
    let deny = lists.file("deny.txt");
    std::fs::write(
        &deny,
        "# enemies\n127.0.0.66\r\n192.0.2.66\n127.0.0.72/29\n",
    )
    .unwrap();
    let stage = stage(lists.path()).await;
    let nothing = async |from, addr| {
        let tap = Tap::from(from, addr, "/live.mp3", &[]).await;
        tap.is_err()
    };
    for addr in [stage.icecast.addr(), stage.proxy.addr()] {
        assert!(nothing(client(66), addr).await, "closed without a word");
        assert!(!nothing(client(67), addr).await);
    }
    assert!(nothing(client(77), stage.proxy.addr()).await, "a network");
    let forwarded = [("X-Forwarded-For", "192.0.2.66")];
    let tap = listen(&stage, TRUSTED, "/live.mp3", &forwarded).await;
    assert_eq!(tap.head.status, 403, "its proxy is told");
    let answer: Answer = http::get(stage.proxy.addr(), "/status-json.xsl", &[])
        .await
        .unwrap();
    assert_eq!(answer.head.status, 200);

    std::fs::write(&deny, "127.0.0.67\n127.0.0.99\n").unwrap();
    wait_until("the list is read again", SOON, || async {
        nothing(client(67), stage.proxy.addr()).await.then_some(())
    })
    .await;
    assert!(!nothing(client(66), stage.proxy.addr()).await);
    std::fs::remove_file(&deny).unwrap();
    wait_until("it is said that it is gone", SOON, || async {
        stage
            .proxy
            .log()
            .contains("the old list stays")
            .then_some(())
    })
    .await;
    assert!(
        nothing(client(67), stage.proxy.addr()).await,
        "the old list stays"
    );
    stage.unharmed().await;
}

/// A relay in front of a stage's Icecast.
async fn beside(stage: &Stage, config: &str, wrap: &[&str]) -> proxy::Proxy {
    let setup = proxy::Setup {
        config: config.to_owned(),
        wrap: wrap.iter().map(|word| (*word).to_owned()).collect(),
        ..proxy::Setup::before(stage.icecast.addr())
    };
    proxy::Proxy::with(setup).await.expect("a relay")
}

/// One mount is served; the second plays all the same, or its source is refused where there is no upstream.
async fn mounts(stage: &Stage) {
    let relay = beside(stage, "[limits]\nmounts = 1\n", &[]).await;
    let first = Tap::aware(relay.addr(), "/live.mp3").await.unwrap();
    assert!(first.head.place().is_some(), "{:?}", first.head);
    let second = Tap::aware(relay.addr(), "/other.mp3").await.unwrap();
    assert_eq!(second.head.status, 200);
    assert_eq!(second.head.get("Stream-Offset"), None);
    second.wait_len(RATE, SOON).await;
    first.wait_len(RATE, SOON).await;
    assert!(relay.log().contains("(limits.mounts): tunnelled"));

    let origin = proxy::Setup {
        flags: vec!["--source-password".to_owned(), icecast::PASSWORD.to_owned()],
        config: "[limits]\nmounts = 1\n".to_owned(),
        ..proxy::Setup::default()
    };
    let origin = proxy::Proxy::with(origin).await.unwrap();
    let _first = noise(origin.addr(), "/a.mp3", 3).await.unwrap();
    let second = async || {
        let (kind, password) = ("audio/mpeg", icecast::PASSWORD);
        Source::open(origin.addr(), "/b.mp3", Method::Put, kind, password).await
    };
    let second = second().await.unwrap();
    assert_eq!(second.head.status, 503, "{:?}", second.head);
    assert!(retry_after(&second.head) > 0);
    // The one that is there may come again, and is heard.
    let heard = Tap::aware(origin.addr(), "/a.mp3").await.unwrap();
    heard.wait_len(RATE / 2, SOON).await;
}

/// Whoever is not on the list is not heard, until it changes.
async fn allowed(stage: &Stage) {
    let lists = Scratch::new("allowed").unwrap();
    let allow = lists.file("allow.txt");
    std::fs::write(&allow, "127.0.0.1\n127.0.0.44\n192.0.2.44\n").unwrap();
    let config = format!("trusted-proxy = [\"{TRUSTED}\"]\nallow-ip = {allow:?}\n");
    let relay = beside(stage, &config, &[]).await;
    let answer = async |from, fields: &[(&str, &str)]| {
        let tap = Tap::from(from, relay.addr(), "/live.mp3", fields).await;
        tap.ok().map(|tap| tap.head.status)
    };
    assert_eq!(answer(client(44), &[]).await, Some(200));
    assert_eq!(answer(client(45), &[]).await, None, "without a word");
    let told = |address| [("X-Forwarded-For", address)];
    assert_eq!(answer(TRUSTED, &told("192.0.2.44")).await, Some(200));
    assert_eq!(answer(TRUSTED, &told("192.0.2.45")).await, Some(403));
    std::fs::write(&allow, "127.0.0.1\n127.0.0.45\n").unwrap();
    wait_until("the list is read again", SOON, || async {
        (answer(client(45), &[]).await == Some(200)).then_some(())
    })
    .await;
    assert_eq!(answer(client(44), &[]).await, None);
    assert_eq!(answer(TRUSTED, &told("192.0.2.44")).await, Some(403));
}

/// The longest target that is taken, and one byte more.
async fn targets(stage: &Stage) {
    let long = |bytes: usize| format!("/live.mp3?{}", "x".repeat(bytes - "/live.mp3?".len()));
    for (bytes, status) in [(3072, 200), (3073, 414)] {
        let tap = Tap::open(stage.proxy.addr(), &long(bytes), &[]).await;
        assert_eq!(tap.unwrap().head.status, status, "{bytes} bytes");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bounds_of_the_whole_server_are_told_and_harm_nobody_who_is_there() {
    let stage = Stage::new().await.unwrap();
    tokio::join!(mounts(&stage), allowed(&stage), targets(&stage));
    stage.unharmed().await;
}
