//! The options of `icecast-ext serve`: flags, or a TOML file with the same names. A flag beats the file.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use url::Url;

/// As given: on the command line, or in the file.
#[derive(Debug, Default, Clone, clap::Args, serde::Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Options {
    /// The Icecast (or relay) to stand in front of, as http://HOST:PORT. Without it, an origin that takes sources itself
    #[arg(long, value_name = "URL")]
    pub upstream: Option<String>,
    /// Where listeners and sources connect; may be repeated [default: 0.0.0.0:8100]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Vec<SocketAddr>,
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
    /// A proxy in front of us, whose X-Forwarded-For is believed; may be repeated
    #[arg(long, value_name = "IP")]
    pub trusted_proxy: Vec<IpAddr>,
    /// Origin: the password of sources
    #[arg(
        long,
        value_name = "PASSWORD",
        env = "ICECAST_EXT_SOURCE_PASSWORD",
        hide_env_values = true
    )]
    pub source_password: Option<String>,
}

/// What is run.
#[derive(Debug, Clone)]
pub struct Config {
    /// `None`: an origin.
    pub upstream: Option<Upstream>,
    /// At least one.
    pub listen: Vec<SocketAddr>,
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
    /// Peers whose `X-Forwarded-For` is kept.
    pub trusted_proxies: Vec<IpAddr>,
    /// Of sources, at an origin.
    pub source_password: Option<String>,
}

/// A server to stand in front of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream {
    /// Name or address.
    pub host: String,
    /// Port.
    pub port: u16,
}

impl Upstream {
    /// What `Host` says.
    #[must_use]
    pub fn authority(&self) -> String {
        format!("{}:{}", self.host, self.port)
    }

    fn parse(text: &str) -> anyhow::Result<Self> {
        let url = Url::parse(text).with_context(|| {
            format!("upstream {text:?} is not a URL such as http://127.0.0.1:8000")
        })?;
        if url.scheme() != "http" {
            bail!("upstream {text:?}: only http:// is served so far");
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() {
            bail!("upstream {text:?}: name the server alone, without a path");
        }
        if !url.username().is_empty() || url.password().is_some() {
            bail!("upstream {text:?}: credentials do not belong here");
        }
        let host = url
            .host_str()
            .context("the upstream has no host")?
            .to_owned();
        Ok(Self {
            host,
            port: url.port_or_known_default().unwrap_or(80),
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
        let many = |flag: Vec<String>, file: Vec<String>| if flag.is_empty() { file } else { flag };
        let number = |name: &str,
                      flag: Option<u64>,
                      file: Option<u64>,
                      default: u64,
                      low: u64,
                      high: u64| {
            let value = flag.or(file).unwrap_or(default);
            if !(low..=high).contains(&value) {
                bail!("{name} is {value}: it takes {low} to {high}");
            }
            Ok(value)
        };
        let upstream = flags
            .upstream
            .or(file.upstream)
            .map(|text| Upstream::parse(&text))
            .transpose()?;
        let mut listen = if flags.listen.is_empty() {
            file.listen
        } else {
            flags.listen
        };
        if listen.is_empty() {
            listen.push(SocketAddr::from(([0, 0, 0, 0], 8100)));
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
            let url = Url::parse(relay).with_context(|| format!("relay {relay:?} is not a URL"))?;
            if !matches!(url.scheme(), "http" | "https") {
                bail!("relay {relay:?}: only http:// and https:// are told to listeners");
            }
            relay.truncate(relay.trim_end_matches('/').len());
        }
        let always = many(flags.always, file.always);
        if let Some(bad) = always.iter().find(|mount| !mount.starts_with('/')) {
            bail!("always {bad:?}: a mount begins with a slash");
        }
        Ok(Self {
            upstream,
            listen,
            state: flags.state.or(file.state),
            window: Duration::from_secs(number(
                "window",
                flags.window,
                file.window,
                120,
                1,
                86_400,
            )?),
            burst: number("burst", flags.burst, file.burst, 65_536, 0, 16 << 20)?,
            tick: Duration::from_millis(number("tick", flags.tick, file.tick, 250, 10, 5000)?),
            relays,
            always,
            patience: Duration::from_secs(number(
                "patience",
                flags.patience,
                file.patience,
                120,
                1,
                86_400,
            )?),
            trusted_proxies: if flags.trusted_proxy.is_empty() {
                file.trusted_proxy
            } else {
                flags.trusted_proxy
            },
            source_password,
        })
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
            Some(Upstream {
                host: "a".into(),
                port: 1
            })
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
