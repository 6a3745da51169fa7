//! Response heads: HTTP, and the `ICY 200 OK` of Shoutcast.

use std::borrow::Cow;

use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while_m_n};
use nom::combinator::{map, value};

use super::lines::{
    Parsed, bounded, fields, http_version, line_end, line_text, malformed, or, text,
};
use super::{Field, HeadError, Version, joined, lists, number};

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
    /// May be empty; empty too if it was not UTF-8.
    pub reason: &'a str,
    /// In order, as sent.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Response<'a> {
    /// Parses a head from the start of `input`. `Ok(None)`: more bytes are needed. Otherwise the head and its length.
    ///
    /// # Errors
    /// As soon as it is certain that no head can come of it.
    pub fn parse(input: &'a [u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let parsed = bounded(input, response)?;
        if let Some((head, _)) = &parsed {
            head.check()?;
        }
        Ok(parsed)
    }

    /// Writes the head; the inverse of [`Response::parse`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let protocol = match self.protocol {
            Protocol::Http(version) => version.as_str(),
            Protocol::Icy => "ICY",
        };
        let status = format!("{protocol} {} {}\r\n", self.status, self.reason);
        out.extend_from_slice(status.as_bytes());
        for field in &self.fields {
            field.encode(out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The value of the field `name` (ASCII case-insensitive): several lines joined by `, `.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<Cow<'a, [u8]>> {
        joined(&self.fields, name)
    }

    /// The lines of the field `name` (ASCII case-insensitive), in order.
    pub fn lines(&self, name: &str) -> impl Iterator<Item = &'a [u8]> {
        self.fields
            .iter()
            .filter(move |field| field.is(name))
            .map(|field| field.value)
    }

    /// `Content-Length`, if it is there. Lines that contradict each other are no head.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.lines("content-length").next().and_then(number)
    }

    /// True if `chunked` is among the transfer codings.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        lists(&self.fields, "transfer-encoding", "chunked")
    }

    /// `icy-metaint`: audio bytes between metadata blocks. Zero and what is no number count as absent.
    #[must_use]
    pub fn metaint(&self) -> Option<std::num::NonZeroU32> {
        let value = number(self.lines("icy-metaint").next()?)?;
        u32::try_from(value)
            .ok()
            .and_then(std::num::NonZeroU32::new)
    }

    /// Where the body ends must be certain.
    fn check(&self) -> Result<(), HeadError> {
        let mut lengths = self.lines("content-length").map(number);
        if let Some(first) = lengths.next() {
            if first.is_none() {
                return Err(HeadError::Malformed(
                    "a Content-Length that is not a number",
                ));
            }
            if lengths.any(|other| other != first) {
                return Err(HeadError::Malformed("Content-Length twice"));
            }
            if self.lines("transfer-encoding").next().is_some() {
                return Err(HeadError::Malformed(
                    "Content-Length with Transfer-Encoding",
                ));
            }
        }
        Ok(())
    }
}

/// ```abnf
/// response    = status-line fields
/// status-line = ( HTTP-version / "ICY" ) SP status-code [ SP reason ] CRLF
/// reason      = *<any OCTET but CR, LF and NUL>
/// ```
fn response(input: &[u8]) -> Parsed<'_, Response<'_>> {
    let (input, protocol) = or(
        "neither HTTP/1.0, HTTP/1.1 nor ICY",
        alt((
            map(http_version, Protocol::Http),
            value(Protocol::Icy, tag(&b"ICY"[..])),
        )),
    )(input)?;
    let (input, _) = or("a version that is not followed by a space", tag(&b" "[..]))(input)?;
    let (input, status) = status_code(input)?;
    let (input, reason) = line_text(input)?;
    let (input, ()) = line_end(input)?;
    let reason = match reason {
        [] => "",
        [b' ', reason @ ..] => std::str::from_utf8(reason).unwrap_or_default(),
        _ => return Err(malformed("a status of more than three digits")),
    };
    let (input, fields) = fields(input)?;
    Ok((
        input,
        Response {
            protocol,
            status,
            reason,
            fields,
        },
    ))
}

/// status-code = %x31-35 2DIGIT
fn status_code(input: &[u8]) -> Parsed<'_, u16> {
    const WHY: &str = "a status that is not 100 to 599";
    let (rest, digits) = or(WHY, take_while_m_n(3, 3, |byte: u8| byte.is_ascii_digit()))(input)?;
    match text(digits)?.parse() {
        Ok(status @ 100..600) => Ok((rest, status)),
        _ => Err(malformed(WHY)),
    }
}
