//! `stock.json`: players that resume with `Range`.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{Case, Mount, Parts};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stock {
    /// The join that a server draws for a body that begins.
    pub join: String,
    /// Its `icy-metaint`.
    pub metaint: u32,
    /// Mounts by name.
    pub mounts: BTreeMap<String, Mount>,
    /// Tokens, and what they say.
    pub anchor: Vec<Case<Parts, Anchor>>,
    /// Whose a request is.
    pub family: Vec<Case<Head, Family>>,
    /// Which byte of the stream is byte N of a body.
    pub place: Vec<Case<Resumed, Place>>,
    /// Status and fields of answers.
    pub answer: Vec<Case<Request, Reply>>,
}

/// Byte `body` of the body of `join` is byte `offset` of `epoch`.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchor {
    /// 8 characters.
    pub join: String,
    /// The epoch.
    pub epoch: String,
    /// Body bytes before the one at `offset`.
    pub body: u64,
    /// The offset.
    pub offset: u64,
    /// Audio between two ICY blocks; 0: there are none.
    #[serde(default)]
    pub metaint: u32,
}

/// How much of the chapter a mount offers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Nothing.
    Off,
    /// Ranges.
    Ranges,
    /// A length as well.
    Full,
}

/// How an anchor travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carrier {
    /// In a cookie.
    #[default]
    Cookie,
    /// In the URL that a redirect leads to.
    Url,
    /// In the URL that `Content-Location` names.
    Named,
}

/// A request's head.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Each character is an octet.
    pub head: Parts,
    /// The mount's.
    pub level: Level,
}

/// What a request is to this chapter.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Family {
    /// Nothing: it is answered as by a stock server.
    Stock,
    /// One that may resume.
    Player(Player),
}

/// What a player needs and asks for.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Player {
    /// How its anchor travels.
    pub carrier: Carrier,
    /// An answer that it is to resume ends with RST.
    #[serde(default)]
    pub reset: bool,
    /// The first byte of body asked for.
    #[serde(default)]
    pub first: u64,
    /// The last, if there is an end.
    pub last: Option<u64>,
    /// It asks for ICY.
    #[serde(default)]
    pub icy: bool,
}

/// A request for a byte above 0, by what matters of it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Resumed {
    /// The name of a mount.
    pub mount: String,
    /// Its family's.
    #[serde(default)]
    pub carrier: Carrier,
    /// Its family counts on over an answer without `icy-metaint`.
    #[serde(default)]
    pub counts_on: bool,
    /// It asks for ICY.
    #[serde(default)]
    pub icy: bool,
    /// N
    pub byte: u64,
    /// The anchor in its query.
    pub url: Option<Anchor>,
    /// The anchors in its cookies, in order, each under its own name.
    #[serde(default)]
    pub cookies: Vec<Anchor>,
    /// `If-Range`
    pub if_range: Option<String>,
    /// `If-Match`
    pub if_match: Option<String>,
}

/// What becomes of it.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Place {
    /// 206 with the byte asked for.
    At(At),
    /// 206 from a live sync point on.
    Lost,
    /// It waits.
    Hold,
}

/// Where a body goes on.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct At {
    /// The epoch of the next canonical byte.
    pub epoch: String,
    /// Its offset.
    pub offset: u64,
    /// What stands before that.
    pub owed: Option<Owed>,
    /// The answer has `icy-metaint`.
    #[serde(default)]
    pub restart: bool,
    /// Audio before the next block that comes whole, and its text.
    pub then: Option<(u64, Parts)>,
}

/// Bytes of body before a canonical byte.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Owed {
    /// The last so many of a prelude.
    Prelude(u64),
    /// The rest of an ICY block, or all of it, in hexadecimal.
    Block(Parts),
}

/// A request.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name of a mount.
    pub mount: String,
    /// The mount's.
    pub level: Level,
    /// Each character is an octet.
    pub head: Parts,
}

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Those of the chapter.
    #[serde(default)]
    pub fields: BTreeMap<String, String>,
}
