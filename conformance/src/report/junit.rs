//! For continuous integration: a suite for each profile, a test for each case.
//!
//! JUnit knows no warning: a failure that does not count is a skipped test that says so.

use std::time::Duration;

use quick_junit::{NonSuccessKind, TestCase, TestCaseStatus, TestSuite};

use crate::case::Outcome;
use crate::report::{Judged, Report};

/// The whole report, as XML.
///
/// # Errors
/// If it cannot be written as XML.
pub fn render(report: &Report, strict: bool) -> anyhow::Result<String> {
    let mut out = quick_junit::Report::new(format!("conformance of {}", report.target));
    for applies in &report.profiles {
        let mut suite = TestSuite::new(applies.profile.name());
        suite.add_property(("why", applies.why.as_str()));
        let cases = report.cases.iter();
        for case in cases.filter(|case| case.profile == applies.profile) {
            suite.add_test_case(test(case, strict));
        }
        out.add_test_suite(suite);
    }
    // What went wrong outside of all cases has to be seen, too.
    let stopped = report
        .interrupted
        .then_some("the run was stopped before its end");
    if let Some(why) = report.error.as_deref().or(stopped) {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_message(why);
        let mut suite = TestSuite::new("run");
        suite.add_test_case(TestCase::new("run", status));
        out.add_test_suite(suite);
    }
    Ok(out.to_string()?)
}

fn test(case: &Judged, strict: bool) -> TestCase {
    let mut status = match case.outcome {
        Outcome::Pass => TestCaseStatus::success(),
        Outcome::Fail if case.counts(strict) => {
            TestCaseStatus::non_success(NonSuccessKind::Failure)
        }
        Outcome::Error => TestCaseStatus::non_success(NonSuccessKind::Error),
        Outcome::Fail | Outcome::Skip => TestCaseStatus::skipped(),
    };
    if case.outcome != Outcome::Pass {
        status.set_message(message(case));
        status.set_type(case.requirement.as_str());
    }
    if case.outcome == Outcome::Fail {
        status.set_description(format!("{} {}\n{}", case.level, case.text, case.link()));
    }
    let mut test = TestCase::new(case.id.as_str(), status);
    test.set_classname(case.requirement.as_str());
    test.set_time(Duration::from_millis(case.ms));
    if !case.exchange.is_empty() {
        test.set_system_out(exchange(case));
    }
    test
}

fn message(case: &Judged) -> String {
    let mut out = match (&case.expected, &case.observed) {
        (Some(expected), Some(observed)) => format!("expected {expected}; observed {observed}"),
        _ => case.reason.clone().unwrap_or_default(),
    };
    if let Some(known) = &case.known {
        out += &format!("; known: {known}");
    } else if case.outcome == Outcome::Fail {
        out = format!("{}: {out}", case.level);
    }
    out
}

fn exchange(case: &Judged) -> String {
    let mut out = String::new();
    for record in &case.exchange {
        let end = record.end.as_deref().unwrap_or("open");
        out += &format!("--- {} ({end})\n", record.peer);
        for (mark, text) in record.said() {
            for line in text.lines() {
                out += &format!("{mark} {line}\n");
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::examples;

    #[test]
    fn what_counts_fails_and_nothing_else() {
        let report = examples::report();
        let text = render(&report, false).unwrap();
        for part in [
            r#"tests="5""#,
            r#"failures="1""#,
            r#"errors="1""#,
            "R-RESUME-3: expected &lt;b&gt;&amp;; observed &quot;",
        ] {
            let part = part.replace("R-RESUME-3: ", "MUST: ");
            assert!(text.contains(&part), "{part} in {text}");
        }
        assert!(render(&report, true).unwrap().contains(r#"failures="2""#));
    }

    #[test]
    fn a_run_that_could_not_be_is_an_error() {
        let mut report = examples::report();
        report.cases.clear();
        report.error = Some("no \u{1}server".to_owned());
        let text = render(&report, false).unwrap();
        assert!(
            text.contains(r#"errors="1""#) && text.contains("no server"),
            "{text}"
        );
    }
}
