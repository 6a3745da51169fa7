//! The process that comes.

use std::collections::VecDeque;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use bytes::Bytes;
use icecast_ext_core::plan::Cursor;
use icecast_ext_delivery::handover::Progress;
use icecast_ext_delivery::{Detached, Journal, Kind};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::Instant;

use super::doors::Doors;
use super::program::Leash;
use super::said::{Door, Listener, Mount, Reply, Source, Supply, VERSION, Word};
use super::wire::{Message, Wire};
use crate::accept::Way;
use crate::audience::Places;
use crate::entrance::Shut;
use crate::events::What;
use crate::server::Server;
use crate::station::{self, Station};
use crate::{origin, pull};

/// What the old process takes for a step; it may have much to send.
const STEP: Duration = Duration::from_secs(60);

/// What is taken over before anything is served.
#[derive(Debug)]
pub(crate) struct Inheritance {
    wire: Wire,
    doors: Vec<(Door, OwnedFd)>,
    lock: Option<OwnedFd>,
    pub(crate) leash: Option<Leash>,
    next_id: u64,
}

/// Says hello to the process that started this one. Blocks.
pub(crate) fn greet() -> anyhow::Result<Inheritance> {
    let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
    let socket = UnixStream::from(stdin);
    socket.peer_addr().context(
        "--take-over is for a process that an upgrade starts: send SIGUSR2 to the running one",
    )?;
    let mut wire = Wire::new(socket);
    wire.patience(Some(STEP))?;
    let hello = Reply::Hello {
        version: VERSION,
        name: crate::USER_AGENT.to_owned(),
        pid: std::process::id(),
    };
    wire.send(&hello, &[], &[])?;
    let mut message = wire.receive::<Word>()?;
    let Word::Doors {
        doors,
        state,
        until_stdin_closes,
        next_id,
    } = &message.said
    else {
        bail!("the old process does not begin with its listening sockets");
    };
    let (doors, next_id) = (doors.clone(), *next_id);
    let (locked, leashed) = (state.is_some(), *until_stdin_closes);
    let doors = doors
        .into_iter()
        .map(|door| Ok((door, message.descriptor()?)))
        .collect::<anyhow::Result<_>>()?;
    let mut descriptor = |wanted: bool| wanted.then(|| message.descriptor()).transpose();
    Ok(Inheritance {
        doors,
        lock: descriptor(locked)?,
        leash: descriptor(leashed)?.map(|fd| Leash(Arc::new(fd))),
        wire,
        next_id,
    })
}

impl Inheritance {
    /// The listening sockets of the old process.
    pub(crate) fn doors(&mut self) -> Doors {
        Doors::inherited(std::mem::take(&mut self.doors))
    }

    /// The journal at `dir`: the old process's, if it is the same.
    pub(crate) fn journal(&mut self, dir: &Path) -> Result<Journal, icecast_ext_delivery::Error> {
        let taken = self.lock.take().map(|lock| Journal::take_over(dir, lock));
        match taken {
            Some(Ok(journal)) => Ok(journal),
            Some(Err(error)) => {
                tracing::warn!(%error, "the state directory is another one than before");
                Journal::open(dir)
            }
            None => Journal::open(dir),
        }
    }

    /// Takes everything and serves it. The server must not serve anything yet. Blocks.
    pub(crate) fn take(mut self, server: &Arc<Server>) -> anyhow::Result<Succession> {
        server.audience.go_on_at(self.next_id);
        self.wire.send(&Reply::Ready, &[], &[])?;
        let mut taken = Taken::default();
        loop {
            let message = self.wire.receive::<Word>()?;
            if !taken.take(server, message)? {
                break;
            }
        }
        self.wire.send(&Reply::Took, &[], &[])?;
        match self.wire.receive::<Word>()?.said {
            Word::Commit => Ok(Succession {
                wire: self.wire,
                taken,
            }),
            other => bail!("the old process says {other:?} instead of Commit"),
        }
    }
}

/// Read, and not served yet.
#[derive(Debug, Default)]
struct Taken {
    stations: Vec<Arc<Station>>,
    open: Option<(Mount, Vec<Bytes>)>,
    sources: Vec<(Source, OwnedFd, Bytes)>,
    listeners: Vec<Detached>,
}

impl Taken {
    /// False for the last one.
    fn take(&mut self, server: &Arc<Server>, mut message: Message<Word>) -> anyhow::Result<bool> {
        if !matches!(message.said, Word::Piece)
            && let Some((mount, pieces)) = self.open.take()
        {
            self.stations.push(restore(server, &mount, pieces)?);
        }
        match message.said {
            Word::Mount(mount) => self.open = Some((mount, Vec::new())),
            Word::Piece => {
                let open = self.open.as_mut().context("a piece of no mount")?;
                open.1.push(message.raw);
            }
            Word::Source(source) => {
                let socket = message
                    .descriptors
                    .pop_front()
                    .context("a source without a connection")?;
                self.sources.push((source, socket, message.raw));
            }
            Word::Listeners(listeners) => {
                self.listeners(server, listeners, message.raw, message.descriptors)?;
            }
            Word::All { next_id } => {
                server.audience.go_on_at(next_id);
                return Ok(false);
            }
            other => bail!("{other:?} is out of order"),
        }
        Ok(true)
    }

    fn listeners(
        &mut self,
        server: &Server,
        listeners: Vec<Listener>,
        mut raw: Bytes,
        mut sockets: VecDeque<OwnedFd>,
    ) -> anyhow::Result<()> {
        for listener in listeners {
            let socket = sockets
                .pop_front()
                .context("a listener without a connection")?;
            ensure!(
                listener.cursor <= raw.len() && listener.rest <= raw.len() - listener.cursor,
                "a listener without a place"
            );
            let cursor = raw.split_to(listener.cursor);
            let rest = raw.split_to(listener.rest);
            let session = listener.session.as_deref().map(str::parse).transpose()?;
            let mut stations = self.stations.iter();
            let station = stations
                .find(|station| station.path == listener.path)
                .context("a listener of no mount")?;
            let kind = kind(listener.kind)?;
            if let Some(passenger) = &listener.passenger {
                // It was let in there, even if there is no room for it here.
                let now = std::time::Instant::now();
                let counts = !server.config().trusts(passenger.address);
                let place = |counts| server.limits.connect(passenger.address, counts, now);
                let places = Places {
                    connection: place(counts).or_else(|_| place(false)).ok(),
                    seat: server.limits.listener(now).ok(),
                };
                let keep = station.mount.config().window;
                let who = (listener.id, kind, session);
                server.audience.arrive(who, passenger, keep, places);
            }
            if let Some(term) = listener.term {
                let mount = &station.mount;
                server.door.bound(mount, listener.id, session, term);
            }
            self.listeners.push(Detached {
                socket: socket.into(),
                mount: station.mount.clone(),
                cursor: Cursor::decode(&cursor)
                    .context("a listener at a place of another version")?,
                rest: Bytes::copy_from_slice(&rest),
                kind,
                session,
                id: listener.id,
                progress: Progress {
                    sent_bytes: listener.sent_bytes,
                    audio_bytes: listener.audio_bytes,
                    secs: listener.secs,
                },
            });
        }
        Ok(())
    }
}

fn kind(number: u8) -> anyhow::Result<Kind> {
    match number {
        0 => Ok(Kind::Plain),
        1 => Ok(Kind::Icy),
        2 => Ok(Kind::Feed),
        _ => bail!("a listener of an unknown kind"),
    }
}

fn restore(
    server: &Arc<Server>,
    mount: &Mount,
    pieces: Vec<Bytes>,
) -> anyhow::Result<Arc<Station>> {
    let held = server.new_mount(&mount.path);
    held.restore(pieces)?;
    let supply = match mount.supply {
        Supply::Starting => station::Supply::Starting,
        Supply::Live => station::Supply::Live,
        Supply::Lost(ms) => {
            let now = Instant::now();
            let since = now.checked_sub(Duration::from_millis(ms));
            station::Supply::Lost(since.unwrap_or(now))
        }
        Supply::NoSource => station::Supply::NoSource,
        Supply::Refused => station::Supply::Refused,
    };
    let figures = server.figures.mount(&mount.path);
    let station = Station::taken_over(
        &mount.path,
        held,
        figures,
        mount.recalled,
        supply,
        mount.pull,
    );
    server.stations.get_or_make(&mount.path, || station.clone());
    Ok(station)
}

/// Everything is this process's.
#[derive(Debug)]
pub(crate) struct Succession {
    wire: Wire,
    taken: Taken,
}

impl Succession {
    /// Serves it. Within a runtime.
    pub(crate) fn begin(mut self, server: &Arc<Server>) -> anyhow::Result<()> {
        server.doors.settle();
        let taken = std::mem::take(&mut self.taken);
        let count = (taken.stations.len(), taken.listeners.len());
        for station in &taken.stations {
            if let Some(journal) = &server.journal {
                station.mount.record_in(journal);
            }
        }
        for listener in taken.listeners {
            if let Err(error) = server.engine.resume(listener) {
                tracing::warn!(%error, "a listener was lost when it was taken over");
            }
        }
        for station in &taken.stations {
            server.mount_as_configured(station);
        }
        let read: Vec<String> = taken
            .sources
            .iter()
            .map(|(source, ..)| source.path.clone())
            .collect();
        for (source, socket, bytes) in taken.sources {
            let (path, peer) = (source.path.clone(), source.caller.peer);
            let mut stations = taken.stations.iter();
            let Some(station) = stations.find(|station| station.path == path) else {
                continue;
            };
            if let Err(error) = origin::resume(server, station, source, socket, &bytes) {
                tracing::warn!(%error, %peer, path, "a source cannot be taken over, and must come again");
                station.mount.end();
                origin::lost(server, station);
            }
        }
        for station in taken.stations {
            match &server.upstream {
                Some(upstream) => {
                    let pull = pull::run(server.clone(), upstream.clone(), station);
                    server.tasks.spawn(pull);
                }
                None if read.contains(&station.path) => {}
                None => {
                    // Its source could not be handed over, or there was none.
                    station.mount.end();
                    origin::lost(server, &station);
                }
            }
        }
        self.wire.send(&Reply::Serving, &[], &[])?;
        tracing::info!(mounts = count.0, listeners = count.1, "took over");
        let note = format!("took over {} mounts and {} listeners", count.0, count.1);
        server.figures.events.tell(None, What::Upgrade { note });
        self.wire.patience(None)?;
        let (server, handle) = (server.clone(), Handle::current());
        std::thread::spawn(move || late(&mut self.wire, &server, &handle));
        Ok(())
    }
}

/// What the old process still had, until it has ended.
fn late(wire: &mut Wire, server: &Arc<Server>, handle: &Handle) {
    let _runtime = handle.enter();
    while let Ok(mut message) = wire.receive::<Word>() {
        let Word::Straggler { peer, kin } = message.said else {
            return tracing::warn!("the old process says what this one does not know");
        };
        let Ok(socket) = message.descriptor() else {
            return;
        };
        match TcpStream::from_std(socket.into()) {
            Ok(stream) => {
                // The old process's own connection is nobody's to refuse: its TLS listeners hear what comes on it.
                let (way, let_in) = if kin {
                    let now = std::time::Instant::now();
                    let place = server.limits.connect(peer.ip(), false, now);
                    (Way::Kin, place.map_err(Shut::Limited))
                } else {
                    (Way::Plain, server.let_in(peer))
                };
                match let_in {
                    Ok(place) => server.enter(stream, peer, message.raw[..].into(), way, place),
                    Err(shut) => tracing::debug!(?shut, %peer, "a late connection is not let in"),
                }
            }
            Err(error) => tracing::warn!(%error, %peer, "a late connection was lost"),
        }
    }
    tracing::info!("the old process has ended");
}
