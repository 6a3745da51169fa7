//! A run: which profiles apply, all their cases, some of them at a time, each within a bounded time.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::case::{Case, Outcome, Stop};
use crate::discovery;
use crate::exchange::Record;
use crate::profile::Profile;
use crate::report::{Judged, Report, Sentences, sentences};
use crate::session::Session;
use crate::stage::Stage;
use crate::target::Target;

/// How a run is done.
#[derive(Clone, Debug)]
pub struct Options {
    /// Cases at a time. Most of them wait most of the time.
    pub jobs: usize,
    /// How long a case may take.
    pub time: Duration,
    /// The profiles to try; all that apply if empty.
    pub profiles: Vec<Profile>,
    /// Becomes true when the run is to stop.
    pub interrupt: Option<watch::Receiver<bool>>,
    /// What is told of each case that begins and ends.
    pub progress: Option<fn(&Progress<'_>)>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            jobs: 12,
            time: Duration::from_secs(120),
            profiles: Vec::new(),
            interrupt: None,
            progress: None,
        }
    }
}

/// What happens in a run.
#[derive(Debug)]
pub enum Progress<'a> {
    /// So many cases are about to run.
    Runs(usize),
    /// A case has begun.
    Begins(&'a str),
    /// A case has ended.
    Ends(&'a Judged),
}

/// Judges a target. Never fails: what goes wrong is in the report.
pub async fn run(target: Target, cases: &[Case], options: &Options) -> Report {
    let sentences = sentences();
    let mut report = Report {
        suite: env!("CARGO_PKG_VERSION").to_owned(),
        target: target.url.text(),
        profiles: Vec::new(),
        interrupted: false,
        error: None,
        cases: Vec::new(),
    };
    let stage = Arc::new(Stage::new(target));
    let stop = options.interrupt.clone();
    let found = tokio::select! {
        found = discovery::profiles(Arc::clone(&stage)) => found,
        () = stopped(stop.clone()) => {
            report.interrupted = true;
            Ok(Vec::new())
        }
    };
    match found {
        Ok(found) => report.profiles = found,
        Err(why) => report.error = Some(why),
    }
    for applies in &mut report.profiles {
        if !options.profiles.is_empty() && !options.profiles.contains(&applies.profile) {
            applies.applies = false;
            "it was not asked for".clone_into(&mut applies.why);
        }
    }
    let begin = || Session::begin(Arc::clone(&stage));
    try_all(&mut report, cases, &sentences, options, begin).await;
    report
}

/// What a case is given.
pub trait Scene: Clone + Send + 'static {
    /// What was said, as a report has it.
    fn records(&self) -> Vec<Record>;
}

impl Scene for Session {
    fn records(&self) -> Vec<Record> {
        Session::records(self)
    }
}

/// Runs the cases of the profiles that apply, and writes what becomes of them into the report. `begin` makes what a case is given.
pub async fn try_all<S: Scene, B: Future<Output = S> + Send + 'static>(
    report: &mut Report,
    cases: &[Case<S>],
    sentences: &Sentences,
    options: &Options,
    begin: impl Fn() -> B,
) {
    let runs = |case: &&Case<S>| {
        report
            .profiles
            .iter()
            .any(|one| one.applies && one.profile == case.profile())
    };
    let chosen: Vec<Case<S>> = cases.iter().filter(runs).copied().collect();
    report.cases = chosen
        .iter()
        .map(|case| Judged::of(case, sentences))
        .collect();
    tell(options, &Progress::Runs(chosen.len()));

    let permits = Arc::new(Semaphore::new(options.jobs.max(1)));
    let mut running = JoinSet::new();
    for (index, case) in chosen.iter().copied().enumerate() {
        let (permits, scene, options) = (Arc::clone(&permits), begin(), options.clone());
        let judged = report.cases[index].clone();
        running.spawn(async move {
            let _permit = permits.acquire_owned().await;
            tell(&options, &Progress::Begins(case.id));
            (index, judge(case, judged, scene.await, options.time).await)
        });
    }
    loop {
        let ended = tokio::select! {
            ended = running.join_next() => ended,
            () = stopped(options.interrupt.clone()) => {
                report.interrupted = true;
                break;
            }
        };
        match ended {
            None => break,
            Some(Ok((index, judged))) => {
                tell(options, &Progress::Ends(&judged));
                report.cases[index] = judged;
            }
            // A case of ours has a fault; which one is not known here, and the others go on.
            Some(Err(error)) => {
                report.error = Some(format!("a case has ended the hard way: {error}"))
            }
        }
    }
}

async fn judge<S: Scene>(case: Case<S>, mut judged: Judged, scene: S, time: Duration) -> Judged {
    let began = Instant::now();
    let ended = timeout(time, (case.run)(scene.clone())).await;
    judged.ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    judged.reason = None;
    let verdict = ended.unwrap_or_else(|_| {
        Err(Stop::Error(format!(
            "the case has not ended within {} s",
            time.as_secs()
        )))
    });
    match verdict {
        Ok(()) => judged.outcome = Outcome::Pass,
        Err(Stop::Fail { expected, observed }) => {
            judged.outcome = Outcome::Fail;
            judged.expected = Some(expected);
            judged.observed = Some(observed);
        }
        Err(Stop::Skip(why)) => {
            judged.outcome = Outcome::Skip;
            judged.reason = Some(why);
        }
        Err(Stop::Error(why)) => {
            judged.outcome = Outcome::Error;
            judged.reason = Some(why);
        }
    }
    if matches!(judged.outcome, Outcome::Fail | Outcome::Error) {
        judged.exchange = scene.records();
    }
    judged
}

fn tell(options: &Options, progress: &Progress<'_>) {
    if let Some(told) = options.progress {
        told(progress);
    }
}

/// Returns when the run is to stop.
async fn stopped(interrupt: Option<watch::Receiver<bool>>) {
    if let Some(mut interrupt) = interrupt
        && interrupt.wait_for(|stop| *stop).await.is_ok()
    {
        return;
    }
    std::future::pending().await
}
