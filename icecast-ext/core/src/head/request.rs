//! Request heads.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while1};
use nom::combinator::value;

use super::lines::{Parsed, bounded, fields, http_version, line_end, malformed, or, text, token};
use super::{Field, HeadError, Version, joined, lists, number};

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
    /// Any other token without small letters, POST among them
    Other(&'a str),
}

impl<'a> Method<'a> {
    /// As it stands in a head.
    #[must_use]
    pub const fn as_str(&self) -> &'a str {
        match self {
            Self::Get => "GET",
            Self::Head => "HEAD",
            Self::Options => "OPTIONS",
            Self::Put => "PUT",
            Self::Source => "SOURCE",
            Self::Other(name) => name,
        }
    }
}

/// A request head, borrowed from the bytes it was parsed from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method<'a>,
    /// As sent: origin-form, or absolute-form. [`Target`](super::Target) reads it.
    pub target: &'a str,
    /// The version.
    pub version: Version,
    /// In order, as sent.
    pub fields: Vec<Field<'a>>,
}

impl<'a> Request<'a> {
    /// Parses a head from the start of `input`. `Ok(None)`: more bytes are needed. Otherwise the head and its length.
    ///
    /// # Errors
    /// As soon as it is certain that no head can come of it.
    pub fn parse(input: &'a [u8]) -> Result<Option<(Self, usize)>, HeadError> {
        let parsed = bounded(input, request)?;
        if let Some((head, _)) = &parsed {
            head.check()?;
        }
        Ok(parsed)
    }

    /// Writes the head; the inverse of [`Request::parse`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        for part in [
            self.method.as_str(),
            " ",
            self.target,
            " ",
            self.version.as_str(),
            "\r\n",
        ] {
            out.extend_from_slice(part.as_bytes());
        }
        for field in &self.fields {
            field.encode(out);
        }
        out.extend_from_slice(b"\r\n");
    }

    /// The value of the field `name` (ASCII case-insensitive): several lines joined by `, ` (RFC 9110 section 5.3).
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

    /// `Content-Length`, if it is there. A head has at most one, and it is a number.
    #[must_use]
    pub fn content_length(&self) -> Option<u64> {
        self.lines("content-length").next().and_then(number)
    }

    /// `Transfer-Encoding: chunked`. A head has no other coding.
    #[must_use]
    pub fn is_chunked(&self) -> bool {
        lists(&self.fields, "transfer-encoding", "chunked")
    }

    /// `Expect: 100-continue`, from a client of HTTP/1.1.
    #[must_use]
    pub fn expects_continue(&self) -> bool {
        self.version == Version::Http11 && lists(&self.fields, "expect", "100-continue")
    }

    /// `Icy-MetaData: 1`: it wants titles in blocks.
    #[must_use]
    pub fn asks_icy(&self) -> bool {
        let value = self.field("icy-metadata");
        value.is_some_and(|value| value.trim_ascii() == b"1")
    }

    /// The user and the password of `Authorization: Basic`, if it is there and can be decoded (RFC 7617). Any encoding.
    #[must_use]
    pub fn basic_auth(&self) -> Option<(Vec<u8>, Vec<u8>)> {
        const BASE64: GeneralPurpose = GeneralPurpose::new(
            &alphabet::STANDARD,
            GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
        );
        let value = self.lines("authorization").next()?;
        let (scheme, credentials) = value.split_at_checked(6)?;
        if !scheme.eq_ignore_ascii_case(b"basic ") {
            return None;
        }
        let mut user = BASE64.decode(credentials.trim_ascii()).ok()?;
        let colon = user.iter().position(|&byte| byte == b':')?;
        let password = user.split_off(colon + 1);
        user.truncate(colon);
        Some((user, password))
    }

    /// What two parsers would read differently, beyond the grammar.
    fn check(&self) -> Result<(), HeadError> {
        const ONCE: [(&str, &str); 6] = [
            ("host", "Host twice"),
            ("authorization", "Authorization twice"),
            ("content-length", "Content-Length twice"),
            ("range", "Range twice"),
            ("transfer-encoding", "Transfer-Encoding twice"),
            ("resume-offset", "Resume-Offset twice"),
        ];
        for (name, why) in ONCE {
            if self.lines(name).nth(1).is_some() {
                return Err(HeadError::Malformed(why));
            }
        }
        let length = self.lines("content-length").next();
        if length.is_some_and(|value| number(value).is_none()) {
            return Err(HeadError::Malformed(
                "a Content-Length that is not a number",
            ));
        }
        if let Some(coding) = self.lines("transfer-encoding").next() {
            if length.is_some() {
                return Err(HeadError::Malformed(
                    "Content-Length with Transfer-Encoding",
                ));
            }
            if self.version != Version::Http11 {
                return Err(HeadError::Malformed("Transfer-Encoding before HTTP/1.1"));
            }
            if !coding.eq_ignore_ascii_case(b"chunked") {
                return Err(HeadError::Malformed(
                    "a Transfer-Encoding other than chunked",
                ));
            }
        }
        Ok(())
    }
}

/// ```abnf
/// request      = request-line fields
/// request-line = method SP request-target SP version CRLF
/// ```
fn request(input: &[u8]) -> Parsed<'_, Request<'_>> {
    let (input, method) = method(input)?;
    let (input, _) = or("a method that is not followed by a space", tag(&b" "[..]))(input)?;
    let (input, target) = request_target(input)?;
    let (input, _) = or("a target that is not followed by a space", tag(&b" "[..]))(input)?;
    let (input, version) = version(input)?;
    if version == Version::Ice10 && method != Method::Source {
        return Err(malformed("ICE/1.0 without SOURCE"));
    }
    let (input, ()) = line_end(input)?;
    let (input, fields) = fields(input)?;
    Ok((
        input,
        Request {
            method,
            target,
            version,
            fields,
        },
    ))
}

/// `method = 1*<tchar without small letters>`: Icecast takes `get` for `GET`, HTTP does not.
fn method(input: &[u8]) -> Parsed<'_, Method<'_>> {
    let (rest, name) = or("a request that does not begin with a method", token)(input)?;
    if name.bytes().any(|byte| byte.is_ascii_lowercase()) {
        return Err(malformed("a method in small letters"));
    }
    let method = match name {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "OPTIONS" => Method::Options,
        "PUT" => Method::Put,
        "SOURCE" => Method::Source,
        _ => Method::Other(name),
    };
    Ok((rest, method))
}

/// request-target = 1*VCHAR
fn request_target(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, target) = or(
        "no target of visible ASCII",
        take_while1(|byte: u8| byte.is_ascii_graphic()),
    )(input)?;
    Ok((rest, text(target)?))
}

/// version = HTTP-version / "ICE/1.0"
fn version(input: &[u8]) -> Parsed<'_, Version> {
    or(
        "not HTTP/1.0, HTTP/1.1 or ICE/1.0",
        alt((http_version, value(Version::Ice10, tag(&b"ICE/1.0"[..])))),
    )(input)
}
