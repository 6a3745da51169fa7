//! For a person at a terminal.

use std::fmt::Write as _;

use crate::case::Outcome;
use crate::profile::Profile;
use crate::report::{Judged, Report};

/// Colours, if the terminal has them.
#[derive(Clone, Copy, Debug)]
pub struct Paint(pub bool);

impl Paint {
    pub(super) fn with(self, code: &str, text: &str) -> String {
        match self.0 {
            true => format!("\x1b[{code}m{text}\x1b[0m"),
            false => text.to_owned(),
        }
    }

    /// A case's word, in its colour and five columns.
    pub(super) fn outcome(self, case: &Judged) -> String {
        let word = case.word();
        let code = match word {
            "PASS" => "32",
            "FAIL" | "ERROR" => "31;1",
            "SKIP" => "2",
            _ => "33",
        };
        self.with(code, &format!("{word:5}"))
    }
}

/// The whole report.
#[must_use]
pub fn render(report: &Report, paint: Paint, strict: bool) -> String {
    let mut out = String::new();
    // Writing to a String cannot fail.
    let _ = write(&mut out, report, paint, strict);
    out
}

fn write(out: &mut String, report: &Report, paint: Paint, strict: bool) -> std::fmt::Result {
    for profile in Profile::ALL {
        let Some(applies) = report.profiles.iter().find(|one| one.profile == profile) else {
            continue;
        };
        let title = format!("{}: {}", profile.name(), profile.does());
        writeln!(out, "\n{}", paint.with("1", &title))?;
        if !applies.applies {
            writeln!(out, "  {} {}", paint.with("2", "not run:"), applies.why)?;
            continue;
        }
        for case in report.cases.iter().filter(|case| case.profile == profile) {
            one(out, case, paint)?;
        }
    }
    writeln!(out)?;
    if let Some(error) = &report.error {
        writeln!(out, "{} {error}", paint.with("31;1", "ERROR"))?;
    }
    if report.interrupted {
        writeln!(
            out,
            "{}",
            paint.with("33", "The run was stopped before its end.")
        )?;
    }
    let counts = Outcome::ALL.map(|outcome| {
        format!(
            "{} {}",
            report.count(outcome),
            outcome.word().to_lowercase()
        )
    });
    let verdict = match report.is_good(strict) {
        true => paint.with("32;1", "good"),
        false => paint.with("31;1", "not good"),
    };
    writeln!(out, "{}: {verdict} ({})", report.target, counts.join(", "))
}

fn one(out: &mut String, case: &Judged, paint: Paint) -> std::fmt::Result {
    let seconds = if case.ms >= 3000 {
        format!(" ({} s)", case.ms / 1000)
    } else {
        String::new()
    };
    writeln!(
        out,
        "  {} {:34} {:11} {}{seconds}",
        paint.outcome(case),
        case.id,
        case.requirement,
        case.does
    )?;
    for (name, text) in [
        ("expected", &case.expected),
        ("observed", &case.observed),
        ("why", &case.reason),
        ("known", &case.known),
    ] {
        if let Some(text) = text {
            writeln!(out, "        {}: {text}", paint.with("2", name))?;
        }
    }
    if case.outcome == Outcome::Fail {
        writeln!(out, "        {} {}", case.level, case.text)?;
        writeln!(out, "        {}", paint.with("4", &case.link()))?;
        // The last two connections say most of it; reports in files have more.
        for record in case.exchange.iter().rev().take(2).rev() {
            writeln!(
                out,
                "        {}",
                paint.with("2", &format!("--- {}", record.peer))
            )?;
            for (mark, text) in record.said() {
                for line in text.lines().take(14) {
                    let line: String = line.chars().take(120).collect();
                    writeln!(out, "        {mark} {line}")?;
                }
            }
            if let Some(end) = &record.end {
                writeln!(out, "        {end}")?;
            }
        }
    }
    Ok(())
}
