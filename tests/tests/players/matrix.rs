//! All of them at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use icecast_ext_tests::chance::Chance;

use crate::case::{BEFORE, CUTS, Level, browsers, writers};
use crate::radio::Radio;
use crate::table::{essence, shown, table};
use crate::trial::{EXACT, ON, TITLES, Trial};

/// Nine cuts at two seconds each, and a machine that starts two browsers meanwhile.
const LONG: Duration = Duration::from_secs(40);

/// Until each of them is there or has given up; who is neither in time is told by the outcome.
async fn wait(trials: &mut [Trial], is_there: impl Fn(&Trial) -> bool) {
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

#[tokio::test(flavor = "multi_thread")]
async fn each_player_comes_back_ten_times_to_the_exact_byte() {
    let mut chance = Chance::seeded("players");
    let mut radio = Radio::start().await;
    let proxy = radio.proxy.addr();
    let killed = Arc::new(AtomicBool::new(false));
    let mut trials = Vec::new();
    for cases in browsers() {
        let family = cases[0].family;
        if !family.missing() {
            let browser = Trial::browser(family, cases, proxy, &mut chance, &killed);
            trials.extend(browser.await);
        }
    }
    for case in writers() {
        if !case.family.missing() {
            trials.push(Trial::writer(case, proxy, chance.fork(), &killed).await);
        }
    }
    wait(&mut trials, |trial| trial.cuts() >= BEFORE).await;
    radio.proxy.kill();
    killed.store(true, Ordering::SeqCst);
    radio.proxy.restart().await.unwrap();
    wait(&mut trials, |trial| trial.cuts() >= CUTS).await;
    for trial in &mut trials {
        trial.set_goal();
    }
    wait(&mut trials, Trial::is_there).await;
    trials.iter_mut().for_each(Trial::look);
    trials.iter_mut().for_each(Trial::stop);

    let mut lines = Vec::new();
    let truth = [
        radio.sent(Level::Ranges).await,
        radio.sent(Level::Full).await,
    ];
    for trial in trials {
        let truth = &truth[usize::from(trial.case.level == Level::Full)];
        lines.push(trial.judge(truth));
    }
    lines.sort_by_key(|line| line.case.family.name);
    let table = table(&lines);
    eprintln!("{table}");
    // `./test` shows it at its end.
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/players.txt"), &table).unwrap();
    let mut bad = Vec::new();
    for line in &lines {
        if ![EXACT, TITLES, ON].contains(&line.outcome.as_str()) {
            eprintln!("--- {}\n{}", line.case, line.details);
            bad.push(format!("{}: {}", line.case, line.outcome));
        }
    }
    assert!(bad.is_empty(), "{bad:#?}\n{}", radio.proxy.log());
    let docs = essence(&shown());
    for row in essence(&table) {
        assert!(
            docs.contains(&row),
            "docs/players.md does not show {row:?}\n{table}"
        );
    }
}
