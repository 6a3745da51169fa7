//! `icecast-ext serve`: from its options to its end.

use std::path::PathBuf;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::config::{Bind, Config, Options};
use crate::handover::{self, Leash, Program};
use crate::reload;
use crate::server::Server;
use crate::{descriptors, notify, sockets};

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
    /// Take over from the process that started this one; its end of a socket pair is standard input
    #[arg(long, hide = true)]
    pub take_over: bool,
}

/// Serves until Ctrl-C or SIGTERM (a second one does not wait for listeners), or until another process has taken over
/// (SIGUSR2) and has everything.
pub async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let program = Program::this()?;
    let mut upgrades = signal(SignalKind::user_defined2()).context("SIGUSR2")?;
    // From here on a SIGHUP that comes early is no end.
    let hangup = signal(SignalKind::hangup()).context("SIGHUP")?;
    let config = Config::new(arguments.options.clone(), arguments.config.as_deref())?;
    for warning in &config.warnings {
        tracing::warn!("{warning}");
    }
    descriptors::raise();
    descriptors::warn(&config);
    if let Some((says, remedy)) = sockets::short_backlog() {
        tracing::warn!("{says}: {remedy}");
    }
    let stop = CancellationToken::new();
    let inheritance = match arguments.take_over {
        true => Some(tokio::task::block_in_place(handover::greet)?),
        false => None,
    };
    let leash = match &inheritance {
        Some(inheritance) => inheritance.leash.clone(),
        None if arguments.until_stdin_closes => Some(Leash::stdin().context("standard input")?),
        None => None,
    };
    let (server, addresses) = Server::start(config, stop.clone(), inheritance).await?;
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
    let upgraded = async {
        while upgrades.recv().await.is_some() {
            match handover::hand_over(&server, &program, leash.as_ref()).await {
                Ok(pid) => {
                    notify::main_pid(pid);
                    tracing::info!(pid, "another process has taken over");
                    return drained(&server).await;
                }
                Err(error) => {
                    tracing::error!(
                        "the upgrade has failed, everything goes on as before: {error:#}"
                    );
                }
            }
        }
    };
    let loosed = async {
        match &leash {
            Some(leash) => leash.ended().await,
            None => std::future::pending().await,
        }
    };
    let drains = tokio::select! {
        () = asked() => true,
        () = loosed => false,
        () = upgraded => false,
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

/// Returns when nothing is left of what could not be handed over, or its time is up.
async fn drained(server: &Server) {
    let end = tokio::time::Instant::now() + server.config().upgrade_drain;
    let left = || (server.engine.listeners(), server.connections.len());
    while left() != (0, 0) && tokio::time::Instant::now() < end {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    let (listeners, connections) = left();
    tracing::info!(listeners, connections, "the rest of the old process ends");
}
