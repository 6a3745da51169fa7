//! What came of it, in a table.

use icecast_ext_tests::cutter::{Cut, Next};
use icecast_ext_tests::truth::Verdict;

use crate::plan::{CUTS, Kind, kind};

/// A line of the matrix.
pub(crate) struct Line {
    pub(crate) name: String,
    pub(crate) cuts: Vec<Cut>,
    pub(crate) moves: u64,
    pub(crate) bytes: usize,
    pub(crate) verdict: Verdict,
    pub(crate) losses: usize,
}

impl Line {
    /// # Panics
    /// If anything was lost, repeated or wrong, or hardly anybody moved.
    pub(crate) fn check(&self) {
        assert!(
            self.verdict.is_exact() && self.losses == 0,
            "{}: {:?}, {} losses told",
            self.name,
            self.verdict,
            self.losses
        );
        let moved = self
            .cuts
            .iter()
            .filter(|cut| cut.plan.next == Next::Move)
            .count();
        assert!(
            // Both of two answers may be cut as was planned for one.
            moved >= CUTS * 2 / 5 && self.moves as usize >= moved / 2,
            "{}: {} moves",
            self.name,
            self.moves
        );
    }
}

/// Cuts by kind, `stayed+moved`, and what they cost.
pub(crate) fn matrix(lines: &[Line]) -> String {
    const KINDS: [Kind; 5] = [Kind::Fin, Kind::Reset, Kind::Head, Kind::Block, Kind::Stall];
    let mut out = String::from("\ncuts, stayed+moved:\n");
    let heads = ["FIN", "RST", "mid-head", "mid-ICY", "stall"];
    out.push_str(&format!("{:<12}", "format"));
    for head in heads {
        out.push_str(&format!("{head:>10}"));
    }
    out.push_str("     moves       bytes  lost  repeated  wrong\n");
    for line in lines {
        out.push_str(&format!("{:<12}", line.name));
        for column in KINDS {
            let of = |next| {
                line.cuts
                    .iter()
                    .filter(|cut| kind(cut) == column && cut.plan.next == next)
                    .count()
            };
            let cell = format!("{}+{}", of(Next::Stay), of(Next::Move));
            out.push_str(&format!("{cell:>10}"));
        }
        let Verdict {
            lost,
            repeated,
            wrong,
        } = line.verdict;
        let (moves, bytes) = (line.moves, line.bytes);
        out.push_str(&format!(
            "{moves:>10}{bytes:>12}{lost:>6}{repeated:>10}{wrong:>7}\n"
        ));
    }
    out
}
