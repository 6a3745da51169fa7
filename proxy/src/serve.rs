//! `icecast-ext serve`: from its options to its end.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Config, Options};
use crate::reload;
use crate::server::Server;

/// Flags of `serve`.
#[derive(Debug, Default, Clone, clap::Args)]
pub struct Arguments {
    /// A TOML file with the options below, without the dashes in front (`relay` is `relays` there)
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    #[expect(missing_docs, reason = "clap would take it for the command's own help")]
    pub options: Options,
    /// Stop when standard input ends: for a parent that must leave nothing behind
    #[arg(long, hide = true)]
    pub until_stdin_closes: bool,
}

/// Serves until Ctrl-C or SIGTERM.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    // From here on a SIGHUP that comes early is no end.
    let hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    let config = Config::new(arguments.options.clone(), arguments.config.as_deref())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    raise_descriptor_limit();
    let stop = CancellationToken::new();
    let (server, addresses) = Server::start(config, stop.clone()).await?;
    for address in addresses {
        tracing::info!("listening on {address}");
    }
    let reloads = reload::watch(server.clone(), hangup, arguments.options, arguments.config);
    server.tasks.spawn(reloads);
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
        () = stdin_closed(), if arguments.until_stdin_closes => {}
    }
    tracing::info!("stopping");
    server.finish().await;
    Ok(())
}

async fn stdin_closed() {
    let _ = tokio::io::copy(&mut tokio::io::stdin(), &mut tokio::io::sink()).await;
}

/// A listener is a descriptor: take as many as we may.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let most = limit.maximum;
    match setrlimit(Resource::Nofile, limit) {
        Ok(()) => tracing::info!(?most, "open files"),
        Err(error) => tracing::warn!(%error, "the limit of open files stays as it was"),
    }
}
