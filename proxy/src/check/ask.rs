//! One question to a server: a request, its answer's head, and a little of what follows.

use std::time::{Duration, Instant};

use icecast_ext_core::head::Response;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::upstream::Origin;

/// An answer's head may take so long.
const PATIENCE: Duration = Duration::from_secs(5);
/// A head is no longer than this.
const MAX_HEAD: usize = 32 << 10;

/// What came back.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
    /// Until the head was there.
    pub(super) took: Duration,
}

impl Answer {
    pub(super) fn field(&self, name: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }
}

/// How much of a body is read: until it ends, or so much has come, or nothing has for so long after the head, or so long
/// after its first byte.
#[derive(Debug, Clone, Copy)]
pub(super) struct Appetite {
    bytes: usize,
    first: Duration,
    then: Duration,
}

impl Appetite {
    /// The head alone.
    pub(super) const NONE: Self = Self {
        bytes: 0,
        first: Duration::ZERO,
        then: Duration::ZERO,
    };
    /// A document.
    pub(super) const DOCUMENT: Self = Self {
        bytes: 16 << 20,
        first: Duration::from_secs(5),
        then: Duration::from_secs(5),
    };
    /// The burst of a stream, which comes when the source sends next, and a little more.
    pub(super) const BURST: Self = Self {
        bytes: 64 << 10,
        first: Duration::from_secs(2),
        then: Duration::from_millis(300),
    };
}

/// Asks, and hangs up. `target` is an encoded path; errors are for people.
pub(super) async fn ask(
    origin: &Origin,
    method: &str,
    target: &str,
    authorization: Option<&str>,
    appetite: Appetite,
) -> Result<Answer, String> {
    let started = Instant::now();
    let mut stream = origin.connect().await.map_err(|error| error.to_string())?;
    let authorization =
        authorization.map_or(String::new(), |value| format!("Authorization: {value}\r\n"));
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: {}\r\nUser-Agent: {} (check)\r\nVia: {}\r\n{authorization}Connection: close\r\n\r\n",
        origin.server().authority(),
        crate::USER_AGENT,
        origin.via(),
    );
    let answered = tokio::time::timeout(PATIENCE, head(&mut stream, &request)).await;
    let (mut answer, mut body) = match answered {
        Err(_) => return Err(format!("no answer within {} s", PATIENCE.as_secs())),
        Ok(answered) => answered?,
    };
    answer.took = started.elapsed();
    let length = answer
        .field("content-length")
        .and_then(|text| text.parse().ok());
    let most = length.unwrap_or(usize::MAX).min(appetite.bytes);
    let mut until = Instant::now()
        + if body.is_empty() {
            appetite.first
        } else {
            appetite.then
        };
    let mut part = vec![0; 16 << 10];
    while body.len() < most {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(Ok(read @ 1..)) = tokio::time::timeout(left, stream.read(&mut part)).await else {
            break;
        };
        if body.is_empty() {
            until = Instant::now() + appetite.then;
        }
        body.extend_from_slice(&part[..read]);
    }
    body.truncate(most);
    answer.body = body;
    Ok(answer)
}

async fn head<S: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut S,
    request: &str,
) -> Result<(Answer, Vec<u8>), String> {
    let broken = |error: std::io::Error| format!("the connection broke: {error}");
    stream.write_all(request.as_bytes()).await.map_err(broken)?;
    stream.flush().await.map_err(broken)?;
    let mut bytes = Vec::new();
    loop {
        match Response::parse(&bytes) {
            Err(error) => return Err(format!("the answer is no HTTP: {error}")),
            Ok(Some((head, length))) => {
                let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                let fields = head
                    .fields
                    .iter()
                    .map(|field| (field.name.to_owned(), text(field.value)));
                let answer = Answer {
                    status: head.status,
                    fields: fields.collect(),
                    body: Vec::new(),
                    took: Duration::ZERO,
                };
                return Ok((answer, bytes.split_off(length)));
            }
            Ok(None) if bytes.len() > MAX_HEAD => {
                return Err("the answer's head has no end".to_owned());
            }
            Ok(None) => {}
        }
        if stream.read_buf(&mut bytes).await.map_err(broken)? == 0 {
            return Err("it closed the connection without an answer".to_owned());
        }
    }
}

/// A decoded path, as a request has it.
pub(super) fn encoded(path: &str) -> String {
    use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
    const KEEP: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'/')
        .remove(b'.')
        .remove(b'-')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(path, KEEP).to_string()
}
