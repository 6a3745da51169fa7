//! Request heads.

use super::{Field, HeadError, Version};

/// The methods that mean something to us.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method<'a> {
    /// GET
    Get,
    /// HEAD
    Head,
    /// OPTIONS
    Options,
    /// PUT, a source
    Put,
    /// SOURCE, an old source
    Source,
    /// Any other token, POST among them
    Other(&'a str),
}

/// A request head, borrowed from the bytes it was parsed from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method<'a>,
    /// As sent: origin-form, or absolute-form.
    pub target: &'a str,
    /// The version.
    pub version: Version,
    /// In order, as sent.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Request<'a> {
    /// Parses a head from the start of `input`. `Ok(None)`: more bytes are needed. Otherwise the head and its length.
    pub fn parse(input: &'a [u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let _ = input;
        todo!()
    }

    /// Writes the head; the inverse of [`Request::parse`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }

    /// The value of the field `name` (ASCII case-insensitive): several lines joined by `, ` (RFC 9110 section 5.3).
    #[must_use]
    pub fn field(&self, name: &str) -> Option<std::borrow::Cow<'a, [u8]>> {
        let _ = name;
        todo!()
    }
}
