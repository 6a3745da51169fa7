//! The one connection for a mount to its upstream: made, kept, made again.

mod ask;
mod body;
mod evidence;
mod feed;
pub(crate) mod follow;
mod legacy;
mod memory;
mod parts;
mod peers;
mod round;

use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use icecast_ext_core::chunked;
use icecast_ext_core::field::Resume;
use icecast_ext_core::head::Response;
use tokio::io::AsyncReadExt as _;
use tokio::time::Instant;

use crate::config::{Credentials, MountOptions};
use crate::figures::Pulled;
use crate::server::Server;
use crate::station::{Station, Supply};
use crate::stream::Stream;
use crate::upstream::UpstreamError;
use crate::upstreams::Upstreams;
use ask::{Asking, Kind, request};
use body::{Body, Ended};
use memory::{Left, Memory};
use round::{Round, Said};

/// How long the head of an answer may take. A relay holds a request ahead of its edge for 10 s (R-AHEAD-1).
const HEAD_TIME: Duration = Duration::from_secs(12);
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(1);
/// An upstream that does not give a mount is not asked again for so long.
const REFUSED: Duration = Duration::from_secs(5);

/// Pulls until nobody has listened for a window, or the upstream has been without the mount for longer than the listeners'
/// patience. Then the station is forgotten.
pub(crate) async fn run(server: Arc<Server>, upstreams: Arc<Upstreams>, station: Arc<Station>) {
    if server.gate.gone() {
        return follow::run(&server, &station).await;
    }
    let peers = peers::follow(&server, &station);
    let mut memory = Memory::of(&station);
    let mut round = Round::new(upstreams.current());
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
            went = through(&server, (&upstreams, round.at), &station, &mut memory) => went,
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
        let new = memory.last_byte.is_none();
        match &went {
            Ended::Status(401 | 403) => refused(&server, &station, &went),
            Ended::File | Ended::Upstream(UpstreamError::Loop) if new => {
                tracing::warn!(mount = station.path, error = %went, "not fanned out");
            }
            _ => {}
        }
        memory.left.get_or_insert_with(|| Left {
            at: round.at,
            why: went.to_string(),
            dead: went.is_of_server(),
        });
        let verdict = round.failed(Said::of(&went, new), was_live, upstreams.len());
        match verdict {
            None if !was_live => {}
            None | Some(Said::Lost) => station.set(Supply::Lost(since)),
            Some(Said::None) => station.set(Supply::NoSource),
            Some(Said::Refused) => {
                station.set(Supply::Refused);
                wait = REFUSED;
            }
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
        if verdict.is_none() {
            continue;
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
    upstream: (&Upstreams, usize),
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
async fn once(
    server: &Server,
    upstream: (&Upstreams, usize),
    station: &Station,
    memory: &mut Memory,
) -> Ended {
    let options = server.config();
    match connected(upstream, station, options.mount(&station.path), memory).await {
        Ok(never) => match never {},
        Err(ended) => ended,
    }
}

async fn connected(
    upstream: (&Upstreams, usize),
    station: &Station,
    options: &MountOptions,
    memory: &mut Memory,
) -> Result<std::convert::Infallible, Ended> {
    let (upstreams, at) = upstream;
    let origin = upstreams.get(at);
    let stream = origin.connect().await?;
    let credentials = options.pull_credentials.as_ref();
    let authorization = credentials.map(Credentials::basic);
    let asking = Asking {
        authority: &origin.server().authority(),
        via: origin.via(),
        agent: &origin.agent(),
        authorization: authorization.as_deref(),
        vorbis: options.vorbis.unwrap_or_default(),
        upstream: Some(upstream),
        evidence: evidence::of(station, memory),
    };
    asked(stream, asking, station, memory).await
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
    if let Some((upstreams, at)) = asking.upstream {
        arrived(station, upstreams, at, memory.left.take());
    }
    let origin = asking.upstream.map(|(upstreams, at)| upstreams.get(at));
    let _pulling = origin.map(|origin| origin.ledger().pulled(&station.path));
    station.figures.pulled(Pulled::Connected);
    match kind {
        Kind::Feed(start) => {
            memory.rest = Vec::new();
            feed::run(station, body, start, memory).await
        }
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
            break (length, Kind::of(&answer, asking)?, chunks);
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

/// An upstream gives the stream: where from it had come before, if it did.
fn arrived(station: &Station, upstreams: &Upstreams, at: usize, left: Option<Left>) {
    let to = upstreams.get(at).server().base();
    if let Some(left) = left.filter(|left| left.at != at) {
        let from = upstreams.get(left.at).server().base();
        tracing::warn!(
            mount = station.path,
            from,
            to,
            why = left.why,
            "another upstream gives the stream"
        );
        station.figures.pulled(Pulled::Moved);
        if left.dead {
            upstreams.moved(left.at, at, &left.why);
        }
    }
    station.figures.comes_from(&to);
}
