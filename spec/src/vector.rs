//! The test vectors, typed. `spec/vectors/README.md` is their description.

pub mod anchor;
mod client;
mod decision;
mod encode;
mod feed;
mod parse;
mod parts;
pub mod stock;
mod vorbis;

pub use client::{Answer, Asks, Client, Piece, Report, Session, Step};
pub use decision::{Decision, Decisions, Mount, Question, Run, Start, Successor};
pub use encode::{Encode, IcyTitle};
pub use feed::{Feed, Feeds, Frame};
pub use parse::{
    Ask, From, IcyBody, IcyPieces, Link, Named, Parse, Path, Query, RequestHead, ResponseHead,
    StreamOffset, StreamWindow,
};
pub use parts::Parts;
pub use vorbis::Vorbis;

use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::SpecError;

/// One vector: what goes in, and what has to come out.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(
    try_from = "Line<I, O>",
    bound = "I: Deserialize<'de>, O: Deserialize<'de>"
)]
pub struct Case<I, O> {
    /// Never renamed: `<what>/<which>`.
    pub id: String,
    /// The requirement that decides it.
    pub requirement: String,
    /// What goes in.
    pub input: I,
    /// What has to come out; or why nothing may.
    pub expect: Result<O, Error>,
}

/// A case as it stands in its file.
#[derive(Deserialize)]
#[serde(
    deny_unknown_fields,
    bound = "I: Deserialize<'de>, O: Deserialize<'de>"
)]
struct Line<I, O> {
    id: String,
    requirement: String,
    input: I,
    expect: Option<O>,
    error: Option<Error>,
}

impl<I, O> TryFrom<Line<I, O>> for Case<I, O> {
    type Error = String;
    fn try_from(line: Line<I, O>) -> Result<Self, String> {
        let expect = match (line.expect, line.error) {
            (Some(expect), None) => Ok(expect),
            (None, Some(error)) => Err(error),
            _ => return Err(format!("{}: not one of expect and error", line.id)),
        };
        Ok(Self {
            id: line.id,
            requirement: line.requirement,
            input: line.input,
            expect,
        })
    }
}

/// Why nothing comes out: a status, or what a client or a relay makes of its peer.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Error {
    /// The answer has status 400.
    #[serde(rename = "400")]
    BadRequest,
    /// The answer has status 431.
    #[serde(rename = "431")]
    TooLarge,
    /// Treated as absent, or as the end of the connection.
    Malformed,
}

/// `anchor.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn anchors() -> Result<anchor::Anchors, SpecError> {
    read("anchor.json", include_str!("../vectors/anchor.json"))
}

/// `parse.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn parse() -> Result<Parse, SpecError> {
    read("parse.json", include_str!("../vectors/parse.json"))
}

/// `encode.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn encode() -> Result<Encode, SpecError> {
    read("encode.json", include_str!("../vectors/encode.json"))
}

/// `decision.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn decisions() -> Result<Decisions, SpecError> {
    read("decision.json", include_str!("../vectors/decision.json"))
}

/// `relay-feed.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn feeds() -> Result<Feeds, SpecError> {
    read(
        "relay-feed.json",
        include_str!("../vectors/relay-feed.json"),
    )
}

/// `client.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn clients() -> Result<Client, SpecError> {
    read("client.json", include_str!("../vectors/client.json"))
}

/// `stock.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn stock() -> Result<stock::Stock, SpecError> {
    read("stock.json", include_str!("../vectors/stock.json"))
}

/// `vorbis.json`
///
/// # Errors
/// If the file is not as its tests keep it.
pub fn vorbis() -> Result<Vorbis, SpecError> {
    read("vorbis.json", include_str!("../vectors/vorbis.json"))
}

fn read<T: DeserializeOwned>(file: &'static str, text: &str) -> Result<T, SpecError> {
    serde_json::from_str(text).map_err(|error| SpecError::Vectors { file, error })
}
