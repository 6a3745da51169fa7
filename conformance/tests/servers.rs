//! Real servers. What they pass makes `docs/compatibility.md`.
#![expect(clippy::unwrap_used, reason = "a test's own code may stop the test")]

mod common;
mod embed;
mod real;

use std::time::Duration;

use icecast_ext_conformance::case::Outcome;
use icecast_ext_conformance::cases;
use icecast_ext_conformance::content::{Content, Format};
use icecast_ext_conformance::profile::Profile;
use icecast_ext_conformance::report::Report;
use icecast_ext_conformance::runner::{self, Options};
use icecast_ext_conformance::source::Source;
use icecast_ext_conformance::target::{Target, Url};
use real::{Example, HELD, Icecast, LISTENER, PROTECTED, Proxy};
use tokio::sync::Mutex;

/// One house at a time: deadlines are not for a crowd.
static ALONE: Mutex<()> = Mutex::const_new(());

const TABLE: &str = include_str!("../../docs/compatibility.md");

fn target(url: &str) -> Target {
    Target {
        source: Some("source:hackme".to_owned()),
        patience: Duration::from_secs(25),
        ..Target::new(url).unwrap()
    }
}

/// And a mount that asks for a password.
fn with_protected(target: Target, url: &str) -> Target {
    Target {
        protected: Some(Url::parse(url).unwrap()),
        listener: Some(LISTENER.to_owned()),
        ..target
    }
}

/// How a case ended.
fn outcome(report: &Report, id: &str) -> Outcome {
    let mut cases = report.cases.iter();
    cases.find(|case| case.id == id).unwrap().outcome
}

async fn judge(target: Target) -> Report {
    runner::run(target, &cases::all(), &Options::default()).await
}

/// What the table says of a profile. A failure that is known is one all the same.
fn cell(report: &Report, profile: Profile) -> String {
    if !report
        .profiles
        .iter()
        .any(|one| one.profile == profile && one.applies)
    {
        return "not offered".to_owned();
    }
    let ids = |must: bool| -> Vec<&str> {
        let all = report
            .cases
            .iter()
            .filter(|case| case.profile == profile && case.outcome == Outcome::Fail);
        all.filter(|case| (case.level == "MUST") == must)
            .map(|case| &case.requirement[..])
            .collect()
    };
    match (&ids(true)[..], &ids(false)[..]) {
        ([], []) => "passes".to_owned(),
        ([], should) => format!("passes; not {}", should.join(", ")),
        (must, should) => format!("not {}", [must, should].concat().join(", ")),
    }
}

/// The row of a server is what it has done, and it passes what it offers.
fn is_in_the_table(name: &str, report: &Report) {
    assert_eq!(report.error, None);
    let profiles = [
        Profile::Icecast,
        Profile::Resume,
        Profile::Relay,
        Profile::Players,
    ];
    let cells: Vec<_> = profiles
        .iter()
        .map(|profile| cell(report, *profile))
        .collect();
    let row = format!("| {name} | {} |", cells.join(" | "));
    let details = [Outcome::Fail, Outcome::Error, Outcome::Skip]
        .map(|outcome| common::those(report, outcome));
    assert!(
        TABLE.contains(&row),
        "docs/compatibility.md has to say\n{row}\n{details:#?}"
    );
    assert!(report.is_good(false), "{details:#?}");
}

#[tokio::test]
async fn the_reference_server() {
    let _alone = ALONE.lock().await;
    let house = common::House::start(None).await;
    let report = runner::run(house.target(), &cases::all(), &Options::default()).await;
    is_in_the_table("the suite's reference server", &report);
}

#[tokio::test]
async fn stock_icecast() {
    let _alone = ALONE.lock().await;
    let icecast = Icecast::start(false).await;
    let report = judge(target(&icecast.url("/live.mp3"))).await;
    is_in_the_table("Icecast 2.4.4", &report);
    let resume = report
        .profiles
        .iter()
        .find(|one| one.profile == Profile::Resume)
        .unwrap();
    assert!(
        resume.why.contains("knows nothing of the extension"),
        "{}",
        resume.why
    );
}

#[tokio::test]
async fn the_module_in_icecast() {
    let _alone = ALONE.lock().await;
    let icecast = Icecast::start(true).await;
    let target = Target {
        held: Some(HELD),
        ..with_protected(target(&icecast.url("/live.mp3")), &icecast.url(PROTECTED))
    };
    let report = judge(target).await;
    assert_eq!(outcome(&report, "resume/admitted-anew"), Outcome::Pass);
    assert_eq!(outcome(&report, "resume/bounded-holds"), Outcome::Pass);
    is_in_the_table("Icecast 2.4.4 with the module", &report);
}

/// The proxy, a relay of it, and a relay of the suite, with all that can be tried on them. `protected`: there is a mount with a password.
async fn judge_proxies(first: &[&str], protected: bool) -> Report {
    let upstream = common::free();
    let (first, second) = Proxy::two(first).await;
    let below = Proxy::before(&format!("http://{upstream}")).await;
    let below = (below.url("/live.mp3"), upstream, below);
    let target = Target {
        held: Some(HELD),
        second: Some(Url::parse(&second.url("/live.mp3")).unwrap()),
        below: Some(Url::parse(&below.0).unwrap()),
        upstream: Some(below.1),
        ..target(&first.url("/live.mp3"))
    };
    judge(match protected {
        true => with_protected(target, &first.url(PROTECTED)),
        false => target,
    })
    .await
}

#[tokio::test]
async fn the_proxy_in_front_of_icecast() {
    let _alone = ALONE.lock().await;
    let icecast = Icecast::start(false).await;
    let report = judge_proxies(&["--upstream", &icecast.url("")], true).await;
    assert_eq!(outcome(&report, "resume/admitted-anew"), Outcome::Pass);
    assert_eq!(outcome(&report, "resume/bounded-holds"), Outcome::Pass);
    is_in_the_table("the proxy in front of Icecast 2.4.4", &report);
}

#[tokio::test]
async fn the_proxy_as_origin() {
    let _alone = ALONE.lock().await;
    let report = judge_proxies(&["--source-password", "hackme"], false).await;
    assert_eq!(outcome(&report, "resume/bounded-holds"), Outcome::Pass);
    is_in_the_table("the proxy as origin", &report);
}

#[tokio::test]
async fn the_example_server_in_c() {
    let _alone = ALONE.lock().await;
    let work = tempfile::tempdir().unwrap();
    let server = Example::start(&embed::compile("server", work.path())).await;
    let target = Target {
        held: Some(Example::HELD),
        ..target(&server.url("/live.mp3"))
    };
    let report = judge(target).await;
    assert_eq!(outcome(&report, "resume/bounded-holds"), Outcome::Pass);
    is_in_the_table("the example server in C", &report);
}

/// Somebody else's station: no account, and a source that is not the suite's.
#[tokio::test]
async fn a_mount_that_somebody_else_feeds() {
    let _alone = ALONE.lock().await;
    let icecast = Icecast::start(false).await;
    let proxy = Proxy::before(&icecast.url("")).await;
    let (stock, extended) = (icecast.url("/live.mp3"), proxy.url("/live.mp3"));
    let address = Url::parse(&stock).unwrap().authority;
    let content = Content::new(Format::Mpeg, 7);
    let _source = Source::start(&address, "/live.mp3", "source:hackme", content)
        .await
        .unwrap();
    for (url, profiles) in [
        (&stock, &[Profile::Icecast][..]),
        (
            &extended,
            &[
                Profile::Icecast,
                Profile::Resume,
                Profile::Relay,
                Profile::Players,
            ],
        ),
    ] {
        let report = judge(Target::new(url).unwrap()).await;
        let details =
            [Outcome::Fail, Outcome::Error].map(|outcome| common::those(&report, outcome));
        assert!(
            report.is_good(false) && report.error.is_none(),
            "{url}: {details:#?}"
        );
        for profile in profiles {
            let of = |case: &&icecast_ext_conformance::report::Judged| case.profile == *profile;
            let passed = report.cases.iter().filter(of);
            let passed = passed.filter(|case| case.outcome == Outcome::Pass).count();
            assert!(passed > 0, "{url}: nothing of {profile:?} was tried");
        }
        let skipped = common::those(&report, Outcome::Skip);
        assert!(
            skipped.iter().any(|why| why.contains("--source")),
            "{skipped:#?}"
        );
    }
}
