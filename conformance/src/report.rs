//! What a run has found.

pub mod compare;
pub mod console;
#[cfg(test)]
mod examples;
pub mod html;
pub mod junit;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use icecast_ext_spec::{Level, requirements};
use serde::{Deserialize, Serialize};

use crate::case::{Case, Outcome};
use crate::exchange::Record;
use crate::profile::{Applies, Profile};

/// Where the protocol can be read.
pub const SPEC: &str = "spec/protocol.md";

/// A run, as JSON and all other reports have it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Report {
    /// The version of the suite.
    pub suite: String,
    /// What was judged.
    pub target: String,
    /// Which profiles ran, and why.
    pub profiles: Vec<Applies>,
    /// Whether the run was stopped before its end.
    pub interrupted: bool,
    /// Why nothing could be judged, if so.
    pub error: Option<String>,
    /// The cases, in the order of the list.
    pub cases: Vec<Judged>,
}

/// A case, and what became of it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Judged {
    /// `<profile>/<what>`
    pub id: String,
    /// Its profile.
    pub profile: Profile,
    /// The sentence that it judges.
    pub requirement: String,
    /// `MUST`, `SHOULD` or `MAY`.
    pub level: String,
    /// The heading under which the sentence stands, as a link's fragment.
    pub anchor: String,
    /// The sentence.
    pub text: String,
    /// What the suite did.
    pub does: String,
    /// How it ended.
    pub outcome: Outcome,
    /// What the requirement asks for, of a failure.
    pub expected: Option<String>,
    /// What came instead.
    pub observed: Option<String>,
    /// Why it was skipped, or what went wrong.
    pub reason: Option<String>,
    /// Why the failure is known.
    pub known: Option<String>,
    /// How long it took.
    pub ms: u64,
    /// What was said, of failures and errors.
    pub exchange: Vec<Record>,
}

impl Judged {
    /// A case that has not run.
    #[must_use]
    pub fn of<S>(case: &Case<S>, sentences: &Sentences) -> Self {
        let sentence = sentences.get(case.requirement);
        let text =
            |read: fn(&icecast_ext_spec::Requirement) -> &str| sentence.map_or("", read).to_owned();
        Self {
            id: case.id.to_owned(),
            profile: case.profile(),
            requirement: case.requirement.to_owned(),
            level: sentence
                .map_or("", |sentence| sentence.level.word())
                .to_owned(),
            anchor: text(|sentence| &sentence.anchor),
            text: text(|sentence| &sentence.text),
            does: case.does.to_owned(),
            outcome: Outcome::Skip,
            expected: None,
            observed: None,
            reason: Some("the run was stopped before".to_owned()),
            known: None,
            ms: 0,
            exchange: Vec::new(),
        }
    }

    /// Whether it is a failure that nobody has excused: of a MUST, or with `strict` of a SHOULD.
    #[must_use]
    pub fn counts(&self, strict: bool) -> bool {
        let binding = strict || self.level == Level::Must.word();
        self.outcome == Outcome::Fail && self.known.is_none() && binding
    }

    /// How it ended, in a word: also `WARN` for a failure that is no breach of a MUST, and `KNOWN` for one that is excused.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match (self.outcome, &self.known) {
            (Outcome::Fail, Some(_)) => "KNOWN",
            (Outcome::Fail, None) if self.level != Level::Must.word() => "WARN",
            (other, _) => other.word(),
        }
    }

    /// Where its sentence stands.
    #[must_use]
    pub fn link(&self) -> String {
        self.link_in(SPEC)
    }

    /// The same, if the protocol is somewhere else. The C interface is not in it.
    #[must_use]
    pub fn link_in(&self, spec: &str) -> String {
        match self.profile {
            Profile::Abi => crate::abi::HEADER.to_owned(),
            _ => format!("{spec}#{}", self.anchor),
        }
    }
}

/// Requirements by id.
pub type Sentences = BTreeMap<String, icecast_ext_spec::Requirement>;

/// All requirements of the protocol.
#[must_use]
pub fn sentences() -> Sentences {
    // The tests of the specification read the same text.
    let all = requirements().unwrap_or_default();
    all.into_iter()
        .map(|sentence| (sentence.id.clone(), sentence))
        .collect()
}

impl Report {
    /// Whether nothing failed that counts, nothing went wrong, and the run came to its end.
    #[must_use]
    pub fn is_good(&self, strict: bool) -> bool {
        let bad = |case: &Judged| case.counts(strict) || case.outcome == Outcome::Error;
        self.error.is_none() && !self.interrupted && !self.cases.iter().any(bad)
    }

    /// How many cases ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.cases
            .iter()
            .filter(|case| case.outcome == outcome)
            .count()
    }

    /// The case of an id.
    #[must_use]
    pub fn case(&self, id: &str) -> Option<&Judged> {
        self.cases.iter().find(|case| case.id == id)
    }

    /// As JSON.
    ///
    /// # Errors
    /// Never, of a report that was made here.
    pub fn json(&self) -> serde_json::Result<String> {
        serde_json::to_string_pretty(self)
    }

    /// Reads what [`Report::json`] has made.
    ///
    /// # Errors
    /// If the file cannot be read or is of another form.
    pub fn read(file: &Path) -> io::Result<Self> {
        Ok(serde_json::from_slice(&std::fs::read(file)?)?)
    }
}
