//! Heads of requests and answers, strict and bounded.
//!
//! Bare LF, CR, NUL, folding, and duplicates of Host, Authorization, Content-Length or Range are refused: a lenient
//! server behind us would read them otherwise (R-HEAD-2).

mod request;
mod response;

pub use request::{Method, Request};
pub use response::{Protocol, Response};

/// Heads over this size are refused with 431 (R-HEAD-1).
pub const MAX_HEAD: usize = 8192;
/// Field lines over this number are refused with 431 (R-HEAD-1).
pub const MAX_FIELDS: usize = 64;

/// HTTP/1.x minor version, or the version of an old source.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Version {
    /// HTTP/1.0
    Http10,
    /// HTTP/1.1
    Http11,
    /// ICE/1.0, sent by old sources.
    Ice10,
}

/// A field line: name as sent, value without the white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// A token, case as sent.
    pub name: &'a str,
    /// May hold any byte but CR, LF and NUL.
    pub value: &'a [u8],
}

/// Why a head was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HeadError {
    /// More bytes than [`MAX_HEAD`] or lines than [`MAX_FIELDS`]: 431 (R-HEAD-1).
    #[error("the head is over {MAX_HEAD} bytes or {MAX_FIELDS} fields (R-HEAD-1)")]
    TooLarge,
    /// Not a head, or one that two parsers would read differently: 400 (R-HEAD-2).
    #[error("{0} (R-HEAD-2)")]
    Malformed(&'static str),
}
