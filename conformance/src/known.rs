//! Failures that are known: a file that says which, and why.
//!
//! ```toml
//! [[known]]
//! case = "resume/window"
//! reason = "rate comes with the next release"
//! ```

use std::path::Path;

use anyhow::Context as _;
use serde::Deserialize;

use crate::case::Outcome;
use crate::report::Report;

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Known {
    #[serde(default, rename = "known")]
    entries: Vec<Entry>,
}

/// A case that may fail.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    case: String,
    reason: String,
}

impl Known {
    /// Reads the file.
    ///
    /// # Errors
    /// If it is of another form, or an entry has no reason.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("{}", file.display()))?;
        let known: Self = toml::from_str(&text).with_context(|| format!("{}", file.display()))?;
        for entry in &known.entries {
            anyhow::ensure!(
                !entry.reason.trim().is_empty(),
                "{}: {} has no reason",
                file.display(),
                entry.case
            );
        }
        Ok(known)
    }

    /// Marks the failures that are known. What is wrong with the file itself: entries that match nothing, or passed.
    pub fn apply(&self, report: &mut Report, chosen: impl Fn(&str) -> bool) -> Vec<String> {
        let mut wrong = Vec::new();
        for entry in &self.entries {
            match report.cases.iter_mut().find(|case| case.id == entry.case) {
                Some(case) if case.outcome == Outcome::Fail => {
                    case.known = Some(entry.reason.clone())
                }
                Some(case) if case.outcome == Outcome::Pass => {
                    wrong.push(format!("{} passes now: take it off the list", entry.case));
                }
                Some(_) => {}
                // With --only, most of the list is not meant.
                None if chosen(&entry.case) => {
                    wrong.push(format!("{} is no case of this run", entry.case))
                }
                None => {}
            }
        }
        wrong
    }
}
