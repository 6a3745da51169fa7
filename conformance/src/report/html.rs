//! For a person with a browser: one page, without scripts, and without anything from elsewhere.

use askama::Template;

use crate::case::Outcome;
use crate::profile::{Applies, Profile};
use crate::report::compare::{Comparison, Row};
use crate::report::{Judged, Report};

/// Light and dark, as the reader has it.
const STYLE: &str = include_str!("../../templates/style.css");

/// The whole report. `spec` is where the protocol can be read: what stands before `#` in links.
///
/// # Errors
/// Only if memory is short: the template is compiled in.
pub fn render(report: &Report, strict: bool, spec: &str) -> askama::Result<String> {
    let groups = report.profiles.iter().map(|applies| Group {
        applies,
        cases: report
            .cases
            .iter()
            .filter(|case| case.profile == applies.profile)
            .map(|case| Shown::of(case, spec))
            .collect(),
    });
    Page {
        style: STYLE,
        report,
        good: report.is_good(strict),
        strict,
        bars: Bar::of(report),
        groups: groups.collect(),
    }
    .render()
}

/// Two reports side by side.
///
/// # Errors
/// Only if memory is short.
pub fn render_comparison(comparison: &Comparison<'_>, spec: &str) -> askama::Result<String> {
    let groups = Profile::ALL
        .into_iter()
        .map(|profile| Pairs {
            profile,
            rows: comparison
                .rows
                .iter()
                .filter(|row| row.case().profile == profile)
                .map(|row| Pair {
                    row,
                    link: row.case().link_in(spec),
                    marks: [row.a, row.b].map(|case| case.map(mark)),
                })
                .collect(),
        })
        .filter(|group: &Pairs<'_>| !group.rows.is_empty());
    Sides {
        style: STYLE,
        comparison,
        sides: [("A", comparison.a), ("B", comparison.b)]
            .map(|(name, report)| (name, report, Bar::of(report))),
        groups: groups.collect(),
    }
    .render()
}

#[derive(Template)]
#[template(path = "report.html")]
struct Page<'a> {
    style: &'static str,
    report: &'a Report,
    good: bool,
    strict: bool,
    bars: Vec<Bar>,
    groups: Vec<Group<'a>>,
}

#[derive(Template)]
#[template(path = "compare.html")]
struct Sides<'a> {
    style: &'static str,
    comparison: &'a Comparison<'a>,
    sides: [(&'static str, &'a Report, Vec<Bar>); 2],
    groups: Vec<Pairs<'a>>,
}

impl Page<'_> {
    fn any_open(&self) -> bool {
        let mut cases = self.groups.iter().flat_map(|group| &group.cases);
        cases.any(|shown| shown.open)
    }
}

/// A word as it is shown, and its colour.
#[derive(Clone, Copy)]
struct Mark {
    word: &'static str,
    class: &'static str,
}

fn mark(case: &Judged) -> Mark {
    let word = case.word();
    let class = match word {
        "PASS" => "pass",
        "FAIL" | "ERROR" => "fail",
        "SKIP" => "skip",
        _ => "warn",
    };
    Mark { word, class }
}

/// How many cases have a word.
struct Bar {
    mark: Mark,
    count: usize,
}

impl Bar {
    /// Those that a report has, the good ones first.
    fn of(report: &Report) -> Vec<Self> {
        let mut out: Vec<Self> = Vec::new();
        for word in ["PASS", "WARN", "KNOWN", "FAIL", "ERROR", "SKIP"] {
            let mut with = report.cases.iter().filter(|case| case.word() == word);
            if let Some(first) = with.next() {
                out.push(Self {
                    mark: mark(first),
                    count: 1 + with.count(),
                });
            }
        }
        out
    }
}

/// A profile, and its cases.
struct Group<'a> {
    applies: &'a Applies,
    cases: Vec<Shown<'a>>,
}

struct Shown<'a> {
    case: &'a Judged,
    mark: Mark,
    link: String,
    /// Seconds, if it took a while.
    took: Option<u64>,
    /// What a reader wants to see at once.
    open: bool,
}

impl<'a> Shown<'a> {
    fn of(case: &'a Judged, spec: &str) -> Self {
        Self {
            case,
            mark: mark(case),
            link: case.link_in(spec),
            took: (case.ms >= 1000).then_some(case.ms / 1000),
            open: matches!(case.outcome, Outcome::Fail | Outcome::Error),
        }
    }
}

struct Pairs<'a> {
    profile: Profile,
    rows: Vec<Pair<'a>>,
}

struct Pair<'a> {
    row: &'a Row<'a>,
    link: String,
    marks: [Option<Mark>; 2],
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn everything_is_escaped_and_nothing_comes_from_elsewhere() {
        let mut report = examples::report();
        report.target = "http://x/\"><script>alert(1)</script>".to_owned();
        let text = render(&report, false, "https://spec.example/protocol.md").unwrap();
        assert!(
            !text.contains("<script") && !text.contains("<b>&;"),
            "{text}"
        );
        assert!(text.contains("https://spec.example/protocol.md#resume"));
        for elsewhere in ["src=", "@import", "url(", "<link"] {
            assert!(!text.contains(elsewhere), "{elsewhere}");
        }
        // Each case, and of the failed one what was said.
        for case in &report.cases {
            assert!(text.contains(&case.id), "{}", case.id);
        }
        assert!(text.contains("Resume-Offset: 12"), "{text}");
        // Whoever reads it finds what has failed at the top, and nothing else there.
        assert!(text.contains(r##"href="#resume/fails""##), "{text}");
        assert!(!text.contains(r##"href="#resume/passes""##), "{text}");
    }

    #[test]
    fn two_reports_stand_side_by_side() {
        let (a, b) = (examples::report(), examples::better());
        let text = render_comparison(&Comparison::new(&a, &b, false), "spec").unwrap();
        assert!(
            text.contains("resume/fails") && text.contains("spec#resume"),
            "{text}"
        );
    }
}
