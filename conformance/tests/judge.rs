//! The judge is judged: the reference server passes everything, and each of its bugs is found, and nothing else with it.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use common::{House, those};
use icecast_ext_conformance::case::{Case, Outcome};
use icecast_ext_conformance::cases;
use icecast_ext_conformance::profile::Profile;
use icecast_ext_conformance::reference::bug::BUGS;
use icecast_ext_conformance::report::{Judged, Report, sentences};
use icecast_ext_spec::Level;
use tokio::sync::{Mutex, Semaphore};
use tokio::task::JoinSet;

/// Houses at a time: they wait most of the time.
const AT_A_TIME: usize = 16;
/// Bugs to try only, separated by commas.
const ONLY: &str = "CONFORMANCE_BUGS";

fn server(profile: Profile) -> bool {
    !matches!(profile, Profile::Client | Profile::Abi)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_without_a_bug_passes_everything() {
    let house = House::start(None).await;
    let all: Vec<_> = cases::all()
        .into_iter()
        .filter(|case| server(case.profile()))
        .collect();
    let report = house.judge(&all).await;
    assert_eq!(report.error, None);
    for outcome in [Outcome::Fail, Outcome::Error, Outcome::Skip] {
        assert_eq!(those(&report, outcome), [""; 0], "{outcome:?}");
    }
    assert_eq!(report.count(Outcome::Pass), all.len());
}

#[test]
fn every_must_case_of_a_server_has_a_bug_that_it_finds() {
    let sentences = sentences();
    let broken: BTreeSet<_> = BUGS.iter().map(|bug| bug.requirement).collect();
    let unbroken: BTreeSet<_> = cases::all()
        .into_iter()
        .filter(|case| server(case.profile()) && sentences[case.requirement].level == Level::Must)
        .map(|case| case.requirement)
        .filter(|requirement| !broken.contains(requirement))
        .collect();
    assert!(unbroken.is_empty(), "no bug breaks {unbroken:?}");
}

/// What came out otherwise than it should, tried once more alone: a crowd of houses on one machine misses deadlines.
async fn again(
    bug: Option<&'static str>,
    broken: &str,
    all: &[Case],
    mut report: Report,
) -> Report {
    let as_it_should = |case: &Judged| match case.requirement == broken {
        true => case.outcome == Outcome::Fail,
        false => matches!(case.outcome, Outcome::Pass | Outcome::Skip),
    };
    let found = report
        .cases
        .iter()
        .any(|case| case.requirement == broken && case.outcome == Outcome::Fail);
    let doubtful = |case: &Judged| !(as_it_should(case) || case.requirement == broken && found);
    let doubtful: Vec<_> = report
        .cases
        .iter()
        .filter(|case| doubtful(case))
        .map(|case| case.id.clone())
        .collect();
    let cases: Vec<_> = all
        .iter()
        .filter(|case| doubtful.iter().any(|id| id == case.id))
        .copied()
        .collect();
    if cases.is_empty() {
        return report;
    }
    static ALONE: Mutex<()> = Mutex::const_new(());
    let _alone = ALONE.lock().await;
    let alone = House::start(bug).await.judge(&cases).await;
    for judged in alone.cases {
        if let Some(case) = report.cases.iter_mut().find(|case| case.id == judged.id) {
            *case = judged;
        }
    }
    report
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn each_bug_makes_exactly_its_requirement_fail() {
    let only = std::env::var(ONLY).ok();
    let meant = |id: &str| {
        only.as_deref()
            .is_none_or(|only| only.split(',').any(|one| one == id))
    };
    let all: Vec<_> = cases::all()
        .into_iter()
        .filter(|case| server(case.profile()))
        .collect();
    let sentences = sentences();
    let permits = Arc::new(Semaphore::new(AT_A_TIME));
    let mut running = JoinSet::new();
    for bug in BUGS.iter().filter(|bug| meant(bug.id)) {
        // A SHOULD may hold or not: it is looked at where it is what the bug breaks.
        let binding = |case: &&Case| {
            sentences[case.requirement].level == Level::Must || case.requirement == bug.requirement
        };
        let all: Vec<_> = all.iter().filter(binding).copied().collect();
        let permits = Arc::clone(&permits);
        running.spawn(async move {
            let _permit = permits.acquire_owned().await.unwrap();
            let house = House::start(Some(bug.id)).await;
            let report = house.judge(&all).await;
            (
                bug,
                again(Some(bug.id), bug.requirement, &all, report).await,
            )
        });
    }
    let mut wrong = BTreeMap::new();
    let mut count = 0;
    while let Some(ended) = running.join_next().await {
        let (bug, report) = ended.unwrap();
        count += 1;
        let failed: BTreeSet<_> = report
            .cases
            .iter()
            .filter(|case| case.outcome == Outcome::Fail)
            .map(|case| case.requirement.clone())
            .collect();
        let right = failed.len() == 1 && failed.contains(bug.requirement);
        if !right || report.error.is_some() || report.count(Outcome::Error) > 0 {
            let mut said = those(&report, Outcome::Fail);
            said.extend(those(&report, Outcome::Error));
            said.extend(report.error.clone());
            if said.is_empty() {
                said = those(&report, Outcome::Skip);
            }
            eprintln!("{} ({}): {said:#?}", bug.id, bug.requirement);
            wrong.insert(bug.id, (bug.requirement, said));
        }
    }
    assert!(count > 0, "{ONLY} names no bug");
    assert!(
        wrong.is_empty(),
        "{} of {count} bugs are not found as they should be: {:?}",
        wrong.len(),
        wrong.keys()
    );
}
