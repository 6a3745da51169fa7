//! `client.json`: what a client asks, answer by answer.

use serde::Deserialize;

use super::{From, Parts};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// The cases.
    pub sessions: Vec<Session>,
}

/// One client's life.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Session {
    /// Never renamed.
    pub id: String,
    /// The requirement that decides it.
    pub requirement: String,
    /// What the client does, in order.
    pub steps: Vec<Step>,
}

/// A request, its answer, and what the client makes of it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What the client asks.
    pub asks: Asks,
    /// What it gets. Nothing: the connection fails.
    pub answer: Option<Answer>,
    /// What it tells its caller, in order, besides the audio.
    #[serde(default)]
    pub reports: Vec<Report>,
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Asks {
    /// Where it wants to start.
    pub from: From,
    /// The session that it may echo, if it asks the relay that gave it.
    pub session: Option<String>,
}

/// An answer. Its body ends with a cut.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// `Stream-Offset`
    pub stream_offset: Option<String>,
    /// `icy-metaint`
    pub icy_metaint: Option<u32>,
    /// The body, in order.
    #[serde(default)]
    pub body: Vec<Piece>,
}

/// A piece of a body.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Piece {
    /// So many octets of a prelude.
    Prelude(u64),
    /// So many canonical bytes.
    Audio(u64),
    /// A whole ICY block with this text; empty for the octet 0.
    Block(Parts),
    /// The first so many octets of an ICY block with this text.
    CutBlock(Parts, usize),
}

/// What a client tells its caller.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// So many canonical bytes are lost; none if their number is unknown.
    Lost(Option<u64>),
    /// The stream goes on in another epoch, nothing is lost.
    Spliced,
    /// A title, and the offset from which it is in force, if the server gave it.
    Title(String, Option<u64>),
}
