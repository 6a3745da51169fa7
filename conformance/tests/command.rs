//! The command: its exit status, its lists, its files, and what Ctrl-C leaves.
#![expect(clippy::unwrap_used, reason = "a test's own code may stop the test")]

mod common;

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use icecast_ext_conformance::case::Outcome;
use icecast_ext_conformance::reference::{self, Config, Server};
use icecast_ext_conformance::report::Report;

const SUITE: &str = env!("CARGO_BIN_EXE_icecast-ext-conformance");

async fn server(bug: Option<&'static str>) -> Server {
    let config = Config {
        bug,
        ..Config::new("127.0.0.1:0".parse().unwrap())
    };
    reference::start(config).await.unwrap()
}

fn suite(server: &Server, args: &[&str]) -> Command {
    let mut command = Command::new(SUITE);
    command.arg(format!("http://{}/live.mp3", server.addr()));
    command.args(["--source", "source:hackme"]).args(args);
    command
}

async fn run(mut command: Command) -> Output {
    tokio::task::spawn_blocking(move || command.output().unwrap())
        .await
        .unwrap()
}

fn text(output: &Output) -> String {
    format!(
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

fn known(dir: &Path, case: &str) -> String {
    let file = dir.join("known.toml");
    let entry = format!("[[known]]\ncase = \"{case}\"\nreason = \"it is a test\"\n");
    std::fs::write(&file, entry).unwrap();
    file.display().to_string()
}

#[tokio::test]
async fn the_status_says_how_it_stands() {
    let right = server(None).await;
    let good = run(suite(&right, &["--only", "icecast/plain-get"])).await;
    assert_eq!(good.status.code(), Some(0), "{}", text(&good));
    let wrong = server(Some("icy-offset")).await;
    let bad = run(suite(&wrong, &["--only", "R-COMPAT-7"])).await;
    assert_eq!(bad.status.code(), Some(1), "{}", text(&bad));
    assert!(
        text(&bad).contains("spec/protocol.md#clients-that-know-nothing"),
        "{}",
        text(&bad)
    );
    let mut nobody = Command::new(SUITE);
    nobody.arg(format!("http://{}/live.mp3", common::free()));
    assert_eq!(run(nobody).await.status.code(), Some(2));
}

#[tokio::test]
async fn a_should_warns_and_fails_when_strict() {
    let server = server(Some("waits-for-heads")).await;
    let only = ["--only", "resume/slow-head"];
    assert_eq!(run(suite(&server, &only)).await.status.code(), Some(0));
    let strict = run(suite(&server, &[&only[..], &["--strict"]].concat())).await;
    assert_eq!(strict.status.code(), Some(1), "{}", text(&strict));
}

#[tokio::test]
async fn known_failures_are_excused_and_the_list_is_kept_short() {
    let dir = tempfile::tempdir().unwrap();
    let wrong = server(Some("icy-offset")).await;
    let only = ["--only", "R-COMPAT-7", "--known"];
    let file = known(dir.path(), "resume/field-names");
    let excused = run(suite(&wrong, &[&only[..], &[&file]].concat())).await;
    assert_eq!(excused.status.code(), Some(0), "{}", text(&excused));
    let right = server(None).await;
    let passes = run(suite(&right, &[&only[..], &[&file]].concat())).await;
    assert_eq!(passes.status.code(), Some(1), "{}", text(&passes));
    let file = known(dir.path(), "resume/field-names-that-are-none");
    let nothing = run(suite(&right, &["--profile", "icecast", "--known", &file])).await;
    assert_eq!(nothing.status.code(), Some(1), "{}", text(&nothing));
}

#[test]
fn the_lists_have_every_case_and_every_bug() {
    let list = Command::new(SUITE).arg("--list").output().unwrap();
    let lines = text(&list).lines().count();
    assert_eq!(lines, icecast_ext_conformance::cases::all().len());
    let bugs = Command::new(SUITE)
        .args(["serve", "--bugs"])
        .output()
        .unwrap();
    assert_eq!(text(&bugs).lines().count(), reference::bug::BUGS.len());
}

#[tokio::test]
async fn ctrl_c_leaves_a_report_of_what_was_judged() {
    let server = server(None).await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("report.json");
    let mut command = suite(
        &server,
        &["--jobs", "3", "--json", &file.display().to_string()],
    );
    let child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // So far that some cases have ended: each case that feeds a mount of its own makes one.
    let began = Instant::now();
    while server.mounts() < 6 {
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "it does not get on"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-s", "INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap())
        .await
        .unwrap();
    assert_eq!(output.status.code(), Some(130));
    let report = Report::read(&file).unwrap();
    assert!(report.interrupted);
    assert!(report.count(Outcome::Pass) > 0, "{report:#?}");
    assert!(report.count(Outcome::Skip) > 0);
}
