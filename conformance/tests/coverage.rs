//! Every requirement of the protocol has a case, or a reason why it has none.
#![expect(clippy::unwrap_used, reason = "a test's own code may stop the test")]

use std::collections::{BTreeMap, BTreeSet};

use icecast_ext_conformance::profile::Profile;
use icecast_ext_conformance::reference::bug::BUGS;
use icecast_ext_conformance::report::sentences;
use icecast_ext_conformance::{abi, cases, client};
use serde::Deserialize;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    untestable: Vec<Entry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    requirement: String,
    reason: String,
}

fn untestable() -> BTreeMap<String, String> {
    let file: File = toml::from_str(include_str!("../untestable.toml")).unwrap();
    let count = file.untestable.len();
    let entries: BTreeMap<_, _> = file
        .untestable
        .into_iter()
        .map(|one| (one.requirement, one.reason))
        .collect();
    assert_eq!(entries.len(), count, "an entry stands twice");
    entries
}

#[test]
fn each_requirement_has_a_case_or_a_reason_and_not_both() {
    let listed: BTreeSet<_> = sentences().into_keys().collect();
    let servers = cases::all();
    let clients = client::cases();
    let servers = servers.iter().map(|case| case.requirement);
    let tried: BTreeSet<_> = servers
        .chain(clients.iter().map(|case| case.requirement))
        .map(str::to_owned)
        .collect();
    let untestable = untestable();
    let excused: BTreeSet<_> = untestable.keys().cloned().collect();
    let neither: Vec<_> = listed
        .iter()
        .filter(|id| !tried.contains(*id) && !excused.contains(*id))
        .collect();
    assert!(
        neither.is_empty(),
        "neither a case nor a reason: {neither:?}"
    );
    let both: Vec<_> = tried.intersection(&excused).collect();
    assert!(both.is_empty(), "a case and a reason: {both:?}");
    let unknown: Vec<_> = tried
        .union(&excused)
        .filter(|id| !listed.contains(*id))
        .collect();
    assert!(unknown.is_empty(), "no requirements: {unknown:?}");
}

#[test]
fn reasons_are_sentences() {
    for (requirement, reason) in untestable() {
        assert!(
            reason.len() > 20 && reason.ends_with('.'),
            "{requirement}: {reason}"
        );
    }
}

#[test]
fn the_bugs_on_the_list_are_those_in_the_code() {
    let mut code = String::new();
    for entry in std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/reference")).unwrap() {
        let path = entry.unwrap().path();
        if !path.ends_with("bug.rs") {
            code += &std::fs::read_to_string(path).unwrap();
        }
    }
    let mut asked = BTreeSet::new();
    for start in ["is(\"", "bug(\"", "Some(\""] {
        let names = code
            .split(start)
            .skip(1)
            .filter_map(|rest| rest.split('"').next());
        // A bug's name has a hyphen, and is in small letters.
        let is_name =
            |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
        asked.extend(names.filter(|name| name.contains('-') && name.chars().all(is_name)));
    }
    let listed: BTreeSet<_> = BUGS
        .iter()
        .map(|bug| bug.id)
        .filter(|id| id.contains('-'))
        .collect();
    let only_listed: Vec<_> = listed.difference(&asked).collect();
    let only_asked: Vec<_> = asked.difference(&listed).collect();
    assert!(
        only_listed.is_empty() && only_asked.is_empty(),
        "{only_listed:?} {only_asked:?}"
    );
}

#[test]
fn ids_are_unique_and_name_their_profile() {
    let mut seen = BTreeSet::new();
    let servers = cases::all().into_iter().map(|case| (case.id, case.does));
    let clients = client::cases().into_iter().map(|case| (case.id, case.does));
    let libraries = abi::cases().into_iter().map(|case| (case.id, case.does));
    for (id, does) in servers.chain(clients).chain(libraries) {
        let (profile, what) = id.split_once('/').unwrap();
        assert!(Profile::named(profile).is_some(), "{id}");
        let letters = what
            .bytes()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-');
        assert!(letters && !what.is_empty(), "{id}");
        assert!(seen.insert(id), "{id} stands twice");
        assert!(!does.is_empty());
    }
}
