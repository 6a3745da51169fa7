//! The judge of clients is judged: a client that does everything right, ones that do one thing wrong, and real ones.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod embed;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use icecast_ext_conformance::case::{Case, Outcome};
use icecast_ext_conformance::client::{self, Scene};
use icecast_ext_conformance::listen::bug::{BUGS, Bug};
use icecast_ext_conformance::report::{Report, sentences};
use icecast_ext_conformance::runner::Options;
use tokio::task::JoinSet;

/// So many clients at a time.
const JOBS: usize = 16;
/// So many bugs at a time.
const BUGS_AT_ONCE: usize = 3;

const TABLE: &str = include_str!("../../docs/compatibility.md");

fn must(requirement: &str) -> bool {
    sentences()[requirement].level.word() == "MUST"
}

async fn judge(command: &[&str], cases: &[Case<Scene>]) -> Report {
    let command: Vec<_> = command.iter().map(|word| (*word).to_owned()).collect();
    let options = Options {
        jobs: JOBS,
        time: Duration::from_secs(90),
        ..Options::default()
    };
    client::run(&command, cases, &options).await.unwrap()
}

/// Each case that did not pass, in words.
fn not_passed(report: &Report) -> Vec<String> {
    report
        .cases
        .iter()
        .filter(|case| case.outcome != Outcome::Pass)
        .map(|case| format!("{case:#?}"))
        .collect()
}

/// The row of a client is what it has done, and it fails nothing.
fn is_in_the_table(name: &str, report: &Report) {
    let untried: BTreeSet<_> = report
        .cases
        .iter()
        .filter(|case| case.outcome == Outcome::Skip)
        .map(|case| &case.requirement[..])
        .collect();
    let untried: Vec<_> = untried.into_iter().collect();
    let cell = match &untried[..] {
        [] => "passes".to_owned(),
        untried => format!("passes; not tried: {}", untried.join(", ")),
    };
    let row = format!("| {name} | {cell} |");
    let details = not_passed(report);
    assert!(
        TABLE.contains(&row),
        "docs/compatibility.md has to say\n{row}\n{details:#?}"
    );
    let failed = [Outcome::Fail, Outcome::Error].map(|outcome| report.count(outcome));
    assert!(failed == [0, 0] && report.error.is_none(), "{details:#?}");
}

fn own() -> &'static str {
    env!("CARGO_BIN_EXE_icecast-ext-conformance")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_suites_client_passes_every_case() {
    let report = judge(&[own(), "listen", "{url}", "{url2}"], &client::cases()).await;
    is_in_the_table("the suite's reference client", &report);
    assert_eq!(report.count(Outcome::Pass), client::cases().len());
}

/// What fails of a client with a bug: requirements.
async fn fails_of(bug: &Bug) -> (Report, BTreeSet<String>) {
    // What is only asked for takes seconds each; it is tried where it is what the bug breaks.
    let chosen: Vec<_> = client::cases()
        .into_iter()
        .filter(|case| must(case.requirement) || case.requirement == bug.requirement)
        .collect();
    let command = [own(), "listen", "--bug", bug.id, "{url}", "{url2}"];
    let report = judge(&command, &chosen).await;
    let failed = report
        .cases
        .iter()
        .filter(|case| case.outcome == Outcome::Fail)
        .map(|case| case.requirement.clone())
        .collect();
    (report, failed)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bug_breaks_its_requirement_and_no_other_and_every_case_finds_one() {
    let mut bugs = BUGS.iter();
    let mut running = JoinSet::new();
    let (mut wrong, mut found) = (Vec::new(), BTreeSet::new());
    loop {
        while running.len() < BUGS_AT_ONCE
            && let Some(bug) = bugs.next()
        {
            running.spawn(async move { (bug, fails_of(bug).await) });
        }
        let Some(ended) = running.join_next().await else {
            break;
        };
        let (bug, (report, failed)) = ended.unwrap();
        let expected = BTreeSet::from([bug.requirement.to_owned()]);
        let errors = report.count(Outcome::Error);
        let fails = report.cases.iter();
        let fails = fails.filter(|case| case.outcome == Outcome::Fail);
        found.extend(fails.map(|case| case.id.clone()));
        if failed != expected || errors > 0 {
            wrong.push(format!(
                "{} breaks {failed:?} instead of {expected:?}, {errors} errors",
                bug.id
            ));
        }
    }
    assert_eq!(wrong, [""; 0]);
    // No case is there that cannot fail.
    let all = client::cases()
        .iter()
        .map(|case| case.id.to_owned())
        .collect();
    assert_eq!(found, all);
}

#[test]
fn for_every_requirement_with_a_case_there_is_a_bug() {
    let broken: BTreeSet<_> = BUGS.iter().map(|bug| bug.requirement).collect();
    let cases = client::cases();
    let judged: BTreeSet<_> = cases.iter().map(|case| case.requirement).collect();
    assert_eq!(broken, judged, "bugs on the left, cases on the right");
    assert!(judged.iter().any(|requirement| must(requirement)));
    let ids: BTreeSet<_> = cases.iter().map(|case| case.id).collect();
    assert_eq!(ids.len(), cases.len());
    assert!(ids.iter().all(|id| id.starts_with("client/")));
}

/// The `icecast-ext` of this workspace, beside the suite's own binary unless `ICECAST_EXT_BIN` names it.
fn icecast_ext() -> PathBuf {
    let found = match std::env::var_os("ICECAST_EXT_BIN") {
        Some(named) => named.into(),
        None => Path::new(own()).with_file_name("icecast-ext"),
    };
    let said = "build it with `cargo build`, or let ICECAST_EXT_BIN name it";
    assert!(found.is_file(), "no {}: {said}", found.display());
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn the_listen_command_passes_every_case() {
    let program = icecast_ext();
    let program = program.to_str().unwrap();
    let command = [
        program, "listen", "--json", "--ca", "{ca}", "{url}", "{url2}",
    ];
    let report = judge(&command, &client::cases()).await;
    is_in_the_table("`icecast-ext listen`: the Rust crate", &report);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_c_example_passes_what_it_can() {
    let work = tempfile::tempdir().unwrap();
    let program = embed::compile("listen", work.path());
    let command = [program.to_str().unwrap(), "{url}", "{url2}"];
    let report = judge(&command, &client::cases()).await;
    is_in_the_table("the example in C: the C library", &report);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_example_passes_every_case() {
    let library = format!("LD_LIBRARY_PATH={}", embed::prefix().join("lib").display());
    let script = embed::folder().join("examples/listen.py");
    let script = script.to_str().unwrap();
    let command = ["env", &library, "python3", script, "{url}", "{url2}"];
    let report = judge(&command, &client::cases()).await;
    is_in_the_table("the example in Python: the C library", &report);
}
