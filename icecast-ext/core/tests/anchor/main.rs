//! Content anchors, tried on stations that repeat themselves: never wrong, and right wherever that can be known.

mod aliases;
mod answers;
mod properties;
mod station;
mod world;

use station::Station;
use world::{Plan, Tally, run};

fn small(station: Station, seed: u64) -> Plan {
    Plan {
        station,
        seed,
        rate: 4_000,
        variable: seed % 2 == 1,
        seconds: 300,
        window: [90, 300][seed as usize % 2],
        clients: 3,
        beyond: 0,
    }
}

#[test]
fn no_station_makes_it_wrong() {
    for station in Station::ALL {
        let mut tally = Tally::default();
        for seed in 0..2 {
            tally.add(&run(small(station, seed)));
        }
        println!("{station:32} {tally:?}");
        assert!(tally.trials > 1_000, "{station}: {} trials", tally.trials);
        assert_eq!(tally.wrong, 0, "{station}");
        match station {
            Station::ShortLoop | Station::Silent => assert_eq!(tally.right, 0, "{station}"),
            Station::Live => assert!(
                tally.minute.0 * 100 > tally.minute.1 * 80,
                "{:?}",
                tally.minute
            ),
            _ => assert!(tally.right > 0, "{station}"),
        }
    }
}

/// `TRIALS=3000000 cargo test --release -p icecast-ext-core --test anchor -- --ignored --nocapture`
#[test]
#[ignore = "takes minutes: a long run of its own, for the table"]
fn a_long_run_is_never_wrong() {
    let least: u64 = std::env::var("TRIALS").map_or(1_000_000, |n| n.parse().unwrap());
    let share = least / Station::ALL.len() as u64 + 1;
    let (mut trials, mut wrong) = (0, 0);
    println!("| Station | trials | wrong | right | right, with a minute | held first | missed |");
    println!("|---|---|---|---|---|---|---|");
    for station in Station::ALL {
        for beyond in [0, 60] {
            let mut tally = Tally::default();
            let mut seed = 1_000;
            while tally.trials < if beyond == 0 { share } else { share / 5 } {
                tally.add(&run(Plan {
                    station,
                    seed,
                    rate: [16_000, 16_000, 6_000, 40_000][seed as usize % 4],
                    variable: seed % 3 == 2,
                    seconds: 2_400,
                    window: [120, 600, 1_800][seed as usize % 3],
                    clients: 12,
                    beyond,
                }));
                seed += 1;
            }
            print(station, beyond, &tally);
            if beyond == 0 {
                trials += tally.trials;
                wrong += tally.wrong;
            }
        }
    }
    println!("{trials} trials within the bound, {wrong} wrong");
    assert_eq!(wrong, 0);
}

fn print(station: Station, beyond: usize, tally: &Tally) {
    let after = if beyond > 0 {
        format!(", clock off by up to {beyond} s more")
    } else {
        String::new()
    };
    let missed: Vec<_> = tally
        .missed
        .iter()
        .map(|(why, times)| format!("{why} {times}"))
        .collect();
    println!(
        "| {station}{after} | {} | {} | {:.1} % | {:.1} % | {} | {} |",
        tally.trials,
        tally.wrong,
        100.0 * tally.share(),
        100.0 * tally.minute.0 as f64 / tally.minute.1.max(1) as f64,
        tally.held,
        missed.join(", "),
    );
}
