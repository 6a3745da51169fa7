//! From options to what is run. All that is wrong is found at once.

use std::net::SocketAddr;
use std::time::Duration;

use icecast_ext_core::stock::Level;

use super::problem::Findings;
use super::{
    Bind, Config, Credentials, Limits, LimitsTable, MountOptions, MountTable, Options, Problems,
    Upstream, across, schema, values,
};

/// Longest time that can be asked for, in seconds.
const DAY: u64 = 86_400;
/// A round of them is to end before listeners lose their patience.
const MAX_UPSTREAMS: usize = 8;
/// Requests that may be let wait at once.
const MAX_HELD: u64 = 1_000_000;
/// The largest burst, in bytes.
const MAX_BURST: u64 = 16 << 20;

pub(super) fn config(
    flags: &Options,
    file: &Options,
    mut findings: Findings,
) -> Result<Config, Problems> {
    // What it says is not known then, and what would be missing is no problem of its own.
    if !findings.problems.is_empty() {
        return Err(Problems(findings.problems));
    }
    let options = match flags
        .given()
        .and_then(|given| Ok((given, flags.over(file)?)))
    {
        Ok((given, options)) => {
            findings.places.flags = given.into_iter().map(|(name, _)| name).collect();
            options
        }
        Err(error) => {
            findings.problem("", format!("a path is not UTF-8 ({error})"), "rename it");
            return Err(Problems(findings.problems));
        }
    };
    let mut built = Build { findings };
    let mut config = built.config(options);
    let Findings {
        problems, warnings, ..
    } = {
        across::check(&config, &mut built.findings);
        built.findings
    };
    if problems.is_empty() {
        config.warnings = warnings;
        return Ok(config);
    }
    Err(Problems(problems))
}

struct Build {
    findings: Findings,
}

impl Build {
    fn within(
        &mut self,
        option: &str,
        value: Option<u64>,
        default: u64,
        low: u64,
        high: u64,
    ) -> u64 {
        let value = value.unwrap_or(default);
        if (low..=high).contains(&value) {
            return value;
        }
        let help = schema::help(option).unwrap_or_default();
        self.findings.problem(
            option,
            format!("is {value}"),
            format!("it takes {low} to {high} ({help})"),
        );
        default
    }

    fn seconds(&mut self, option: &str, value: Option<u64>, default: u64, low: u64) -> Duration {
        Duration::from_secs(self.within(option, value, default, low, DAY))
    }

    fn tick(&mut self, option: &str, value: Option<u64>) -> Duration {
        Duration::from_millis(self.within(option, value, 250, 10, 5000))
    }

    /// What `parse` makes of a value, or nothing and a problem.
    fn parsed<T>(&mut self, option: &str, parse: Result<T, values::Wrong>) -> Option<T> {
        match parse {
            Ok(value) => Some(value),
            Err((what, remedy)) => {
                self.findings.problem(option, what, remedy);
                None
            }
        }
    }

    fn upstreams(&mut self, options: &Options) -> Vec<Upstream> {
        let admin = options.upstream_admin.as_deref().map(Credentials::parse);
        let admin = admin.and_then(|parse| self.parsed("upstream-admin", parse));
        let mut upstreams: Vec<Upstream> = Vec::new();
        for text in &options.upstream {
            let Some(mut upstream) = self.parsed("upstream", Upstream::parse(text)) else {
                continue;
            };
            upstream.ca.clone_from(&options.upstream_ca);
            upstream.admin.clone_from(&admin);
            if upstreams.contains(&upstream) {
                let what = format!("names {} twice", upstream.base());
                self.findings
                    .problem("upstream", what, "name each server once");
            }
            upstreams.push(upstream);
        }
        if upstreams.len() > MAX_UPSTREAMS {
            let what = format!("names {} servers", upstreams.len());
            let remedy = format!("name {MAX_UPSTREAMS} at most");
            self.findings.problem("upstream", what, remedy);
        }
        upstreams
    }

    fn mount(&mut self, path: &str, table: &MountTable) -> MountOptions {
        let name = format!("mount.{path:?}");
        self.parsed(&name, values::mount(path));
        let option = |option: &str| format!("{name}.{option}");
        let credentials = table.pull_credentials.as_deref().map(Credentials::parse);
        let mut seconds = |name: &str, value: Option<u64>| {
            value.map(|value| self.seconds(&option(name), Some(value), 1, 1))
        };
        MountOptions {
            admission: table.admission,
            stock_players: table.stock_players.map(Level::from),
            max_listener_duration: seconds("max-listener-duration", table.max_listener_duration),
            window: seconds("window", table.window),
            max_listeners: table.max_listeners,
            burst: table
                .burst
                .map(|burst| self.within(&option("burst"), Some(burst), 0, 0, MAX_BURST)),
            delivery_tick: table
                .delivery_tick
                .map(|tick| self.tick(&option("delivery-tick"), Some(tick))),
            vorbis: table.vorbis,
            pull_credentials: credentials
                .and_then(|parse| self.parsed(&option("pull-credentials"), parse)),
        }
    }

    fn config(&mut self, options: Options) -> Config {
        let bind = |tls| {
            move |address: &SocketAddr| Bind {
                address: *address,
                tls,
            }
        };
        let plain = options.listen.iter().map(bind(false));
        let mut listen: Vec<Bind> = plain
            .chain(options.listen_tls.iter().map(bind(true)))
            .collect();
        if listen.is_empty() {
            listen.push(bind(false)(&SocketAddr::from(([0, 0, 0, 0], 8100))));
        }
        for path in &options.always {
            self.parsed("always", values::mount(path));
        }
        let mut relays = Vec::new();
        for relay in &options.relays {
            relays.extend(self.parsed("relays", values::base_url(relay)));
        }
        let mut peers = Vec::new();
        for peer in &options.peers {
            let peer = self.parsed("peers", Upstream::parse(peer));
            peers.extend(peer.map(|peer| Upstream {
                ca: options.upstream_ca.clone(),
                ..peer
            }));
        }
        let public_url = options.public_url.as_deref().map(values::base_url);
        let mounts = options
            .mount
            .iter()
            .map(|(path, table)| (path.clone(), self.mount(path, table)));
        Config {
            mounts: mounts.collect(),
            upstreams: self.upstreams(&options),
            listen,
            certificates: options.certificate.clone(),
            state: options.state.clone(),
            window: self.seconds("window", options.window, 120, 1),
            burst: self.within("burst", options.burst, 65_536, 0, MAX_BURST),
            stock_players: options
                .stock_players
                .map_or_else(Level::default, Level::from),
            delivery_tick: self.tick("delivery-tick", options.delivery_tick),
            relays,
            peers,
            peer_proof: self.seconds("peer-proof", options.peer_proof, 600, 1),
            always: options.always.clone(),
            patience: self.seconds("patience", options.patience, 120, 1),
            trusted_proxies: options.trusted_proxy.clone(),
            source_password: options.source_password.clone(),
            public_url: public_url.and_then(|parse| self.parsed("public-url", parse)),
            admin: options.admin,
            admin_password: options.admin_password.clone(),
            user: options.user.clone(),
            access_log: options.access_log.clone(),
            deny_ip: options.deny_ip.clone(),
            allow_ip: options.allow_ip.clone(),
            drain: self.seconds("drain", options.drain, 5, 0),
            upgrade_drain: self.seconds("upgrade-drain", options.upgrade_drain, 600, 0),
            limits: self.limits(&options.limits),
            options,
            warnings: Vec::new(),
        }
    }

    fn limits(&mut self, table: &LimitsTable) -> Limits {
        Limits {
            listeners: table.listeners.unwrap_or(0),
            connections_per_address: table.connections_per_address.unwrap_or(1000),
            joins_per_second: table.joins_per_second.unwrap_or(50),
            resumes_per_second: table.resumes_per_second.unwrap_or(100),
            window_bytes_per_minute: table.window_bytes_per_minute.unwrap_or(1_000_000_000),
            mounts: table.mounts.unwrap_or(4096),
            held: self.within("limits.held", table.held, 20_000, 1, MAX_HELD),
        }
    }
}
