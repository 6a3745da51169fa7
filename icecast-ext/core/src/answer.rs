//! What is answered: short answers, and the heads of streams.
//!
//! Pure: what time it is, the caller says (`date` is the value of `Date`, RFC 9110 section 5.6.7), and sends what comes out.
//!
//! ```
//! use icecast_ext_core::answer::Answer;
//! use icecast_ext_core::head::Version;
//!
//! let answer = Answer::new(404, "no source is live on this mount\n");
//! let bytes = answer.encode(Version::Http10, false, "Thu, 01 Jan 1970 00:00:00 GMT");
//! assert!(bytes.starts_with(b"HTTP/1.0 404 Not Found\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nConnection: close\r\n"));
//! assert!(bytes.ends_with(b"\r\n\r\nno source is live on this mount\n"));
//! ```

mod stream;

use std::fmt::Display;

use crate::field::{Proof, STREAM_PROOF, STREAM_WINDOW, StreamWindow};
use crate::head::{Field, Version};
use crate::range::ContentRange;
use crate::resume::Refusal;
use crate::stock::{Reply, Stream, TOTAL};

pub use stream::Head;

/// What lets a page on another origin read an answer (R-HTTP-10).
pub const CORS: [(&str, &str); 2] = [
    ("Access-Control-Allow-Origin", "*"),
    (
        "Access-Control-Expose-Headers",
        "Stream-Offset, Stream-Window, Stream-Proof, Link, icy-name, icy-br, icy-genre, icy-url, icy-metaint",
    ),
];

/// The reason phrase of the statuses that we send.
#[must_use]
pub const fn reason(status: u16) -> &'static str {
    match status {
        100 => "Continue",
        200 => "OK",
        204 => "No Content",
        206 => "Partial Content",
        302 => "Found",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        412 => "Precondition Failed",
        414 => "URI Too Long",
        416 => "Range Not Satisfiable",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        508 => "Loop Detected",
        _ => "Error",
    }
}

/// `HTTP/1.1`, or `HTTP/1.0` to those who speak that.
#[must_use]
pub const fn version(asked: Version) -> &'static str {
    match asked {
        Version::Http11 => Version::Http11.as_str(),
        Version::Http10 | Version::Ice10 => Version::Http10.as_str(),
    }
}

/// Of what belongs to one listener at one time.
const UNSTORED: (&str, &str) = ("Cache-Control", "no-cache, no-store");

/// What every head of ours begins with.
fn opening(asked: Version, status: u16, date: &str) -> Vec<u8> {
    let (version, reason) = (version(asked), reason(status));
    format!("{version} {status} {reason}\r\nDate: {date}\r\nConnection: close\r\n").into_bytes()
}

/// Appends `name: value CRLF`.
fn line(head: &mut Vec<u8>, name: &str, value: &str) {
    let value = value.as_bytes();
    Field { name, value }.encode(head);
}

/// A whole answer that is not the stream. Its body is one line that says what to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: String,
}

impl Answer {
    /// With a body of plain text; with an empty one, without `Content-Type`.
    #[must_use]
    pub fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: body.into(),
        }
    }

    /// One more field line. Neither `Date`, `Connection` nor `Content-Length`, which [`Answer::encode`] writes; no CR and no LF
    /// in the value.
    #[must_use]
    pub fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Another `Content-Type` than plain text.
    #[must_use]
    pub fn content_type(self, value: &str) -> Self {
        self.field("Content-Type", value)
    }

    /// For pages on other origins as well ([`CORS`]).
    #[must_use]
    pub fn shared(self) -> Self {
        CORS.iter()
            .fold(self, |answer, (name, value)| answer.field(name, *value))
    }

    /// OPTIONS on a mount: what a page on another origin may send (R-HTTP-4).
    #[must_use]
    pub fn preflight() -> Self {
        Self::new(204, "")
            .field("Allow", "GET, HEAD, OPTIONS")
            .field("Access-Control-Allow-Methods", "GET, HEAD")
            .field(
                "Access-Control-Allow-Headers",
                "Resume-Offset, Resume-Anchor, Icy-MetaData, Range",
            )
            .field("Access-Control-Max-Age", "86400")
            .shared()
    }

    /// 401 with the challenge that Icecast sends.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::new(401, "You need to authenticate\n")
            .field("WWW-Authenticate", "Basic realm=\"Icecast2 Server\"")
    }

    /// 503: come back soon.
    #[must_use]
    pub fn unavailable(why: impl Display) -> Self {
        Self::new(503, format!("{why}; try again\n")).field("Retry-After", "2")
    }

    /// 412, with what could be had instead (R-MISS-4, R-AHEAD-2).
    #[must_use]
    pub fn precondition(why: impl Display, window: Option<StreamWindow>) -> Self {
        let answer = Self::new(412, format!("{why}; Stream-Window says what is held\n"));
        let answer = match window {
            Some(window) => answer.field(STREAM_WINDOW, window.encode()),
            None => answer,
        };
        answer.shared()
    }

    /// What became of the evidence, if there was any.
    #[must_use]
    pub fn proof(self, proof: Option<Proof>) -> Self {
        match proof {
            Some(proof) => self.field(STREAM_PROOF, proof.encode()),
            None => self,
        }
    }

    /// No start: 503 where nothing can be given yet, 412 otherwise. `window`: the mount's.
    #[must_use]
    pub fn of_refusal(refusal: Refusal, window: Option<StreamWindow>) -> Self {
        match refusal {
            Refusal::Empty => Self::unavailable("nothing can be given on this mount yet"),
            Refusal::Crowded => Self::unavailable("as many requests wait here as may"),
            refusal => Self::precondition(refusal, window),
        }
    }

    /// The stream for a player that may resume. `content_type` is the stream's, empty if it is unknown; most do without.
    ///
    /// # Errors
    /// The answer, if that is not the stream: the redirect to a URL with its anchor, the NULs at the end of a file that there is
    /// not (R-STOCK-18), or 416 beyond that.
    pub fn of_reply(reply: Reply, content_type: impl FnOnce() -> Vec<u8>) -> Result<Stream, Self> {
        let answer = match reply {
            Reply::Stream(stream) => return Ok(stream),
            Reply::Redirect { location, .. } => Self::new(302, format!("{location}\n"))
                .field("Location", location)
                .field(UNSTORED.0, UNSTORED.1)
                .shared(),
            Reply::Tail { first, last } => {
                let (last, total) = (last.min(TOTAL - 1), Some(TOTAL));
                let range = ContentRange::Bytes { first, last, total };
                let length = usize::try_from(last - first + 1).unwrap_or_default();
                Self::new(206, "\0".repeat(length))
                    .content_type(&String::from_utf8_lossy(&content_type()))
                    .field("Accept-Ranges", "bytes")
                    .field("Content-Range", range.to_string())
                    .field(UNSTORED.0, UNSTORED.1)
            }
            Reply::Beyond => {
                let range = ContentRange::Unsatisfied { total: TOTAL };
                Self::new(416, format!("a stream has no byte beyond {TOTAL}\n"))
                    .field("Content-Range", range.to_string())
            }
        };
        Err(answer)
    }

    /// The status code.
    #[must_use]
    pub const fn status(&self) -> u16 {
        self.status
    }

    /// The body, which HEAD does not get.
    #[must_use]
    pub fn body(&self) -> &str {
        &self.body
    }

    /// What goes over the wire. `head_only` leaves the body out, as HEAD wants it.
    #[must_use]
    pub fn encode(&self, asked: Version, head_only: bool, date: &str) -> Vec<u8> {
        let mut head = opening(asked, self.status, date);
        if !self.fields.iter().any(|(name, _)| *name == "Content-Type") && !self.body.is_empty() {
            line(&mut head, "Content-Type", "text/plain; charset=utf-8");
        }
        for (name, value) in &self.fields {
            line(&mut head, name, value);
        }
        if self.status != 204 {
            line(&mut head, "Content-Length", &self.body.len().to_string());
        }
        head.extend_from_slice(b"\r\n");
        if !head_only {
            head.extend_from_slice(self.body.as_bytes());
        }
        head
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::address::{Epoch, Offset, Window};

    const DATE: &str = "Thu, 01 Jan 1970 00:00:00 GMT";
    const SHARED: &str = "Access-Control-Allow-Origin: *\r\nAccess-Control-Expose-Headers: Stream-Offset, Stream-Window, Stream-Proof, Link, \
        icy-name, icy-br, icy-genre, icy-url, icy-metaint\r\n";

    fn text(answer: &Answer, asked: Version) -> String {
        String::from_utf8(answer.encode(asked, false, DATE)).unwrap()
    }

    #[test]
    fn each_version_and_method_gets_its_head() {
        let answer = Answer::unavailable("no");
        let fields = format!(
            "503 Service Unavailable\r\nDate: {DATE}\r\nConnection: close\r\n\
             Content-Type: text/plain; charset=utf-8\r\nRetry-After: 2\r\nContent-Length: 14\r\n\r\n"
        );
        let whole = format!("HTTP/1.1 {fields}no; try again\n");
        assert_eq!(text(&answer, Version::Http11), whole);
        let whole = format!("HTTP/1.0 {fields}no; try again\n");
        assert_eq!(text(&answer, Version::Http10), whole);
        assert_eq!(text(&answer, Version::Ice10), whole);
        let head = answer.encode(Version::Http11, true, DATE);
        assert_eq!(head, format!("HTTP/1.1 {fields}").as_bytes());
    }

    #[test]
    fn a_preflight_has_neither_a_body_nor_a_length() {
        let fields = format!(
            "HTTP/1.1 204 No Content\r\nDate: {DATE}\r\nConnection: close\r\nAllow: GET, HEAD, OPTIONS\r\n\
             Access-Control-Allow-Methods: GET, HEAD\r\n\
             Access-Control-Allow-Headers: Resume-Offset, Resume-Anchor, Icy-MetaData, Range\r\n\
             Access-Control-Max-Age: 86400\r\n{SHARED}\r\n"
        );
        assert_eq!(text(&Answer::preflight(), Version::Http11), fields);
    }

    #[test]
    fn whoever_gets_no_start_is_told_what_is_held() {
        let answer = Answer::of_refusal(Refusal::Empty, None);
        assert_eq!(answer.status(), 503);
        let window = StreamWindow {
            epoch: Epoch::from_bytes([0; 16]),
            window: Window {
                first: Offset::ZERO,
                next: Offset::ZERO.saturating_add(9),
            },
            rate: None,
        };
        let answer = Answer::of_refusal(Refusal::Missed, Some(window));
        assert_eq!(
            answer.body(),
            "the position asked for is not held; Stream-Window says what is held\n"
        );
        let text = text(&answer, Version::Http11);
        let fields = format!(
            "Stream-Window: first=0, next=9, epoch=\"AAAAAAAAAAAAAAAAAAAAAA\"\r\n{SHARED}Content-Length: 68\r\n\r\n"
        );
        assert!(
            text.starts_with("HTTP/1.1 412 ") && text.contains(&fields),
            "{text}"
        );
    }

    #[test]
    fn players_are_led_on_or_find_the_end() {
        let told = |reply| {
            let told = Answer::of_reply(reply, || b"audio/mpeg".to_vec());
            text(&told.unwrap_err(), Version::Http11)
        };
        let fields = |text: &str| {
            let head = text.split("Connection: close\r\n").nth(1).unwrap();
            head.to_owned()
        };
        let redirect = told(Reply::Redirect {
            location: "/a?_anchor=b".to_owned(),
            lost: None,
        });
        assert!(redirect.starts_with("HTTP/1.1 302 Found\r\n"));
        assert_eq!(
            fields(&redirect),
            format!(
                "Content-Type: text/plain; charset=utf-8\r\nLocation: /a?_anchor=b\r\nCache-Control: no-cache, no-store\r\n\
                 {SHARED}Content-Length: 13\r\n\r\n/a?_anchor=b\n"
            )
        );
        let tail = told(Reply::Tail {
            first: TOTAL - 2,
            last: TOTAL,
        });
        assert!(tail.starts_with("HTTP/1.1 206 Partial Content\r\n"));
        assert_eq!(
            fields(&tail),
            "Content-Type: audio/mpeg\r\nAccept-Ranges: bytes\r\n\
             Content-Range: bytes 999999999998-999999999999/1000000000000\r\n\
             Cache-Control: no-cache, no-store\r\nContent-Length: 2\r\n\r\n\0\0"
        );
        let beyond = told(Reply::Beyond);
        assert!(beyond.starts_with("HTTP/1.1 416 Range Not Satisfiable\r\n"));
        assert!(beyond.contains("\r\nContent-Range: bytes */1000000000000\r\n"));
    }
}
