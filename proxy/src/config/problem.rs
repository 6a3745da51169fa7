//! What is wrong with a configuration: where, which option, and what to do.

use std::collections::HashMap;
use std::path::PathBuf;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// Where it was given.
    pub place: Place,
    /// `window`, `limits.mounts`, `mount."/live.mp3".burst` …; empty if it concerns the file.
    pub option: String,
    /// What is wrong, as a predicate: "is 0".
    pub what: String,
    /// What to do.
    pub remedy: String,
}

/// Where an option was given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Place {
    /// Nowhere: it is missing, or a default.
    #[default]
    Nowhere,
    /// A flag, or its environment variable.
    Flag(String),
    /// A line, from 1.
    Line(PathBuf, usize),
    /// A file that cannot be read.
    File(PathBuf),
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Place::Line(file, line) => write!(f, "{}:{line}: {}", file.display(), self.option)?,
            Place::File(file) => write!(f, "{}{}", file.display(), self.option)?,
            Place::Flag(flag) => f.write_str(flag)?,
            Place::Nowhere => f.write_str(&self.option)?,
        }
        if !self.what.is_empty() {
            if !(self.option.is_empty() && matches!(self.place, Place::Nowhere)) {
                f.write_str(" ")?;
            }
            f.write_str(&self.what)?;
        }
        if self.remedy.is_empty() {
            return Ok(());
        }
        write!(f, ": {}", self.remedy)
    }
}

/// All that is wrong; at least one.
#[derive(Debug, Clone, Default)]
pub struct Problems(pub Vec<Problem>);

impl std::fmt::Display for Problems {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let [only] = self.0.as_slice() {
            return only.fmt(f);
        }
        write!(f, "{} problems in the configuration:", self.0.len())?;
        for problem in &self.0 {
            write!(f, "\n  {problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

/// Where each option was given.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    pub(super) file: Option<PathBuf>,
    /// By path.
    pub(super) lines: HashMap<String, usize>,
    /// Names given as flags.
    pub(super) flags: Vec<String>,
}

impl Places {
    /// Of an option, or of the table that it would stand in.
    pub(super) fn of(&self, path: &str) -> Place {
        if self.flags.iter().any(|flag| flag == path) {
            let flag = if path == "relays" { "relay" } else { path };
            return Place::Flag(format!("--{flag}"));
        }
        let Some(file) = &self.file else {
            return Place::Nowhere;
        };
        let mut at = path;
        loop {
            if let Some(line) = self.lines.get(at) {
                return Place::Line(file.clone(), *line);
            }
            match at.rfind('.') {
                Some(dot) => at = &at[..dot],
                None => return Place::Nowhere,
            }
        }
    }
}

/// Collects problems and what is merely odd.
#[derive(Debug, Default)]
pub(super) struct Findings {
    pub(super) places: Places,
    pub(super) problems: Vec<Problem>,
    pub(super) warnings: Vec<Problem>,
}

impl Findings {
    fn make(&self, option: &str, what: impl Into<String>, remedy: impl Into<String>) -> Problem {
        Problem {
            place: self.places.of(option),
            option: option.to_owned(),
            what: what.into(),
            remedy: remedy.into(),
        }
    }

    pub(super) fn problem(
        &mut self,
        option: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let problem = self.make(option, what, remedy);
        self.problems.push(problem);
    }

    pub(super) fn warn(
        &mut self,
        option: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let warning = self.make(option, what, remedy);
        self.warnings.push(warning);
    }
}
