//! Other relays of the same source, before servers that know nothing: each is heard as a relay's child would, to learn which
//! of its names are names of our own bytes (R-ALIAS-1).

use std::sync::Arc;
use std::time::Duration;

use icecast_ext_core::address::Position;
use icecast_ext_core::alias::{Follower, News};
use icecast_ext_core::field::{From as Asked, Miss, Resume};
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_core::resume::HOLD;
use tokio::time::Instant;
use tokio_util::sync::DropGuard;

use super::body::Ended;
use super::{Asking, Kind, feed, opened};
use crate::config::Vorbis;
use crate::server::Server;
use crate::station::Station;
use crate::upstream::{Origin, UpstreamError};

/// Between two tries, at first.
const WAIT: Duration = Duration::from_secs(1);
/// The longest wait between two tries.
const MAX_WAIT: Duration = Duration::from_secs(30);
/// What has not come here yet is looked for so often once the peer has gone.
const TURN: Duration = Duration::from_millis(50);

/// Why a peer is not heard any more.
#[derive(Debug, thiserror::Error)]
enum Left {
    #[error(transparent)]
    Ended(#[from] Ended),
    #[error("it offers no relay feed: is it an icecast-ext that serves this mount?")]
    NoFeed,
    #[error("it has our own epochs: a relay of the same tree needs no alias")]
    Known,
}

impl From<UpstreamError> for Left {
    fn from(error: UpstreamError) -> Self {
        Self::Ended(error.into())
    }
}

/// Hears the peers at this mount, until what is returned is dropped.
pub(super) fn follow(server: &Arc<Server>, station: &Arc<Station>) -> DropGuard {
    let stop = server.stop.child_token();
    let proof = server.config().peer_proof;
    for peer in &server.peers {
        let (peer, station) = (peer.clone(), station.clone());
        let stop = stop.clone();
        server.tasks.spawn(async move {
            let followed = one(&peer, &station, Follower::new(proof));
            stop.run_until_cancelled(followed).await;
        });
    }
    stop.drop_guard()
}

async fn one(peer: &Origin, station: &Station, mut follower: Follower) {
    let name = peer.server().base();
    let mut wait = WAIT;
    let mut said = String::new();
    loop {
        let began = Instant::now();
        let Err(left) = heard(peer, &name, station, &mut follower).await;
        catch_up(&name, station, &mut follower).await;
        station.mount.peer_gone(&follower);
        if matches!(left, Left::Ended(Ended::Upstream(UpstreamError::Loop))) {
            return tracing::info!(mount = station.path, peer = name, "the peer is this relay");
        }
        if began.elapsed() > MAX_WAIT {
            said.clear();
        }
        // Once, and not each time that it is tried.
        if said != left.to_string() {
            said = left.to_string();
            tracing::info!(mount = station.path, peer = name, %left, "the peer is not heard; it is tried again");
        }
        wait = match left {
            Left::Known | Left::NoFeed => MAX_WAIT,
            _ if began.elapsed() > MAX_WAIT => WAIT,
            _ => (wait * 2).min(MAX_WAIT),
        };
        tokio::time::sleep(wait).await;
    }
}

/// One connection, from its request to its end.
async fn heard(
    peer: &Origin,
    name: &str,
    station: &Station,
    follower: &mut Follower,
) -> Result<std::convert::Infallible, Left> {
    let asking = Asking {
        authority: &peer.server().authority(),
        via: peer.via(),
        agent: &peer.agent(),
        authorization: None,
        // Of a peer nothing but the feed is taken.
        vorbis: Vorbis::default(),
        upstream: None,
        evidence: None,
    };
    let resume = Resume {
        from: follower.next().map_or(Asked::Live, Asked::At),
        miss: Miss::Live,
        ..Resume::LIVE
    };
    let stream = peer.connect().await?;
    let (kind, mut body) = opened(stream, &asking, &station.path, Some(resume)).await?;
    if !matches!(kind, Kind::Feed(_)) {
        return Err(Left::NoFeed);
    }
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let (mut silence, mut named) = (feed::SILENCE, None);
    loop {
        let bytes = body.next(silence).await?;
        let fed = decoder.feed(bytes, &mut frames).map_err(Ended::from);
        for frame in frames.drain(..) {
            let news = match frame {
                Frame::Format { epoch, tick_ms, .. } => {
                    silence = feed::silence(tick_ms);
                    named = Some(epoch);
                    if station.knows(epoch) {
                        return Err(Left::Known);
                    }
                    tracing::debug!(mount = station.path, peer = name, %epoch, "the peer is heard");
                    None
                }
                Frame::Data { offset, bytes } => {
                    let at = named.map(|epoch| Position::new(epoch, offset));
                    at.and_then(|at| station.mount.hear(follower, at, &bytes))
                }
                Frame::Keepalive { .. } => station.mount.settle(follower),
                _ => None,
            };
            tell(name, station, news);
        }
        fed?;
    }
}

/// The peer may have been ahead of us: what it has sent is compared as it comes here.
async fn catch_up(name: &str, station: &Station, follower: &mut Follower) {
    let until = Instant::now() + HOLD;
    while follower.waits() && Instant::now() < until {
        tokio::time::sleep(TURN).await;
        tell(name, station, station.mount.settle(follower));
    }
}

fn tell(name: &str, station: &Station, news: Option<News>) {
    match news {
        None => {}
        Some(News::Proven { theirs, ours }) => {
            tracing::info!(mount = station.path, peer = name, %theirs, %ours, "the peer's stream is ours: its listeners go on here");
        }
        Some(News::Refuted { theirs, ours }) => {
            station.figures.aliases_refuted.one();
            tracing::warn!(mount = station.path, peer = name, at = %theirs, %ours, "the peer's stream is not ours: the alias is dropped");
        }
    }
}
