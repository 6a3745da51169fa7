//! The options as given: on the command line, or in the file.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use ipnet::IpNet;

/// As given: on the command line, or in the file.
#[derive(Debug, Default, Clone, clap::Args, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// The Icecast (or relay) to stand in front of, as http://HOST:PORT or https://… Without it, an origin that takes sources itself
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// A further certificate authority to trust for an https upstream, as PEM
    #[arg(long, value_name = "FILE")]
    pub upstream_ca: Option<PathBuf>,
    /// The upstream's admin account, for `check`
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "ICECAST_EXT_UPSTREAM_ADMIN",
        hide_env_values = true
    )]
    pub upstream_admin: Option<String>,
    /// Where listeners and sources connect; may be repeated [default: 0.0.0.0:8100]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,
    /// Where they connect with TLS; may be repeated. The file's [[certificate]] says with which certificates
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen_tls: Vec<SocketAddr>,
    /// Keep a journal of every back buffer here, so that a crash loses nobody's place
    #[arg(long, value_name = "DIR")]
    pub state: Option<PathBuf>,
    /// Seconds of audio that the back buffer holds [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub window: Option<u64>,
    /// Bytes that a new listener is sent at once [default: 65536]
    #[arg(long, value_name = "BYTES")]
    pub burst: Option<u64>,
    /// Milliseconds between two sends to a listener [default: 250]
    #[arg(long, value_name = "MS")]
    pub tick: Option<u64>,
    /// Another relay of the same streams, told to listeners in `Link`; may be repeated
    #[arg(long = "relay", value_name = "URL")]
    #[serde(rename = "relays")]
    pub relays: Vec<String>,
    /// A mount that is pulled even while nobody listens; may be repeated
    #[arg(long, value_name = "MOUNT")]
    pub always: Vec<String>,
    /// Seconds that listeners are kept while the upstream, or the source of an origin, is gone [default: 120]
    #[arg(long, value_name = "SECONDS")]
    pub patience: Option<u64>,
    /// A proxy in front of us (an address, or a network as 10.0.0.0/8), whose X-Forwarded-For is believed; may be repeated
    #[arg(long, value_name = "IP[/BITS]", value_parser = network)]
    #[serde(deserialize_with = "networks")]
    pub trusted_proxy: Vec<IpNet>,
    /// Origin: the password of sources
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "ICECAST_EXT_SOURCE_PASSWORD",
        hide_env_values = true
    )]
    pub source_password: Option<String>,
    /// What `listenurl` in the stats says, as https://HOST[:PORT] [default: the host that was asked]
    #[arg(long, value_name = "URL")]
    pub public_url: Option<String>,
    /// Where the status page, /metrics and /healthz are served
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin: Option<SocketAddr>,
    /// The password of user `admin` there; needed unless the address is loopback
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "ICECAST_EXT_ADMIN_PASSWORD",
        hide_env_values = true
    )]
    pub admin_password: Option<String>,
    /// Become this user once the ports are open
    #[arg(long, value_name = "NAME")]
    pub user: Option<String>,
    /// One line a listener, in Icecast's format
    #[arg(long, value_name = "FILE")]
    pub access_log: Option<PathBuf>,
    /// Addresses that are refused, one a line: Icecast's deny-ip file
    #[arg(long, value_name = "FILE")]
    pub deny_ip: Option<PathBuf>,
    /// If given, all other addresses are refused: Icecast's allow-ip file
    #[arg(long, value_name = "FILE")]
    pub allow_ip: Option<PathBuf>,
    /// Seconds that SIGTERM leaves to listeners [default: 5]
    #[arg(long, value_name = "SECONDS")]
    pub drain: Option<u64>,
    /// Seconds that the old process of an upgrade goes on with what cannot be handed over [default: 600]
    #[arg(long, value_name = "SECONDS")]
    pub upgrade_drain: Option<u64>,
    /// Certificates for `listen-tls`: the first is the default, others are chosen by name.
    #[arg(skip)]
    pub certificate: Vec<CertificateFiles>,
    /// Mounts that differ.
    #[arg(skip)]
    pub mount: BTreeMap<String, MountTable>,
    /// What strangers may take.
    #[arg(skip)]
    pub limits: LimitsTable,
}

/// A `[[certificate]]`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CertificateFiles {
    /// The certificate and those it leads to, as PEM.
    pub chain: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

/// A `[mount."/path"]`.
#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MountTable {
    /// By default: `fanout` if anyone may listen, `shadow` if not and there are credentials for the pull, else `tunnel`.
    pub admission: Option<Admission>,
    /// `user:password` of a listener, for the pull.
    pub pull_credentials: Option<String>,
    /// Where the upstream does not count them itself (`fanout`, `verdict`).
    pub max_listeners: Option<u64>,
    /// Seconds.
    pub max_listener_duration: Option<u64>,
    /// Seconds, as above.
    pub window: Option<u64>,
    /// Bytes, as above.
    pub burst: Option<u64>,
}

/// Who says that a listener may hear a mount.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Admission {
    /// Nobody: all are served from one pull.
    Fanout,
    /// The upstream is asked, and the answer closed.
    Verdict,
    /// The upstream is asked, and the answer kept open as long as the listener stays.
    Shadow,
    /// Nothing is served by us.
    Tunnel,
}

/// `[limits]`; zero is no limit.
#[derive(Debug, Default, Clone, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitsTable {
    /// In all.
    pub listeners: Option<u64>,
    /// At once.
    pub connections_per_address: Option<u64>,
    /// From one address.
    pub joins_per_second: Option<u64>,
    /// From one address.
    pub resumes_per_second: Option<u64>,
    /// Of the back buffer, to one address.
    pub window_bytes_per_minute: Option<u64>,
    /// Served at once.
    pub mounts: Option<u64>,
}

/// An address, or a network.
fn network(text: &str) -> Result<IpNet, String> {
    text.parse()
        .or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from))
        .map_err(|_| format!("{text:?} is neither an address nor a network such as 10.0.0.0/8"))
}

fn networks<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<IpNet>, D::Error> {
    let texts: Vec<String> = serde::Deserialize::deserialize(from)?;
    texts
        .iter()
        .map(|text| network(text).map_err(<D::Error as serde::de::Error>::custom))
        .collect()
}
