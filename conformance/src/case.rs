//! A case: one sentence of the protocol, tried on a server.

use std::future::Future;
use std::pin::Pin;

use serde::{Deserialize, Serialize};

use crate::profile::Profile;
use crate::session::Session;

/// What a case makes of a server. `Ok` is a pass.
pub type Verdict = Result<(), Stop>;

/// A running case.
pub type Running = Pin<Box<dyn Future<Output = Verdict> + Send>>;

/// One requirement, tried in one way. `S` is what it may do: a [`Session`] with a server, unless it judges something else.
#[derive(Debug)]
pub struct Case<S = Session> {
    /// `<profile>/<what>`; never renamed, never numbered.
    pub id: &'static str,
    /// The sentence of `spec/requirements.toml` that it judges, and no other. Level and anchor are there.
    pub requirement: &'static str,
    /// What it does, after "the suite".
    pub does: &'static str,
    /// Does it.
    pub run: fn(S) -> Running,
}

// Derived, they would ask the same of `S`.
impl<S> Clone for Case<S> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<S> Copy for Case<S> {}

impl<S> Case<S> {
    /// The profile to which it belongs: the first part of its id.
    ///
    /// # Panics
    /// If its id names none. A test looks at all of them.
    #[must_use]
    pub fn profile(&self) -> Profile {
        let name = self.id.split('/').next().unwrap_or_default();
        #[expect(
            clippy::expect_used,
            reason = "ids are constants, and a test reads all of them"
        )]
        Profile::named(name).expect("an id begins with a profile")
    }
}

/// Why a case did not pass.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Stop {
    /// The server does not do what the requirement says.
    #[error("expected {expected}; observed {observed}")]
    Fail {
        /// What the requirement asks for.
        expected: String,
        /// What came instead.
        observed: String,
    },
    /// It cannot be judged here, and why: something is not configured, or another requirement is not met that this one rests on.
    #[error("{0}")]
    Skip(String),
    /// The suite could not do its part.
    #[error("{0}")]
    Error(String),
}

impl Stop {
    /// A failure.
    pub fn fail(expected: impl Into<String>, observed: impl Into<String>) -> Self {
        Self::Fail {
            expected: expected.into(),
            observed: observed.into(),
        }
    }

    /// A case that rests on what another requirement asks for, which is not met: that one's case fails, not this.
    pub fn blocked(requirement: &str, why: impl std::fmt::Display) -> Self {
        Self::Skip(format!("cannot be judged without {requirement}: {why}"))
    }
}

/// Fails unless something holds.
///
/// # Errors
/// [`Stop::Fail`] if not.
pub fn expect(holds: bool, expected: impl Into<String>, observed: impl Into<String>) -> Verdict {
    match holds {
        true => Ok(()),
        false => Err(Stop::fail(expected, observed)),
    }
}

/// How a case ended, as reports have it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// The server does what the requirement says.
    Pass,
    /// It does not.
    Fail,
    /// It was not judged.
    Skip,
    /// The suite, or the way to the server, failed.
    Error,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pass, Self::Fail, Self::Skip, Self::Error];

    /// In capitals.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pass => "PASS",
            Self::Fail => "FAIL",
            Self::Skip => "SKIP",
            Self::Error => "ERROR",
        }
    }
}
