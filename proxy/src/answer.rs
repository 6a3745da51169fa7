//! Short answers: everything that is neither a stream nor tunnelled.

use std::time::{Duration, SystemTime};

use icecast_ext_core::field::StreamWindow;
use icecast_ext_core::head::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::stream::Stream;

use crate::limits::{Limited, What};

/// A whole answer. Its body is one line that says what to do.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    fields: Vec<(&'static str, String)>,
    body: String,
}

/// The reason phrase of the statuses that we send.
pub(crate) fn reason(status: u16) -> &'static str {
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
pub(crate) fn version(asked: Version) -> &'static str {
    if asked == Version::Http11 {
        "HTTP/1.1"
    } else {
        "HTTP/1.0"
    }
}

/// `Date`'s value.
pub(crate) fn date() -> String {
    httpdate::fmt_http_date(SystemTime::now())
}

/// What lets a page on another origin read an answer (R-HTTP-10).
pub(crate) const CORS: [(&str, &str); 2] = [
    ("Access-Control-Allow-Origin", "*"),
    (
        "Access-Control-Expose-Headers",
        "Stream-Offset, Stream-Window, Link, icy-name, icy-br, icy-genre, icy-url, icy-metaint",
    ),
];

impl Answer {
    pub(crate) fn new(status: u16, body: impl Into<String>) -> Self {
        Self {
            status,
            fields: Vec::new(),
            body: body.into(),
        }
    }

    pub(crate) fn field(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }

    /// Another `Content-Type` than plain text.
    pub(crate) fn content_type(self, value: &str) -> Self {
        self.field("Content-Type", value)
    }

    /// 412, with what could be had instead.
    pub(crate) fn precondition(why: impl std::fmt::Display, window: Option<StreamWindow>) -> Self {
        let mut answer = Self::new(412, format!("{why}; Stream-Window says what is held\n"));
        if let Some(window) = window {
            answer = answer.field("Stream-Window", window.encode());
        }
        for (name, value) in CORS {
            answer = answer.field(name, value);
        }
        answer
    }

    /// 503: come back soon.
    pub(crate) fn unavailable(why: impl std::fmt::Display) -> Self {
        Self::new(503, format!("{why}; try again\n")).field("Retry-After", "2")
    }

    /// 429 to an address that asks for too much, 503 if we are full (R-SEC-9).
    pub(crate) fn limited(limited: &Limited) -> Self {
        let (status, why) = match limited.what {
            What::Connections => (429, "too many connections from your address"),
            What::Joins => (429, "too many requests from your address"),
            What::Resumes => (429, "your address resumes too often"),
            What::Window => (429, "your address has had too much of the back buffer"),
            What::Listeners | What::Descriptors => (503, "this server is full"),
        };
        let seconds = limited.seconds();
        let mut answer = Self::new(status, format!("{why}: come back in {seconds} s\n"))
            .field("Retry-After", seconds.to_string());
        for (name, value) in CORS {
            answer = answer.field(name, value);
        }
        answer
    }

    /// 401 with the challenge that Icecast sends.
    pub(crate) fn unauthorized() -> Self {
        Self::new(401, "You need to authenticate\n")
            .field("WWW-Authenticate", "Basic realm=\"Icecast2 Server\"")
    }

    pub(crate) fn status(&self) -> u16 {
        self.status
    }

    pub(crate) fn body(&self) -> &str {
        &self.body
    }

    /// What goes over the wire. `head_only` leaves the body out, as HEAD wants it.
    pub(crate) fn encode(&self, asked: Version, head_only: bool) -> Vec<u8> {
        use std::fmt::Write as _;
        let mut head = format!(
            "{} {} {}\r\nDate: {}\r\nConnection: close\r\n",
            version(asked),
            self.status,
            reason(self.status),
            date()
        );
        if !self.fields.iter().any(|(name, _)| *name == "Content-Type") && !self.body.is_empty() {
            head.push_str("Content-Type: text/plain; charset=utf-8\r\n");
        }
        for (name, value) in &self.fields {
            let _ = write!(head, "{name}: {value}\r\n");
        }
        if self.status != 204 {
            let _ = write!(head, "Content-Length: {}\r\n", self.body.len());
        }
        head.push_str("\r\n");
        if !head_only {
            head.push_str(&self.body);
        }
        head.into_bytes()
    }

    /// Sends it and ends the connection, so that the peer reads it even if it was still sending.
    /// Returns how many bytes that are.
    pub(crate) async fn send(&self, mut stream: Stream, asked: Version, head_only: bool) -> u64 {
        let bytes = self.encode(asked, head_only);
        if stream.write_all(&bytes).await.is_ok() && stream.shutdown().await.is_ok() {
            drain(&mut stream).await;
        }
        bytes.len() as u64
    }
}

/// After the end of an answer: reads what the peer still sends, for a while. Bytes that nobody has read turn a close into
/// a reset, which takes the answer with it.
pub(crate) async fn drain(stream: &mut Stream) {
    let waste = async {
        let mut left: usize = 1 << 20;
        // Not within the future, which all connections have from their first byte on.
        let mut waste = vec![0; 4096];
        while let Ok(n @ 1..) = stream.read(&mut waste).await {
            left = left.saturating_sub(n);
            if left == 0 {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(2), waste).await;
}
