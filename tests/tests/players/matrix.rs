//! All of them at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use icecast_ext_tests::chance::Chance;

use crate::case::{BEFORE, CUTS, planner};
use crate::radio::Radio;
use crate::table::{essence, shown, table};
use crate::trial::{Trial, Wiring};
use crate::verdict::{assert_right, verdicts, wait};

#[tokio::test(flavor = "multi_thread")]
async fn each_player_comes_back_ten_times_to_the_exact_byte() {
    let mut chance = Chance::seeded("players");
    let mut radio = Radio::start().await;
    let killed = Arc::new(AtomicBool::new(false));
    let mut trials = Trial::all(Wiring {
        to: radio.proxy.addr(),
        planner: &mut |case| Box::new(planner(case, chance.fork(), Arc::clone(&killed))),
        due: CUTS,
        besides: "1 kill",
    })
    .await;
    wait(&mut trials, |trial| trial.cuts() >= BEFORE).await;
    radio.proxy.kill();
    killed.store(true, Ordering::SeqCst);
    radio.proxy.restart().await.unwrap();
    wait(&mut trials, |trial| trial.cuts() >= CUTS).await;
    for trial in &mut trials {
        trial.set_goal();
    }
    wait(&mut trials, Trial::is_there).await;
    let lines = verdicts(&radio, trials).await;
    let table = table(&lines);
    // `./test` shows it at its end.
    std::fs::write(concat!(env!("CARGO_TARGET_TMPDIR"), "/players.txt"), &table).unwrap();
    assert_right(&lines, &radio.proxy.log());
    // Players that are missing here stay in the docs.
    let rows = essence(&table);
    let mut docs = essence(&shown());
    docs.retain(|doc| rows.iter().any(|row| row[0] == doc[0]));
    assert_eq!(
        docs, rows,
        "docs/players.md shows something else than\n{table}"
    );
}
