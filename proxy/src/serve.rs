//! `icecast-ext serve`: from its options to its end.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Bind, Config, Options};
use crate::reload;
use crate::server::Server;
use crate::{notify, sockets};

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

/// Serves until Ctrl-C or SIGTERM; a second one does not wait for listeners.
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
    for Bind { address, tls } in addresses {
        let how = if tls { ", with TLS" } else { "" };
        tracing::info!("listening on {address}{how}");
    }
    notify::ready(&notify::summary(&server));
    let reloads = reload::watch(server.clone(), hangup, arguments.options, arguments.config);
    server.tasks.spawn(reloads);
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    let mut asked = async || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let drains = tokio::select! {
        () = asked() => true,
        () = stdin_closed(), if arguments.until_stdin_closes => false,
    };
    tracing::info!("stopping");
    if drains {
        server.drain(asked()).await;
    }
    server.finish().await;
    Ok(())
}

/// To be called before there are threads.
///
/// # Errors
/// systemd has opened something that is not served.
pub fn prepare() -> anyhow::Result<()> {
    sockets::take_activated()
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
