//! The written protocol as data: `protocol.md`, the list of its requirements, and its test vectors.
//!
//! ```
//! let requirements = icecast_ext_spec::requirements()?;
//! let exact = requirements.iter().find(|requirement| requirement.id == "R-RESUME-3");
//! assert_eq!(exact.map(|exact| exact.anchor.as_str()), Some("resume"));
//! # Ok::<(), icecast_ext_spec::SpecError>(())
//! ```
//!
//! The tests of this crate hold the three to each other: see `tests/`.
#![forbid(unsafe_code)]

pub mod prose;
pub mod requirement;
pub mod vector;

pub use requirement::{Level, Requirement, requirements};

/// The text of `spec/protocol.md`.
pub const PROTOCOL: &str = include_str!("../protocol.md");

/// A file of `spec/` is not as this crate reads it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// `requirements.toml`
    #[error("spec/requirements.toml: {0}")]
    Requirements(#[from] toml::de::Error),
    /// A file of `vectors/`.
    #[error("spec/vectors/{file}: {error}")]
    Vectors {
        /// Its name.
        file: &'static str,
        /// Where and why.
        error: serde_json::Error,
    },
}
