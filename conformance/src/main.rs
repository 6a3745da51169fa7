//! The `icecast-ext-conformance` command.

mod command;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::OnceLock;

use anyhow::Context as _;
use clap::Parser as _;
use command::{Abi, Client, Command, Judging, Listen, Serve, What};
use icecast_ext_conformance::case::Case;
use icecast_ext_conformance::known::Known;
use icecast_ext_conformance::reference::{self, bug};
use icecast_ext_conformance::report::Report;
use icecast_ext_conformance::report::compare::Comparison;
use icecast_ext_conformance::report::{console, html, junit, sentences};
use icecast_ext_conformance::runner::{Options, Progress};
use icecast_ext_conformance::{abi, cases, client, listen, runner};
use indicatif::ProgressBar;
use tokio::sync::watch;

/// Something failed that counts.
const NOT_GOOD: u8 = 1;
/// Nothing could be judged, or the call was wrong.
const CANNOT: u8 = 2;
/// The run was stopped, as shells say it of SIGINT.
const STOPPED: u8 = 130;

fn main() -> ExitCode {
    let command = Command::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(async {
            match &command.what {
                Some(What::Serve(serve)) => self::serve(serve).await,
                Some(What::Client(client)) => self::client(client).await,
                Some(What::Abi(abi)) => self::abi(abi).await,
                Some(What::Listen(listen)) => self::listen(listen).await,
                None if !command.compare.is_empty() => compare(&command.compare, &command.judging),
                None => judge(&command).await,
            }
        }),
        Err(error) => Err(error.into()),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("icecast-ext-conformance: {error:#}");
            ExitCode::from(CANNOT)
        }
    }
}

async fn judge(command: &Command) -> anyhow::Result<u8> {
    let judging = &command.judging;
    let cases = cases::all();
    let Some(chosen) = judging.choose(&cases)? else {
        return Ok(0);
    };
    let options = Options {
        profiles: command.profiles()?,
        ..options(judging)
    };
    let report = runner::run(command.target()?, &chosen, &options).await;
    finish(judging, report, &chosen)
}

async fn client(client: &Client) -> anyhow::Result<u8> {
    let Some(chosen) = client.judging.choose(&client::cases())? else {
        return Ok(0);
    };
    let options = options(&client.judging);
    let report = client::run(&client.command, &chosen, &options).await?;
    finish(&client.judging, report, &chosen)
}

async fn abi(abi: &Abi) -> anyhow::Result<u8> {
    // The library may be a bare name, which the loader would look for elsewhere.
    let library = abi.library.as_ref().map(std::fs::canonicalize).transpose();
    let library = library.context("the shared object")?.unwrap_or_default();
    if let Some(case) = &abi.inside {
        println!("{}", abi::inside(case, &library)?);
        return Ok(0);
    }
    let Some(chosen) = abi.judging.choose(&abi::cases())? else {
        return Ok(0);
    };
    let suite = std::env::current_exe().context("this program's own file")?;
    let report = abi::run(&suite, &library, &chosen, &options(&abi.judging)).await;
    finish(&abi.judging, report, &chosen)
}

/// How a run is done; Ctrl-C stops it from now on.
fn options(judging: &Judging) -> Options {
    let (stop, interrupt) = watch::channel(false);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            let _ = stop.send(true);
        }
    });
    Options {
        jobs: judging.jobs,
        time: judging.timeout(),
        profiles: Vec::new(),
        interrupt: Some(interrupt),
        progress: std::io::stderr().is_terminal().then_some(show),
    }
}

/// Writes the reports of a run; the exit status.
fn finish<S>(judging: &Judging, mut report: Report, chosen: &[Case<S>]) -> anyhow::Result<u8> {
    if let Some(bar) = BAR.get() {
        bar.finish_and_clear();
    }
    let known = match &judging.known {
        Some(file) => Known::read(file)?,
        None => Known::default(),
    };
    let wrong = known.apply(&mut report, |id| {
        judging.only.is_empty() || chosen.iter().any(|case| case.id == id)
    });
    write(judging.json.as_deref(), || Ok(report.json()?))?;
    write(judging.junit.as_deref(), || {
        junit::render(&report, judging.strict)
    })?;
    write(judging.html.as_deref(), || {
        Ok(html::render(&report, judging.strict, &judging.spec)?)
    })?;
    // Whoever reads it may have closed the pipe.
    let _ =
        std::io::stdout().write_all(console::render(&report, paint(), judging.strict).as_bytes());
    for entry in &wrong {
        eprintln!("the list of known failures: {entry}");
    }
    Ok(match () {
        () if report.interrupted => STOPPED,
        () if report.error.is_some() => CANNOT,
        () if !report.is_good(judging.strict) || !wrong.is_empty() => NOT_GOOD,
        () => 0,
    })
}

/// Writes a file, if one was asked for.
fn write(file: Option<&Path>, text: impl FnOnce() -> anyhow::Result<String>) -> anyhow::Result<()> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, text()?).with_context(|| format!("{}", file.display()))
}

fn paint() -> console::Paint {
    console::Paint(std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none())
}

/// Shows two reports side by side; the exit status.
fn compare(files: &[PathBuf], judging: &Judging) -> anyhow::Result<u8> {
    let read = |file: &PathBuf| {
        Report::read(file).with_context(|| format!("{}: no report of this suite", file.display()))
    };
    let [a, b] = files else {
        anyhow::bail!("--compare takes two reports");
    };
    let (a, b) = (read(a)?, read(b)?);
    let comparison = Comparison::new(&a, &b, judging.strict);
    write(judging.html.as_deref(), || {
        Ok(html::render_comparison(&comparison, &judging.spec)?)
    })?;
    let _ = std::io::stdout().write_all(comparison.render(paint()).as_bytes());
    Ok(if comparison.worse() > 0 { NOT_GOOD } else { 0 })
}

impl Judging {
    /// The cases that are to run; `None` once they are listed instead.
    fn choose<S>(&self, cases: &[Case<S>]) -> anyhow::Result<Option<Vec<Case<S>>>> {
        let chosen: Vec<_> = cases
            .iter()
            .filter(|case| self.chooses(case))
            .copied()
            .collect();
        if self.list {
            list(&chosen)?;
            return Ok(None);
        }
        anyhow::ensure!(
            !chosen.is_empty(),
            "--only matches no case; --list shows all"
        );
        // A file that cannot be read is known before the run, not after it.
        if let Some(file) = &self.known {
            Known::read(file)?;
        }
        Ok(Some(chosen))
    }
}

fn list<S>(cases: &[Case<S>]) -> std::io::Result<()> {
    let mut sentences = sentences();
    sentences.extend(abi::sentences());
    let mut out = std::io::stdout().lock();
    for case in cases {
        let level = sentences
            .get(case.requirement)
            .map_or("", |sentence| sentence.level.word());
        writeln!(
            out,
            "{:36} {:12} {level:7} {}",
            case.id, case.requirement, case.does
        )?;
    }
    Ok(())
}

static BAR: OnceLock<ProgressBar> = OnceLock::new();

fn show(progress: &Progress<'_>) {
    let bar = BAR.get_or_init(|| {
        let bar = ProgressBar::new(0);
        bar.enable_steady_tick(std::time::Duration::from_millis(200));
        bar
    });
    match progress {
        Progress::Runs(count) => bar.set_length(*count as u64),
        Progress::Begins(id) => bar.set_message((*id).to_owned()),
        Progress::Ends(_) => bar.inc(1),
    }
}

async fn serve(serve: &Serve) -> anyhow::Result<u8> {
    if serve.bugs {
        for bug in bug::BUGS {
            println!("{:30} {:12} {}", bug.id, bug.requirement, bug.does);
        }
        return Ok(0);
    }
    let config = serve.config()?;
    let server = reference::start(config).await.context("cannot listen")?;
    println!("listening at http://{}", server.addr());
    tokio::signal::ctrl_c().await?;
    Ok(0)
}

async fn listen(listen: &Listen) -> anyhow::Result<u8> {
    if listen.bugs {
        for bug in listen::bug::BUGS {
            println!("{:30} {:12} {}", bug.id, bug.requirement, bug.does);
        }
        return Ok(0);
    }
    let listener = listen::Listener::new(listen.config()?, std::io::stdout(), std::io::stderr())?;
    listener.run().await?;
    Ok(0)
}
