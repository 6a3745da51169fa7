//! Response heads: HTTP, and the `ICY 200 OK` of Shoutcast.

use super::{Field, HeadError, Version};

/// What a status line begins with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Protocol {
    /// `HTTP/1.x`
    Http(Version),
    /// `ICY`
    Icy,
}

/// A response head, borrowed from the bytes it was parsed from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Response<'a> {
    /// HTTP or ICY.
    pub protocol: Protocol,
    /// 100 to 599
    pub status: u16,
    /// May be empty.
    pub reason: &'a str,
    /// In order, as sent.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Response<'a> {
    /// Parses a head from the start of `input`. `Ok(None)`: more bytes are needed. Otherwise the head and its length.
    pub fn parse(input: &'a [u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let _ = input;
        todo!()
    }

    /// Writes the head; the inverse of [`Response::parse`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let _ = out;
        todo!()
    }

    /// The value of the field `name` (ASCII case-insensitive): several lines joined by `, `.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<std::borrow::Cow<'a, [u8]>> {
        let _ = name;
        todo!()
    }
}
