//! What is run: the options of `icecast-ext serve`, flags over a TOML file over defaults, checked.

mod across;
mod build;
mod file;
mod options;
mod problem;
pub mod schema;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use icecast_ext_core::stock::Level;
use icecast_ext_delivery::MountConfig;
use ipnet::IpNet;

pub use options::{
    Admission, CertificateFiles, LimitsTable, MountTable, Options, StockPlayers, Vorbis,
};
use problem::Findings;
pub use problem::{Place, Problem, Problems};

/// What is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// Servers of the same streams, the preferred one first; none: an origin.
    pub upstreams: Vec<Upstream>,
    /// At least one.
    pub listen: Vec<Bind>,
    /// For those with TLS; the first is the default.
    pub certificates: Vec<CertificateFiles>,
    /// The journal's directory.
    pub state: Option<PathBuf>,
    /// How much the back buffers hold.
    pub window: Duration,
    /// Bytes before the edge at which a live join starts.
    pub burst: u64,
    /// What players get that know nothing of this protocol.
    pub stock_players: Level,
    /// Between two sends to a listener.
    pub delivery_tick: Duration,
    /// Base URLs of other relays, without a trailing slash.
    pub relays: Vec<String>,
    /// Relays whose names of the same bytes are learned.
    pub peers: Vec<Upstream>,
    /// Between the two proofs that an epoch of theirs is one of ours.
    pub peer_proof: Duration,
    /// Mounts that are pulled from the start.
    pub always: Vec<String>,
    /// How long listeners are kept without an upstream.
    pub patience: Duration,
    /// Peers whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<IpNet>,
    /// Of sources, at an origin.
    pub source_password: Option<String>,
    /// What `listenurl` says, without a trailing slash.
    pub public_url: Option<String>,
    /// Of the status page.
    pub admin: Option<SocketAddr>,
    /// Of user `admin` there.
    pub admin_password: Option<String>,
    /// Whom to become once the ports are open.
    pub user: Option<String>,
    /// In Icecast's format.
    pub access_log: Option<PathBuf>,
    /// Refused addresses.
    pub deny_ip: Option<PathBuf>,
    /// The only addresses that are not refused.
    pub allow_ip: Option<PathBuf>,
    /// What SIGTERM leaves to listeners.
    pub drain: Duration,
    /// How long an upgraded process goes on with what it cannot hand over.
    pub upgrade_drain: Duration,
    /// By decoded path.
    pub mounts: BTreeMap<String, MountOptions>,
    /// What strangers may take.
    pub limits: Limits,
    /// As given, flags over the file.
    pub options: Options,
    /// What is odd, but can be run.
    pub warnings: Vec<Problem>,
}

/// A server to stand in front of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// `https`.
    pub tls: bool,
    /// Trusted besides the usual authorities.
    pub ca: Option<PathBuf>,
    /// Its admin account.
    pub admin: Option<Credentials>,
}

/// A listening address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bind {
    /// Address and port.
    pub address: SocketAddr,
    /// With TLS.
    pub tls: bool,
}

/// A user and a password.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Without a colon.
    pub user: String,
    /// Anything.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:…", self.user)
    }
}

impl Credentials {
    /// The value of `Authorization`.
    #[must_use]
    pub fn basic(&self) -> String {
        use base64::Engine as _;
        let pair = format!("{}:{}", self.user, self.password);
        let encoded = base64::engine::general_purpose::STANDARD.encode(pair);
        format!("Basic {encoded}")
    }
}

/// How one mount is served.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// As configured.
    pub admission: Option<Admission>,
    /// For the pull.
    pub pull_credentials: Option<Credentials>,
    /// Listeners at once.
    pub max_listeners: Option<u64>,
    /// How long one may listen.
    pub max_listener_duration: Option<Duration>,
    /// Instead of the one for all.
    pub window: Option<Duration>,
    /// Instead of the one for all, bytes.
    pub burst: Option<u64>,
    /// Instead of the one for all.
    pub stock_players: Option<Level>,
    /// Instead of the one for all.
    pub delivery_tick: Option<Duration>,
    /// The form of Ogg Vorbis.
    pub vorbis: Option<Vorbis>,
}

/// What strangers may take; zero is no limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// In all.
    pub listeners: u64,
    /// From one address, at once.
    pub connections_per_address: u64,
    /// From one address.
    pub joins_per_second: u64,
    /// From one address.
    pub resumes_per_second: u64,
    /// Bytes of the back buffer to one address.
    pub window_bytes_per_minute: u64,
    /// Served at once.
    pub mounts: u64,
    /// That wait, at once. Never without a limit (R-SEC-2).
    pub held: u64,
}

impl Upstream {
    /// What `Host` says.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    /// `http://HOST:PORT`, or https.
    #[must_use]
    pub fn base(&self) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}", self.authority())
    }
}

impl Config {
    /// Flags over file over defaults. An error names every problem: where, which option, what to do.
    pub fn new(flags: Options, file: Option<&Path>) -> Result<Self, Problems> {
        let mut findings = Findings::default();
        let file = match file {
            None => Options::default(),
            Some(path) => file::read(path, &mut findings),
        };
        build::config(&flags, &file, findings)
    }

    /// From options alone.
    #[cfg(test)]
    pub(crate) fn checked(flags: Options, file: Options) -> Result<Self, Problems> {
        build::config(&flags, &file, Findings::default())
    }

    /// How a mount is served.
    #[must_use]
    pub fn mount(&self, path: &str) -> &MountOptions {
        static DEFAULT: MountOptions = MountOptions {
            admission: None,
            pull_credentials: None,
            max_listeners: None,
            max_listener_duration: None,
            window: None,
            burst: None,
            stock_players: None,
            delivery_tick: None,
            vorbis: None,
        };
        self.mounts.get(path).unwrap_or(&DEFAULT)
    }

    /// How a mount holds and publishes.
    #[must_use]
    pub fn mount_config(&self, path: &str) -> MountConfig {
        let options = self.mount(path);
        MountConfig {
            tick: options.delivery_tick.unwrap_or(self.delivery_tick),
            window: options.window.unwrap_or(self.window),
            burst: options.burst.unwrap_or(self.burst),
            ..MountConfig::default()
        }
    }

    /// What players of a mount get that know nothing of this protocol.
    #[must_use]
    pub fn level(&self, path: &str) -> Level {
        self.mount(path).stock_players.unwrap_or(self.stock_players)
    }

    /// Whether `X-Forwarded-For` of this peer is believed.
    #[must_use]
    pub fn trusts(&self, peer: std::net::IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

#[cfg(test)]
mod tests;
