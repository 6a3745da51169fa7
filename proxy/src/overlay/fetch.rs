//! A document of the upstream, fetched with the caller's own request: its credentials are judged there.

use std::time::Duration;

use icecast_ext_core::chunked;
use icecast_ext_core::head::{Field, Request};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::places::MAX_DOCUMENT;
use crate::caller::Caller;
use crate::stream::Stream;
use crate::tunnel;
use crate::upstream::UpstreamError;
use crate::upstreams::Upstreams;

/// A server may take so long for a document.
const TIME: Duration = Duration::from_secs(30);
/// Its head is no longer than this.
const MAX_HEAD: usize = 64 << 10;
/// Fields of a request that would have another document come back than the one that is to be changed.
const NOT_ONWARD: [&str; 6] = [
    "Accept-Encoding",
    "Range",
    "If-Range",
    "If-None-Match",
    "If-Modified-Since",
    "Expect",
];
/// Fields of an answer that are not true of a changed document.
const NOT_BACK: [&str; 7] = [
    "Content-Length",
    "Transfer-Encoding",
    "ETag",
    "Last-Modified",
    "Content-MD5",
    "Digest",
    "Accept-Ranges",
];

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum FetchError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// The server behind us would read a part of the head only.
    #[error("the request's head is too long for the server behind this proxy")]
    Head,
    #[error("the upstream closed the connection without an answer")]
    Silent,
    #[error("the upstream did not answer within {} s", TIME.as_secs())]
    Late,
}

/// An answer's head as it came, the empty line included. Icecast's own are not all well-formed.
#[derive(Debug, Clone, Default)]
pub(super) struct Head(Vec<u8>);

impl Head {
    fn lines(&self) -> impl Iterator<Item = &[u8]> {
        self.0
            .split(|byte| *byte == b'\n')
            .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
    }

    pub(super) fn status(&self) -> Option<u16> {
        let code = self.lines().next()?.split(|byte| *byte == b' ').nth(1)?;
        std::str::from_utf8(code).ok()?.parse().ok()
    }

    /// The first field of that name, in lower case.
    pub(super) fn field(&self, name: &str) -> Option<String> {
        let value = self.lines().skip(1).find_map(|line| {
            let (field, value) =
                line.split_at_checked(line.iter().position(|byte| *byte == b':')?)?;
            field
                .eq_ignore_ascii_case(name.as_bytes())
                .then_some(&value[1..])
        })?;
        Some(String::from_utf8_lossy(value.trim_ascii()).to_ascii_lowercase())
    }

    /// The head of a document that is so long now, if the server says how long its own is.
    pub(super) fn with_length(&self, length: Option<usize>) -> Vec<u8> {
        let said = ["Content-Length", "Transfer-Encoding"];
        let length = length.filter(|_| said.iter().any(|name| self.field(name).is_some()));
        let mut out = Vec::with_capacity(self.0.len() + 32);
        for line in self.lines().take_while(|line| !line.is_empty()) {
            let name = line.split(|byte| *byte == b':').next().unwrap_or_default();
            if !NOT_BACK
                .iter()
                .any(|not| name.eq_ignore_ascii_case(not.as_bytes()))
            {
                out.extend_from_slice(line);
                out.extend_from_slice(b"\r\n");
            }
        }
        if let Some(length) = length {
            out.extend_from_slice(format!("Content-Length: {length}\r\n").as_bytes());
        }
        out.extend_from_slice(b"\r\n");
        out
    }
}

/// An answer whose head has come.
pub(super) struct Reply {
    pub(super) head: Head,
    /// What came after the head.
    raw: Vec<u8>,
    stream: Stream,
}

/// Sends `request` with this `target`, and reads the head of the answer.
pub(super) async fn ask(
    upstream: &Upstreams,
    request: &Request<'_>,
    target: &str,
    caller: &Caller,
) -> Result<Reply, FetchError> {
    let onward = |field: &&Field<'_>| !NOT_ONWARD.iter().any(|name| field.is(name));
    let request = Request {
        fields: request.fields.iter().filter(onward).copied().collect(),
        ..request.clone()
    };
    let head = tunnel::forward(&request, target, upstream.via(), caller.address)
        .ok_or(FetchError::Head)?;
    let mut stream = upstream.connect(target).await?;
    let answer = async {
        stream.send(&head).await.ok()?;
        let mut raw = Vec::with_capacity(16 << 10);
        loop {
            if let Some(end) = raw.windows(4).position(|four| four == b"\r\n\r\n") {
                let body = raw.split_off(end + 4);
                return Some((Head(raw), body));
            }
            if raw.len() > MAX_HEAD || stream.read_buf(&mut raw).await.ok()? == 0 {
                return None;
            }
        }
    };
    match tokio::time::timeout(TIME, answer).await {
        Ok(Some((head, raw))) => Ok(Reply { head, raw, stream }),
        Ok(None) => Err(FetchError::Silent),
        Err(_) => Err(FetchError::Late),
    }
}

impl Reply {
    /// The whole body, if it is one that can be changed: not too long, not cut, in a coding that we read.
    pub(super) async fn document(&mut self) -> Option<Vec<u8>> {
        let length: Option<usize> = self
            .head
            .field("Content-Length")
            .and_then(|value| value.parse().ok());
        let chunked = self
            .head
            .field("Transfer-Encoding")
            .is_some_and(|value| value.contains("chunked"));
        let coding = self.head.field("Content-Encoding");
        if length.is_some_and(|length| length > MAX_DOCUMENT)
            || coding.is_some_and(|coding| coding != "identity")
        {
            return None;
        }
        let whole = async {
            loop {
                if !chunked && length.is_some_and(|length| self.raw.len() >= length) {
                    return Some(());
                }
                if self.raw.len() > MAX_DOCUMENT {
                    return None;
                }
                match self.stream.read_buf(&mut self.raw).await {
                    Ok(0) => return (chunked || length.is_none()).then_some(()),
                    Ok(_) => {}
                    Err(_) => return None,
                }
            }
        };
        tokio::time::timeout(TIME, whole).await.ok()??;
        if !chunked {
            return Some(self.raw[..length.unwrap_or(self.raw.len())].to_vec());
        }
        let mut body = Vec::new();
        let last = chunked::Decoder::default()
            .feed(&self.raw, &mut body)
            .ok()?;
        last.then_some(body)
    }

    /// Sends the answer on as it comes, to its end or the client's.
    /// Returns how much of it was sent, about.
    pub(super) async fn pass_on(
        mut self,
        client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    ) -> u64 {
        let mut sent = 0;
        let (mut from_client, mut to_client) = tokio::io::split(client);
        let down = async {
            to_client.write_all(&self.head.0).await?;
            to_client.write_all(&self.raw).await?;
            sent += (self.head.0.len() + self.raw.len()) as u64;
            sent += tokio::io::copy(&mut self.stream, &mut to_client).await?;
            to_client.flush().await
        };
        let gone = async {
            tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await?;
            // A client may close its half and still read the answer.
            std::future::pending::<std::io::Result<u64>>().await
        };
        tokio::select! {
            _ = down => {}
            _ = gone => {}
        }
        sent
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_changed_document_has_its_own_length() {
        let head = Head(b"HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-length: 5\r\nETag: \"x\"\r\nContent-Disposition = odd\r\n\r\n".to_vec());
        assert_eq!(
            (head.status(), head.field("content-length").as_deref()),
            (Some(200), Some("5"))
        );
        let text = String::from_utf8(head.with_length(Some(77))).unwrap();
        assert_eq!(
            text,
            "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-Disposition = odd\r\nContent-Length: 77\r\n\r\n"
        );
    }
}
