//! Two reports side by side, case by case.

use std::fmt::Write as _;

use crate::case::Outcome;
use crate::profile::Profile;
use crate::report::console::Paint;
use crate::report::{Judged, Report};

/// A case, as the two reports have it.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// In the first.
    pub a: Option<&'a Judged>,
    /// In the second.
    pub b: Option<&'a Judged>,
    either: &'a Judged,
}

impl<'a> Row<'a> {
    /// What both say of it: id, requirement, what it does.
    #[must_use]
    pub fn case(&self) -> &'a Judged {
        self.either
    }

    /// Whether the two do not end alike.
    #[must_use]
    pub fn differs(&self) -> bool {
        self.a.map(Judged::word) != self.b.map(Judged::word)
    }

    fn is_worse(&self, strict: bool) -> bool {
        self.a.is_some_and(|case| case.outcome == Outcome::Pass)
            && self.b.is_some_and(|case| case.counts(strict))
    }
}

/// Two reports.
#[derive(Clone, Debug)]
pub struct Comparison<'a> {
    /// The first.
    pub a: &'a Report,
    /// The second.
    pub b: &'a Report,
    /// The cases of both: those of the first, then what only the second has.
    pub rows: Vec<Row<'a>>,
    strict: bool,
}

impl<'a> Comparison<'a> {
    /// Of two reports. With `strict`, a SHOULD that is not met counts as a failure.
    #[must_use]
    pub fn new(a: &'a Report, b: &'a Report, strict: bool) -> Self {
        let of_a = a.cases.iter().map(|case| Row {
            a: Some(case),
            b: b.case(&case.id),
            either: case,
        });
        let only_b = b.cases.iter().filter(|case| a.case(&case.id).is_none());
        let of_b = only_b.map(|case| Row {
            a: None,
            b: Some(case),
            either: case,
        });
        let rows = of_a.chain(of_b).collect();
        Self { a, b, rows, strict }
    }

    /// How many cases do not end alike.
    #[must_use]
    pub fn differences(&self) -> usize {
        self.rows.iter().filter(|row| row.differs()).count()
    }

    /// How many the second fails, so that it counts, and the first passes.
    #[must_use]
    pub fn worse(&self) -> usize {
        self.rows
            .iter()
            .filter(|row| row.is_worse(self.strict))
            .count()
    }

    /// For a terminal.
    #[must_use]
    pub fn render(&self, paint: Paint) -> String {
        let mut out = String::new();
        // Writing to a String cannot fail.
        let _ = self.write(&mut out, paint);
        out
    }

    fn write(&self, out: &mut String, paint: Paint) -> std::fmt::Result {
        writeln!(out, "A  {}\nB  {}", self.a.target, self.b.target)?;
        for profile in Profile::ALL {
            let of = |row: &&Row<'_>| row.case().profile == profile;
            if !self.rows.iter().any(|row| of(&row)) {
                continue;
            }
            writeln!(
                out,
                "\n{:4}A     B     {}",
                "",
                paint.with("1", profile.name())
            )?;
            for row in self.rows.iter().filter(of) {
                let shown = |case: Option<&Judged>| match case {
                    Some(case) => paint.outcome(case),
                    None => format!("{:5}", "-"),
                };
                let (mark, case) = (if row.differs() { "*" } else { " " }, row.case());
                writeln!(
                    out,
                    "  {mark} {} {} {:34} {:11} {}",
                    shown(row.a),
                    shown(row.b),
                    case.id,
                    case.requirement,
                    case.does
                )?;
            }
        }
        writeln!(
            out,
            "\n{} cases, {} do not end alike, {} pass at A and fail at B",
            self.rows.len(),
            self.differences(),
            self.worse()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn what_differs_is_seen_from_both_sides() {
        let (a, b) = (examples::report(), examples::better());
        let there = Comparison::new(&a, &b, false);
        assert_eq!(
            (there.rows.len(), there.differences(), there.worse()),
            (5, 2, 0)
        );
        let back = Comparison::new(&b, &a, false);
        assert_eq!(
            (back.rows.len(), back.differences(), back.worse()),
            (5, 2, 1)
        );
        let text = there.render(Paint(false));
        assert!(text.contains("* FAIL  PASS  resume/fails"), "{text}");
        assert!(text.contains("* SKIP  -     resume/skips"), "{text}");
    }
}
