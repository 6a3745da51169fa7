//! The process that goes.

use std::os::fd::{AsFd as _, BorrowedFd};
use std::process::Child;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use icecast_ext_delivery::{Detached, Kind};
use tokio::runtime::Handle;

use super::gate::{Depot, Frozen, Straggler};
use super::program::{Leash, Program};
use super::said::{Listener, Mount, Reply, Supply, VERSION, Word};
use super::wire::{MAX_DESCRIPTORS, Wire};
use crate::pull::follow;
use crate::server::Server;
use crate::station::{self, Station};

/// A step of the new process takes no longer.
const STEP: Duration = Duration::from_secs(15);

/// Hands everything over to a process that is started for it. Its number, once it serves; on an error this process is what it
/// was.
pub(crate) async fn hand_over(
    server: &Arc<Server>,
    program: &Program,
    leash: Option<&Leash>,
) -> anyhow::Result<u32> {
    let (server, program, leash) = (server.clone(), program.clone(), leash.cloned());
    let handle = Handle::current();
    tokio::task::spawn_blocking(move || {
        let (mut wire, theirs) = Wire::pair()?;
        let mut child = program.start(theirs.into())?;
        let pid = child.id();
        let mut old = Old {
            server: &server,
            wire: &mut wire,
            handle: &handle,
        };
        if let Err(error) = old.run(leash.as_ref()) {
            let ended = end(&mut child);
            return Err(error.context(format!(
                "the new process {pid} does not take over ({ended})"
            )));
        }
        std::thread::spawn(move || end_of(child));
        Ok(pid)
    })
    .await?
}

/// Kills it, if it is not gone already; says how it ended.
fn end(child: &mut Child) -> String {
    // One that has failed is just about to end by itself.
    let patience = Instant::now() + Duration::from_millis(500);
    while Instant::now() < patience {
        match child.try_wait() {
            Ok(None) => std::thread::sleep(Duration::from_millis(10)),
            Ok(Some(status)) => return format!("it ended: {status}"),
            Err(_) => break,
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    "it was killed".to_owned()
}

fn end_of(mut child: Child) {
    if let Ok(status) = child.wait() {
        tracing::warn!(%status, "the process that took over has ended");
    }
}

struct Old<'a> {
    server: &'a Arc<Server>,
    wire: &'a mut Wire,
    handle: &'a Handle,
}

impl Old<'_> {
    fn run(&mut self, leash: Option<&Leash>) -> anyhow::Result<()> {
        self.wire.patience(Some(STEP))?;
        let hello = self.wire.receive::<Reply>().context("it says nothing")?;
        match hello.said {
            Reply::Hello {
                version: VERSION,
                name,
                pid,
            } => tracing::info!(pid, name, "a new process takes over"),
            Reply::Hello { version, name, .. } => bail!(
                "{name} hands over by version {version}, this process by {VERSION}: restart instead"
            ),
            other => bail!("it begins with {other:?}"),
        }
        self.doors(leash)?;
        self.expect(&Reply::Ready)?;
        let began = Instant::now();
        let server = self.server;
        let frozen = self.handle.block_on(server.gate.freeze())?;
        let mut detached = Vec::new();
        if let Err(error) = self.give(&frozen, &mut detached) {
            resume(server, detached);
            return Err(error);
        }
        let told = self.wire.send(&Word::Commit, &[], &[]);
        // From here on it may have sent them something.
        if let Err(error) = told.and_then(|()| self.expect(&Reply::Serving)) {
            tracing::error!(
                listeners = detached.len(),
                "the new process has failed in the last moment: its listeners are cut"
            );
            frozen.torn();
            for mount in mounts(server) {
                mount.mount.pause_journal(false);
            }
            return Err(error);
        }
        let (send, stragglers) = mpsc::channel();
        frozen.leave(send);
        tracing::info!(listeners = detached.len(), still = ?began.elapsed(), "handed over");
        for listener in &detached {
            server.audience.leave(listener.id);
            server.door.ended(listener.id);
        }
        drop(detached);
        server.doors.close();
        if let Some(journal) = &server.journal {
            journal.release();
        }
        if server.upstream.is_none() {
            for station in server.stations.all() {
                let task = {
                    let server = server.clone();
                    async move { follow::run(&server, &station).await }
                };
                self.handle.spawn(server.tasks.track_future(task));
            }
        }
        let mut wire = self.wire.sender()?;
        std::thread::spawn(move || pass(&mut wire, &stragglers));
        Ok(())
    }

    fn expect(&mut self, reply: &Reply) -> anyhow::Result<()> {
        let message = self
            .wire
            .receive::<Reply>()
            .with_context(|| format!("it does not come to say {reply:?}"))?;
        match message.said == *reply {
            true => Ok(()),
            false => bail!("it says {:?} instead of {reply:?}", message.said),
        }
    }

    fn doors(&mut self, leash: Option<&Leash>) -> anyhow::Result<()> {
        let server = self.server;
        let doors = server.doors.all();
        let lock = match &server.journal {
            Some(journal) => journal.share_lock()?,
            None => None,
        };
        let word = Word::Doors {
            doors: doors.iter().map(|(door, _)| *door).collect(),
            state: lock.as_ref().and_then(|_| server.config().state.clone()),
            until_stdin_closes: leash.is_some(),
            next_id: server.audience.next_id(),
        };
        let sockets = doors.iter().map(|(_, socket)| socket.as_fd());
        let lock = lock.iter().map(|lock| lock.as_fd());
        let leash = leash.iter().map(|leash| leash.0.as_fd());
        let descriptors: Vec<_> = sockets.chain(lock).chain(leash).collect();
        self.wire.send(&word, &[], &descriptors)
    }

    /// Everything, up to what is not taken back.
    fn give(&mut self, frozen: &Frozen<'_>, detached: &mut Vec<Detached>) -> anyhow::Result<()> {
        let server = self.server;
        let stations = mounts(server);
        for station in &stations {
            station.mount.pause_journal(true);
        }
        if let Some(journal) = &server.journal {
            journal.sync();
        }
        for station in &stations {
            self.mount(station)?;
        }
        let Depot { sources } = frozen.parked();
        for (source, socket, read) in &sources {
            let word = Word::Source(source.clone());
            self.wire.send(&word, read, &[socket.as_fd()])?;
        }
        let ours = |listener: &Detached| {
            let mut stations = stations.iter();
            stations.any(|station| Arc::ptr_eq(&station.mount, &listener.mount))
        };
        let door = server.door.clone();
        // Those of a mount that has ended are sent the rest of it here.
        let (ours, others): (Vec<_>, Vec<_>) = server
            .engine
            .detach(move |id| door.shadowed(id))
            .into_iter()
            .partition(ours);
        *detached = ours;
        for listener in others {
            server.engine.resume(listener)?;
        }
        for listeners in detached.chunks(MAX_DESCRIPTORS) {
            self.listeners(listeners)?;
        }
        let next_id = server.audience.next_id();
        self.wire.send(&Word::All { next_id }, &[], &[])?;
        self.expect(&Reply::Took)
    }

    fn mount(&mut self, station: &Station) -> anyhow::Result<()> {
        let supply = match station.supply() {
            station::Supply::Starting => Supply::Starting,
            station::Supply::Live => Supply::Live,
            station::Supply::Lost(since) => {
                Supply::Lost(u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX))
            }
            station::Supply::NoSource => Supply::NoSource,
            station::Supply::Refused => Supply::Refused,
        };
        let word = Word::Mount(Mount {
            path: station.path.clone(),
            recalled: !station.end_is_known(),
            supply,
            pull: station.remembered(),
        });
        self.wire.send(&word, &[], &[])?;
        for piece in station.mount.export() {
            self.wire.send(&Word::Piece, &piece, &[])?;
        }
        Ok(())
    }

    fn listeners(&mut self, listeners: &[Detached]) -> anyhow::Result<()> {
        let mut raw = Vec::new();
        let mut said = Vec::new();
        for listener in listeners {
            let cursor = listener.cursor.encode();
            raw.extend_from_slice(&cursor);
            raw.extend_from_slice(&listener.rest);
            said.push(Listener {
                path: listener.mount.name().to_owned(),
                cursor: cursor.len(),
                rest: listener.rest.len(),
                kind: kind_number(listener.kind),
                session: listener.session.map(|session| session.to_string()),
                id: listener.id,
                sent_bytes: listener.progress.sent_bytes,
                audio_bytes: listener.progress.audio_bytes,
                secs: listener.progress.secs,
                passenger: self.server.audience.passenger(listener.id),
                term: self.server.door.term(listener.id, listener.session),
            });
        }
        let sockets: Vec<BorrowedFd<'_>> = listeners
            .iter()
            .map(|listener| listener.socket.as_fd())
            .collect();
        self.wire.send(&Word::Listeners(said), &raw, &sockets)
    }
}

const fn kind_number(kind: Kind) -> u8 {
    match kind {
        Kind::Plain => 0,
        Kind::Icy => 1,
        Kind::Feed => 2,
    }
}

fn mounts(server: &Server) -> Vec<Arc<Station>> {
    let stations = server.stations.all().into_iter();
    stations.filter(|station| !station.mount.closed()).collect()
}

/// Everything as it was.
fn resume(server: &Server, detached: Vec<Detached>) {
    for listener in detached {
        if let Err(error) = server.engine.resume(listener) {
            tracing::warn!(%error, "a listener was lost when it was taken back");
        }
    }
    for station in mounts(server) {
        station.mount.pause_journal(false);
    }
}

/// What comes late, as long as this process and the other one run.
fn pass(wire: &mut Wire, stragglers: &mpsc::Receiver<Straggler>) {
    let _ = wire.patience(None);
    for straggler in stragglers {
        let word = Word::Straggler {
            peer: straggler.peer,
            kin: straggler.kin,
        };
        if let Err(error) = wire.send(&word, &straggler.read, &[straggler.socket.as_fd()]) {
            tracing::warn!(%error, peer = %straggler.peer, "the process that took over does not take a late connection");
            return;
        }
    }
}
