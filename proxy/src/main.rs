//! The `icecast-ext` command.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{CommandFactory as _, Parser, Subcommand};
use icecast_ext_proxy::{check, demo, listen, propose, serve};

/// Live audio over HTTP that resumes at the exact byte, at any relay
#[derive(Parser)]
#[command(name = "icecast-ext", version, about, arg_required_else_help = true)]
struct Command {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Stand in front of an Icecast (or another relay), or be an origin
    Serve(Box<serve::Arguments>),
    /// Ask everybody that a configuration names, and say what becomes of each mount and what is wrong
    Check(Box<check::Arguments>),
    /// Read an icecast.xml, and print the configuration of a proxy in front of that server
    Propose(propose::Arguments),
    /// Listen, and lose nothing: the stream's bytes go to standard output
    Listen(listen::Options),
    /// Show it: an origin, two relays and a listener that is cut all the time
    Demo(demo::Options),
    /// Write the manual pages
    #[command(hide = true)]
    Man {
        /// Where to
        directory: PathBuf,
    },
}

fn main() -> ExitCode {
    let command = Command::parse();
    let quiet = !matches!(command.what, What::Serve(_));
    let filter =
        tracing_subscriber::EnvFilter::try_from_env("ICECAST_EXT_LOG").unwrap_or_else(|_| {
            tracing_subscriber::EnvFilter::new(if quiet { "warn" } else { "info" })
        });
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    // One object a line, for whoever collects logs.
    if std::env::var("ICECAST_EXT_LOG_FORMAT").is_ok_and(|format| format == "json") {
        log.json().flatten_event(true).init();
    } else {
        log.init();
    }
    if matches!(command.what, What::Serve(_))
        && let Err(error) = serve::prepare()
    {
        eprintln!("icecast-ext: {error:#}");
        return ExitCode::FAILURE;
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("icecast-ext: cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = runtime.block_on(async {
        match command.what {
            What::Serve(arguments) => serve::run(*arguments).await.map(|()| true),
            What::Listen(options) => listen::run(options).await.map(|()| true),
            What::Check(arguments) => check::run(*arguments).await,
            What::Propose(arguments) => propose::run(&arguments).map(|()| true),
            What::Demo(options) => demo::run(options).await,
            What::Man { directory } => manual(&directory).map(|()| true),
        }
    });
    // Whatever still reads standard input must not hold the process.
    runtime.shutdown_timeout(std::time::Duration::from_millis(100));
    match ended {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("icecast-ext: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A page for the command, and one for each of its subcommands.
fn manual(directory: &Path) -> anyhow::Result<()> {
    clap_mangen::generate_to(Command::command(), directory)
        .with_context(|| format!("writing to {}", directory.display()))
}
