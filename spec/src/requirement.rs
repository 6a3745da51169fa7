//! `requirements.toml`: every normative sentence with its id.

use serde::Deserialize;

use crate::SpecError;

/// How much a requirement asks (BCP 14).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Level {
    /// MUST, MUST NOT
    Must,
    /// SHOULD, SHOULD NOT
    Should,
    /// MAY
    May,
}

impl Level {
    /// The key word, as it stands in the sentence.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Must => "MUST",
            Self::Should => "SHOULD",
            Self::May => "MAY",
        }
    }

    /// All levels, the strongest first.
    pub const ALL: [Self; 3] = [Self::Must, Self::Should, Self::May];
}

/// A normative sentence of `protocol.md`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Requirement {
    /// `R-<CHAPTER>-<n>`; never reused, never renumbered.
    pub id: String,
    /// What its key word says.
    pub level: Level,
    /// The heading under which it stands, as a link's fragment.
    pub anchor: String,
    /// The sentence.
    pub text: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    requirement: Vec<Requirement>,
}

/// All requirements, in the order of the file.
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn requirements() -> Result<Vec<Requirement>, SpecError> {
    let file: File = toml::from_str(include_str!("../requirements.toml"))?;
    Ok(file.requirement)
}
