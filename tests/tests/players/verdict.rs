//! Waiting for all, and what has become of them.

use std::time::{Duration, Instant};

use crate::case::Level;
use crate::radio::Radio;
use crate::table::table;
use crate::trial::{EXACT, Line, ON, TITLES, Trial};

/// Nine cuts at two seconds each, and a machine that starts two browsers meanwhile.
const LONG: Duration = Duration::from_secs(40);

/// Until each of them is there or has given up; who is neither in time is told by the outcome.
pub(crate) async fn wait(trials: &mut [Trial], is_there: impl Fn(&Trial) -> bool) {
    let start = Instant::now();
    while start.elapsed() < LONG {
        let mut all = true;
        for trial in trials.iter_mut() {
            all &= is_there(trial) || trial.ended();
        }
        if all {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for trial in trials.iter_mut() {
        if !is_there(trial) && !trial.ended() {
            eprintln!("not in {LONG:?}: {}", trial.case);
        }
    }
}

/// Stops all of them, and compares what they have heard with what was sent.
pub(crate) async fn verdicts(radio: &Radio, mut trials: Vec<Trial>) -> Vec<Line> {
    trials.iter_mut().for_each(Trial::look);
    trials.iter_mut().for_each(Trial::stop);
    let truth = [
        radio.sent(Level::Ranges).await,
        radio.sent(Level::Full).await,
    ];
    let mut lines: Vec<_> = trials
        .into_iter()
        .map(|trial| {
            let level = usize::from(trial.case.level == Level::Full);
            trial.judge(&truth[level])
        })
        .collect();
    lines.sort_by_key(|line| line.case.family.name);
    lines
}

/// Every outcome is a good one.
pub(crate) fn assert_right(lines: &[Line], log: &str) {
    eprintln!("{}", table(lines));
    let bad = lines
        .iter()
        .filter(|line| ![EXACT, TITLES, ON].contains(&line.outcome.as_str()));
    let mut told = Vec::new();
    for line in bad {
        eprintln!("--- {}\n{}", line.case, line.details);
        told.push(format!("{}: {}", line.case, line.outcome));
    }
    assert!(told.is_empty(), "{told:#?}\n{log}");
}
