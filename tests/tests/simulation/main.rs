//! Thirty relays and two hundred listeners in virtual time: what a listener has is a piece of the source, or a loss that was told.
//!
//! Everything that decides is the product's own core, over real bytes, on both sides: requests and heads, decisions and plans, the
//! relay feed, healing, content anchors, the client. What is simulated is what core has no notion of: sockets, time, processes.
//!
//! | room | idea |
//! |---|---|
//! | `content` | what the source sends: never the same, or songs and jingles that come again, or Ogg |
//! | `net` | connections with latency and bandwidth, partitions, resets, hosts that die |
//! | `server` | a server that knows nothing |
//! | `mount`, `pull`, `serve` | a relay |
//! | `ear` | a listener, and who judges it |
//! | `ledger` | where in the source each address is |
//! | `world` | all of them, and faults |
//!
//! `SEEDS` in the environment: how many; `SECONDS`: none is begun after so long. `SEED`: only that one; with `TRACE` it tells all.
#![expect(clippy::expect_used, reason = "helpers of tests are tests")]

mod clock;
mod content;
mod ear;
mod ledger;
mod mount;
mod net;
mod pull;
mod serve;
mod server;
mod table;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use content::Kind;
use world::run;

/// Without a word in the environment.
const SEEDS: u64 = 6;

fn asked(name: &str) -> Option<u64> {
    std::env::var(name)
        .ok()
        .map(|text| text.parse().expect("a number"))
}

fn kind(seed: u64) -> Kind {
    Kind::ALL[(seed % Kind::ALL.len() as u64) as usize]
}

#[test]
fn what_a_listener_has_is_a_piece_of_the_source_or_a_loss_that_was_told() {
    let seeds: Vec<u64> = match asked("SEED") {
        Some(seed) => vec![seed],
        None => (1..=asked("SEEDS").unwrap_or(SEEDS)).collect(),
    };
    let (began, limit) = (Instant::now(), asked("SECONDS").map(Duration::from_secs));
    let (next, outcomes) = (AtomicU64::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::SeqCst) as usize) {
                    if limit.is_some_and(|limit| began.elapsed() > limit) {
                        break;
                    }
                    let outcome = run(*seed, kind(*seed));
                    outcomes.lock().expect("no panic while held").push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("no panic while held");
    assert!(
        outcomes.len() == seeds.len() || limit.is_some(),
        "a seed has panicked"
    );
    let table = table::table(&outcomes);
    eprintln!("{table}");
    if asked("SEED").is_none() {
        let file = concat!(env!("CARGO_TARGET_TMPDIR"), "/simulation.txt");
        std::fs::write(file, &table).expect("a file");
    }
    for outcome in &outcomes {
        let wrong = &outcome.tally.wrong;
        let shown: Vec<_> = wrong.iter().take(5).collect();
        assert!(
            wrong.is_empty(),
            "SEED={}: {} wrong: {shown:#?}",
            outcome.seed,
            wrong.len()
        );
    }
}

#[test]
fn a_seed_is_a_run() {
    assert_eq!(run(7, Kind::Rotation), run(7, Kind::Rotation));
}
