//! `decision.json`: where an answer starts.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Case, Parts};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Decisions {
    /// Mounts by name.
    pub mounts: BTreeMap<String, Mount>,
    /// The cases.
    pub cases: Vec<Case<Question, Decision>>,
}

/// What a server knows of a mount.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Canonical bytes before the edge at which a join aims.
    pub burst: u64,
    /// In order; the last is the running one, unless it has ended.
    pub runs: Vec<Run>,
}

/// A run.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Run {
    /// The epoch.
    pub epoch: String,
    /// Its `Content-Type`.
    pub format: String,
    /// The first byte that the server ever had of it.
    pub begins: u64,
    /// The oldest byte held; equal to `next` if none is held any more.
    pub first: u64,
    /// The edge.
    pub next: u64,
    /// Offsets and their arrival in milliseconds. The first is at `begins`.
    pub times: Vec<(u64, u64)>,
    /// Offsets.
    #[serde(default)]
    pub syncs: Vec<u64>,
    /// Offsets and lengths of the preludes in force from there on.
    #[serde(default)]
    pub preludes: Vec<(u64, u64)>,
    /// Offsets and texts of all titles known. Those below `begins` it was told when it began.
    #[serde(default)]
    pub titles: Vec<(u64, Parts)>,
    /// What follows: nothing yet, if it has ended.
    #[serde(default)]
    pub then: Option<Successor>,
}

/// What follows an ended run.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Successor {
    /// A declared splice to the first sync point of the next run (its first byte if it has none).
    Declared,
    /// An undeclared one, or a gap if the next run has the same epoch.
    Undeclared,
    /// Nothing is known yet.
    Unknown,
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Question {
    /// The name of a mount.
    pub mount: String,
    /// The field's value.
    pub resume_offset: Option<String>,
    /// The query.
    pub query: Option<String>,
    /// For the relay feed.
    #[serde(default)]
    pub feed: bool,
}

/// What the server does.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Decision {
    /// 200.
    Start(Start),
    /// It holds the request; this status if nothing changes.
    Hold(u16),
    /// This status at once.
    Refuse(u16),
}

/// Where a 200 starts.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// The epoch.
    pub epoch: String,
    /// The offset.
    pub offset: u64,
    /// Octets.
    #[serde(default)]
    pub prelude: u64,
    /// With `spliced`.
    #[serde(default)]
    pub spliced: bool,
    /// With `lost`.
    pub lost: Option<u64>,
}
