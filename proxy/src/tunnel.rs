//! Everything that is not ours to answer goes to the upstream and back as it is, but for `X-Forwarded-For`, `Via` and
//! `Connection`.

use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use icecast_ext_core::head::{Field, Method, Request, Version};
use icecast_ext_core::stock::without_anchors;
use icecast_ext_core::wanted::Wanted;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::answer::{self, Answer, drain};
use crate::caller::Caller;
use crate::connection::Connection;
use crate::stream::Stream;
use crate::upstreams::Upstreams;

/// Stock Icecast resets at a head over so many bytes,
const MAX_BYTES: usize = 4096;
/// and ignores whatever comes after so many lines, be it `Authorization` or `Connection: close`.
const MAX_LINES: usize = 32;

/// What of the client's bytes after the head goes upstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Body {
    /// So many bytes. Whatever follows could be a second request, which nobody would have judged (R-HTTP-2).
    Exactly(u64),
    /// A source: until it ends.
    Endless,
    /// Chunks from somebody who is no source: no server behind us reads them.
    Unknown,
}

impl Body {
    fn of(request: &Request<'_>) -> Self {
        match (request.content_length(), request.method) {
            (Some(length), _) => Self::Exactly(length),
            (None, Method::Put | Method::Source) => Self::Endless,
            (None, _) if request.is_chunked() => Self::Unknown,
            (None, _) => Self::Exactly(0),
        }
    }
}

/// The target as the upstream gets it: without what is ours.
pub(crate) fn onward(request: &Request<'_>, wanted: &Wanted) -> String {
    let path = request.target.split('?').next().unwrap_or_default();
    match &wanted.onward {
        None => request.target.to_owned(),
        Some(Some(rest)) => format!("{path}?{rest}"),
        Some(None) => path.to_owned(),
    }
}

/// The head as the upstream gets it; `None` if it would not read all of it.
pub(crate) fn forward(
    request: &Request<'_>,
    target: &str,
    via: &str,
    client: IpAddr,
) -> Option<Vec<u8>> {
    let told = |name: &'static str| {
        request
            .lines(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    };
    // What a stranger wrote there is left out, behind a trusted proxy too: servers believe the leftmost.
    let forwarded = client.to_string();
    let via = told("Via")
        .chain([via.to_owned()])
        .collect::<Vec<_>>()
        .join(", ");
    let ours = [
        "X-Forwarded-For",
        "Via",
        "Connection",
        "Keep-Alive",
        "Proxy-Connection",
        "Cookie",
    ];
    let cookies: Vec<_> = request
        .lines("Cookie")
        .filter_map(without_anchors)
        .collect();
    let theirs = |field: &&Field<'_>| !ours.iter().any(|name| field.is(name));
    let mut fields: Vec<Field<'_>> = request.fields.iter().filter(theirs).copied().collect();
    fields.extend(cookies.iter().map(|value| Field {
        name: "Cookie",
        value,
    }));
    fields.push(Field {
        name: "X-Forwarded-For",
        value: forwarded.as_bytes(),
    });
    fields.push(Field {
        name: "Via",
        value: via.as_bytes(),
    });
    fields.push(Field {
        name: "Connection",
        value: b"close",
    });
    let lines = fields.len();
    let mut head = Vec::with_capacity(1024);
    Request {
        method: request.method,
        target,
        version: request.version,
        fields,
    }
    .encode(&mut head);
    (lines <= MAX_LINES && head.len() <= MAX_BYTES).then_some(head)
}

/// What became of a request, for the access log.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Carried {
    /// `None`: there was no answer that can be read.
    pub(crate) status: Option<u16>,
    /// That the client was sent, with the head.
    pub(crate) bytes: u64,
}

/// Our own answer, in the place of the upstream's.
async fn refuse(connection: Connection, version: Version, answer: &Answer) -> Carried {
    let bytes = answer::send(answer, connection.stream, version, false).await;
    Carried {
        status: Some(answer.status()),
        bytes,
    }
}

/// The server behind us would not read all of a head.
pub(crate) fn too_large() -> Answer {
    Answer::new(
        431,
        format!(
            "the server behind this proxy reads {MAX_BYTES} bytes and {MAX_LINES} fields of a head\n"
        ),
    )
}

/// Carries one request and its answer. `target` is the request's, without our query parameters.
pub(crate) async fn carry(
    mut connection: Connection,
    head_length: usize,
    request_head: &[u8],
    target: &str,
    upstream: &Upstreams,
    caller: &Caller,
) -> Carried {
    let Ok(Some((request, _))) = Request::parse(request_head) else {
        return Carried::default();
    };
    let body = Body::of(&request);
    let peer = connection.peer.ip();
    let head = forward(&request, target, upstream.via(), caller.address);
    let version = request.version;
    let refusal = match (&head, body) {
        (None, _) => Some(too_large()),
        (_, Body::Unknown) => Some(Answer::new(411, "say how long the body is\n")),
        _ => None,
    };
    let (None, Some(head)) = (&refusal, head) else {
        let answer = refusal.unwrap_or_else(|| Answer::new(400, "malformed\n"));
        tracing::info!(%peer, method = request.method.as_str(), status = answer.status(), "not tunnelled");
        return refuse(connection, version, &answer).await;
    };
    let path = target.split('?').next().unwrap_or_default();
    let mut server = match upstream.connect(path).await {
        Ok(server) => server,
        Err(error) => {
            tracing::warn!(%peer, path, %error, "nothing to tunnel to");
            return refuse(connection, version, &Answer::unavailable(error)).await;
        }
    };
    let early = connection.buffer.split_off(head_length);
    let early = match body {
        Body::Exactly(length) => {
            &early[..early
                .len()
                .min(usize::try_from(length).unwrap_or(usize::MAX))]
        }
        Body::Endless | Body::Unknown => &early[..],
    };
    if server.send(&head).await.is_err() || server.send(early).await.is_err() {
        let answer = Answer::unavailable("the upstream closed the connection");
        return refuse(connection, version, &answer).await;
    }
    let left = match body {
        Body::Exactly(length) => Some(length - early.len() as u64),
        Body::Endless | Body::Unknown => None,
    };
    let bytes = AtomicU64::new(0);
    let mut told = None;
    let answered = pump(
        &mut connection.stream,
        &mut server,
        left,
        &bytes,
        |status| {
            tracing::info!(%peer, method = request.method.as_str(), path, status, "tunnelled");
            told = status;
        },
    )
    .await;
    if !answered {
        tracing::warn!(%peer, path, "the upstream closed without an answer");
        let why = "The upstream closed the connection without an answer.\n";
        return refuse(connection, version, &Answer::new(502, why)).await;
    }
    drain(&mut connection.stream).await;
    Carried {
        status: told,
        bytes: bytes.load(Ordering::Relaxed),
    }
}

/// The status in the first bytes of an answer.
fn status(answer: &[u8]) -> Option<u16> {
    let line = answer.split(|&byte| byte == b'\r').next()?;
    let code = line.split(|&byte| byte == b' ').nth(1)?;
    std::str::from_utf8(code).ok()?.parse().ok()
}

/// Moves bytes both ways until either side is done. `left`: of the client's bytes, so many may pass. False if the server was
/// done before it had said anything. `answered` is told the status; `sent` counts what the client took.
async fn pump(
    client: &mut Stream,
    server: &mut Stream,
    left: Option<u64>,
    sent: &AtomicU64,
    answered: impl FnOnce(Option<u16>),
) -> bool {
    let (mut from_client, mut to_client) = tokio::io::split(client);
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let up = async {
        match left {
            Some(left) => {
                tokio::io::copy(&mut (&mut from_client).take(left), &mut to_server).await?;
                // Wait for the client to leave; what it sends meanwhile goes nowhere.
                tokio::io::copy(&mut from_client, &mut tokio::io::sink()).await?;
                // A client may close its half and still read the answer.
                std::future::pending::<()>().await;
            }
            None => {
                tokio::io::copy(&mut from_client, &mut to_server).await?;
                to_server.shutdown().await?;
                std::future::pending::<()>().await;
            }
        }
        Ok::<_, std::io::Error>(())
    };
    let down = async {
        let mut bytes = vec![0; 16 << 10];
        let mut read = from_server.read(&mut bytes).await.unwrap_or(0);
        if read == 0 {
            return false;
        }
        answered(status(&bytes[..read]));
        while read > 0 {
            let mut done = 0;
            while done < read {
                let Ok(n @ 1..) = to_client.write(&bytes[done..read]).await else {
                    return true;
                };
                done += n;
                sent.fetch_add(n as u64, Ordering::Relaxed);
            }
            // TLS may keep some of it back.
            if to_client.flush().await.is_err() {
                return true;
            }
            read = match from_server.read(&mut bytes).await {
                Ok(read) => read,
                Err(_) => return true,
            };
        }
        // The client may have left by now.
        let _ = to_client.shutdown().await;
        true
    };
    // The answer's end is the end; an error on either side is, too.
    tokio::select! {
        _ = up => true,
        answered = down => answered,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_forwarded_address_is_the_clients() {
        let head = "GET /x?_shift=3 HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 6.6.6.6\r\nConnection: keep-alive\r\nVia: 1.0 a\r\n\r\n";
        let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
        let forwarded = forward(&request, "/x", "1.1 icx-me", [10, 0, 0, 9].into()).unwrap();
        assert_eq!(
            String::from_utf8(forwarded).unwrap(),
            "GET /x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 10.0.0.9\r\nVia: 1.0 a, 1.1 icx-me\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn a_head_that_icecast_would_read_in_part_is_not_sent() {
        let refused = |head: &str| {
            let (request, _) = Request::parse(head.as_bytes()).unwrap().unwrap();
            forward(&request, "/x", "1.1 icx-me", [10, 0, 0, 9].into()).is_none()
        };
        let lines = |count| format!("GET /x HTTP/1.1\r\n{}\r\n", "X: y\r\n".repeat(count));
        assert!(!refused(&lines(29)) && refused(&lines(30)));
        let long = |len| format!("GET /x HTTP/1.1\r\nX: {}\r\n\r\n", "y".repeat(len));
        assert!(!refused(&long(3900)) && refused(&long(4096)));
    }

    #[test]
    fn only_a_body_that_was_announced_goes_upstream() {
        for (head, body) in [
            ("GET /x HTTP/1.1\r\nHost: h\r\n\r\n", Body::Exactly(0)),
            (
                "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
                Body::Exactly(3),
            ),
            ("PUT /x HTTP/1.1\r\nHost: h\r\n\r\n", Body::Endless),
            (
                "PUT /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
                Body::Endless,
            ),
            ("SOURCE /x ICE/1.0\r\n\r\n", Body::Endless),
            (
                "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
                Body::Unknown,
            ),
        ] {
            assert_eq!(
                Body::of(&Request::parse(head.as_bytes()).unwrap().unwrap().0),
                body,
                "{head}"
            );
        }
    }
}
