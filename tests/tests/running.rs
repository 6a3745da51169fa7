//! How it is started and stopped: sockets and signs of life under systemd, from root to a user, and the end.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::net::SocketAddr;
use std::process::Command;
use std::time::{Duration, Instant};

use icecast_ext_tests::child::{As, Child, Scratch};
use icecast_ext_tests::heard::Hearing;
use icecast_ext_tests::http;
use icecast_ext_tests::icecast::PASSWORD;
use icecast_ext_tests::manager::Manager;
use icecast_ext_tests::port;
use icecast_ext_tests::proxy::{self, Proxy, binary};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_for;
use tokio::net::TcpStream;

const SOON: Duration = Duration::from_secs(15);

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

/// Starts what must not start; what it says.
async fn refused(wrap: &[&str], flags: &[&str], knock: Option<SocketAddr>) -> String {
    let scratch = Scratch::new("refused").unwrap();
    let mut args = words(wrap);
    args.extend([binary().display().to_string(), "serve".to_owned()]);
    args.extend(words(flags));
    args.extend(words(&["--upstream", "http://127.0.0.1:1"]));
    let mut child = Child::start(As::Me, &args, &scratch.file("log")).unwrap();
    let mut knocked = None;
    let start = Instant::now();
    while child.runs() {
        assert!(start.elapsed() < SOON, "it runs: {}", child.output());
        if let Some(addr) = knock.filter(|_| knocked.is_none()) {
            knocked = TcpStream::connect(addr).await.ok();
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(child.code(), Some(1), "{}", child.output());
    child.output()
}

#[tokio::test(flavor = "multi_thread")]
async fn systemd_opens_the_ports_and_is_told_what_happens() {
    let manager = Manager::new().unwrap();
    let (first, second) = (port::free(), port::free());
    let socket = format!("NOTIFY_SOCKET={}", manager.path().display());
    let (one, two) = (first.to_string(), second.to_string());
    let wrap = [
        "systemd-socket-activate",
        "--listen",
        &one,
        "--listen",
        &two,
        "--setenv",
        &socket,
        "--setenv",
        "WATCHDOG_USEC=600000",
    ];
    let setup = proxy::Setup {
        listen: Some(first),
        given: true,
        wrap: words(&wrap),
        flags: words(&["--source-password", "x"]),
        ..proxy::Setup::default()
    };
    let mut proxy = Proxy::with(setup).await.unwrap();
    for addr in [first, second] {
        let answer = http::get(addr, "/none", &[]).await.unwrap();
        assert_eq!(answer.head.status, 404);
    }
    // It serves a moment before it says so.
    wait_for("READY=1", SOON, || manager.count("READY=1") == 1).await;
    wait_for("signs of life", SOON, || manager.count("WATCHDOG=1") >= 3).await;
    assert!(manager.count("STATUS=0 listeners, 0 mounts") > 0);

    proxy.signal("HUP").unwrap();
    wait_for("the end of the reload", SOON, || {
        manager.count("READY=1") == 2
    })
    .await;
    let told = manager.told();
    let reloading = told.iter().find(|m| m.starts_with("RELOADING=1\n"));
    assert!(
        reloading.is_some_and(|message| message.contains("\nMONOTONIC_USEC=")),
        "{told:?}"
    );

    proxy.signal("TERM").unwrap();
    wait_for("the end", SOON, || !proxy.runs()).await;
    assert_eq!(proxy.code(), Some(0));
    wait_for("STOPPING=1", SOON, || manager.count("STOPPING=1") == 1).await;
    assert_eq!(manager.count("EXTEND_TIMEOUT_USEC=15000000"), 1);

    // What systemd opens, and nobody asked for.
    let (stray, asked) = (port::free(), port::free().to_string());
    let text = stray.to_string();
    let wrap = ["systemd-socket-activate", "--listen", &text];
    let said = refused(&wrap, &["--listen", &asked], Some(stray)).await;
    assert!(said.contains(&text) && said.contains("neither"), "{said}");
    // TLS without a certificate.
    let wrap = [&wrap[..], &["--fdname", "tls"]].concat();
    let said = refused(&wrap, &[], Some(stray)).await;
    assert!(said.contains("[[certificate]]"), "{said}");
}

/// The lines of /proc/PID/task/*/status that begin so, without repetition.
fn of_all_threads(pid: u32, field: &str) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let lines = tasks.filter_map(|task| {
        // A thread may have ended meanwhile.
        let status = std::fs::read_to_string(task.unwrap().path().join("status")).ok()?;
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        let words: Vec<_> = line[field.len()..].split_whitespace().collect();
        Some(words.join(" "))
    });
    let mut lines: Vec<_> = lines.collect();
    lines.sort();
    lines.dedup();
    lines
}

/// The four ids of a status line.
fn four(id: u32) -> String {
    vec![id.to_string(); 4].join(" ")
}

#[tokio::test(flavor = "multi_thread")]
async fn privileges_are_dropped_for_good_once_a_low_port_is_open() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    let number = |flag: &str, name: &str| -> u32 {
        let out = Command::new("id").args([flag, name]).output().unwrap();
        String::from_utf8_lossy(&out.stdout).trim().parse().unwrap()
    };
    let (uid, gid) = (number("-u", "nobody"), number("-g", "nobody"));
    // Every address of 127.0.0.0/8 is this machine, and nobody else has port 80 of this one.
    let pid = std::process::id().to_be_bytes();
    let low = SocketAddr::from(([127, 83, pid[2], pid[3].clamp(1, 254)], 80));
    // Root alone may read the key.
    let keys = Scratch::new("keys").unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (keys.file("chain.pem"), keys.file("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o600)).unwrap();
    let tls = port::free();
    let setup = proxy::Setup {
        listen: Some(low),
        state: true,
        config: format!(
            "listen-tls = [\"{tls}\"]\n[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n"
        ),
        flags: words(&["--source-password", "x", "--user", "nobody"]),
        ..proxy::Setup::default()
    };
    let proxy = Proxy::with(setup)
        .await
        .expect("this test needs root, and so do ports below 1024");
    assert_eq!(http::get(low, "/none", &[]).await.unwrap().head.status, 404);
    let pid = proxy.id().unwrap();
    assert_eq!(of_all_threads(pid, "Uid:"), [four(uid)]);
    assert_eq!(of_all_threads(pid, "Gid:"), [four(gid)]);
    assert_eq!(of_all_threads(pid, "Groups:"), [gid.to_string()]);
    for field in ["CapEff:", "CapPrm:", "CapAmb:"] {
        assert_eq!(of_all_threads(pid, field), ["0000000000000000"], "{field}");
    }
    assert!(TcpStream::connect(tls).await.is_ok());
    let log = proxy.log();
    assert!(
        log.contains("with TLS") && log.contains("cannot read this key"),
        "{log}"
    );
    let lock = std::fs::metadata(proxy.state().join("lock")).unwrap();
    assert_eq!(lock.uid(), uid, "made for the user");

    let user = [
        "setpriv",
        "--reuid=nobody",
        "--regid=nogroup",
        "--clear-groups",
    ];
    let addr = port::free().to_string();
    let said = refused(&user, &["--listen", &addr, "--user", "daemon"], None).await;
    assert!(said.contains("only root"), "{said}");
    let said = refused(&[], &["--listen", &addr, "--user", "icx-no-such"], None).await;
    assert!(said.contains("does not exist"), "{said}");
    let low = low.to_string();
    let said = refused(&user, &["--listen", &low.replace(":80", ":81")], None).await;
    assert!(said.contains("below 1024"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_without_privileges_needs_a_key_that_the_user_may_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let pid = std::process::id().to_be_bytes();
    let low = SocketAddr::from(([127, 84, pid[2], pid[3].clamp(1, 254)], 80));
    let keys = Scratch::new("keys").unwrap();
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (chain, key) = (keys.file("chain.pem"), keys.file("key.pem"));
    std::fs::write(&chain, made.cert.pem()).unwrap();
    std::fs::write(&key, made.signing_key.serialize_pem()).unwrap();
    let allow = |mode| {
        std::fs::set_permissions(&key, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    allow(0o600);
    let tls = port::free();
    let setup = proxy::Setup {
        listen: Some(low),
        state: true,
        upgrades: true,
        config: format!(
            "listen-tls = [\"{tls}\"]\n[[certificate]]\nchain = {chain:?}\nkey = {key:?}\n"
        ),
        flags: words(&["--source-password", PASSWORD, "--user", "nobody"]),
        ..proxy::Setup::default()
    };
    let mut proxy = Proxy::with(setup).await.expect("this test needs root");
    let source = noise(low, "/live.mp3", 85).await.unwrap();
    let tap = Tap::open(low, "/live.mp3", &[]).await.unwrap();
    tap.wait_more(RATE, SOON).await;
    let first = proxy.id().unwrap();
    let ids = of_all_threads(first, "Uid:");
    assert_ne!(ids, [four(0)]);

    let failed = format!("{:#}", proxy.upgrade().await.unwrap_err());
    assert!(failed.contains("goes on as before"), "{failed}");
    let log = proxy.log();
    let why = log.lines().find(|line| {
        line.contains(&key.display().to_string())
            && line.contains("Permission denied")
            && !line.contains("WARN")
    });
    assert!(why.is_some(), "{log}");
    assert_eq!(proxy.id(), Some(first));
    assert!(proxy.runs() && TcpStream::connect(tls).await.is_ok());
    tap.wait_more(RATE, SOON).await;

    allow(0o644);
    let heir = proxy.upgrade().await.unwrap();
    assert_ne!(heir, first);
    for field in ["Uid:", "Gid:", "Groups:"] {
        let all = of_all_threads(heir, field);
        assert!(
            all.len() == 1 && all != [four(0)] && all != ["0"],
            "{field} {all:?}"
        );
    }
    assert_eq!(of_all_threads(heir, "Uid:"), ids);
    for field in ["CapEff:", "CapPrm:", "CapAmb:"] {
        assert_eq!(of_all_threads(heir, field), ["0000000000000000"], "{field}");
    }
    assert!(TcpStream::connect(tls).await.is_ok());
    assert_eq!(http::get(low, "/none", &[]).await.unwrap().head.status, 404);
    tap.wait_more(RATE, SOON).await;
    assert!(!source.ended() && find(&source.sent(), &tap.audio()).is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_is_told_to_stop_loses_nobody_a_byte() {
    let stage = Stage::new().await.unwrap();
    let relay = async |drain: &str| {
        let setup = proxy::Setup {
            flags: words(&["--drain", drain]),
            ..proxy::Setup::before(stage.proxy.addr())
        };
        Proxy::with(setup).await.unwrap()
    };
    let (mut first, mut second) = (relay("4").await, relay("60").await);
    let aware = Hearing::start(&[first.url("/live.mp3"), second.url("/live.mp3")], false).unwrap();
    let joined = aware.joined(SOON).await;
    let stock = Tap::open(first.addr(), "/live.mp3", &[]).await.unwrap();
    let grandchild = Proxy::start(first.addr()).await.unwrap();
    let beneath = Tap::open(grandchild.addr(), "/live.mp3", &[])
        .await
        .unwrap();
    for tap in [&stock, &beneath] {
        assert_eq!(tap.head.status, 200);
        tap.wait_more(RATE, SOON).await;
    }
    aware.wait_more(RATE, SOON).await;

    let start = Instant::now();
    let heard = stock.len();
    first.signal("TERM").unwrap();
    wait_for("no new connections", SOON, || {
        std::net::TcpStream::connect(first.addr()).is_err()
    })
    .await;
    assert!(first.runs(), "the stock listener has a while");
    assert_eq!(stock.ended(), None);
    aware.wait_more(2 * RATE, SOON).await;
    assert!(first.runs(), "the aware one is elsewhere already");
    wait_for("the end", SOON, || !first.runs()).await;
    let took = start.elapsed();
    assert_eq!(first.code(), Some(0));
    assert!(
        took > Duration::from_secs(3) && took < Duration::from_secs(9),
        "{took:?}"
    );
    stock.wait_end(SOON).await;
    assert!(stock.len() > heard + 2 * RATE, "live until the end");
    let log = first.log();
    for secs in ["secs=4", "secs=3", "secs=2", "secs=1"] {
        assert!(log.contains(secs), "{secs}: {log}");
    }
    assert!(log.contains("drained"), "{log}");

    let sent = stage.source.sent();
    let (stock, beneath) = (stock.audio(), beneath.audio());
    assert!(find(&sent, &stock).is_some(), "a stock listener's bytes");
    assert!(
        find(&sent, &beneath).is_some(),
        "bytes of a relay's listener"
    );

    // Told twice: at once.
    let stays = Tap::open(second.addr(), "/live.mp3", &[]).await.unwrap();
    stays.wait_more(RATE, SOON).await;
    second.signal("TERM").unwrap();
    wait_for("the drain", SOON, || second.log().contains("draining")).await;
    let start = Instant::now();
    second.signal("TERM").unwrap();
    wait_for("the end", SOON, || !second.runs()).await;
    assert!(start.elapsed() < Duration::from_secs(6));
    assert_eq!(second.code(), Some(0));

    let heard = aware.stop();
    assert!(
        heard.losses.is_empty() && heard.moves >= 1,
        "{:?}",
        heard.notes
    );
    let from = usize::try_from(joined.offset.get()).unwrap();
    let whole = find(&sent, &heard.audio[..RATE]).expect("its first second was sent");
    let sent = stage.source.sent();
    assert!(
        sent[whole..].starts_with(&heard.audio),
        "{} bytes from offset {from}",
        heard.audio.len()
    );
    stage.unharmed().await;
}
