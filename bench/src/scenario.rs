//! What is measured: who serves whom, and side by side with what.

use crate::load::{Load, estimate};
use crate::rig::Server;

/// One server under one load. What the first of a scenario shows is what the others are compared with.
#[derive(Debug, Clone)]
pub(crate) struct Contender {
    /// Unique within its scenario.
    pub(crate) label: String,
    pub(crate) server: Server,
    pub(crate) load: Load,
}

/// Contenders that take turns.
#[derive(Debug, Clone)]
pub(crate) struct Scenario {
    /// For `--only`.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) contenders: Vec<Contender>,
    /// At most so many rounds.
    pub(crate) rounds: usize,
}

impl Scenario {
    fn new(name: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            contenders: Vec::new(),
            rounds: usize::MAX,
        }
    }

    fn with(mut self, label: &str, server: Server, load: &Load) -> Self {
        self.contenders.push(Contender {
            label: label.to_owned(),
            server,
            load: load.clone(),
        });
        self
    }

    const fn rounds(mut self, most: usize) -> Self {
        self.rounds = most;
        self
    }

    /// Seconds that one round takes.
    pub(crate) fn round(&self, seconds: u64) -> u64 {
        let each = self.contenders.iter();
        each.map(|one| estimate(one.server, &one.load, seconds))
            .sum()
    }
}

pub(crate) const ICECAST: &str = "Icecast alone";
pub(crate) const MODULE: &str = "module in Icecast";
pub(crate) const PROXY: &str = "proxy + Icecast";
pub(crate) const NGINX: &str = "nginx + Icecast";
pub(crate) const FLOOR: &str = "one send a tick";

/// All of them. `small`: few listeners, to see that everything works.
pub(crate) fn all(small: bool) -> Vec<Scenario> {
    let size = |listeners: usize| match small {
        true => (listeners / 50).max(40),
        false => listeners,
    };
    let at = |listeners: usize| Load {
        listeners: size(listeners),
        ..Load::default()
    };
    let mut scenarios = Vec::new();
    for count in [500, 1000, 2500, 5000] {
        let load = at(count);
        let title = format!("{} listeners x 128 kbit/s, tick 250 ms", load.listeners);
        let mut scenario = Scenario::new(&format!("fanout-{count}"), &title)
            .with(ICECAST, Server::Icecast, &load)
            .with(PROXY, Server::Proxy, &load)
            .with(FLOOR, Server::Floor, &load);
        // Beyond, it has no core left to be measured with.
        if count <= 2500 {
            scenario = scenario.with(NGINX, Server::Nginx, &load);
        }
        scenarios.push(scenario);
    }
    let fat = Load {
        frames: 8,
        tick: 100,
        ..at(1000)
    };
    let title = format!("{} listeners x 1 Mbit/s, tick 100 ms", fat.listeners);
    scenarios.push(
        Scenario::new("fat", &title)
            .with(ICECAST, Server::Icecast, &fat)
            .with(PROXY, Server::Proxy, &fat)
            .with(FLOOR, Server::Floor, &fat)
            .with(NGINX, Server::Nginx, &fat),
    );
    scenarios.push(most(&at(19_000)));
    scenarios.extend(special(small, &at));
    scenarios
}

fn most(load: &Load) -> Scenario {
    let title = format!("{} listeners x 128 kbit/s, tick 250 ms", load.listeners);
    Scenario::new("most", &title)
        .with(FLOOR, Server::Floor, load)
        .with(PROXY, Server::Proxy, load)
        .rounds(2)
}

/// One question each.
fn special(small: bool, at: &dyn Fn(usize) -> Load) -> Vec<Scenario> {
    let ticks = [1000, 250, 100, 50].map(|tick| Load { tick, ..at(1000) });
    let mut by_tick = Scenario::new(
        "ticks",
        &format!(
            "{} listeners x 128 kbit/s, by delivery-tick",
            ticks[0].listeners
        ),
    );
    for load in &ticks {
        by_tick = by_tick.with(&format!("tick {} ms", load.tick), Server::Proxy, load);
    }
    let storm = Load {
        storm: Some(if small { 200 } else { 10_000 }),
        ..at(10_000)
    };
    let calm = Load {
        storm: Some(100),
        ..at(500)
    };
    let accounts = Load {
        accounts: true,
        ..at(1000)
    };
    let tls = Load {
        tls: true,
        ..at(1000)
    };
    let titled = Load {
        titles: true,
        ..at(5000)
    };
    let icy = Load {
        icy: true,
        ..titled.clone()
    };
    let hard = Load {
        slow: at(1000).listeners,
        stuck: at(200).listeners / if small { 2 } else { 1 },
        ..at(5000)
    };
    let mounts = Load {
        mounts: if small { 20 } else { 1000 },
        ..at(10_000)
    };
    let one = Load {
        mounts: 1,
        ..mounts.clone()
    };
    vec![
        by_tick,
        Scenario::new(
            "resume",
            "Each listener is cut, and resumes at its own offset after 0.6 s",
        )
        .with(
            &format!("{} at 100 a second", calm.listeners),
            Server::Proxy,
            &calm,
        )
        .with(
            &format!("{} within 1 s", storm.listeners),
            Server::Proxy,
            &storm,
        ),
        Scenario::new(
            "accounts",
            &format!(
                "{} listeners x 128 kbit/s on a mount with accounts",
                accounts.listeners
            ),
        )
        .with(ICECAST, Server::Icecast, &accounts)
        .with("proxy (shadow) + Icecast", Server::Proxy, &accounts),
        Scenario::new(
            "module",
            &format!("{} listeners x 128 kbit/s", at(2000).listeners),
        )
        .with(ICECAST, Server::Icecast, &at(2000))
        .with(MODULE, Server::Module, &at(2000)),
        Scenario::new("tls", &format!("{} listeners x 128 kbit/s", tls.listeners))
            .with("plain", Server::Proxy, &at(1000))
            .with("TLS 1.3", Server::Proxy, &tls),
        Scenario::new(
            "titles",
            &format!("{} listeners x 128 kbit/s", icy.listeners),
        )
        .with("plain", Server::Proxy, &at(5000))
        .with("Icy-MetaData: 1", Server::Proxy, &icy),
        Scenario::new(
            "slow",
            &format!(
                "{} listeners x 128 kbit/s, of whom {} read at half that rate and {} nothing",
                hard.listeners, hard.slow, hard.stuck
            ),
        )
        .with("all prompt", Server::Proxy, &at(5000))
        .with("some slow, some stuck", Server::Proxy, &hard),
        Scenario::new(
            "mounts",
            &format!(
                "{} listeners x 128 kbit/s, proxy as origin",
                mounts.listeners
            ),
        )
        .with("one mount", Server::Origin, &one)
        .with(
            &format!("{} mounts", mounts.mounts),
            Server::Origin,
            &mounts,
        )
        .rounds(1),
    ]
}
