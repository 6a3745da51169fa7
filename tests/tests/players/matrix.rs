//! All of them at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::icecast::Icecast;
use icecast_ext_tests::metadata::set_title;
use icecast_ext_tests::proxy::{self, Proxy};

use crate::case::{BEFORE, CUTS, Level, browsers, writers};
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
    let icecast = Icecast::start().await.unwrap();
    let mut encoders = Vec::new();
    for (seed, level) in (70..).zip(Level::ALL) {
        let setup = Setup {
            seed,
            ..Setup::new(Format::Mp3)
        };
        encoders.push(Encoder::start(icecast.addr(), level.mount(), setup).unwrap());
        icecast.wait_mount(level.mount()).await;
    }
    let levels = Level::ALL.map(|level| {
        format!(
            "[mount.\"{}\"]\nstock-players = \"{}\"\n",
            level.mount(),
            level.name()
        )
    });
    let mut proxy = Proxy::with(proxy::Setup {
        state: true,
        config: levels.concat(),
        ..proxy::Setup::before(icecast.addr())
    })
    .await
    .unwrap();
    let addr = icecast.addr();
    let titles = tokio::spawn(async move {
        let mut every = tokio::time::interval(Duration::from_millis(2500));
        for i in 1.. {
            every.tick().await;
            for level in Level::ALL {
                let set = set_title(addr, level.mount(), &format!("Title {i}")).await;
                assert_eq!(set.expect("an answer").head.status, 200);
            }
        }
    });

    let killed = Arc::new(AtomicBool::new(false));
    let mut trials = Vec::new();
    for cases in browsers() {
        let family = cases[0].family;
        if !family.missing() {
            let browser = Trial::browser(family, cases, proxy.addr(), &mut chance, &killed);
            trials.extend(browser.await);
        }
    }
    for case in writers() {
        if !case.family.missing() {
            trials.push(Trial::writer(case, proxy.addr(), chance.fork(), &killed).await);
        }
    }
    wait(&mut trials, |trial| trial.cuts() >= BEFORE).await;
    proxy.kill();
    killed.store(true, Ordering::SeqCst);
    proxy.restart().await.unwrap();
    wait(&mut trials, |trial| trial.cuts() >= CUTS).await;
    for trial in &mut trials {
        trial.set_goal();
    }
    wait(&mut trials, Trial::is_there).await;
    titles.abort();
    trials.iter_mut().for_each(Trial::look);
    trials.iter_mut().for_each(Trial::stop);

    let mut lines = Vec::new();
    let mut truth = Vec::new();
    for encoder in &encoders {
        truth.push(encoder.sent_by_now().await.unwrap());
    }
    for trial in trials {
        let level = Level::ALL
            .iter()
            .position(|level| *level == trial.case.level);
        lines.push(trial.judge(&truth[level.expect("one of all")]));
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
    assert!(bad.is_empty(), "{bad:#?}\n{}", proxy.log());
    let docs = essence(&shown());
    for row in essence(&table) {
        assert!(
            docs.contains(&row),
            "docs/players.md does not show {row:?}\n{table}"
        );
    }
}
