//! `anchor.json`: chunks, evidence, and the places that it proves.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Case;

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchors {
    /// Streams by name.
    pub contents: BTreeMap<String, Vec<Stretch>>,
    /// What an octet adds to the rolling hash, in hexadecimal.
    pub gear: Vec<Case<u8, String>>,
    /// Cuts, and the chunks that end at each.
    pub chunks: Vec<Case<Part, Vec<Cut>>>,
    /// What a client says.
    pub evidence: Vec<Case<Listened, Said>>,
    /// Values of `Resume-Anchor`.
    pub field: Vec<Case<String, Parsed>>,
    /// What a server makes of it.
    pub place: Vec<Case<Asked, Found>>,
    /// Values of `Stream-Proof`.
    pub proof: Vec<Case<String, Proof>>,
}

/// A part of a stream.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Stretch {
    /// SHA-256 of this number and of 0, 1, 2 …, each of the two in 8 octets, big-endian; cut to so many octets.
    Noise {
        /// The number.
        noise: u64,
        /// How many.
        octets: u64,
    },
    /// One octet so many times.
    Run {
        /// Which.
        octet: u8,
        /// How often.
        octets: u64,
    },
    /// Octets of the same stream once more, those among them that are only being copied, too.
    Again {
        /// Where they begin.
        again: u64,
        /// How many.
        octets: u64,
    },
}

/// Octets of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its name.
    pub content: String,
    /// The first.
    pub from: u64,
    /// The one after the last.
    pub to: u64,
}

/// A cut, and the chunks that end there, level 0 first: names in hexadecimal, and octets.
pub type Cut = (u64, Vec<(String, u32)>);

/// A client that has heard a part of a stream, all of it at one moment.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Listened {
    /// The stream's name.
    pub content: String,
    /// The first octet heard.
    pub from: u64,
    /// The one after the last.
    pub to: u64,
    /// Milliseconds since the last one.
    pub age_ms: u64,
    /// How far behind live that was.
    pub lag_ms: u64,
}

/// What a client says.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Said {
    /// `Resume-Anchor`, if there is anything to say.
    pub field: Option<String>,
}

/// A value of `Resume-Anchor`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parsed {
    /// Octets after the newest cut.
    pub tail: u32,
    /// Milliseconds.
    pub age_ms: u64,
    /// Milliseconds.
    #[serde(default)]
    pub lag_ms: u64,
    /// In hexadecimal.
    pub sum: String,
    /// Names in hexadecimal, and octets.
    pub chunks: Vec<(String, u32)>,
}

/// A request at a server that holds a part of a stream.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Asked {
    /// The stream's name.
    pub content: String,
    /// The first octet that the server ever got.
    pub begins: u64,
    /// `[milliseconds, octets, every, times]`: from then on so many octets each so many milliseconds, so often.
    pub arrivals: Vec<(u64, u64, u64, u64)>,
    /// The oldest octet held; `begins` if it is absent.
    pub first: Option<u64>,
    /// S in milliseconds.
    pub s_ms: u64,
    /// When the request came, in milliseconds.
    pub asked_ms: u64,
    /// `Resume-Anchor`
    pub evidence: String,
}

/// What a server finds.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Found {
    /// The place of the client's next octet.
    At(u64),
    /// The same, ahead of the edge.
    Ahead(u64),
    /// No place: `why` of `Stream-Proof`.
    Miss(String),
}

/// A value of `Stream-Proof`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Proof {
    /// `anchor`
    #[serde(default)]
    pub anchor: bool,
    /// `alias`
    #[serde(default)]
    pub alias: bool,
    /// With `none`, if it says so.
    pub why: Option<String>,
}
