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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_stock_servers_send() {
        let icecast = b"HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nConnection: Close\r\nContent-Type: audio/mpeg\r\nicy-metaint:16000\r\n\r\n";
        let (head, len) = Response::parse(icecast).unwrap().unwrap();
        assert_eq!(
            (head.protocol, head.status, head.reason, len),
            (Protocol::Http(Version::Http10), 200, "OK", icecast.len())
        );
        assert_eq!(head.metaint().map(u32::from), Some(16000));

        let shoutcast = b"ICY 200 OK\r\nicy-notice1:<BR>This stream requires <a>Winamp</a><BR>\r\nicy-name:\xe9\r\nicy-metaint:0\r\n\r\n";
        let (head, _) = Response::parse(shoutcast).unwrap().unwrap();
        assert_eq!(
            (head.protocol, head.status, head.metaint()),
            (Protocol::Icy, 200, None)
        );

        let nginx = b"HTTP/1.1 404 Not Found\r\nServer: nginx\r\nContent-Length: 153\r\n\r\n";
        assert_eq!(
            Response::parse(nginx).unwrap().unwrap().0.content_length(),
            Some(153)
        );
        for line in ["HTTP/1.1 204\r\n\r\n", "HTTP/1.1 204 \r\n\r\n"] {
            let (head, _) = Response::parse(line.as_bytes()).unwrap().unwrap();
            assert_eq!((head.status, head.reason), (204, ""));
        }
    }

    #[test]
    fn refuses_answers_without_a_certain_end() {
        for bad in [
            "HTTP/2 200\r\n\r\n",
            "HTTP/1.1 20\r\n\r\n",
            "HTTP/1.1 2000\r\n\r\n",
            "HTTP/1.1 600 X\r\n\r\n",
            "HTTP/1.1 099 X\r\n\r\n",
            "HTTP/1.1 200 OK\n\n",
            "OK2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
            "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        ] {
            assert!(Response::parse(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
