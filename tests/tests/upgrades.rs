//! What an upgrade must not change: who a listener is, and, if it fails, anything at all.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use icecast_ext_tests::child::Scratch;
use icecast_ext_tests::http::{self, basic};
use icecast_ext_tests::icecast::{Icecast, PASSWORD};
use icecast_ext_tests::port;
use icecast_ext_tests::proxy::{Proxy, Setup};
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::{wait_for, wait_until};

const SOON: Duration = Duration::from_secs(20);
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 31);

async fn admin(addr: SocketAddr, target: &str) -> String {
    let auth = basic("admin", PASSWORD);
    let answer = http::get(addr, target, &[("Authorization", &auth)]).await;
    answer.unwrap().text()
}

/// A row of the list of clients.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    id: u64,
    address: String,
    connected: u64,
}

/// The listeners of a mount by their agents, and how many the document says they are.
async fn clients(addr: SocketAddr, mount: &str) -> (BTreeMap<String, Row>, usize) {
    let text = admin(addr, &format!("/admin/listclients?mount={mount}")).await;
    let xml = roxmltree::Document::parse(&text).unwrap();
    let of = |node: roxmltree::Node<'_, '_>, name: &str| {
        let mut children = node.children();
        let child = children.find(|node| node.tag_name().name().eq_ignore_ascii_case(name));
        let text = child.and_then(|node| node.text().map(str::to_owned));
        text.unwrap_or_else(|| panic!("no {name}: {}", node.document().input_text()))
    };
    let source = xml
        .descendants()
        .find(|node| node.has_tag_name("source"))
        .unwrap();
    let rows = source
        .children()
        .filter(|node| node.has_tag_name("listener"));
    let rows = rows.map(|node| {
        let row = Row {
            id: of(node, "ID").parse().unwrap(),
            address: of(node, "IP"),
            connected: of(node, "Connected").parse().unwrap(),
        };
        (of(node, "UserAgent"), row)
    });
    (rows.collect(), of(source, "Listeners").parse().unwrap())
}

/// Bytes and seconds of the one line of this agent.
fn logged(log: &str, agent: &str) -> Option<(usize, u64)> {
    let mut lines = log.lines().filter(|line| line.contains(agent));
    let line = lines.next()?;
    assert!(lines.next().is_none(), "{agent} has one line: {log}");
    assert!(line.starts_with(&format!("{CLIENT} ")), "{line}");
    let mut numbers = line.split('"').nth(2).unwrap().split_whitespace();
    assert_eq!(numbers.next(), Some("200"), "{line}");
    let seconds = line.rsplit(' ').next().unwrap();
    Some((
        numbers.next().unwrap().parse().unwrap(),
        seconds.parse().unwrap(),
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_a_listener_is_stays_the_same() {
    let icecast = Icecast::start().await.unwrap();
    let timed = noise(icecast.addr(), "/t.mp3", 81).await.unwrap();
    let two = noise(icecast.addr(), "/two.mp3", 82).await.unwrap();
    icecast.wait_mount("/t.mp3").await;
    icecast.wait_mount("/two.mp3").await;
    let scratch = Scratch::new("who").unwrap();
    let log = scratch.file("access.log");
    let setup = Setup {
        config: format!(
            "burst = 16384\naccess-log = {log:?}\n[mount.\"/t.mp3\"]\nmax-listener-duration = 8\n[mount.\"/two.mp3\"]\nmax-listeners = 2\nwindow = 3\n"
        ),
        upgrades: true,
        ..Setup::before(icecast.addr())
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    let addr = proxy.addr();
    let join = async |path: &str, agent: &str, aware: bool| {
        let mut fields = vec![("User-Agent", agent)];
        if aware {
            fields.push(("Resume-Offset", "live"));
        }
        let tap = Tap::from(CLIENT, addr, path, &fields).await.unwrap();
        tap.wait_len(2000, SOON).await;
        tap
    };
    // A pull is proven to continue by its rate, which takes a moment to be known.
    let killed = join("/two.mp3", "the killed one", false).await;
    let stays = join("/two.mp3", "the one that stays", true).await;
    let warm = join("/t.mp3", "the first one", false).await;
    tokio::join!(
        killed.wait_len(4 * RATE, SOON),
        stays.wait_len(4 * RATE, SOON),
        warm.wait_len(4 * RATE, SOON)
    );
    drop(warm);
    wait_until("it to be gone", SOON, async || {
        (clients(addr, "/t.mp3").await.0.is_empty()).then_some(())
    })
    .await;
    let joined = Instant::now();
    let short = join("/t.mp3", "the timed one", false).await;

    let mut before = clients(addr, "/two.mp3").await;
    let mut shorts = clients(addr, "/t.mp3").await;
    assert_eq!((before.1, before.0.len(), shorts.1), (2, 2, 1));
    for _ in 0..2 {
        short.wait_more(RATE, SOON).await;
        proxy.upgrade().await.unwrap();
        for (mount, was) in [("/two.mp3", &mut before), ("/t.mp3", &mut shorts)] {
            // Icecast counts a new pull before it lists it, for a moment.
            let now = wait_until("as many as before", Duration::from_secs(2), async || {
                let now = clients(addr, mount).await;
                (now.1 == was.1).then_some(now)
            })
            .await;
            assert_eq!(now.0.len(), was.0.len(), "{mount}");
            for (agent, row) in &now.0 {
                let old = &was.0[agent];
                assert_eq!((row.id, &row.address), (old.id, &old.address), "{agent}");
                assert_eq!(row.address, CLIENT.to_string());
                assert!(row.connected >= old.connected, "{row:?} after {old:?}");
            }
            *was = now;
        }
    }
    assert!(before.0["the killed one"].connected >= 3, "{before:?}");
    let third = Tap::from(CLIENT, addr, "/two.mp3", &[("User-Agent", "a third")])
        .await
        .unwrap();
    assert_eq!(third.head.status, 403, "{:?}", third.head);

    // The number that it had at first ends that one and nobody else.
    let id = before.0["the killed one"].id;
    let told = admin(addr, &format!("/admin/killclient?mount=/two.mp3&id={id}")).await;
    assert!(told.contains("<return>1</return>"), "{told}");
    killed.wait_end(SOON).await;
    stays.wait_more(RATE, SOON).await;
    assert_eq!((stays.ended(), short.ended()), (None, None));
    short.wait_end(SOON).await;
    let lasted = joined.elapsed();
    assert!(
        lasted > Duration::from_millis(7500) && lasted < Duration::from_secs(10),
        "{lasted:?}"
    );
    let (heard, left) = (stays.len(), stays.audio());
    drop(stays);

    for (tap, source, what) in [
        (killed.audio(), &two, "killed"),
        (left, &two, "stays"),
        (short.audio(), &timed, "timed"),
    ] {
        assert!(find(&source.sent(), &tap).is_some(), "{what}: every byte");
    }
    let read = || std::fs::read_to_string(&log).unwrap_or_default();
    for (agent, bytes, seconds) in [
        ("the timed one", short.len(), 7),
        ("the killed one", killed.len(), 3),
        ("the one that stays", heard, 7),
    ] {
        let (sent, lasted) = wait_until(agent, SOON, async || logged(&read(), agent)).await;
        // With the head; a little may have been on its way at the end.
        assert!(
            sent >= bytes && sent < bytes + 8 * RATE,
            "{agent}: {sent}, {bytes} heard"
        );
        assert!(
            lasted >= seconds && lasted < 30,
            "{agent}: {lasted} seconds"
        );
    }
    wait_for("the first process to end", SOON, || !proxy.first_runs()).await;
    for agent in ["the timed one", "the killed one", "the one that stays"] {
        assert!(logged(&read(), agent).is_some());
    }
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

/// Processes, ended ones among them, whose parent this is.
fn children(pid: u32) -> Vec<String> {
    let stats = std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| std::fs::read_to_string(entry.ok()?.path().join("stat")).ok());
    stats
        .filter(|stat| {
            let rest = stat.rsplit(')').next().unwrap_or_default();
            rest.split_whitespace().nth(1) == Some(&pid.to_string())
        })
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_cannot_take_over_changes_nothing() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};
    let icecast = Icecast::start().await.unwrap();
    let source = noise(icecast.addr(), "/live.mp3", 83).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let scratch = Scratch::new("programs").unwrap();
    let link = scratch.file("icecast-ext");
    let good = std::fs::canonicalize(icecast_ext_tests::proxy::binary()).unwrap();
    symlink(&good, &link).unwrap();
    let script = |name: &str, text: &str| {
        let path = scratch.file(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    let through = format!("shift; exec '{}' \"$@\"", link.display());
    let setup = Setup {
        config: "burst = 16384\n".to_owned(),
        wrap: ["sh", "-c", &through, "sh"].map(str::to_owned).to_vec(),
        upgrades: true,
        ..Setup::before(icecast.addr())
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    let pid = proxy.id().unwrap();
    let plain = Tap::open(proxy.addr(), "/live.mp3", &[]).await.unwrap();
    let aware = Tap::aware(proxy.addr(), "/live.mp3").await.unwrap();
    let go_on = async || {
        tokio::join!(plain.wait_more(RATE, SOON), aware.wait_more(RATE, SOON));
    };
    go_on().await;
    for program in [
        None,
        Some("/bin/false".into()),
        Some(script("garbage", "exec yes garbage >&0")),
        Some(script("hangs", "exec sleep 600")),
    ] {
        // The last one may have been nothing.
        let _ = std::fs::remove_file(&link);
        if let Some(program) = &program {
            symlink(program, &link).unwrap();
        }
        let began = Instant::now();
        let failed = proxy.upgrade().await.unwrap_err();
        eprintln!("{program:?}: {:?}, {failed:#}", began.elapsed());
        assert!(
            format!("{failed:#}").contains("goes on as before"),
            "{program:?}: {failed:#}"
        );
        assert!(children(pid).is_empty(), "{program:?}: {:?}", children(pid));
        assert!(proxy.runs() && proxy.id() == Some(pid));
        go_on().await;
    }
    std::fs::remove_file(&link).unwrap();
    symlink(&good, &link).unwrap();
    let heir = proxy.upgrade().await.unwrap();
    assert_ne!(heir, pid);
    go_on().await;
    for tap in [&plain, &aware] {
        assert_eq!(tap.ended(), None);
        assert!(find(&source.sent(), &tap.audio()).is_some(), "every byte");
    }
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_heir_reloads_and_an_upgrade_changes_where_it_listens() {
    let icecast = Icecast::start().await.unwrap();
    let source = noise(icecast.addr(), "/live.mp3", 84).await.unwrap();
    icecast.wait_mount("/live.mp3").await;
    let (stays, goes, comes) = (port::free(), port::free(), port::free());
    let config = |relay: &str, second: SocketAddr| {
        format!(
            "burst = 16384\nlisten = [\"{stays}\", \"{second}\"]\nrelays = [\"http://{relay}.example:1\"]\n"
        )
    };
    let setup = Setup {
        listen: Some(stays),
        given: true,
        config: config("a", goes),
        upgrades: true,
        ..Setup::before(icecast.addr())
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    let plain = Tap::open(stays, "/live.mp3", &[]).await.unwrap();
    let aware = Tap::aware(goes, "/live.mp3").await.unwrap();
    let go_on = async || {
        tokio::join!(plain.wait_more(RATE, SOON), aware.wait_more(RATE, SOON));
    };
    let link = async |addr: SocketAddr| {
        let tap = Tap::aware(addr, "/live.mp3").await.unwrap();
        assert_eq!(tap.head.status, 200, "{:?}", tap.head);
        tap.head.get("Link").unwrap_or_default().to_owned()
    };
    // What proves that a pull continues is its rate, which takes a moment to be known.
    plain.wait_len(4 * RATE, SOON).await;
    proxy.upgrade().await.unwrap();
    go_on().await;
    assert!(link(goes).await.contains("//a.example"));
    proxy.rewrite(&config("b", goes)).unwrap();
    proxy.signal("HUP").unwrap();
    wait_for("the reload", SOON, || {
        proxy.log().contains("reloaded changes=")
    })
    .await;
    for addr in [stays, goes] {
        assert!(link(addr).await.contains("//b.example"), "{addr}");
    }
    go_on().await;

    proxy.rewrite(&config("c", comes)).unwrap();
    proxy.upgrade().await.unwrap();
    for addr in [stays, comes] {
        assert!(link(addr).await.contains("//c.example"), "{addr}");
    }
    wait_for("nobody to listen there", SOON, || {
        std::net::TcpStream::connect(goes).is_err()
    })
    .await;
    go_on().await;
    for tap in [&plain, &aware] {
        assert_eq!(tap.ended(), None);
        assert!(find(&source.sent(), &tap.audio()).is_some(), "every byte");
    }
    assert!(!proxy.log().contains("panicked"), "{}", proxy.log());
}
