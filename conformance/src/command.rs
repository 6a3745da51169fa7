//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Parser, Subcommand};
use icecast_ext_conformance::case::Case;
use icecast_ext_conformance::listen;
use icecast_ext_conformance::profile::Profile;
use icecast_ext_conformance::reference::{self, bug};
use icecast_ext_conformance::report::SPEC;
use icecast_ext_conformance::target::{Target, Url};

/// Tells you, requirement by requirement, where a server of the resume extension to the Icecast protocol stands
#[derive(Debug, Parser)]
#[command(
    name = "icecast-ext-conformance",
    version,
    about,
    arg_required_else_help = true
)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub(crate) struct Command {
    #[command(subcommand)]
    pub(crate) what: Option<What>,

    /// A live mount, as http://HOST:PORT/MOUNT
    #[arg(required_unless_present_any = ["list", "compare"])]
    url: Option<String>,

    /// Show two reports side by side, and judge nothing; with --html as a page, too. The exit status is 1 if something passes in
    /// A.json and fails in B.json
    #[arg(long, num_args = 2, value_names = ["A.json", "B.json"], conflicts_with = "url")]
    pub(crate) compare: Vec<PathBuf>,

    /// The account of sources: then the suite feeds this mount, and others beside it
    #[arg(long, value_name = "USER:PASSWORD", help_heading = "What may be used")]
    source: Option<String>,
    /// The account for /admin/metadata, if that is another
    #[arg(long, value_name = "USER:PASSWORD", help_heading = "What may be used")]
    admin: Option<String>,
    /// The same stream at another server
    #[arg(long, value_name = "URL", help_heading = "What may be used")]
    second: Option<String>,
    /// A server of the same kind whose upstream is the suite, at --upstream; any of its mounts
    #[arg(
        long,
        value_name = "URL",
        requires = "upstream",
        help_heading = "What may be used"
    )]
    below: Option<String>,
    /// Where the suite listens as that server's upstream
    #[arg(
        long,
        value_name = "ADDRESS:PORT",
        requires = "below",
        help_heading = "What may be used"
    )]
    upstream: Option<SocketAddr>,
    /// A mount that asks listeners for a password
    #[arg(
        long,
        value_name = "URL",
        requires = "listener",
        help_heading = "What may be used"
    )]
    protected: Option<String>,
    /// The account of a listener there
    #[arg(
        long,
        value_name = "USER:PASSWORD",
        requires = "protected",
        help_heading = "What may be used"
    )]
    listener: Option<String>,
    /// How many requests the server holds at once
    #[arg(long, value_name = "COUNT", help_heading = "What may be used")]
    held: Option<usize>,

    /// Only this profile; may be repeated
    #[arg(long, value_name = "NAME", help_heading = "What runs")]
    profile: Vec<String>,
    /// Seconds that the server takes clocks and delays to be apart: S of R-ANCHOR-13
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=600),
        help_heading = "What runs"
    )]
    skew: u64,
    /// Seconds that the suite waits for bytes to leave the server's window
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 20,
        help_heading = "What runs"
    )]
    patience: u64,

    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// What runs, and what comes out: the same whatever is judged.
#[derive(Debug, Args)]
pub(crate) struct Judging {
    /// List the cases, and run none
    #[arg(long, help_heading = "What runs")]
    pub(crate) list: bool,
    /// Only cases whose id begins so, or of this requirement; may be repeated
    #[arg(long, value_name = "ID", help_heading = "What runs")]
    pub(crate) only: Vec<String>,
    /// Cases at a time
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 12,
        help_heading = "What runs"
    )]
    pub(crate) jobs: usize,
    /// Seconds that a case may take
    #[arg(
        long,
        value_name = "SECONDS",
        default_value_t = 120,
        help_heading = "What runs"
    )]
    timeout: u64,

    /// Let a SHOULD that is not met count as a failure
    #[arg(long, help_heading = "What comes out")]
    pub(crate) strict: bool,
    /// Failures that are known, each with its reason, as TOML
    #[arg(long, value_name = "FILE", help_heading = "What comes out")]
    pub(crate) known: Option<PathBuf>,
    /// Write the report as JSON
    #[arg(long, value_name = "FILE", help_heading = "What comes out")]
    pub(crate) json: Option<PathBuf>,
    /// Write the report as JUnit's XML
    #[arg(long, value_name = "FILE", help_heading = "What comes out")]
    pub(crate) junit: Option<PathBuf>,
    /// Write the report as a page for a browser
    #[arg(long, value_name = "FILE", help_heading = "What comes out")]
    pub(crate) html: Option<PathBuf>,
    /// Where the page's links find the protocol
    #[arg(long, value_name = "URL", default_value = SPEC, help_heading = "What comes out")]
    pub(crate) spec: String,
}

/// What else there is.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Run the reference server: small, right, and wrong on demand
    Serve(Serve),
    /// Judge a client: the suite is the server
    Client(Client),
    /// Judge a shared object with the C interface
    Abi(Abi),
    /// Run the reference client: small, right, and wrong on demand
    Listen(Listen),
}

/// How a client is judged.
#[derive(Debug, Args)]
pub(crate) struct Client {
    /// How the client is started, behind `--`: {url} and {url2} stand for two relays of one stream, {ca} for the certificate of
    /// the suite's https servers, which is in SSL_CERT_FILE, too. It writes the audio to standard output as it comes, and losses
    /// and titles to standard error
    #[arg(last = true, required_unless_present = "list", value_name = "COMMAND")]
    pub(crate) command: Vec<String>,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// How a shared object is judged.
#[derive(Debug, Args)]
pub(crate) struct Abi {
    /// The shared object
    #[arg(required_unless_present = "list", value_name = "LIBRARY")]
    pub(crate) library: Option<PathBuf>,
    /// Run one case in this process, and print its verdict: what the suite starts for each of them
    #[arg(long, hide = true, value_name = "CASE")]
    pub(crate) inside: Option<String>,
    #[command(flatten)]
    pub(crate) judging: Judging,
}

/// How the reference client is started.
#[derive(Debug, Args)]
pub(crate) struct Listen {
    /// A stream, at one relay or more
    #[arg(required_unless_present = "bugs", value_name = "URL")]
    urls: Vec<url::Url>,
    /// Certificates to trust (PEM)
    #[arg(long, value_name = "FILE", env = "SSL_CERT_FILE")]
    ca: Option<PathBuf>,
    /// What it does wrong; --bugs lists what there is
    #[arg(long, value_name = "ID")]
    bug: Option<String>,
    /// List the bugs
    #[arg(long)]
    pub(crate) bugs: bool,
}

impl Listen {
    pub(crate) fn config(&self) -> anyhow::Result<listen::Config> {
        let bug = |id: &String| {
            listen::bug::named(id).with_context(|| format!("no bug {id}: --bugs lists them"))
        };
        Ok(listen::Config {
            relays: self.urls.clone(),
            trust: self.ca.clone(),
            bug: self.bug.as_ref().map(bug).transpose()?.map(|bug| bug.id),
        })
    }
}

/// How the reference server is started.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Where it listens
    #[arg(long, value_name = "ADDRESS:PORT", default_value = "127.0.0.1:8000")]
    listen: SocketAddr,
    /// The account of sources
    #[arg(long, value_name = "USER:PASSWORD", default_value = "source:hackme")]
    source: String,
    /// A server above it, as HOST:PORT; an origin without one
    #[arg(long, value_name = "HOST:PORT")]
    upstream: Option<String>,
    /// Seconds of audio that it holds
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0)]
    window: f64,
    /// What it does wrong; --bugs lists what there is
    #[arg(long, value_name = "ID")]
    bug: Option<String>,
    /// List the bugs
    #[arg(long)]
    pub(crate) bugs: bool,
}

impl Serve {
    pub(crate) fn config(&self) -> anyhow::Result<reference::Config> {
        let bug = match &self.bug {
            Some(id) => Some(
                bug::named(id)
                    .with_context(|| format!("no bug {id}: --bugs lists them"))?
                    .id,
            ),
            None => None,
        };
        Ok(reference::Config {
            source: self.source.clone(),
            upstream: self.upstream.clone(),
            window: Duration::try_from_secs_f64(self.window).context("--window")?,
            bug,
            ..reference::Config::new(self.listen)
        })
    }
}

impl Judging {
    /// Whether a case is to run.
    pub(crate) fn chooses<S>(&self, case: &Case<S>) -> bool {
        let is = |only: &String| case.id.starts_with(&only[..]) || case.requirement == only;
        self.only.is_empty() || self.only.iter().any(is)
    }

    pub(crate) fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout)
    }
}

impl Command {
    pub(crate) fn profiles(&self) -> anyhow::Result<Vec<Profile>> {
        let named =
            |name: &String| Profile::named(name).with_context(|| format!("no profile {name}"));
        self.profile.iter().map(named).collect()
    }

    pub(crate) fn target(&self) -> anyhow::Result<Target> {
        let url = |text: &Option<String>| text.as_deref().map(Url::parse).transpose();
        Ok(Target {
            source: self.source.clone(),
            admin: self.admin.clone(),
            second: url(&self.second)?,
            below: url(&self.below)?,
            upstream: self.upstream,
            protected: url(&self.protected)?,
            listener: self.listener.clone(),
            held: self.held,
            skew: Duration::from_secs(self.skew),
            patience: Duration::from_secs(self.patience),
            ..Target::new(self.url.as_deref().unwrap_or_default())?
        })
    }
}
