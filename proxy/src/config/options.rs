//! The options as given: on the command line, or in the file. Their comments are the help of the flags, the tables in
//! `docs/operators.md`, and what an error reminds of.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;

use icecast_ext_core::stock::Level;
use ipnet::IpNet;

/// As given: on the command line, or in the file.
#[derive(Debug, Default, Clone, clap::Args, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// The Icecast (or relay) to stand in front of, as http://HOST:PORT or https://…, or several that have the same streams, the preferred one first; may be repeated. Without it, an origin that takes sources itself
    #[arg(long, value_name = "URL", help_heading = "Upstream")]
    #[serde(deserialize_with = "one_or_more")]
    pub upstream: Vec<String>,
    /// A further certificate authority to trust for an https upstream, as PEM
    #[arg(long, value_name = "FILE", help_heading = "Upstream")]
    pub upstream_ca: Option<PathBuf>,
    /// The upstream's admin account: shows its hidden mounts and its limits. Not needed for anything else
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        env = "ICECAST_EXT_UPSTREAM_ADMIN",
        hide_env_values = true,
        help_heading = "Upstream"
    )]
    pub upstream_admin: Option<String>,
    /// A mount that is pulled even while nobody listens; may be repeated
    #[arg(long, value_name = "MOUNT", help_heading = "Upstream")]
    pub always: Vec<String>,
    /// Seconds that listeners are kept while the upstream, or the source of an origin, is gone [default: 120]
    #[arg(long, value_name = "SECONDS", help_heading = "Upstream")]
    pub patience: Option<u64>,
    /// Origin: the password of sources
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "ICECAST_EXT_SOURCE_PASSWORD",
        hide_env_values = true,
        help_heading = "Upstream"
    )]
    pub source_password: Option<String>,
    /// Where listeners and sources connect; may be repeated [default: 0.0.0.0:8100]
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Addresses")]
    pub listen: Vec<SocketAddr>,
    /// Where they connect with TLS; may be repeated. The file's [[certificate]] says with which certificates
    #[arg(long, value_name = "ADDRESS:PORT", help_heading = "Addresses")]
    pub listen_tls: Vec<SocketAddr>,
    /// What `listenurl` in the stats says, as https://HOST[:PORT] [default: the host that was asked]
    #[arg(long, value_name = "URL", help_heading = "Addresses")]
    pub public_url: Option<String>,
    /// Another relay of the same streams, told to listeners in `Link`; may be repeated
    #[arg(long = "relay", value_name = "URL", help_heading = "Addresses")]
    #[serde(rename = "relays")]
    pub relays: Vec<String>,
    /// A relay of the same source in another tree: its epochs become aliases of ours once that is proven, and its listeners go on here; may be repeated
    #[arg(long = "peer", value_name = "URL", help_heading = "Upstream")]
    #[serde(rename = "peers")]
    pub peers: Vec<String>,
    /// Seconds of equal bytes before an alias is proven; under 60 is for tests: a jingle that loops for longer may deceive it [default: 600]
    #[arg(long, value_name = "SECONDS", help_heading = "Upstream")]
    pub peer_proof: Option<u64>,
    /// A proxy in front of us (an address, or a network as 10.0.0.0/8), whose X-Forwarded-For is believed; may be repeated
    #[arg(long, value_name = "IP[/BITS]", value_parser = network, help_heading = "Addresses")]
    #[serde(deserialize_with = "networks")]
    pub trusted_proxy: Vec<IpNet>,
    /// Seconds of audio that the back buffer holds [default: 120]
    #[arg(long, value_name = "SECONDS", help_heading = "Back buffer")]
    pub window: Option<u64>,
    /// Bytes that a new listener is sent at once [default: 65536]
    #[arg(long, value_name = "BYTES", help_heading = "Back buffer")]
    pub burst: Option<u64>,
    /// off, ranges or full: whether players that know nothing of all this resume by Range; full adds a length, and so a seek bar, and more players [default: ranges]
    #[arg(long, value_name = "LEVEL", help_heading = "Back buffer")]
    pub stock_players: Option<StockPlayers>,
    /// Milliseconds between two sends to a listener: more are fewer and larger sends, which cost less CPU; 100 and less are low latency [default: 250]
    #[arg(long, value_name = "MS", help_heading = "Back buffer")]
    pub delivery_tick: Option<u64>,
    /// Keep a journal of every back buffer here, so that a crash loses nobody's place
    #[arg(long, value_name = "DIR", help_heading = "Back buffer")]
    pub state: Option<PathBuf>,
    /// Where the status page, /metrics and /healthz are served
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        help_heading = "Watching and refusing"
    )]
    pub admin: Option<SocketAddr>,
    /// The password of user `admin` there; needed unless the address is loopback
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "ICECAST_EXT_ADMIN_PASSWORD",
        hide_env_values = true,
        help_heading = "Watching and refusing"
    )]
    pub admin_password: Option<String>,
    /// One line a listener, in Icecast's format
    #[arg(long, value_name = "FILE", help_heading = "Watching and refusing")]
    pub access_log: Option<PathBuf>,
    /// Addresses that are refused, one a line: Icecast's deny-ip file
    #[arg(long, value_name = "FILE", help_heading = "Watching and refusing")]
    pub deny_ip: Option<PathBuf>,
    /// If given, all other addresses are refused: Icecast's allow-ip file
    #[arg(long, value_name = "FILE", help_heading = "Watching and refusing")]
    pub allow_ip: Option<PathBuf>,
    /// Become this user once the ports are open
    #[arg(long, value_name = "NAME", help_heading = "Process")]
    pub user: Option<String>,
    /// Seconds that SIGTERM leaves to listeners [default: 5]
    #[arg(long, value_name = "SECONDS", help_heading = "Process")]
    pub drain: Option<u64>,
    /// Seconds that the old process of an upgrade goes on with what cannot be handed over [default: 600]
    #[arg(long, value_name = "SECONDS", help_heading = "Process")]
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
#[derive(Debug, Clone, PartialEq, Eq, clap::Args, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct CertificateFiles {
    /// The certificate and those it leads to, as PEM. The first [[certificate]] is the default, others are chosen by their names
    #[arg(long, value_name = "FILE")]
    pub chain: PathBuf,
    /// Its private key, as PEM; may be the same file
    #[arg(long, value_name = "FILE")]
    pub key: PathBuf,
}

/// A `[mount."/path"]`.
#[derive(Debug, Default, Clone, clap::Args, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct MountTable {
    /// fanout, verdict, shadow or tunnel [default: fanout if anyone may listen, shadow if not and there are pull-credentials, else tunnel]
    #[arg(long, value_name = "HOW")]
    pub admission: Option<Admission>,
    /// A listener's account, for the one pull of a protected mount
    #[arg(long, value_name = "USER:PASSWORD")]
    pub pull_credentials: Option<String>,
    /// Listeners at once, counted by the proxy
    #[arg(long, value_name = "COUNT")]
    pub max_listeners: Option<u64>,
    /// Seconds that one may listen, over all resumes
    #[arg(long, value_name = "SECONDS")]
    pub max_listener_duration: Option<u64>,
    /// Seconds of audio that the back buffer holds, instead of the window above
    #[arg(long, value_name = "SECONDS")]
    pub window: Option<u64>,
    /// Bytes that a new listener is sent at once, instead of the burst above
    #[arg(long, value_name = "BYTES")]
    pub burst: Option<u64>,
    /// off, ranges or full, instead of stock-players above
    #[arg(long, value_name = "LEVEL")]
    pub stock_players: Option<StockPlayers>,
    /// Milliseconds between two sends to a listener, instead of the delivery-tick above
    #[arg(long, value_name = "MS")]
    pub delivery_tick: Option<u64>,
    /// canonical or as-is: whether the pages of Ogg Vorbis are made anew, so that relays of unaware servers share them [default: canonical]
    #[arg(long, value_name = "FORM")]
    pub vorbis: Option<Vorbis>,
}

/// In what form Ogg Vorbis of an upstream that knows nothing is served.
#[derive(
    Debug,
    Default,
    Clone,
    Copy,
    PartialEq,
    Eq,
    clap::ValueEnum,
    serde::Deserialize,
    serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum Vorbis {
    /// In pages that depend on its packets alone (R-VORBIS-1).
    #[default]
    Canonical,
    /// In the upstream's pages.
    AsIs,
}

/// Who says that a listener may hear a mount.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize, serde::Serialize,
)]
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

/// Whether players that know nothing of this protocol resume.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, serde::Deserialize, serde::Serialize,
)]
#[serde(rename_all = "kebab-case")]
pub enum StockPlayers {
    /// They get what stock Icecast gives.
    Off,
    /// By ranges, without a length.
    Ranges,
    /// With a length as well.
    Full,
}

impl From<StockPlayers> for Level {
    fn from(level: StockPlayers) -> Self {
        match level {
            StockPlayers::Off => Self::Off,
            StockPlayers::Ranges => Self::Ranges,
            StockPlayers::Full => Self::Full,
        }
    }
}

/// `[limits]`; zero is no limit, but for `held`.
#[derive(Debug, Default, Clone, clap::Args, serde::Deserialize, serde::Serialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct LimitsTable {
    /// Listeners in all [default: 0, as many as descriptors allow]
    #[arg(long, value_name = "COUNT")]
    pub listeners: Option<u64>,
    /// Connections of one address (of one /64, with IPv6) at once [default: 1000]
    #[arg(long, value_name = "COUNT")]
    pub connections_per_address: Option<u64>,
    /// Joins of one address in a second; ten seconds' worth may come at once [default: 50]
    #[arg(long, value_name = "COUNT")]
    pub joins_per_second: Option<u64>,
    /// Resumes of one address in a second; ten seconds' worth may come at once [default: 100]
    #[arg(long, value_name = "COUNT")]
    pub resumes_per_second: Option<u64>,
    /// Bytes older than live that one address gets in a minute [default: 1000000000]
    #[arg(long, value_name = "BYTES")]
    pub window_bytes_per_minute: Option<u64>,
    /// Mounts that are served at once; others are tunnelled [default: 4096]
    #[arg(long, value_name = "COUNT")]
    pub mounts: Option<u64>,
    /// Requests that wait at once for the next byte, or for an upstream; always limited [default: 20000]
    #[arg(long, value_name = "COUNT")]
    pub held: Option<u64>,
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

/// A text, or a list of them.
fn one_or_more<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Vec<String>, D::Error> {
    #[derive(serde::Deserialize)]
    #[serde(untagged, expecting = "a URL, or a list of them")]
    enum Given {
        One(String),
        More(Vec<String>),
    }
    Ok(match serde::Deserialize::deserialize(from)? {
        Given::One(text) => vec![text],
        Given::More(texts) => texts,
    })
}

impl Options {
    /// These over `below`: what is given here counts.
    pub(super) fn over(&self, below: &Self) -> Result<Self, serde_json::Error> {
        let mut merged = below.given()?;
        merged.extend(self.given()?);
        serde_json::from_value(merged.into())
    }

    /// The options that are given, by name. Lists and tables that are empty are not.
    pub(crate) fn given(
        &self,
    ) -> Result<serde_json::Map<String, serde_json::Value>, serde_json::Error> {
        use serde_json::Value;
        fn without_nulls(value: &mut Value) {
            if let Value::Object(map) = value {
                map.retain(|_, value| !value.is_null());
                map.values_mut().for_each(without_nulls);
            }
        }
        let mut value = serde_json::to_value(self)?;
        without_nulls(&mut value);
        let Value::Object(mut map) = value else {
            return Ok(serde_json::Map::new());
        };
        map.retain(|_, value| match value {
            Value::Array(list) => !list.is_empty(),
            Value::Object(table) => !table.is_empty(),
            _ => true,
        });
        Ok(map)
    }
}
