//! The judge of shared objects is judged: libraries that do everything wrong, and the real one.

#![expect(clippy::unwrap_used, reason = "a test says where it fails")]

mod embed;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use icecast_ext_conformance::abi::{self, NAMES, RULES};
use icecast_ext_conformance::case::Outcome;
use icecast_ext_conformance::report::Report;
use icecast_ext_conformance::runner::Options;
use tempfile::TempDir;

async fn judge(library: &Path) -> Report {
    let suite = Path::new(env!("CARGO_BIN_EXE_icecast-ext-conformance"));
    abi::run(suite, library, &abi::cases(), &Options::default()).await
}

/// Builds a library in which each of these functions has the same body.
fn library(work: &TempDir, names: &[&str], body: &str, flags: &[&str]) -> PathBuf {
    let (source, library) = (work.path().join("a.c"), work.path().join("a.so"));
    let mut text = String::new();
    for name in names {
        writeln!(text, "long {name}(void) {{ {body} }}").unwrap();
    }
    std::fs::write(&source, text).unwrap();
    let built = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .args(flags)
        .status();
    assert!(built.unwrap().success());
    library
}

/// Which cases ended so.
fn ended(report: &Report, outcome: Outcome) -> BTreeSet<String> {
    let of = report.cases.iter().filter(|case| case.outcome == outcome);
    of.map(|case| case.id.clone()).collect()
}

fn all() -> BTreeSet<String> {
    abi::cases().iter().map(|case| case.id.to_owned()).collect()
}

#[test]
fn each_rule_has_a_case_and_each_case_a_rule() {
    let rules: BTreeSet<_> = RULES.iter().map(|rule| rule.id).collect();
    let cases = abi::cases();
    let judged: BTreeSet<_> = cases.iter().map(|case| case.requirement).collect();
    assert_eq!(rules, judged);
    assert_eq!(all().len(), cases.len());
    assert!(all().iter().all(|id| id.starts_with("abi/")));
}

#[tokio::test]
async fn a_library_that_says_yes_to_everything_fails_whatever_is_called() {
    let work = tempfile::tempdir().unwrap();
    let names: Vec<_> = NAMES.iter().copied().chain(["malloc_of_mine"]).collect();
    // Something of another library's is used, so that the linker keeps it among the needed.
    let flags = ["-Wl,--no-as-needed", "-lresolv"];
    let report = judge(&library(&work, &names, "return 0;", &flags)).await;
    let passed = ["abi/exports"].map(str::to_owned).into();
    assert_eq!(ended(&report, Outcome::Pass), passed);
    assert_eq!(ended(&report, Outcome::Fail).len(), all().len() - 1);
    let other = report.case("abi/nothing-else").unwrap();
    assert_eq!(other.observed.as_deref(), Some("malloc_of_mine"));
    assert!(!report.is_good(false));
}

#[tokio::test]
async fn a_library_that_crashes_takes_one_case_with_it_at_a_time() {
    let work = tempfile::tempdir().unwrap();
    let report = judge(&library(
        &work,
        NAMES,
        "*(volatile int *)8 = 1; return 0;",
        &[],
    ))
    .await;
    let files = ["abi/exports", "abi/nothing-else", "abi/needs"];
    assert_eq!(
        ended(&report, Outcome::Pass),
        files.map(str::to_owned).into()
    );
    assert_eq!(
        ended(&report, Outcome::Fail).len(),
        all().len() - files.len()
    );
    let crashed = report.case("abi/null").unwrap();
    assert!(crashed.observed.as_deref().unwrap().contains("signal"));
}

#[tokio::test]
async fn what_is_not_there_is_not_called() {
    let work = tempfile::tempdir().unwrap();
    let report = judge(&library(&work, &["icecast_ext_abi"], "return 1;", &[])).await;
    assert_eq!(report.case("abi/exports").unwrap().outcome, Outcome::Fail);
    assert_eq!(report.case("abi/heads").unwrap().outcome, Outcome::Skip);
    let none = work.path().join("none.so");
    std::fs::write(&none, b"\x7fELF, or so it says").unwrap();
    assert!(judge(&none).await.error.is_some());
}

#[tokio::test]
async fn the_c_library_passes_every_case() {
    let report = judge(&embed::prefix().join("lib/libicecast_ext.so")).await;
    let rest: Vec<_> = report
        .cases
        .iter()
        .filter(|case| case.outcome != Outcome::Pass)
        .collect();
    assert!(rest.is_empty() && report.error.is_none(), "{report:#?}");
    let table = include_str!("../../docs/compatibility.md");
    assert!(table.contains("| `libicecast_ext.so` | passes |"));
}
