//! What came of it, in a table.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use icecast_ext_tests::encoder::Format;
use icecast_ext_tests::truth::Verdict;

use crate::faults::Faults;
use crate::mover::{By, Heard};

/// All clients of a format.
#[derive(Debug, Default)]
struct Line {
    moves: BTreeMap<By, u64>,
    returns: BTreeMap<By, u64>,
    waited: u64,
    longest: Duration,
    bytes: usize,
    verdict: Verdict,
}

/// A line for each format.
#[derive(Debug)]
pub(crate) struct Table {
    faults: Faults,
    lines: BTreeMap<Format, Line>,
    reasons: BTreeMap<String, u64>,
}

impl Table {
    pub(crate) fn new(faults: Faults) -> Self {
        Self {
            faults,
            lines: BTreeMap::new(),
            reasons: BTreeMap::new(),
        }
    }

    /// Another client.
    pub(crate) fn add(&mut self, format: Format, heard: &Heard, verdict: &Verdict) {
        let line = self.lines.entry(format).or_default();
        let add = |to: &mut BTreeMap<By, u64>, from: &BTreeMap<By, u64>| {
            from.iter()
                .for_each(|(by, n)| *to.entry(*by).or_default() += n);
        };
        add(&mut line.moves, &heard.moves);
        add(&mut line.returns, &heard.returns);
        line.waited += heard.waited;
        line.longest = line.longest.max(heard.longest);
        line.bytes += heard.len();
        line.verdict.lost += verdict.lost;
        line.verdict.repeated += verdict.repeated;
        line.verdict.wrong += verdict.wrong;
        for (why, n) in &heard.reasons {
            *self.reasons.entry(why.clone()).or_default() += n;
        }
    }

    fn sum(&self, of: impl Fn(&Line) -> u64) -> u64 {
        self.lines.values().map(of).sum()
    }

    fn moved(&self, by: By) -> u64 {
        self.sum(|line| line.moves.get(&by).copied().unwrap_or(0))
    }

    /// # Panics
    /// If a byte was wrong, repeated or missing without a word, or if not much was tried.
    pub(crate) fn check(&self, wanted: u64) {
        for (format, line) in &self.lines {
            assert!(line.verdict.is_exact(), "{format:?}: {:?}", line.verdict);
        }
        let moves = self.sum(|line| line.moves.values().sum());
        let (offset, anchor) = (self.moved(By::Offset), self.moved(By::Anchor));
        assert!(
            moves >= wanted && offset >= moves / 10 && anchor >= moves / 10,
            "{moves} moves, {offset} by offset, {anchor} by anchor"
        );
        // Bytes are to be moved, not to be given up with an excuse.
        assert!(
            self.moved(By::Loss) <= moves / 5,
            "{} losses",
            self.moved(By::Loss)
        );
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Faults { kills, cuts, holes } = &self.faults;
        writeln!(
            f,
            "\nmoves between four relays, the first two of one tree, the others of another; meanwhile {kills:?} kills, \
             {cuts} links cut, {holes} silent:"
        )?;
        writeln!(
            f,
            "{:<8}{:>7}{:>11}{:>11}{:>9}{:>11}{:>8}{:>10}{:>16}{:>11}{:>7}{:>10}{:>7}",
            "format",
            "moves",
            "by offset",
            "by anchor",
            "spliced",
            "told lost",
            "waited",
            "longest",
            "returns (lost)",
            "bytes",
            "lost",
            "repeated",
            "wrong"
        )?;
        for (format, line) in &self.lines {
            let moved = |by| line.moves.get(&by).copied().unwrap_or(0);
            let returns: u64 = line.returns.values().sum();
            let lost = line.returns.get(&By::Loss).copied().unwrap_or(0);
            let Verdict {
                lost: missing,
                repeated,
                wrong,
            } = line.verdict;
            writeln!(
                f,
                "{:<8}{:>7}{:>11}{:>11}{:>9}{:>11}{:>8}{:>8.1} s{:>16}{:>11}{missing:>7}{repeated:>10}{wrong:>7}",
                format!("{format:?}"),
                line.moves.values().sum::<u64>(),
                moved(By::Offset),
                moved(By::Anchor),
                moved(By::Splice),
                moved(By::Loss),
                line.waited,
                line.longest.as_secs_f64(),
                format!("{returns} ({lost})"),
                line.bytes,
            )?;
        }
        writeln!(
            f,
            "in all  {:>7}{:>11}{:>11}{:>9}{:>11}{:>8}",
            self.sum(|line| line.moves.values().sum()),
            self.moved(By::Offset),
            self.moved(By::Anchor),
            self.moved(By::Splice),
            self.moved(By::Loss),
            self.sum(|line| line.waited),
        )?;
        for (why, n) in &self.reasons {
            writeln!(f, "  {n} times: {why}")?;
        }
        Ok(())
    }
}
