//! The one connection for a mount to its upstream: made, kept, made again.

mod body;
mod feed;
pub(crate) mod follow;
mod legacy;
mod peers;

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use icecast_ext_core::field::{Resume, STREAM_OFFSET, StreamOffset};
use icecast_ext_core::head::{Response, encode_path, upstream_lines};
use icecast_ext_core::{chunked, frame};
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::config::Credentials;
use crate::figures::Pulled;
use crate::handover::Pull;
use crate::server::Server;
use crate::station::{Station, Supply};
use crate::stream::Stream;
use crate::upstream::{Origin, UpstreamError};
use body::{Body, Ended};
use icecast_ext_delivery::clock;

/// How long the head of an answer may take. A relay holds a request ahead of its edge for 10 s (R-AHEAD-1).
const HEAD_TIME: Duration = Duration::from_secs(12);
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// An upstream that does not give a mount is not asked again for so long.
const REFUSED: Duration = Duration::from_secs(5);

/// What a pull remembers from one connection to the next.
struct Memory {
    /// When the last byte came; for a buffer that a journal gave back, when that byte had come.
    last_byte: Option<Instant>,
    /// The epoch was minted by a parent: only that may declare what follows it (R-SPLICE-1).
    adopted: bool,
    /// Connections in a row that broke before it was known whether they continue the buffer.
    unproven: u32,
}

impl Memory {
    /// As far as the buffer and the process before know.
    fn of(station: &Station) -> Self {
        let age = station.age();
        let since = |age| Instant::now().checked_sub(age);
        match station.remembered() {
            Some(pull) => {
                let ago = |ms| Duration::from_millis(clock::now_ms().saturating_sub(ms));
                Self {
                    last_byte: pull.last_byte.map(ago).and_then(since),
                    adopted: pull.adopted,
                    unproven: pull.unproven,
                }
            }
            None => Self {
                last_byte: age.and_then(since),
                adopted: false,
                unproven: 0,
            },
        }
    }

    fn pull(&self) -> Pull {
        let ms = |at: Instant| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Pull {
            last_byte: self
                .last_byte
                .map(|at| clock::now_ms().saturating_sub(ms(at))),
            adopted: self.adopted,
            unproven: self.unproven,
        }
    }
}

/// Pulls until nobody has listened for a window, or the upstream has been without the mount for longer than the listeners'
/// patience. Then the station is forgotten.
pub(crate) async fn run(server: Arc<Server>, upstream: Arc<Origin>, station: Arc<Station>) {
    if server.gate.gone() {
        return follow::run(&server, &station).await;
    }
    let peers = peers::follow(&server, &station);
    let mut memory = Memory::of(&station);
    let mut wait = Duration::ZERO;
    let mut lost: Option<Instant> = None;
    let mut said = String::new();
    let stop = server.stop.clone();
    let idle = std::pin::pin!(idle(&server, &station));
    let mut idle = idle;
    loop {
        let Some(hold) = server.gate.hold().await else {
            drop(peers);
            return follow::run(&server, &station).await;
        };
        let went = tokio::select! {
            () = stop.cancelled() => return,
            () = &mut idle => {
                tracing::info!(mount = station.path, "nobody listens: the pull ends");
                break;
            }
            () = server.gate.freezing() => None,
            went = through(&server, &upstream, &station, &mut memory) => went,
        };
        station.remember(memory.pull());
        drop(hold);
        // Closed for a moment, and nothing is lost.
        let Some(went) = went else { continue };
        let was_live = station.supply() == Supply::Live;
        if matches!(went, Ended::Silent(_)) {
            station.figures.pulled(Pulled::Silent);
        }
        if was_live {
            lost = None;
            wait = Duration::ZERO;
            server.stations.forgive(&station.path);
        }
        let since = *lost.get_or_insert_with(Instant::now);
        match &went {
            Ended::Status(404) => station.set(Supply::NoSource),
            Ended::Status(401 | 403) => {
                refused(&server, &station, &went);
                station.set(Supply::Refused);
                wait = REFUSED;
            }
            Ended::File | Ended::Upstream(UpstreamError::Loop) if memory.last_byte.is_none() => {
                tracing::warn!(mount = station.path, error = %went, "not fanned out");
                station.set(Supply::Refused);
                wait = REFUSED;
            }
            _ => station.set(Supply::Lost(since)),
        }
        if was_live {
            station.figures.pulled(Pulled::Lost);
            station.figures.upstream_lost(&went.to_string());
            tracing::warn!(mount = station.path, error = %went, "lost the upstream; listeners stay while it is tried again");
        } else if matches!(went, Ended::Upstream(_)) && said != went.to_string() {
            said = went.to_string();
            tracing::warn!(mount = station.path, error = %went, "no stream; it is tried again");
        } else {
            tracing::debug!(mount = station.path, error = %went, "no stream");
        }
        let patience = server.config().patience;
        if since.elapsed() > patience {
            tracing::warn!(mount = station.path, ?patience, error = %went, "gave the mount up");
            break;
        }
        // Remembered for a while, so that not every listener asks again.
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(wait) => {}
        }
        if station.supply() == Supply::Refused && memory.last_byte.is_none() {
            break;
        }
        wait = (wait * 2).clamp(Duration::from_millis(50), MAX_WAIT);
    }
    server.stations.remove(&station);
    server.close(&station);
    if server.config().always.contains(&station.path) {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(MAX_WAIT) => drop(server.station(&station.path)),
        }
    }
}

/// Returns when nobody has listened for a window. What is pulled always may be so no more after a reload.
async fn idle(server: &Server, station: &Station) {
    let mut since = Instant::now();
    while since.elapsed() < station.mount.config().window {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let wanted = || server.config().always.contains(&station.path);
        if station.mount.listeners().total() > 0 || wanted() {
            since = Instant::now();
        }
    }
}

/// One connection, as long as the gate is open; `None` if it was closed.
async fn through(
    server: &Server,
    upstream: &Origin,
    station: &Station,
    memory: &mut Memory,
) -> Option<Ended> {
    let _inside = station.gate.enter().await;
    tokio::select! {
        () = station.gate.closing() => None,
        went = once(server, upstream, station, memory) => Some(went),
    }
}

/// Says once what to do about a pull that is not let in.
fn refused(server: &Server, station: &Station, error: &Ended) {
    if !server.stations.warn_once(&station.path) {
        return;
    }
    let advice = match server.config().mount(&station.path).pull_credentials {
        None => "give the pull the USER:PASSWORD of a listener: pull-credentials of this mount",
        Some(_) => {
            "pull-credentials of this mount are not those of a listener (the passwords of relays, sources and the administrator \
             do not pass; a user who may log in only once is taken if anybody else uses it)"
        }
    };
    tracing::warn!(
        mount = station.path, %error, advice,
        "the pull is refused: tunnelled, until it is let in"
    );
}

/// One connection, from its request to its end.
async fn once(server: &Server, upstream: &Origin, station: &Station, memory: &mut Memory) -> Ended {
    let options = server.config();
    let credentials = &options.mount(&station.path).pull_credentials;
    let authorization = credentials.as_ref().map(Credentials::basic);
    match connected(upstream, station, authorization.as_deref(), memory).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

async fn connected(
    upstream: &Origin,
    station: &Station,
    authorization: Option<&str>,
    memory: &mut Memory,
) -> Result<std::convert::Infallible, Ended> {
    let stream = upstream.connect().await?;
    let asking = Asking {
        authority: &upstream.server().authority(),
        via: upstream.via(),
        agent: &upstream.agent(),
        authorization,
        upstream: Some(upstream),
    };
    asked(stream, asking, station, memory).await
}

/// Whom a pull asks, and as whom.
struct Asking<'a> {
    authority: &'a str,
    via: &'a str,
    agent: &'a str,
    authorization: Option<&'a str>,
    /// If it is that: it counts us.
    upstream: Option<&'a Origin>,
}

/// Asks on a connection that has just been made, and reads to the end.
async fn asked(
    stream: Stream,
    asking: Asking<'_>,
    station: &Station,
    memory: &mut Memory,
) -> Result<std::convert::Infallible, Ended> {
    // Kept through every 412: a parent that is behind us in our own epoch has to catch up.
    let held = station.mount.received().map(Resume::at);
    let (kind, body) = opened(stream, &asking, &station.path, held).await?;
    let upstream = asking.upstream;
    let _pulling = upstream.map(|upstream| upstream.ledger().pulled(&station.path));
    station.figures.pulled(Pulled::Connected);
    match kind {
        Kind::Feed { spliced } => feed::run(station, body, spliced, memory).await,
        Kind::Legacy { shape, lines } => legacy::run(station, body, shape, lines, memory).await,
    }
}

/// Asks for a mount, and reads the answer up to its body.
async fn opened(
    mut stream: Stream,
    asking: &Asking<'_>,
    path: &str,
    resume: Option<Resume>,
) -> Result<(Kind, Body), Ended> {
    stream
        .send(request(asking, path, resume).as_bytes())
        .await?;
    let mut buffer = BytesMut::with_capacity(16 << 10);
    let deadline = Instant::now() + HEAD_TIME;
    let (length, kind, chunks) = loop {
        if let Some((answer, length)) = Response::parse(&buffer)? {
            match answer.status {
                200 => {}
                508 => return Err(UpstreamError::Loop.into()),
                status => return Err(Ended::Status(status)),
            }
            let chunks = answer.is_chunked().then(chunked::Decoder::default);
            break (length, Kind::of(&answer)?, chunks);
        }
        match tokio::time::timeout_at(deadline, stream.read_buf(&mut buffer)).await {
            Err(_) => return Err(Ended::Silent(HEAD_TIME)),
            Ok(Ok(0)) => return Err(Ended::Eof),
            Ok(result) => result?,
        };
    };
    let _ = buffer.split_to(length);
    let body = Body {
        stream,
        buffer,
        chunks,
    };
    Ok((kind, body))
}

fn request(asking: &Asking<'_>, path: &str, resume: Option<Resume>) -> String {
    let path = encode_path(path);
    let resume = resume.map_or_else(String::new, |resume| {
        format!("Resume-Offset: {}\r\n", resume.encode())
    });
    let authorization = asking
        .authorization
        .map_or_else(String::new, |value| format!("Authorization: {value}\r\n"));
    // HTTP/1.0, so that nobody on the way makes the answer chunked.
    format!(
        "GET {path} HTTP/1.0\r\nHost: {}\r\nUser-Agent: {}\r\nAccept: {}, */*;q=0.5\r\nIcy-MetaData: 1\r\nVia: {}\r\n{authorization}{resume}\r\n",
        asking.authority,
        asking.agent,
        frame::MEDIA_TYPE,
        asking.via,
    )
}

/// What kind of body an answer has.
enum Kind {
    /// Frames. `spliced`: as the answer's `Stream-Offset` says.
    Feed { spliced: bool },
    /// What any listener gets, and the lines of the head that ours will get.
    Legacy { shape: legacy::Shape, lines: Bytes },
}

impl Kind {
    fn of(answer: &Response<'_>) -> Result<Self, Ended> {
        let content_type = answer.field("Content-Type").unwrap_or_default();
        if content_type.eq_ignore_ascii_case(frame::MEDIA_TYPE.as_bytes()) {
            let offset = answer
                .field(STREAM_OFFSET)
                .and_then(|value| StreamOffset::parse(&value).ok());
            let spliced = offset.is_some_and(|offset| offset.spliced);
            return Ok(Self::Feed { spliced });
        }
        if answer.field("Content-Length").is_some() {
            return Err(Ended::File);
        }
        Ok(Self::Legacy {
            shape: legacy::Shape::of(answer, &content_type),
            lines: upstream_lines(answer),
        })
    }
}
