//! `vorbis.json`: pages that are made anew.

use serde::Deserialize;

use super::{Case, Parts};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Vorbis {
    /// What an upstream has sent so far, in hexadecimal, and what a minter has written by then.
    pub canonical: Vec<Case<Parts, Parts>>,
}
