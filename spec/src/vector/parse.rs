//! `parse.json`: what is read from the wire.

use serde::Deserialize;

use super::{Case, Parts};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Parse {
    /// Values of `Resume-Offset`.
    pub resume_offset: Vec<Case<Parts, Ask>>,
    /// Queries.
    pub query: Vec<Case<String, Query>>,
    /// Values of `Stream-Offset`.
    pub stream_offset: Vec<Case<String, StreamOffset>>,
    /// Values of `Stream-Window`.
    pub stream_window: Vec<Case<String, StreamWindow>>,
    /// Values of `Link`.
    pub link: Vec<Case<String, Link>>,
    /// Heads of requests; each character is an octet.
    pub request_head: Vec<Case<Parts, RequestHead>>,
    /// Heads of answers; each character is an octet.
    pub response_head: Vec<Case<Parts, ResponseHead>>,
    /// What has come of heads, and whether they ask for something of the protocol.
    pub asks: Vec<Case<Parts, bool>>,
    /// Targets of requests.
    pub path: Vec<Case<String, Path>>,
    /// Bodies with ICY blocks.
    pub icy_body: Vec<Case<IcyBody, IcyPieces>>,
    /// Texts of ICY blocks; each character is an octet.
    pub icy_text: Vec<Case<String, Vec<Named>>>,
}

/// Where a request wants to start.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum From {
    /// As a new listener.
    Live,
    /// At a position.
    At {
        /// The epoch.
        epoch: String,
        /// The offset.
        offset: u64,
    },
    /// So many milliseconds in the past.
    ShiftMs(u64),
}

/// `Resume-Offset`, or a query form.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Ask {
    /// Where to start.
    pub from: From,
    /// `oldest`, `live` or `fail`
    #[serde(default = "oldest")]
    pub miss: String,
    /// Milliseconds.
    pub max_lag_ms: Option<u64>,
    /// 22 characters.
    pub session: Option<String>,
}

fn oldest() -> String {
    "oldest".to_owned()
}

/// What a query says.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// What it asks for, if it has one of the forms.
    pub ask: Option<Ask>,
    /// What goes upstream; nothing if the forms were all of it.
    pub rest: Option<String>,
}

/// `Stream-Offset`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamOffset {
    /// The epoch.
    pub epoch: String,
    /// The offset.
    pub offset: u64,
    /// Octets.
    #[serde(default)]
    pub prelude: u64,
    /// 22 characters.
    pub session: Option<String>,
    /// Continued over declared splices.
    #[serde(default)]
    pub spliced: bool,
    /// Octets.
    pub lost: Option<u64>,
}

/// `Stream-Window`
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StreamWindow {
    /// The oldest byte held.
    pub first: u64,
    /// The edge.
    pub next: u64,
    /// Octets a second.
    pub rate: Option<u64>,
    /// The epoch at the edge.
    pub epoch: String,
}

/// The targets with the relation `duplicate`, in order.
pub type Link = Vec<String>;

/// The head of a request.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RequestHead {
    /// More octets are needed.
    Incomplete,
    /// A whole head.
    Head {
        /// As sent.
        method: String,
        /// As sent.
        target: String,
        /// As sent.
        version: String,
        /// Names as sent, values without white space around them.
        fields: Vec<(String, String)>,
        /// Octets up to and with its empty line.
        length: usize,
    },
}

/// The head of an answer.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ResponseHead {
    /// More octets are needed.
    Incomplete,
    /// A whole head.
    Head {
        /// `HTTP/1.0`, `HTTP/1.1` or `ICY`
        protocol: String,
        /// Three digits.
        status: u16,
        /// Names as sent, values without white space around them.
        fields: Vec<(String, String)>,
        /// Octets up to and with its empty line.
        length: usize,
    },
}

/// A request's target.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Path {
    /// Decoded.
    pub path: String,
    /// As sent.
    pub query: Option<String>,
}

/// A body with blocks.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IcyBody {
    /// `icy-metaint`
    pub metaint: u32,
    /// The body in hexadecimal.
    pub hex: Parts,
}

/// A body taken apart.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct IcyPieces {
    /// Canonical bytes, in hexadecimal.
    pub audio: Parts,
    /// Texts of the blocks that are not empty, each with the number of canonical bytes before it.
    pub blocks: Vec<(u64, Parts)>,
    /// The body ends within a block.
    #[serde(default)]
    pub in_block: bool,
}

/// A title that a block names.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// `StreamTitle`
    pub title: String,
    /// `StreamUrl`
    pub url: Option<String>,
    /// `StreamAt`
    pub at: Option<u64>,
}
