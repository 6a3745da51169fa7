//! The upstream is asked with the listener's own request.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use bytes::BytesMut;
use icecast_ext_core::frame;
use icecast_ext_core::head::{Field, Method, Request, Response};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use super::Asking;
use super::shadow::{Held, Who};
use crate::answer::{self, Answer, drain};
use crate::connection::Connection;
use crate::limits::{Limited, Seat};
use crate::server::Server;
use crate::station::Station;
use crate::stream::Stream;
use crate::tunnel;
use crate::upstream::UpstreamError;
use crate::upstreams::Upstreams;

/// How long an answer's head may take. A server that asks somebody else (URL authentication) waits for that.
const HEAD_TIME: Duration = Duration::from_secs(20);
/// A listener who came back at once may be refused because of itself, and is asked for again after so long.
const GHOST: [Duration; 3] = [
    Duration::from_millis(150),
    Duration::from_millis(350),
    Duration::from_millis(700),
];

/// What the upstream says to a request.
pub(super) enum Said {
    /// The live stream: permission. The connection stays open as long as this is kept.
    Yes(Held),
    /// Anything else.
    Other(Other),
    /// Nothing, and so the listener is told this.
    Nothing(Answer),
}

/// An answer that is no permission, as far as it has been read.
pub(super) struct Other {
    pub(super) status: u16,
    stream: Stream,
    bytes: BytesMut,
    head: usize,
    /// Of `stream`.
    _place: Seat,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unanswered {
    #[error("no open file is left to ask with")]
    Full(Limited),
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("the upstream broke the connection: {0}")]
    Io(#[from] std::io::Error),
    #[error("the upstream closed the connection without an answer")]
    Closed,
    #[error("the upstream said nothing for {HEAD_TIME:?}")]
    Late,
    #[error("the upstream's answer cannot be read: {0}")]
    Head(#[from] icecast_ext_core::head::HeadError),
}

/// What may not go upstream: what is ours, and what would make the answer another one than a listener's from now on.
fn stays(field: &Field<'_>) -> bool {
    const OURS: [&str; 5] = [
        "Resume-Offset",
        "Icy-MetaData",
        "Range",
        "If-Range",
        "If-Match",
    ];
    let feed = || {
        field.is("Accept")
            && memchr::memmem::find(
                &field.value.to_ascii_lowercase(),
                frame::MEDIA_TYPE.as_bytes(),
            )
            .is_some()
    };
    OURS.iter().any(|name| field.is(name)) || feed()
}

/// The request as it goes upstream; `None` if the server would not read all of it.
fn onward(asking: &Asking<'_>, via: &str) -> Option<Vec<u8>> {
    let request = asking.request;
    let fields = request.fields.iter();
    let request = Request {
        // A server may refuse HEAD to whom it would let listen.
        method: Method::Get,
        target: asking.target,
        version: request.version,
        fields: fields.filter(|field| !stays(field)).copied().collect(),
    };
    let caller = asking.caller;
    tunnel::forward(&request, asking.target, via, caller.address)
}

/// Which listener it is, as far as the upstream tells them apart.
fn who(asking: &Asking<'_>) -> Who {
    let mut hasher = DefaultHasher::new();
    asking.target.hash(&mut hasher);
    asking.request.field("Authorization").hash(&mut hasher);
    Who(hasher.finish())
}

/// Asks about a listener.
pub(super) async fn ask(server: &Server, station: &Station, asking: &Asking<'_>) -> Said {
    let Some(upstream) = &server.upstream else {
        return Said::Nothing(Answer::unavailable("there is no upstream to ask"));
    };
    let Some(head) = onward(asking, upstream.via()) else {
        return Said::Nothing(tunnel::too_large());
    };
    let who = who(asking);
    let ghost = server.door.shadows.left_lately(who);
    let mut patience = GHOST.iter();
    loop {
        let said = put(server, upstream, station, &head, who).await;
        match (&said, patience.next()) {
            (Ok(Said::Other(other)), Some(wait)) if ghost && matches!(other.status, 401 | 403) => {
                tokio::time::sleep(*wait).await;
            }
            _ => {
                return said.unwrap_or_else(|error| {
                    if let Unanswered::Full(limited) = &error {
                        server.say(limited, asking.caller.address);
                        return Said::Nothing(answer::limited(limited));
                    }
                    tracing::warn!(mount = station.path, %error, "nobody can say who may listen");
                    Said::Nothing(Answer::unavailable(error))
                });
            }
        }
    }
}

/// Sends a request and reads the head of its answer.
pub(super) async fn put(
    server: &Server,
    upstream: &Upstreams,
    station: &Station,
    head: &[u8],
    who: Who,
) -> Result<Said, Unanswered> {
    let place = server.limits.onward(std::time::Instant::now());
    let place = place.map_err(Unanswered::Full)?;
    let mut stream = upstream.connect(&station.path).await?;
    stream.send(head).await?;
    let mut bytes = BytesMut::with_capacity(1024);
    let deadline = Instant::now() + HEAD_TIME;
    loop {
        if let Some((answer, length)) = Response::parse(&bytes)? {
            let status = answer.status;
            if is_live(&answer, station) {
                let started = upstream.started(&station.path, None).await;
                return Ok(Said::Yes(Held {
                    socket: stream.into_wire()?,
                    place,
                    who,
                    started,
                    request: head.into(),
                }));
            }
            return Ok(Said::Other(Other {
                status,
                stream,
                bytes,
                head: length,
                _place: place,
            }));
        }
        match tokio::time::timeout_at(deadline, stream.read_buf(&mut bytes)).await {
            Err(_) => return Err(Unanswered::Late),
            Ok(Ok(0)) => return Err(Unanswered::Closed),
            Ok(result) => result?,
        };
    }
}

/// Whether an answer is the stream that the station has.
fn is_live(answer: &Response<'_>, station: &Station) -> bool {
    let kind = |value: &[u8]| -> Vec<u8> {
        let value = value.split(|&byte| byte == b';').next().unwrap_or_default();
        value.trim_ascii().to_ascii_lowercase()
    };
    let answered = answer.field("Content-Type").unwrap_or_default();
    answer.status == 200
        && answer.field("Content-Length").is_none()
        && station
            .says("Content-Type")
            .is_none_or(|ours| kind(&ours) == kind(&answered))
        // A server may give another mount to whom it refuses this one: `rejected_mount`, a fallback.
        && ["icy-name", "icy-genre", "icy-description", "icy-url"]
            .iter()
            .all(|name| {
                let ours = station.says(name);
                let theirs = answer.field(name);
                !station.begun() || ours.as_deref() == theirs.as_deref()
            })
}

/// Tells the listener what the upstream said; if that is yes, it is told nothing yet.
pub(super) async fn answered(
    server: &Server,
    station: &Station,
    mut connection: Connection,
    asking: &Asking<'_>,
    said: Said,
) -> Option<(Connection, Held)> {
    let head_only = asking.request.method == Method::Head;
    let other = match said {
        Said::Yes(held) => return Some((connection, held)),
        Said::Nothing(answer) => {
            let Asking {
                request, caller, ..
            } = asking;
            server.reply(connection, request, caller, &answer).await;
            return None;
        }
        Said::Other(other) => other,
    };
    let Other {
        status,
        stream: mut upstream,
        bytes,
        head,
        _place,
    } = other;
    tracing::info!(address = %asking.caller.address, mount = station.path, status, "the upstream's answer is passed on");
    let client = &mut connection.stream;
    let mut sent = 0;
    let passing = async {
        if head_only {
            client.write_all(&bytes[..head]).await?;
            sent += head as u64;
        } else {
            client.write_all(&bytes).await?;
            sent += bytes.len() as u64;
            sent += tokio::io::copy(&mut upstream, client).await?;
        }
        client.shutdown().await
    };
    // A client that has left is found by writing to it.
    if passing.await.is_ok() {
        drain(client).await;
    }
    server.note(asking.caller, connection.since, Some(status), sent);
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::caller::Caller;
    use crate::config::{Config, Options};

    #[test]
    fn the_upstream_gets_the_listeners_request_without_what_is_ours() {
        let head = b"HEAD /x?_resume=a HTTP/1.1\r\nHost: h\r\nAuthorization: Basic Ym9iOnM=\r\nUser-Agent: me\r\nResume-Offset: live\r\n\
            Range: bytes=0-\r\nicy-metadata: 1\r\nAccept: application/vnd.icecast-ext.relay, */*\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n";
        let (request, _) = Request::parse(head).unwrap().unwrap();
        let config = Config::new(
            Options {
                upstream: vec!["http://127.0.0.1:1".into()],
                ..Options::default()
            },
            None,
        )
        .unwrap();
        let caller = Caller::new(&config, ([10, 0, 0, 9], 1).into(), &request);
        let asking = Asking {
            request: &request,
            target: "/x",
            caller: &caller,
            resume: None,
        };
        assert_eq!(
            String::from_utf8(onward(&asking, "1.1 icx-me").unwrap()).unwrap(),
            "GET /x HTTP/1.1\r\nHost: h\r\nAuthorization: Basic Ym9iOnM=\r\nUser-Agent: me\r\n\
             X-Forwarded-For: 10.0.0.9\r\nVia: 1.1 icx-me\r\nConnection: close\r\n\r\n"
        );
    }
}
