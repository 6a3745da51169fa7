//! The files that a run leaves, and what is made of two of them.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

use std::path::Path;
use std::process::{Command, Output};

use icecast_ext_conformance::report::Report;

const SUITE: &str = env!("CARGO_BIN_EXE_icecast-ext-conformance");

/// Judges the suite's own client, as far as two cases go.
fn judge(bug: Option<&str>, files: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(SUITE);
    command.arg("client");
    for only in ["client/joins-live", "client/goes-back"] {
        command.args(["--only", only]);
    }
    for (option, file) in files {
        command.arg(option).arg(file);
    }
    command.args(["--", SUITE, "listen", "{url}", "{url2}"]);
    if let Some(bug) = bug {
        command.args(["--bug", bug]);
    }
    command.output().unwrap()
}

fn compare(a: &Path, b: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(SUITE);
    command.arg("--compare").arg(a).arg(b).args(more);
    command.output().unwrap()
}

fn text(octets: &[u8]) -> String {
    String::from_utf8_lossy(octets).into_owned()
}

#[test]
fn a_run_leaves_what_it_was_asked_for_and_two_can_be_compared() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str| dir.path().join(name);
    let (good, bad) = (file("good.json"), file("bad.json"));
    let (page, tests) = (file("bad.html"), file("bad.xml"));

    let ended = judge(None, &[("--json", &good)]);
    assert_eq!(ended.status.code(), Some(0), "{}", text(&ended.stdout));
    let files = [("--json", &*bad), ("--html", &*page), ("--junit", &*tests)];
    let ended = judge(Some("hears-twice"), &files);
    assert_eq!(ended.status.code(), Some(1), "{}", text(&ended.stdout));

    assert_eq!(Report::read(&bad).unwrap().cases.len(), 2);
    let page = std::fs::read_to_string(page).unwrap();
    // What the client has asked for, and what it was answered.
    for part in ["R-RESUME-9", "Resume-Offset: live", "Stream-Offset: 10"] {
        assert!(page.contains(part), "{part} in {page}");
    }
    let tests = std::fs::read_to_string(tests).unwrap();
    assert!(
        tests.contains(r#"tests="2" skipped="0" failures="1""#),
        "{tests}"
    );

    let worse = compare(&good, &bad, &[]);
    assert_eq!(worse.status.code(), Some(1));
    let shown = text(&worse.stdout);
    assert!(shown.contains("* PASS  FAIL  client/goes-back"), "{shown}");
    let both = file("both.html");
    let better = compare(&bad, &good, &["--html", both.to_str().unwrap()]);
    assert_eq!(better.status.code(), Some(0));
    assert!(
        std::fs::read_to_string(both)
            .unwrap()
            .contains("client/goes-back")
    );
}

#[test]
fn what_is_no_report_is_told_from_one() {
    let dir = tempfile::tempdir().unwrap();
    let (none, other) = (dir.path().join("none.json"), dir.path().join("other.json"));
    std::fs::write(&other, "{\"cases\": 3}").unwrap();
    for (a, b) in [(&none, &other), (&other, &none)] {
        let ended = compare(a, b, &[]);
        assert_eq!(ended.status.code(), Some(2));
        let said = text(&ended.stderr);
        assert!(said.contains("no report of this suite"), "{said}");
    }
}

#[test]
fn a_command_without_a_relay_is_told_so() {
    let ended = Command::new(SUITE)
        .args(["client", "--", "curl"])
        .output()
        .unwrap();
    assert_eq!(ended.status.code(), Some(2));
    assert!(
        text(&ended.stderr).contains("{url}"),
        "{}",
        text(&ended.stderr)
    );
}
