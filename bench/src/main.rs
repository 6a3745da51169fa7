//! The benchmark: what it costs to feed listeners, beside the servers that people run.
//!
//! | room | idea |
//! |---|---|
//! | `scenario` | what is measured, side by side with what |
//! | `load` | one run: servers, sources, listeners, and a while of looking |
//! | `rig`, `floor` | the servers under test; the least that one can do |
//! | `content`, `source` | bytes that say where they stand, and when each was written |
//! | `crowd` | the listeners, who check every byte |
//! | `process` | CPU, memory and segments, as the kernel counts them |
//! | `figures` | what a run has shown |
//! | `report`, `picture`, `goals` | tables, a picture, and what was to be reached |

mod content;
mod crowd;
mod figures;
mod floor;
mod goals;
mod load;
mod picture;
mod process;
mod progress;
mod report;
mod results;
mod rig;
mod scenario;
mod source;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, Result, ensure};
use clap::{Parser, Subcommand};

use crate::progress::Progress;
use crate::results::{Conditions, Place, Results};
use crate::scenario::{Contender, Scenario};

/// Measures the proxy beside stock Icecast, nginx in front of Icecast, and the least that a server can do. Every byte that a
/// listener gets is checked. Everything runs on loopback and stops by itself
#[derive(Debug, Parser)]
#[command(name = "icecast-ext-bench", version)]
struct Command {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    options: Options,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The server that does the least
    #[command(hide = true)]
    Floor(floor::Options),
}

#[derive(Debug, clap::Args)]
struct Options {
    /// A fiftieth of the listeners, one round: does everything work? About three minutes; its figures mean little
    #[arg(long)]
    small: bool,
    /// These scenarios alone (`fanout` is all of fanout-…); what results.json has of the others stays
    #[arg(long, value_name = "NAME,…", value_delimiter = ',')]
    only: Vec<String>,
    /// How often each scenario is gone through; the middle run counts
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    rounds: usize,
    /// How long each run is measured
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    seconds: u64,
    /// Where results.json, BENCHMARKS.md and cpu.svg go
    #[arg(long, value_name = "FOLDER", default_value = "target/bench")]
    out: PathBuf,
    /// Into this repository instead: BENCHMARKS.md in its root, the rest in bench/results
    #[arg(long)]
    publish: bool,
    /// Makes BENCHMARKS.md and cpu.svg again from results.json, and measures nothing
    #[arg(long)]
    redraw: bool,
    /// The scenarios, and how long a round of each takes
    #[arg(long)]
    list: bool,
}

fn main() -> ExitCode {
    let command = Command::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(tracing_subscriber::EnvFilter::new("warn"))
        .init();
    let done = match &command.what {
        Some(What::Floor(options)) => floor::run(options),
        None => bench(&command.options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("icecast-ext-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn bench(options: &Options) -> Result<()> {
    let place = match options.publish {
        true => Place::repository(),
        false => Place::folder(&options.out),
    };
    if options.redraw {
        return Results::read(&place)?.write(&place);
    }
    let scenarios: Vec<Scenario> = scenario::all(options.small)
        .into_iter()
        .filter(|scenario| {
            let chosen = |only: &String| {
                let rest = scenario.name.strip_prefix(only.as_str());
                rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
            };
            options.only.is_empty() || options.only.iter().any(chosen)
        })
        .collect();
    ensure!(
        !scenarios.is_empty(),
        "no scenario has such a name; --list says which there are"
    );
    if options.list {
        for scenario in &scenarios {
            let Scenario { name, title, .. } = scenario;
            println!("{name:12} {:4} s  {title}", scenario.round(options.seconds));
        }
        return Ok(());
    }
    let rounds = if options.small { 1 } else { options.rounds };
    let most = descriptors(&scenarios)?;
    let mut results = match options.only.is_empty() {
        true => Results::default(),
        false => Results::read(&place).unwrap_or_default(),
    };
    results.conditions = Conditions::of_now(options.small, rounds, options.seconds, most);
    measure(&scenarios, rounds, options.seconds, &mut results)?;
    results.write(&place)?;
    println!("{}", report::terminal(&results));
    println!("written: {}", place.page.display());
    let broken = results.broken();
    ensure!(
        broken.is_empty(),
        "not every byte was right:\n{}",
        broken.join("\n")
    );
    Ok(())
}

/// As many as we may have, for this process and the servers that it starts. Scenarios that need more are said to.
fn descriptors(scenarios: &[Scenario]) -> Result<u64> {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("raising the limit of open files")?;
    let most = limit.current.unwrap_or(u64::MAX);
    let listeners = |scenario: &Scenario| {
        let each = scenario.contenders.iter();
        each.map(|one| one.load.listeners).max().unwrap_or(0) as u64
    };
    for scenario in scenarios {
        ensure!(
            listeners(scenario) + 500 < most,
            "scenario {} takes {} descriptors, and the limit is {most}: raise it (ulimit -Hn), or leave it out with --only",
            scenario.name,
            listeners(scenario) + 500
        );
    }
    Ok(most)
}

fn measure(
    scenarios: &[Scenario],
    rounds: usize,
    seconds: u64,
    results: &mut Results,
) -> Result<()> {
    let stop = Arc::new(AtomicBool::new(false));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let asked = Arc::clone(&stop);
    runtime.spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            asked.store(true, Ordering::Relaxed);
        }
    });
    let total = scenarios
        .iter()
        .map(|scenario| scenario.round(seconds) * rounds.min(scenario.rounds) as u64)
        .sum();
    let progress = Progress::new(total, stop)?;
    let mut over = 0;
    for scenario in scenarios {
        results.begin(&scenario.name, &scenario.title);
        for round in 0..rounds.min(scenario.rounds) {
            for contender in &scenario.contenders {
                let Contender {
                    label,
                    server,
                    load,
                } = contender;
                let missing = missing(*server);
                if let Some(package) = missing {
                    if round == 0 {
                        progress.line(&format!(
                            "{}: {label} is left out: install {package}",
                            scenario.name
                        ));
                        results.left_out(&scenario.name, label, package);
                    }
                    continue;
                }
                progress.say(format!("{}, round {}: {label}", scenario.name, round + 1));
                let figures = load::run(&runtime, *server, load, seconds, &progress)
                    .with_context(|| format!("{}: {label}", scenario.name))?;
                progress.line(&report::line(&scenario.name, label, &figures));
                results.add(&scenario.name, label, figures);
                over += load::estimate(*server, load, seconds);
                progress.reach(over);
            }
        }
    }
    progress.finish();
    Ok(())
}

/// The package of a program that is not there.
fn missing(server: rig::Server) -> Option<&'static str> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let there = |program: &str| {
        std::env::split_paths(&path)
            .chain([PathBuf::from("/usr/sbin")])
            .any(|folder| folder.join(program).exists())
    };
    let needs = server.needs().iter();
    needs
        .filter(|(program, _)| !there(program))
        .map(|(_, package)| *package)
        .next()
}
