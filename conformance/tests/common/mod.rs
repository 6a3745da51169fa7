//! The suite's own servers, set up as a whole house: an origin, a relay of it, and a relay of the suite.
#![allow(
    clippy::unwrap_used,
    dead_code,
    reason = "a test's own set-up may stop the test, and not every test uses all of it"
)]

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use icecast_ext_conformance::case::{Case, Outcome};
use icecast_ext_conformance::reference::{self, Config, Server};
use icecast_ext_conformance::report::Report;
use icecast_ext_conformance::runner::{self, Options};
use icecast_ext_conformance::target::{Target, Url};

/// S of the servers.
const SKEW: Duration = Duration::from_secs(10);

/// Ports that [`free`] gives: below those of outgoing connections, and of the end-to-end tests.
const PORTS: std::ops::Range<u16> = 2_000..10_000;

/// An address that nobody listens at, nor will: each process has a loopback address of its own, and gives each port of it
/// once. One that was merely free a moment ago may be an outgoing connection's by the time a server is to listen at it.
pub(crate) fn free() -> SocketAddr {
    static GIVEN: AtomicU16 = AtomicU16::new(0);
    let [_, high, mid, low] = std::process::id().to_be_bytes();
    let own = Ipv4Addr::new(127, 64 | high, mid, low);
    loop {
        let nth = GIVEN.fetch_add(1, Ordering::Relaxed);
        assert!(nth < PORTS.end - PORTS.start, "all ports were given");
        // Servers that listen at every address start elsewhere in each process.
        let step = (nth + u16::from(low) * 31) % (PORTS.end - PORTS.start);
        let addr = SocketAddr::from((own, PORTS.start + step));
        if TcpListener::bind(addr).is_ok() {
            return addr;
        }
    }
}

/// Three servers with one bug, or none.
pub(crate) struct House {
    servers: [Server; 3],
    upstream: SocketAddr,
}

impl House {
    /// Starts them.
    pub(crate) async fn start(bug: Option<&'static str>) -> Self {
        let (first, second, third, upstream) = (free(), free(), free(), free());
        let protected = Some(("/protected.mp3".to_owned(), "listener:secret".to_owned()));
        let links = vec![format!("http://{second}")];
        let origin = Config {
            bug,
            links,
            protected,
            skew: SKEW,
            ..Config::new(first)
        };
        let relay = Config {
            bug,
            upstream: Some(first.to_string()),
            skew: SKEW,
            ..Config::new(second)
        };
        let below = Config {
            bug,
            upstream: Some(upstream.to_string()),
            skew: SKEW,
            ..Config::new(third)
        };
        let servers = [
            reference::start(origin).await.unwrap(),
            reference::start(relay).await.unwrap(),
            reference::start(below).await.unwrap(),
        ];
        Self { servers, upstream }
    }

    /// All of it as a target.
    pub(crate) fn target(&self) -> Target {
        let url = |server: &Server, path: &str| {
            Url::parse(&format!("http://{}{path}", server.addr())).unwrap()
        };
        let [origin, relay, below] = &self.servers;
        Target {
            source: Some("source:hackme".to_owned()),
            second: Some(url(relay, "/live.mp3")),
            below: Some(url(below, "/live.mp3")),
            upstream: Some(self.upstream),
            protected: Some(url(origin, "/protected.mp3")),
            listener: Some("listener:secret".to_owned()),
            held: Some(64),
            skew: SKEW,
            patience: Duration::from_secs(20),
            ..Target::new(&url(origin, "/live.mp3").text()).unwrap()
        }
    }

    /// Judges it with all cases at once.
    pub(crate) async fn judge(&self, cases: &[Case]) -> Report {
        let options = Options {
            jobs: 1000,
            ..Options::default()
        };
        runner::run(self.target(), cases, &options).await
    }
}

/// The cases that ended so, each with why.
pub(crate) fn those(report: &Report, outcome: Outcome) -> Vec<String> {
    let those = report.cases.iter().filter(|case| case.outcome == outcome);
    those
        .map(|case| {
            let said = [&case.expected, &case.observed, &case.reason]
                .map(|part| part.clone().unwrap_or_default());
            format!("{} ({}): {}", case.id, case.requirement, said.join(" | "))
        })
        .collect()
}
