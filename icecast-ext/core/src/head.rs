//! Heads of requests and answers, strict and bounded.
//!
//! Bare LF, CR, NUL, folding, and duplicates of Host, Authorization, Content-Length or Range are refused: a lenient
//! server behind us would read them otherwise (R-HEAD-2).
//!
//! ```
//! use icecast_ext_core::head::{Method, Request, Target};
//!
//! let input = b"GET /live.mp3?_shift=30 HTTP/1.1\r\nHost: radio\r\n\r\n";
//! let (request, len) = Request::parse(input)?.ok_or("incomplete")?;
//! assert_eq!((request.method, len), (Method::Get, input.len()));
//! let target = Target::parse(request.target)?;
//! assert_eq!((target.path.as_str(), target.query), ("/live.mp3", Some("_shift=30")));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod asking;
mod lines;
mod request;
mod response;
mod target;
mod told;

use std::borrow::Cow;

pub use asking::asks;
pub use lines::field_lines;
pub use request::{Method, Request};
pub use response::{Protocol, Response};
pub use target::{Target, encode_path};
pub use told::{source_lines, upstream_lines};

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

impl Version {
    /// As it stands in a head.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http10 => "HTTP/1.0",
            Self::Http11 => "HTTP/1.1",
            Self::Ice10 => "ICE/1.0",
        }
    }
}

/// A field line: name as sent, value without the white space around it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field<'a> {
    /// A token, case as sent.
    pub name: &'a str,
    /// May hold any byte but CR, LF and NUL.
    pub value: &'a [u8],
}

impl Field<'_> {
    /// True if this is the field `name`; ASCII case does not matter.
    #[must_use]
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Appends `name: value CRLF`.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.name.as_bytes());
        out.extend_from_slice(b": ");
        out.extend_from_slice(self.value);
        out.extend_from_slice(b"\r\n");
    }
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

/// The value of the field `name`: several lines joined by `, ` (RFC 9110 section 5.3).
fn joined<'a>(fields: &[Field<'a>], name: &str) -> Option<Cow<'a, [u8]>> {
    let mut lines = fields.iter().filter(|field| field.is(name));
    let mut value = Cow::Borrowed(lines.next()?.value);
    for line in lines {
        let value = value.to_mut();
        value.extend_from_slice(b", ");
        value.extend_from_slice(line.value);
    }
    Some(value)
}

/// True if one of the comma-separated members of the field `name` is `token`; ASCII case does not matter.
fn lists(fields: &[Field<'_>], name: &str, token: &str) -> bool {
    fields
        .iter()
        .filter(|field| field.is(name))
        .flat_map(|field| field.value.split(|&b| b == b','))
        .any(|member| member.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// `1*18DIGIT`, nothing else.
fn number(value: &[u8]) -> Option<u64> {
    if !(1..=18).contains(&value.len()) || !value.iter().all(u8::is_ascii_digit) {
        return None;
    }
    std::str::from_utf8(value).ok()?.parse().ok()
}
