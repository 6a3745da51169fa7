//! Tables, for the terminal and for BENCHMARKS.md.

use std::fmt::Write as _;

use crate::figures::{Figures, Quantiles};
use crate::goals;
use crate::results::{Measured, Results, Shown};

/// What was tried, by hand.
const NOTES: &str = include_str!("../notes.md");

/// One run, as it ends.
pub(crate) fn line(scenario: &str, label: &str, figures: &Figures) -> String {
    let mut text = format!(
        "{scenario:12} {label:26} {:6.1} %/1k  {:5.2} KiB each  newest {:4.0}/{:4.0} ms",
        figures.percent(),
        figures.rss_each,
        figures.newest.p50,
        figures.newest.p99,
    );
    for (count, what) in [
        (figures.refused, "refused"),
        (figures.dropped, "dropped"),
        (figures.wrong, "WRONG"),
        (figures.sources_lost, "sources lost"),
    ] {
        if count > 0 {
            let _ = write!(text, "  {count} {what}");
        }
    }
    if let Some(sample) = &figures.sample {
        let _ = write!(text, " ({sample})");
    }
    text
}

const COLUMNS: [&str; 11] = [
    "",
    "CPU, % of a core per 1000",
    "CPU-s/GB, ratio",
    "of it",
    "CPU-s/GB",
    "sends/s each",
    "RSS KiB each, without buffer",
    "oldest byte ms p50 / p99",
    "newest byte ms p50 / p99",
    "first byte ms p50 / p99",
    "refused / dropped / wrong",
];

fn cells(shown: &Shown, reference: Option<&Figures>) -> Vec<String> {
    let Some(run) = shown.middle() else {
        let why = shown.left_out.clone().unwrap_or_else(|| "-".to_owned());
        return vec![shown.label.clone(), why];
    };
    let two = |q: Quantiles| format!("{} / {}", short(q.p50), short(q.p99));
    let ratio = reference.map_or(1.0, |first| run.per_gigabyte() / first.per_gigabyte());
    let shares: Vec<String> = run
        .shares
        .iter()
        .map(|share| format!("{} {:.3}", share.name, share.cores))
        .collect();
    vec![
        shown.label.clone(),
        format!("{:.2}", run.percent()),
        format!("{ratio:.2}"),
        format!("{} cores", shares.join(", ")),
        format!("{:.2}", run.per_gigabyte()),
        format!("{:.1}", run.sends),
        format!("{:.2}", run.rss_each),
        two(run.oldest),
        two(run.newest),
        two(run.first_byte),
        format!("{} / {} / {}", run.refused, run.dropped, run.wrong),
    ]
}

fn short(ms: f64) -> String {
    match ms {
        ms if ms < 10.0 => format!("{ms:.2}"),
        ms => format!("{ms:.0}"),
    }
}

fn rows(scenario: &Measured) -> Vec<Vec<String>> {
    let first = scenario.contenders.first().and_then(Shown::middle);
    let each = scenario.contenders.iter();
    each.map(|shown| cells(shown, first.as_ref())).collect()
}

/// All of it, as a text of aligned columns.
pub(crate) fn terminal(results: &Results) -> String {
    let mut out = String::new();
    for scenario in &results.scenarios {
        let _ = writeln!(out, "\n{}: {}", scenario.name, scenario.title);
        let mut table = vec![COLUMNS.map(str::to_owned).to_vec()];
        table.extend(rows(scenario));
        let shown = [0, 1, 2, 5, 6, 8, 9, 10];
        let width = |column: usize| {
            let cells = table.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for row in &table {
            for column in shown {
                let cell = row.get(column).map_or("", String::as_str);
                let _ = write!(out, "{cell:<width$}  ", width = width(column));
            }
            out.truncate(out.trim_end().len());
            out.push('\n');
        }
    }
    let _ = writeln!(out, "\nGoals");
    for goal in goals::all(results) {
        let _ = writeln!(out, "  {:7} {}: {}", goal.verdict(), goal.what, goal.found);
    }
    out
}

/// BENCHMARKS.md
pub(crate) fn markdown(results: &Results, picture: &str) -> String {
    let conditions = &results.conditions;
    let mut out = format!(
        "# Benchmarks\n\n\
         Made by `cargo run --release -p icecast-ext-bench -- --publish --rounds {} --seconds {}` (see [bench/](bench/README.md)); do not edit.\n\n\
         Absolute figures are this machine's. **Ratios count**: in each scenario the contenders took turns, round by round, under \
         the same load, and every byte that a listener got was checked against its place in the stream. CPU is what `/proc` \
         says of the servers alone; on loopback `send` also pays for the receiver's half of TCP.\n\n",
        conditions.rounds, conditions.seconds
    );
    let _ = writeln!(
        out,
        "Conditions: {} cores ({}), Linux {}, {}; {} rounds of {} s, the middle one counts; limit of open files {}.{}\n",
        conditions.cores,
        conditions.processor,
        conditions.kernel,
        conditions.versions.join(", "),
        conditions.rounds,
        conditions.seconds,
        conditions.descriptors,
        if conditions.small {
            " **A small run: its figures mean little.**"
        } else {
            ""
        }
    );
    let _ = write!(
        out,
        "![CPU per 1000 listeners, by how many there are]({picture})\n\n## Goals\n\n| Goal | Found | |\n|---|---|---|\n"
    );
    for goal in goals::all(results) {
        let _ = writeln!(
            out,
            "| {} | {} | {} |",
            goal.what,
            goal.found,
            goal.verdict()
        );
    }
    for scenario in &results.scenarios {
        let _ = writeln!(out, "\n## {}: {}\n", scenario.name, scenario.title);
        let _ = writeln!(out, "| {} |", COLUMNS.join(" | "));
        let _ = writeln!(out, "|{}", "---|".repeat(COLUMNS.len()));
        for mut row in rows(scenario) {
            row.resize(COLUMNS.len(), String::new());
            let _ = writeln!(out, "| {} |", row.join(" | "));
        }
    }
    let _ = write!(out, "\n{NOTES}");
    out
}
