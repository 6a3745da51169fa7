//! `icecast-ext check` against a real Icecast: what it says of mounts, and of set-ups that cannot work.
#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::TcpListener;

use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{Proxy, binary};
use icecast_ext_tests::stage::noise;
use icecast_ext_tests::{port, tap::Tap};
use serde_json::Value;

/// The exit status, and the report.
fn check(config: &str) -> (i32, Value, String) {
    check_within(&[], config)
}

/// The same, with a command in front.
fn check_within(wrap: &[&str], config: &str) -> (i32, Value, String) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    std::fs::write(
        &path,
        config.replace("{dir}", &dir.path().display().to_string()),
    )
    .unwrap();
    let run = |json: &[&str]| {
        let words = wrap.iter().map(std::ffi::OsStr::new);
        let mut words = words.chain([binary().as_os_str()]);
        let mut command = std::process::Command::new(words.next().unwrap());
        command.args(words);
        command.args(["check", "--config"]).arg(&path).args(json);
        command.output().unwrap()
    };
    let out = run(&["--json"]);
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text}{}", String::from_utf8_lossy(&out.stderr)));
    let text = String::from_utf8_lossy(&run(&[]).stdout).into_owned();
    (out.status.code().unwrap(), report, text)
}

/// What was found about `about`, as level and text.
fn found(report: &Value, about: &str) -> Vec<(String, String)> {
    let lists = report["sections"]
        .as_array()
        .unwrap()
        .iter()
        .chain(report["mounts"].as_array().unwrap());
    let all = lists.flat_map(|list| list["findings"].as_array().unwrap());
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    all.filter(|finding| text(&finding["about"]).contains(about))
        .map(|finding| {
            (
                text(&finding["level"]),
                format!("{} -> {}", text(&finding["says"]), text(&finding["remedy"])),
            )
        })
        .collect()
}

#[track_caller]
fn has(report: &Value, level: &str, about: &str, says: &str) {
    let found = found(report, about);
    assert!(
        found
            .iter()
            .any(|(is, text)| is == level && text.contains(says)),
        "{level} {about} {says}: {found:#?}"
    );
}

fn mount<'a>(report: &'a Value, path: &str) -> &'a Value {
    let mounts = report["mounts"].as_array().unwrap();
    mounts.iter().find(|mount| mount["mount"] == path).unwrap()
}

async fn station() -> (Icecast, Vec<icecast_ext_tests::source::Streaming>) {
    let setup = icecast::Setup {
        more: "<mount><mount-name>/club.mp3</mount-name><max-listeners>9</max-listeners><authentication type=\"htpasswd\">\
               <option name=\"filename\" value=\"{dir}/club.auth\"/></authentication></mount>\
               <mount><mount-name>/few.mp3</mount-name><max-listeners>7</max-listeners></mount>\
               <mount><mount-name>/hidden.mp3</mount-name><hidden>1</hidden></mount>\
               <mount><mount-name>/hooked.mp3</mount-name><authentication type=\"url\">\
               <option name=\"mount_add\" value=\"http://127.0.0.1:1/\"/></authentication></mount>"
            .to_owned(),
        ..icecast::Setup::default()
    };
    let icecast = Icecast::with(setup).await.unwrap();
    // anna:anna, as MD5.
    std::fs::write(
        icecast.file("club.auth"),
        "anna:a70f9e38ff015afaa9ab0aacabee2e13\n",
    )
    .unwrap();
    let mut sources = Vec::new();
    for (seed, mount) in (1..).zip([
        "/open.mp3",
        "/club.mp3",
        "/few.mp3",
        "/hidden.mp3",
        "/hooked.mp3",
    ]) {
        sources.push(noise(icecast.addr(), mount, seed).await.unwrap());
    }
    for mount in ["/open.mp3", "/club.mp3", "/few.mp3", "/hooked.mp3"] {
        icecast.wait_mount(mount).await;
    }
    (icecast, sources)
}

#[tokio::test(flavor = "multi_thread")]
async fn says_how_each_mount_is_served_and_why_and_disturbs_nobody() {
    let (icecast, _sources) = station().await;
    let bystander = Tap::open(icecast.addr(), "/open.mp3", &[]).await.unwrap();
    let upstream = icecast.url("");
    let listen = port::free();
    let config = format!(
        "upstream = \"{upstream}\"\nupstream-admin = \"admin:hackme\"\nlisten = [\"{listen}\"]\nstate = \"{{dir}}/state\"\n\
         window = 600\n[mount.\"/club.mp3\"]\npull-credentials = \"anna:anna\"\n[mount.\"/open.mp3\"]\nwindow = 30\n"
    );
    let (status, report, text) = tokio::task::spawn_blocking(move || check(&config))
        .await
        .unwrap();
    assert_eq!((status, &report["errors"]), (0, &Value::from(0)), "{text}");
    for (path, admission, why) in [
        ("/open.mp3", "fanout", "anyone may hear it"),
        ("/club.mp3", "shadow", "pull-credentials are given"),
        ("/few.mp3", "fanout", "anyone may hear it"),
        ("/hidden.mp3", "tunnel", "do not list it"),
        ("/hooked.mp3", "tunnel", "no credentials"),
    ] {
        let mount = mount(&report, path);
        assert_eq!(mount["admission"], admission, "{path}: {text}");
        assert!(
            mount["why"].as_str().unwrap().contains(why),
            "{path}: {mount}"
        );
    }
    assert_eq!(mount(&report, "/open.mp3")["window-seconds"], 30);
    assert_eq!(mount(&report, "/few.mp3")["window-seconds"], 600);
    has(&report, "ok", &upstream, "Icecast 2.4.4 answers");
    has(&report, "ok", "upstream-admin", "5 mounts, hidden ones too");
    has(&report, "ok", "pull-credentials", "are let in");
    has(&report, "warn", "max-listeners", "lets 7 in");
    has(&report, "ok", "max-listeners", "9 at the upstream");
    has(
        &report,
        "warn",
        "hidden",
        "[mount.\"/hidden.mp3\"] admission",
    );
    has(
        &report,
        "warn",
        "a plain GET",
        "is let in, although the stats name an authenticator",
    );
    has(&report, "ok", &listen.to_string(), "is free");
    has(&report, "ok", "state", "will be made");
    assert!(
        text.contains(
            "  /open.mp3\n    admission  fanout: anyone may hear it\n    window     30 s"
        ),
        "{text}"
    );
    bystander
        .wait_more(32_000, std::time::Duration::from_secs(15))
        .await;
    assert_eq!(bystander.ended(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn says_what_cannot_work_and_what_to_do() {
    let (icecast, _sources) = station().await;
    let (one, two) = tokio::join!(Proxy::start(icecast.addr()), Proxy::start(icecast.addr()));
    let (one, two) = (one.unwrap(), two.unwrap());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken_at = taken.local_addr().unwrap();
    let nobody = port::free();
    let config = format!(
        "upstream = \"{}\"\nupstream-admin = \"admin:wrong\"\nlisten = [\"{taken_at}\", \"{}\", \"192.0.2.1:8100\"]\nstate = \"{{dir}}/c.toml\"\n\
         relays = [\"{}\", \"{}\", \"http://{nobody}\", \"{}\"]\ndeny-ip = \"{{dir}}/none\"\nallow-ip = \"{{dir}}/c.toml\"\naccess-log = \"{{dir}}/no/access.log\"\n\
         user = \"nobody-of-that-name\"\nalways = [\"/gone.mp3\"]\nlisten-tls = [\"127.0.0.1:0\"]\n[[certificate]]\nchain = \"{{dir}}/c.pem\"\nkey = \"{{dir}}/k.pem\"\n\
         [mount.\"/club.mp3\"]\npull-credentials = \"anna:wrong\"\n",
        icecast.url(""),
        one.addr(),
        one.url(""),
        two.url(""),
        icecast.url(""),
    );
    let dead = format!(
        "upstream = \"http://{nobody}\"\nlisten = [\"{}\"]\n",
        port::free()
    );
    let icecast_port = format!(
        "upstream = \"http://127.0.0.1:1\"\nlisten = [\"{}\"]\n",
        icecast.addr()
    );
    let ((status, report, text), dead, (_, held, _)) =
        tokio::task::spawn_blocking(move || (check(&config), check(&dead), check(&icecast_port)))
            .await
            .unwrap();
    assert_eq!(status, 1, "{text}");
    for (about, says) in [
        (
            "upstream-admin",
            "is refused (401) -> admin-user and admin-password",
        ),
        (
            "pull-credentials",
            "are refused (401) -> a listener's account is meant",
        ),
        (&two.url(""), "has another epoch than at"),
        (&format!("http://{nobody}"), "does not answer"),
        (&icecast.url(""), "without a Stream-Offset"),
        (&taken_at.to_string(), "is held by"),
        ("192.0.2.1:8100", "is no address of this machine"),
        ("state", "is not a directory"),
        ("deny-ip", "No such file"),
        ("access-log", "install -d"),
        ("certificate", "c.pem"),
        ("user", "adduser --system"),
    ] {
        has(&report, "error", about, says);
    }
    has(&report, "error", "allow-ip", "so everybody is refused");
    has(&report, "warn", "a plain GET", "there is no such mount now");
    has(
        &report,
        "ok",
        &format!("listen {}", one.addr()),
        "is held by icecast-ext",
    );
    assert!(text.contains("ERROR  user"), "{text}");
    let (status, report, _) = dead;
    assert_eq!(status, 1);
    has(&report, "error", "http://", "is it running");
    has(&held, "error", "listen", "icecast-ext propose");
    // A relay of the first proxy, which tells its listeners of that one.
    let first = one.url("");
    let relay = format!(
        "upstream = \"{first}\"\nlisten = [\"{}\"]\nrelays = [\"{first}\"]\n",
        port::free()
    );
    let (status, report, text) = tokio::task::spawn_blocking(move || check(&relay))
        .await
        .unwrap();
    assert_eq!(status, 0, "{text}");
    has(
        &report,
        "ok",
        &first,
        "it names the epochs, and this is a relay of it",
    );
    has(
        &report,
        "ok",
        &first,
        "with the same epoch for 2 of 2 mounts",
    );
    drop(taken);
}

#[test]
fn says_if_fewer_files_may_be_open_or_fewer_may_wait_than_there_are_to_be_listeners() {
    let origin = "source-password = \"x\"\nlisten = [\"127.0.0.1:0\"]\n";
    let config = format!("{origin}[limits]\nlisteners = 19000\n");
    let (status, report, text) = check_within(&["prlimit", "--nofile=20000:20000"], &config);
    assert_eq!(status, 0, "{text}");
    has(&report, "ok", "descriptors", "room for 19486 listeners");
    let (status, report, text) = check_within(&["prlimit", "--nofile=1024:4096"], &config);
    assert_eq!(status, 0, "a warning: {text}");
    has(
        &report,
        "warn",
        "descriptors",
        "4096 open files are allowed, which is room for 3582 listeners",
    );
    has(&report, "warn", "descriptors", "LimitNOFILE=19514");
    let mounts = format!("{origin}[mount.\"/a\"]\nmax-listeners = 4000\n");
    let (_, report, _) = check_within(&["prlimit", "--nofile=4096:4096"], &mounts);
    has(&report, "warn", "descriptors", "of all mounts are 4000");
    // A network of its own, in which only a few may wait.
    let few = "echo 128 > /proc/sys/net/core/somaxconn && exec \"$0\" \"$@\"";
    let (_, report, _) = check_within(&["unshare", "--net", "sh", "-c", few], origin);
    has(
        &report,
        "warn",
        "backlog",
        "sysctl -w net.core.somaxconn=4096",
    );
    let mut serve = std::process::Command::new("unshare");
    serve.args(["--net", "sh", "-c", few]).arg(binary());
    serve.args(["serve", "--source-password", "x", "--listen", "0.0.0.0:0"]);
    serve.arg("--until-stdin-closes");
    let out = serve.stdin(std::process::Stdio::null()).output().unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("net.core.somaxconn is 128"), "{said}");
}

#[test]
fn a_broken_file_is_an_error_and_a_wrong_flag_is_usage() {
    let (status, report, text) =
        check("upstream = \"http://a\"\nwindw = 1\n[limits]\nmounts = \"many\"\n");
    assert_eq!(status, 1);
    has(&report, "error", "c.toml:2 windw", "did you mean window?");
    assert!(text.ends_with("1 error, 0 warnings\n"), "{text}");
    let out = std::process::Command::new(binary())
        .args(["check", "--windw", "3"])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    // `serve` says the same, all at once, and does not start.
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("c.toml");
    let text = "upstream = \"http://a\"\nwindow = 0\n\nalways = [\"live\"]\n";
    std::fs::write(&path, text).unwrap();
    let mut command = std::process::Command::new(binary());
    let out = command
        .args(["serve", "--config"])
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    let said = String::from_utf8_lossy(&out.stderr);
    let said = said.replace(&path.display().to_string(), "FILE");
    for line in [
        "2 problems in the configuration",
        "FILE:2: window is 0: it takes 1 to 86400",
        "FILE:4: always is \"live\": a mount begins",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let out = std::process::Command::new(binary())
        .args(["propose", "/nonexistent.xml"])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("/nonexistent.xml"));
}
