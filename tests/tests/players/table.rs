//! The table that the docs show.

use icecast_ext_tests::cutter::How;

use crate::trial::Line;

const DOCS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/players.md");
const BEGIN: &str = "<!-- players:begin -->";
const END: &str = "<!-- players:end -->";

/// In Markdown.
pub(crate) fn table(lines: &[Line]) -> String {
    let mut out = String::from(
        "| Player | Version | Level | Titles | Cuts | Outcome |\n|---|---|---|---|---|---|\n",
    );
    for line in lines {
        let of = |how| {
            let cuts = line.cuts.iter();
            cuts.filter(|cut| cut.plan.how == how).count()
        };
        out.push_str(&format!(
            "| {} | {} | {} | {} | {} FIN, {} RST, {} | {} |\n",
            line.case.family.name,
            line.version,
            line.case.level.name(),
            if line.case.icy { "yes" } else { "no" },
            of(How::Fin),
            of(How::Reset),
            line.besides,
            line.outcome
        ));
    }
    out
}

/// Player, level, titles and outcome of each row. Versions differ from machine to machine.
pub(crate) fn essence(table: &str) -> Vec<Vec<String>> {
    let rows = table.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let picked = [0, 2, 3, 5].iter().filter_map(|&i| cells.get(i));
        picked.map(|cell| (*cell).to_owned()).collect()
    })
    .collect()
}

/// What the docs show now.
pub(crate) fn shown() -> String {
    let docs = std::fs::read_to_string(DOCS).expect("docs/players.md");
    let shown = docs
        .split_once(BEGIN)
        .and_then(|(_, rest)| rest.split_once(END));
    let (table, _) = shown.unwrap_or_else(|| panic!("no {BEGIN} … {END} in docs/players.md"));
    table.to_owned()
}
