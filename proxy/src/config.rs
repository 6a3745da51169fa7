//! What is run: the options of `icecast-ext serve`, flags over a TOML file over defaults, checked.

mod options;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use ipnet::IpNet;
use url::Url;

pub use options::{Admission, CertificateFiles, LimitsTable, MountTable, Options};

/// What is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// `None`: an origin.
    pub upstream: Option<Upstream>,
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
    /// Between two sends to a listener.
    pub tick: Duration,
    /// Base URLs of other relays, without a trailing slash.
    pub relays: Vec<String>,
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
    fn parse(option: &str, text: &str) -> anyhow::Result<Self> {
        let (user, password) = text
            .split_once(':')
            .with_context(|| format!("{option}: write it as USER:PASSWORD"))?;
        Ok(Self {
            user: user.to_owned(),
            password: password.to_owned(),
        })
    }

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

    fn parse(text: &str) -> anyhow::Result<Self> {
        let url = Url::parse(text).with_context(|| {
            format!("upstream {text:?} is not a URL such as http://127.0.0.1:8000")
        })?;
        let tls = match url.scheme() {
            "http" => false,
            "https" => true,
            _ => bail!("upstream {text:?}: only http:// and https:// are served"),
        };
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            bail!("upstream {text:?}: name the server alone, without a path");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!(
                "upstream {text:?}: credentials do not belong here: pull-credentials of a mount has them"
            );
        }
        let host = url
            .host_str()
            .context("the upstream has no host")?
            .to_owned();
        Ok(Self {
            host,
            port: url.port_or_known_default().unwrap_or(80),
            tls,
            ca: None,
            admin: None,
        })
    }
}

/// `value`, or why it cannot be.
fn within(
    name: &str,
    value: Option<u64>,
    default: u64,
    low: u64,
    high: u64,
) -> anyhow::Result<u64> {
    let value = value.unwrap_or(default);
    if !(low..=high).contains(&value) {
        bail!("{name} is {value}: it takes {low} to {high}");
    }
    Ok(value)
}

fn base_url(option: &str, url: &mut String) -> anyhow::Result<()> {
    let parsed = Url::parse(url).with_context(|| format!("{option} {url:?} is not a URL"))?;
    if !matches!(parsed.scheme(), "http" | "https") {
        bail!("{option} {url:?}: only http:// and https:// are told to listeners");
    }
    url.truncate(url.trim_end_matches('/').len());
    Ok(())
}

impl MountOptions {
    fn new(path: &str, table: MountTable) -> anyhow::Result<Self> {
        if !path.starts_with('/') {
            bail!("mount {path:?}: a mount begins with a slash");
        }
        let seconds = |name: &str, value: Option<u64>| {
            value
                .map(|value| within(&format!("{name} of {path}"), Some(value), 0, 1, 86_400))
                .transpose()
                .map(|value| value.map(Duration::from_secs))
        };
        Ok(Self {
            admission: table.admission,
            pull_credentials: table
                .pull_credentials
                .map(|text| Credentials::parse(&format!("pull-credentials of {path}"), &text))
                .transpose()?,
            max_listeners: table.max_listeners,
            max_listener_duration: seconds("max-listener-duration", table.max_listener_duration)?,
            window: seconds("window", table.window)?,
            burst: table.burst,
        })
    }
}

impl Config {
    /// Flags over file over defaults. Every error says which option, and what it takes.
    pub fn new(flags: Options, file: Option<&Path>) -> anyhow::Result<Self> {
        let file = match file {
            None => Options::default(),
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .with_context(|| format!("reading {}", path.display()))?;
                toml::from_str(&text).with_context(|| format!("in {}", path.display()))?
            }
        };
        Self::checked(flags, file)
    }

    pub(crate) fn checked(flags: Options, file: Options) -> anyhow::Result<Self> {
        fn many<T>(flag: Vec<T>, file: Vec<T>) -> Vec<T> {
            if flag.is_empty() { file } else { flag }
        }
        let seconds = |name, flag: Option<u64>, file: Option<u64>, default, low| {
            within(name, flag.or(file), default, low, 86_400).map(Duration::from_secs)
        };
        let mut upstream = flags
            .upstream
            .or(file.upstream)
            .map(|text| Upstream::parse(&text))
            .transpose()?;
        if let Some(upstream) = &mut upstream {
            upstream.ca = flags.upstream_ca.or(file.upstream_ca);
            upstream.admin = flags
                .upstream_admin
                .or(file.upstream_admin)
                .map(|text| Credentials::parse("upstream-admin", &text))
                .transpose()?;
        }
        let bind = |tls| move |address| Bind { address, tls };
        let plain = many(flags.listen, file.listen).into_iter().map(bind(false));
        let tls = many(flags.listen_tls, file.listen_tls);
        let mut listen: Vec<Bind> = plain.chain(tls.into_iter().map(bind(true))).collect();
        if listen.is_empty() {
            listen.push(bind(false)(SocketAddr::from(([0, 0, 0, 0], 8100))));
        }
        let certificates = many(flags.certificate, file.certificate);
        if certificates.is_empty()
            && let Some(tls) = listen.iter().find(|bind| bind.tls)
        {
            bail!(
                "listen-tls {}: add a [[certificate]] with chain and key to the file",
                tls.address
            );
        }
        let source_password = flags.source_password.or(file.source_password);
        if upstream.is_none() && source_password.as_ref().is_none_or(String::is_empty) {
            bail!(
                "nothing to serve: name a server with --upstream http://HOST:PORT, or give sources a password with \
                 --source-password to be an origin"
            );
        }
        let mut relays = many(flags.relays, file.relays);
        for relay in &mut relays {
            base_url("relay", relay)?;
        }
        let mut public_url = flags.public_url.or(file.public_url);
        if let Some(url) = &mut public_url {
            base_url("public-url", url)?;
        }
        let always = many(flags.always, file.always);
        if let Some(bad) = always.iter().find(|mount| !mount.starts_with('/')) {
            bail!("always {bad:?}: a mount begins with a slash");
        }
        let admin = flags.admin.or(file.admin);
        let admin_password = flags.admin_password.or(file.admin_password);
        if let Some(address) = admin
            && !address.ip().is_loopback()
            && admin_password.as_ref().is_none_or(String::is_empty)
        {
            bail!("admin {address} is not loopback: set admin-password, or listen on 127.0.0.1");
        }
        let tables = if flags.mount.is_empty() {
            file.mount
        } else {
            flags.mount
        };
        let mounts = tables
            .into_iter()
            .map(|(path, table)| Ok((path.clone(), MountOptions::new(&path, table)?)))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self {
            upstream,
            listen,
            certificates,
            state: flags.state.or(file.state),
            window: seconds("window", flags.window, file.window, 120, 1)?,
            burst: within("burst", flags.burst.or(file.burst), 65_536, 0, 16 << 20)?,
            tick: Duration::from_millis(within("tick", flags.tick.or(file.tick), 250, 10, 5000)?),
            relays,
            always,
            patience: seconds("patience", flags.patience, file.patience, 120, 1)?,
            trusted_proxies: many(flags.trusted_proxy, file.trusted_proxy),
            source_password,
            public_url,
            admin,
            admin_password,
            user: flags.user.or(file.user),
            access_log: flags.access_log.or(file.access_log),
            deny_ip: flags.deny_ip.or(file.deny_ip),
            allow_ip: flags.allow_ip.or(file.allow_ip),
            drain: seconds("drain", flags.drain, file.drain, 5, 0)?,
            upgrade_drain: seconds(
                "upgrade-drain",
                flags.upgrade_drain,
                file.upgrade_drain,
                600,
                0,
            )?,
            mounts,
            limits: Limits::new(&file.limits),
        })
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
        };
        self.mounts.get(path).unwrap_or(&DEFAULT)
    }

    /// Whether `X-Forwarded-For` of this peer is believed.
    #[must_use]
    pub fn trusts(&self, peer: std::net::IpAddr) -> bool {
        self.trusted_proxies.iter().any(|net| net.contains(&peer))
    }
}

impl Limits {
    fn new(table: &LimitsTable) -> Self {
        Self {
            listeners: table.listeners.unwrap_or(0),
            connections_per_address: table.connections_per_address.unwrap_or(1000),
            joins_per_second: table.joins_per_second.unwrap_or(50),
            resumes_per_second: table.resumes_per_second.unwrap_or(100),
            window_bytes_per_minute: table.window_bytes_per_minute.unwrap_or(1_000_000_000),
            mounts: table.mounts.unwrap_or(4096),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstream(text: &str) -> Options {
        Options {
            upstream: Some(text.to_owned()),
            ..Options::default()
        }
    }

    #[test]
    fn a_flag_beats_the_file_and_the_file_beats_the_default() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(
            &path,
            "upstream = \"http://a:1\"\nwindow = 5\nburst = 7\nrelays = [\"http://r:1/\"]\n",
        )
        .unwrap();
        let config = Config::new(
            Options {
                window: Some(9),
                ..Options::default()
            },
            Some(&path),
        )
        .unwrap();
        assert_eq!(
            config.upstream,
            Some(Upstream::parse("http://a:1").unwrap())
        );
        assert_eq!(
            (
                config.window.as_secs(),
                config.burst,
                config.tick.as_millis()
            ),
            (9, 7, 250)
        );
        assert_eq!(config.relays, ["http://r:1"]);
    }

    #[test]
    fn an_error_says_which_option_and_what_it_takes() {
        for (options, says) in [
            (Options::default(), "--source-password"),
            (upstream("nonsense"), "http://127.0.0.1:8000"),
            (upstream("ftp://a"), "only http://"),
            (upstream("http://a/live"), "without a path"),
            (upstream("http://u:p@a"), "credentials"),
            (
                Options {
                    window: Some(0),
                    ..upstream("http://a")
                },
                "1 to 86400",
            ),
            (
                Options {
                    always: vec!["live".into()],
                    ..upstream("http://a")
                },
                "begins with a slash",
            ),
        ] {
            let error = format!("{:#}", Config::new(options, None).unwrap_err());
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn the_example_of_the_operators_page_is_a_configuration() {
        let page = include_str!("../../docs/operators.md");
        let example = page.split("```toml\n").nth(1).unwrap();
        let example = example.split("```").next().unwrap();
        let options: Options = toml::from_str(example).unwrap();
        let config = Config::new(options, None).unwrap();
        assert_eq!(config.listen.len(), 2);
        assert_eq!(config.relays, ["http://relay-b.example:8100"]);
        assert_eq!(config.always, ["/live.mp3"]);
    }

    #[test]
    fn an_unknown_option_in_the_file_is_an_error() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, "upstraem = \"http://a:1\"\n").unwrap();
        let error = format!(
            "{:#}",
            Config::new(Options::default(), Some(&path)).unwrap_err()
        );
        assert!(error.contains("upstraem"), "{error}");
    }
}
