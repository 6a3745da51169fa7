//! What came of the seeds, in a table.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::content::Kind;
use crate::ear::{By, Tally};
use crate::world::Outcome;

#[derive(Default)]
struct Line {
    seeds: u64,
    tally: Tally,
    kills: u64,
    partitions: u64,
    resets: u64,
    held: u64,
}

/// A line for each kind of content.
pub(crate) fn table(outcomes: &[Outcome]) -> String {
    let mut lines: BTreeMap<Kind, Line> = BTreeMap::new();
    for outcome in outcomes {
        let line = lines.entry(outcome.kind).or_default();
        line.seeds += 1;
        line.tally.add(&outcome.tally);
        line.kills += outcome.kills;
        line.partitions += outcome.partitions;
        line.resets += outcome.resets;
        line.held += outcome.held;
    }
    let mut out = String::from(
        "\nsimulated, 30 relays and 200 listeners each (moves to another relay + returns to the same):\n\
         content   seeds  kills  parts resets      moves    by offset   by anchor      spliced   told lost   held     MB  missing MB  wrong\n",
    );
    for (kind, line) in &lines {
        let Tally {
            moves,
            returns,
            bytes,
            missing,
            wrong,
        } = &line.tally;
        let of = |by| {
            let count = |map: &BTreeMap<By, u64>| map.get(&by).copied().unwrap_or(0);
            format!("{}+{}", count(moves), count(returns))
        };
        let all = format!(
            "{}+{}",
            moves.values().sum::<u64>(),
            returns.values().sum::<u64>()
        );
        let _ = writeln!(
            out,
            "{:<9}{:>6}{:>7}{:>7}{:>7}{all:>13}{:>13}{:>12}{:>13}{:>12}{:>7}{:>7}{:>12.1}{:>7}",
            format!("{kind:?}"),
            line.seeds,
            line.kills,
            line.partitions,
            line.resets,
            of(By::Offset),
            of(By::Anchor),
            of(By::Splice),
            of(By::Loss),
            line.held,
            bytes / 1_000_000,
            *missing as f64 / 1e6,
            wrong.len(),
        );
    }
    out
}
