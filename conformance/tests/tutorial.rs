//! The README's server passes what the README says that it passes.
#![expect(clippy::unwrap_used, reason = "a test's own code may stop the test")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use common::those;
use icecast_ext_conformance::case::Outcome;
use icecast_ext_conformance::cases;
use icecast_ext_conformance::profile::Profile;
use icecast_ext_conformance::report::Report;
use icecast_ext_conformance::runner::{self, Options};
use icecast_ext_conformance::target::Target;
use tokio::net::TcpStream;

const README: &str = include_str!("../README.md");

/// The fenced blocks of a language, in order.
fn blocks(language: &str) -> Vec<&'static str> {
    let fence = format!("```{language}\n");
    README
        .split(&fence[..])
        .skip(1)
        .map(|rest| rest.split("```").next().unwrap())
        .collect()
}

/// A Python program that runs until dropped.
struct Python {
    child: Child,
    _dir: tempfile::TempDir,
}

impl Python {
    async fn start(program: &str) -> (Self, SocketAddr) {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("server.py");
        std::fs::write(&file, program).unwrap();
        // The text's server listens at localhost.
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, common::free().port()));
        let mut command = Command::new("python3");
        let child = command
            .arg(&file)
            .arg(addr.port().to_string())
            .spawn()
            .unwrap();
        let server = Self { child, _dir: dir };
        let began = Instant::now();
        while TcpStream::connect(addr).await.is_err() {
            assert!(
                began.elapsed() < Duration::from_secs(10),
                "it does not listen"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        (server, addr)
    }
}

impl Drop for Python {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

async fn judge(program: &str) -> Report {
    let (_server, addr) = Python::start(program).await;
    let target = Target {
        source: Some("source:hackme".to_owned()),
        ..Target::new(&format!("http://{addr}/live.mp3")).unwrap()
    };
    runner::run(target, &cases::all(), &Options::default()).await
}

#[tokio::test]
async fn the_first_server_passes_all_but_titles() {
    let report = judge(&format!("{}\nmain()\n", blocks("python")[0])).await;
    assert_eq!(report.error, None);
    assert_eq!(those(&report, Outcome::Fail), [""; 0]);
    assert_eq!(those(&report, Outcome::Error), [""; 0]);
    let skipped: Vec<_> = report
        .cases
        .iter()
        .filter(|case| case.outcome == Outcome::Skip)
        .map(|case| &case.id[..])
        .collect();
    let said = README
        .split("<!-- without titles -->\n```\n")
        .nth(1)
        .unwrap();
    let said: Vec<_> = said.split("```").next().unwrap().lines().collect();
    assert_eq!(skipped, said);
}

#[tokio::test]
async fn the_second_server_passes_the_first_profile() {
    let report = judge(&format!("{}\nmain()\n", blocks("python").join("\n"))).await;
    let all = cases::all();
    let first = all
        .iter()
        .filter(|case| case.profile() == Profile::Icecast)
        .count();
    assert_eq!(those(&report, Outcome::Fail), [""; 0]);
    assert_eq!(
        report.count(Outcome::Pass),
        first,
        "{:?}",
        those(&report, Outcome::Skip)
    );
    assert!(report.is_good(true));
    let resume = report
        .profiles
        .iter()
        .find(|one| one.profile == Profile::Resume)
        .unwrap();
    assert!(
        !resume.applies && resume.why.contains("knows nothing"),
        "{resume:?}"
    );
}
