//! A source whose body is being read.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::BytesMut;
use icecast_ext_core::chunked;
use icecast_ext_core::head::Version;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::answer::{self, Answer};
use crate::caller::Caller;
use crate::figures::Pulled;
use crate::handover::{Hold, Source, SourceCaller};
use crate::server::Server;
use crate::station::{Seat, Station};
use crate::stream::Stream;

/// Room to read into. A mount keeps it as long as it is fed, and there may be thousands.
const READ: usize = 16 << 10;
/// A source that sends nothing for so long has gone (Icecast's `source-timeout`).
const SILENCE: Duration = Duration::from_secs(10);

/// A source, from the first byte of its body on.
pub(super) struct Live {
    pub(super) caller: Caller,
    pub(super) since: SystemTime,
    /// Bytes that were answered.
    pub(super) said: u64,
    pub(super) stream: Stream,
    /// Read, and not used.
    pub(super) read: BytesMut,
    /// It came by PUT, and waits for an answer at its end.
    pub(super) put: Option<Version>,
    /// Bytes left of its body, if it said how many.
    pub(super) left: Option<u64>,
    pub(super) chunks: Option<chunked::Decoder>,
}

/// Goes on with a source of the process before.
pub(crate) fn resume(
    server: &Arc<Server>,
    station: &Arc<Station>,
    source: Source,
    socket: OwnedFd,
    read: &[u8],
) -> anyhow::Result<()> {
    let chunks = match &source.chunks {
        Some(saved) => Some(
            chunked::Decoder::restore(saved)
                .ok_or_else(|| anyhow::anyhow!("its chunks are of another version"))?,
        ),
        None => None,
    };
    let stream = TcpStream::from_std(std::net::TcpStream::from(socket))?;
    let live = Live {
        since: UNIX_EPOCH
            .checked_add(Duration::from_millis(source.since))
            .unwrap_or_else(SystemTime::now),
        said: 0,
        caller: Caller {
            peer: source.caller.peer,
            trusted: false,
            limited: false,
            address: source.caller.address,
            agent: source.caller.agent,
            referer: source.caller.referer,
            user: source.caller.user,
            line: source.caller.line,
        },
        stream: stream.into(),
        read: read.into(),
        put: source.put.map(|minor| match minor {
            0 => Version::Http10,
            _ => Version::Http11,
        }),
        left: source.left,
        chunks,
    };
    let (server, station) = (server.clone(), station.clone());
    server.clone().connections.spawn(async move {
        if let (Some(hold), Some(seat)) = (server.gate.hold().await, station.take_seat()) {
            tracing::info!(peer = %live.caller.peer, path = station.path, "the source goes on here");
            let stop = server.stop.clone();
            tokio::select! {
                () = stop.cancelled() => {}
                () = live.serve(&server, &station, seat, hold) => {}
            }
        }
    });
    Ok(())
}

impl Live {
    /// Reads to its end, or until another process goes on with it.
    pub(super) async fn serve(
        mut self,
        server: &Arc<Server>,
        station: &Arc<Station>,
        seat: Seat,
        hold: Hold,
    ) {
        let mut hold = hold;
        let why = loop {
            let ended = tokio::select! {
                biased;
                () = server.gate.freezing() => None,
                why = self.read(station) => Some(why),
            };
            if let Some(why) = ended {
                break why;
            }
            let torn = server.gate.torn();
            self.park(server, station);
            drop(hold);
            match server.gate.hold().await {
                Some(_) if server.gate.torn() != torn => {
                    break "the process that took it over has failed";
                }
                Some(again) => hold = again,
                // It is read there; one that cannot be comes again.
                None => return,
            }
        };
        let (peer, path) = (self.caller.peer, &station.path);
        tracing::info!(%peer, path, why, "the source has gone");
        station.figures.pulled(Pulled::Lost);
        station.figures.upstream_lost(why);
        if let Some(version) = self.put {
            let answer = Answer::new(200, "").encode(version, false, &answer::date());
            let _ = self.stream.send(&answer).await;
            let _ = self.stream.shutdown().await;
            self.said += answer.len() as u64;
        }
        server.note(&self.caller, self.since, Some(200), self.said);
        station.mount.end();
        drop(seat);
        super::lost(server, station);
    }

    fn park(&self, server: &Server, station: &Station) {
        let Some(descriptor) = self.stream.descriptor() else {
            tracing::warn!(peer = %self.caller.peer, path = station.path, "a source that speaks TLS cannot be handed over: if another process takes over, it must come again");
            return;
        };
        let since = self.since.duration_since(UNIX_EPOCH).unwrap_or_default();
        let source = Source {
            path: station.path.clone(),
            caller: SourceCaller {
                peer: self.caller.peer,
                address: self.caller.address,
                agent: self.caller.agent.clone(),
                referer: self.caller.referer.clone(),
                user: self.caller.user.clone(),
                line: self.caller.line.clone(),
            },
            since: u64::try_from(since.as_millis()).unwrap_or(u64::MAX),
            put: self.put.map(|version| u8::from(version == Version::Http11)),
            left: self.left,
            chunks: self.chunks.as_ref().map(chunked::Decoder::save),
        };
        let read = self.read.clone().freeze();
        server.gate.park_source(source, descriptor, read);
    }

    /// Says why it ended. Dropped in between, it loses nothing.
    async fn read(&mut self, station: &Station) -> &'static str {
        let mut payload = Vec::new();
        loop {
            let mut done = false;
            match &mut self.chunks {
                Some(decoder) => {
                    payload.clear();
                    match decoder.feed(&self.read, &mut payload) {
                        Ok(end) => done = end,
                        Err(error) => {
                            tracing::warn!(peer = %self.caller.peer, mount = station.path, %error, "the source's chunks cannot be read");
                            return "malformed chunks";
                        }
                    }
                    station.append(&payload);
                }
                None => {
                    let held = self.read.len();
                    let take = self.left.map_or(held, |left| {
                        held.min(usize::try_from(left).unwrap_or(usize::MAX))
                    });
                    station.append(&self.read[..take]);
                    if let Some(left) = &mut self.left {
                        *left -= take as u64;
                        done = *left == 0;
                    }
                }
            }
            self.read.clear();
            if done {
                return "its body is complete";
            }
            self.read.reserve(READ);
            match tokio::time::timeout(SILENCE, self.stream.read_buf(&mut self.read)).await {
                Err(_) => return "it was silent for 10 s",
                Ok(Err(_)) => return "its connection broke",
                Ok(Ok(0)) => return "it closed",
                Ok(Ok(_)) => {}
            }
        }
    }
}
