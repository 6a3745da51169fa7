//! `encode.json`: what is written to the wire.

use serde::Deserialize;

use super::{Ask, Case, Parts, StreamOffset, StreamWindow};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Encode {
    /// Values of `Resume-Offset`.
    pub resume_offset: Vec<Case<Ask, String>>,
    /// Query forms.
    pub query: Vec<Case<Ask, String>>,
    /// Values of `Stream-Offset`.
    pub stream_offset: Vec<Case<StreamOffset, String>>,
    /// Values of `Stream-Window`.
    pub stream_window: Vec<Case<StreamWindow, String>>,
    /// Values of `Link` from targets.
    pub link: Vec<Case<Vec<String>, String>>,
    /// ICY blocks, in hexadecimal, from texts.
    pub icy_block: Vec<Case<Parts, Parts>>,
    /// Texts of ICY blocks for aware clients, from titles, the newest first.
    pub icy_aware: Vec<Case<Vec<IcyTitle>, Parts>>,
}

/// A title and its place.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IcyTitle {
    /// As the source's server wrote it.
    pub text: Parts,
    /// The offset from which it is in force.
    pub at: u64,
}
