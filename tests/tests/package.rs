//! The Debian package, in a clean Debian with a systemd of its own.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use icecast_ext_tests::child::Scratch;
use icecast_ext_tests::debian::{Booted, Debian, repository, run};
use icecast_ext_tests::proxy::binary;
use icecast_ext_tests::wait::wait_for;

const SOON: Duration = Duration::from_secs(30);
const UNIT: &str = "icecast-ext.service";
const CONFIG: &str = "/etc/icecast-ext/icecast-ext.toml";

fn build(dir: &Path) -> PathBuf {
    let script = repository().join("packaging/build-deb");
    let path = run(Command::new(script).arg(binary()).arg(dir));
    path.expect("a package").trim().into()
}

async fn active(debian: &Booted) {
    wait_for("the service", SOON, || {
        debian
            .show(UNIT, "ActiveState")
            .is_ok_and(|is| is == "active")
    })
    .await;
}

/// What a process has in /proc/PID/status.
fn status(debian: &Booted, pid: &str, field: &str) -> String {
    let status = debian.run(&["cat", &format!("/proc/{pid}/status")]);
    let status = status.expect("its status");
    let line = status.lines().find_map(|line| line.strip_prefix(field));
    line.unwrap_or_default().trim().replace('\t', " ")
}

fn runs(debian: &Booted, pid: &str) -> bool {
    debian.run(&["test", "-d", &format!("/proc/{pid}")]).is_ok()
}

/// The first line of an answer on a port of the other network namespace.
fn answer(debian: &Booted, port: u16) -> String {
    let ask = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{port}; printf 'OPTIONS / HTTP/1.0\\r\\n\\r\\n' >&3; head -n 1 <&3"
    );
    debian.run(&["bash", "-c", &ask]).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_package_is_clean_runs_under_systemd_and_leaves_nothing() {
    let start = Instant::now();
    let clean = std::thread::spawn(|| {
        Debian::new(&[
            "adduser",
            "ca-certificates",
            "init-system-helpers",
            "logrotate",
            "systemd",
        ])
        .unwrap()
    });
    let scratch = Scratch::new("package").unwrap();
    let package = build(scratch.path());
    eprintln!("built: {:?}", start.elapsed());
    let checked = Command::new("lintian")
        .args(["--allow-root", "--fail-on", "error,warning"])
        .arg(&package)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&checked.stdout);
    assert!(checked.status.success(), "{said}");
    eprintln!("lintian: {:?}", start.elapsed());

    // Without a running systemd, as in a container.
    let debian = clean.join().unwrap();
    eprintln!("a clean Debian: {:?}", start.elapsed());
    let before = debian.listing().unwrap();
    std::fs::copy(&package, debian.file("/var/tmp/it.deb")).unwrap();
    let install = ["dpkg", "--install", "/var/tmp/it.deb"];
    debian.run(&install).unwrap();
    let user = debian.run(&["getent", "passwd", "icecast-ext"]).unwrap();
    assert!(user.trim().ends_with("/nologin"), "{user}");
    let owners = [
        ("/var/lib/icecast-ext", "icecast-ext:icecast-ext 750"),
        ("/var/log/icecast-ext", "icecast-ext:icecast-ext 750"),
        (CONFIG, "root:icecast-ext 640"),
    ];
    for (path, owner) in owners {
        let is = debian.run(&["stat", "-c", "%U:%G %a", path]).unwrap();
        assert_eq!(is.trim(), owner, "{path}");
    }
    let conffiles = debian.run(&["dpkg-query", "-W", "-f=${Conffiles}", "icecast-ext"]);
    assert!(conffiles.unwrap().contains(CONFIG));
    let version = debian.run(&["icecast-ext", "--version"]).unwrap();
    assert!(version.starts_with("icecast-ext "), "{version}");

    // With systemd, as what it is configured to be.
    let text = std::fs::read_to_string(debian.file(CONFIG)).unwrap();
    let booted = debian.boot().await.unwrap();
    eprintln!("booted: {:?}", start.elapsed());
    for unit in ["icecast-ext.service", "icecast-ext.socket"] {
        booted
            .run(&["systemd-analyze", "verify", "--man=no", unit])
            .unwrap();
    }
    active(&booted).await;
    let pid = booted.show(UNIT, "MainPID").unwrap();
    let uid = booted.run(&["id", "-u", "icecast-ext"]).unwrap();
    let uid = uid.trim();
    assert_eq!(status(&booted, &pid, "Uid:"), [uid; 4].join(" "));
    assert_eq!(
        status(&booted, &pid, "CapEff:"),
        "0000000000000400",
        "ports, and nothing else"
    );
    assert_eq!(status(&booted, &pid, "NoNewPrivs:"), "1");
    assert!(answer(&booted, 8100).starts_with("HTTP/1."));
    assert!(booted.run(&["ls", "/var/lib/icecast-ext/lock"]).is_ok());

    let report = booted.run(&[
        "sh",
        "-c",
        &format!("icecast-ext check --config {CONFIG} || true"),
    ]);
    let report = report.unwrap();
    assert!(
        report.contains("/var/lib/icecast-ext can be written")
            && report.contains("/var/log/icecast-ext/access.log can be written"),
        "{report}"
    );
    booted.run(&["systemctl", "reload", UNIT]).unwrap();
    active(&booted).await;
    assert_eq!(booted.show(UNIT, "MainPID").unwrap(), pid);
    let log = booted.log(UNIT).unwrap();
    assert!(!log.contains("ERROR"), "{log}");

    // Rotating the log asks for another reload.
    booted
        .run(&["logrotate", "--force", "/etc/logrotate.d/icecast-ext"])
        .unwrap();

    // Ports that systemd opens: the first who comes starts the service.
    booted.run(&["systemctl", "stop", UNIT]).unwrap();
    assert_eq!(booted.show(UNIT, "Result").unwrap(), "success");
    booted
        .run(&["systemctl", "start", "icecast-ext.socket"])
        .unwrap();
    assert!(answer(&booted, 8100).starts_with("HTTP/1."));
    assert!(booted.log(UNIT).unwrap().contains("opened by systemd"));
    booted
        .run(&["systemctl", "stop", "icecast-ext.socket", UNIT])
        .unwrap();

    // A port of the system, and what the administrator wrote stays when the package is replaced.
    std::fs::write(
        debian.file(CONFIG),
        format!("listen = [\"0.0.0.0:80\"]\n{text}"),
    )
    .unwrap();
    booted.run(&["systemctl", "restart", UNIT]).unwrap();
    active(&booted).await;
    assert!(answer(&booted, 80).starts_with("HTTP/1."));
    std::fs::copy(&package, debian.file("/var/tmp/it.deb")).unwrap();
    let before_upgrade = booted.show(UNIT, "MainPID").unwrap();
    booted.run(&install).unwrap();
    // One process takes over from the other; systemd restarts nothing, and waits for the new one when it stops it.
    wait_for("another main process", SOON, || {
        let now = booted.show(UNIT, "MainPID").unwrap();
        now != before_upgrade && now != "0"
    })
    .await;
    wait_for("the end of the one before", SOON, || {
        !runs(&booted, &before_upgrade)
    })
    .await;
    assert_eq!(booted.show(UNIT, "ActiveState").unwrap(), "active");
    assert_eq!(booted.show(UNIT, "NRestarts").unwrap(), "0");
    assert!(answer(&booted, 80).starts_with("HTTP/1."));
    let pid = booted.show(UNIT, "MainPID").unwrap();
    assert_eq!(status(&booted, &pid, "CapEff:"), "0000000000000400");
    let is = debian.run(&["stat", "-c", "%U:%G %a", CONFIG]).unwrap();
    assert_eq!(is.trim(), "root:icecast-ext 640");

    booted.run(&["systemctl", "stop", UNIT]).unwrap();
    assert_eq!(booted.show(UNIT, "Result").unwrap(), "success");
    booted.run(&["systemctl", "start", UNIT]).unwrap();

    // Removed: it stops, and what it knows stays. Purged: nothing stays.
    booted.run(&["dpkg", "--remove", "icecast-ext"]).unwrap();
    assert_ne!(booted.show(UNIT, "ActiveState").unwrap(), "active");
    assert!(debian.file(CONFIG).exists() && debian.file("/var/lib/icecast-ext/lock").exists());
    booted.run(&["dpkg", "--purge", "icecast-ext"]).unwrap();
    booted.kill();
    let after = debian.listing().unwrap();
    let differ: Vec<_> = after.iter().filter(|line| !before.contains(line)).collect();
    assert!(differ.is_empty(), "{differ:#?}");
    eprintln!("in all: {:?}", start.elapsed());
}
