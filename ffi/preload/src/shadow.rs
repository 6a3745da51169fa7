//! A listener that a loop sends to, while the server believes that it does. What the server would have sent is the oracle: it
//! tells where the listener is, that it is moved to another stream, and that it is sent something that is in none.

use std::cell::Cell;
use std::os::fd::IntoRawFd as _;
use std::sync::Arc;

use icecast_ext_core::address::Position;
use icecast_ext_core::timeline::RunId;
use icecast_ext_delivery::{Next, Reason, Released};

use crate::answer::Pending;
use crate::client::{Client, Done, Stage, later};
use crate::heard::Heard;
use crate::locate::{self, Found, Verdict};
use crate::module::{self, Module};
use crate::phase::{Part, Phase};
use crate::station::Station;

/// What comes instead of the stream is looked at for so long, and then forwarded.
const MOST: usize = 1 << 20;
/// So many bytes of a send are compared: more would only cost.
const COMPARED: usize = 64;

/// A listener, as the server has it.
#[derive(Debug)]
pub(crate) struct Shadow {
    station: Arc<Station>,
    /// What the server sends next.
    at: Position,
    phase: Option<Phase>,
    /// A loop has it.
    served: bool,
    /// Our blocks stand where the server's do.
    in_phase: bool,
    /// It is not answered yet.
    pub(crate) pending: Option<Box<Pending>>,
    /// Bytes that do not follow.
    moving: Option<Box<Heard>>,
}

/// The place of a buffer that has just been found, for the listeners who are sent the same one.
#[derive(Clone, Copy)]
struct Seen {
    address: usize,
    len: usize,
    station: usize,
    at: Position,
}

thread_local! {
    static SEEN: Cell<Option<Seen>> = const { Cell::new(None) };
}

/// The server reads into its buffers: what was known of them is so no more.
pub(crate) fn forget_seen() {
    SEEN.set(None);
}

impl Shadow {
    pub(crate) fn new(station: Arc<Station>, at: Position, phase: Option<Phase>) -> Self {
        Self {
            station,
            at,
            phase,
            served: false,
            in_phase: false,
            pending: None,
            moving: None,
        }
    }

    /// A loop has it.
    pub(crate) const fn served(&mut self, in_phase: bool) {
        self.served = true;
        self.in_phase = in_phase;
    }

    /// The run in which the server has it.
    pub(crate) fn run(&self) -> Option<RunId> {
        self.station.mount.with(|timeline| {
            let run = timeline.runs().rfind(|run| run.epoch == self.at.epoch);
            run.map(|run| run.id)
        })
    }

    /// The server closes it: it gets what the server has sent, and no more.
    pub(crate) fn close(self, id: u64, module: &Module) {
        if self.served {
            self.station.publish(self.at);
            let next = Next::End(Reason::Kicked);
            module.engine.part(id, self.at, next);
        }
    }

    /// True if these bytes are the stream's next.
    fn follow(&mut self, audio: &[u8]) -> bool {
        let seen = Seen {
            address: audio.as_ptr().addr(),
            len: audio.len(),
            station: Arc::as_ptr(&self.station).addr(),
            at: self.at,
        };
        let known = SEEN.get().is_some_and(|last| {
            (last.address, last.station, last.at) == (seen.address, seen.station, seen.at)
                && last.len >= seen.len
        });
        if !known {
            if !self.is_next(audio, seen.address) {
                return false;
            }
            SEEN.set(Some(seen));
        }
        self.at.offset = self.at.offset.saturating_add(audio.len() as u64);
        true
    }

    fn is_next(&self, audio: &[u8], address: usize) -> bool {
        let few = &audio[..audio.len().min(COMPARED)];
        if let Some((station, at)) =
            module::get().and_then(|module| module.stations.addresses.find(address))
            && (at != self.at || !Arc::ptr_eq(&station, &self.station))
            && station.mount.holds(at, audio)
        {
            // The same bytes may stand in two places; the server reads them from this one.
            return false;
        }
        self.station.mount.holds(self.at, few)
    }
}

/// The server sends.
pub(crate) fn send(client: &mut Client, module: &Module, bytes: &[u8]) -> Done {
    let id = client.id();
    let Stage::Shadow(shadow) = &mut client.stage else {
        return client.wire.send(bytes);
    };
    if shadow.moving.is_none() {
        let mut off = None;
        match shadow.phase.take() {
            None if shadow.follow(bytes) => return Ok(bytes.len()),
            None => off = Some(0),
            Some(mut phase) => {
                let before = phase.clone();
                phase.feed(bytes, |part| match part {
                    _ if off.is_some() => {}
                    Part::Audio(audio, _) if shadow.follow(audio) => {}
                    Part::Audio(audio, _) => {
                        off = Some(audio.as_ptr().addr() - bytes.as_ptr().addr())
                    }
                    Part::Title(text) => shadow.station.titled(shadow.at, text.into()),
                });
                shadow.phase = Some(match off {
                    None => phase,
                    Some(off) => {
                        let mut phase = before;
                        phase.feed(&bytes[..off], |_| {});
                        phase
                    }
                });
            }
        }
        let Some(off) = off else {
            return Ok(bytes.len());
        };
        shadow.moving = Some(Box::default());
        shadow.gather(&bytes[off..]);
    } else {
        shadow.gather(bytes);
    }
    let Some(moving) = &shadow.moving else {
        return Ok(bytes.len());
    };
    match locate::find(&module.stations, None, &moving.audio, moving.address) {
        Verdict::More if moving.raw.len() < MOST => {}
        Verdict::Found(found) => shadow.go(module, id, found),
        Verdict::More | Verdict::Unknown => release(client, module, id),
    }
    Ok(bytes.len())
}

impl Shadow {
    fn gather(&mut self, bytes: &[u8]) {
        if let Some(moving) = &mut self.moving {
            moving.take(self.phase.as_mut(), bytes);
        }
    }

    /// The server has moved the listener to another stream: from the byte that it would have heard last here to the first there.
    fn go(&mut self, module: &Module, id: u64, found: Found) {
        let Some(moving) = self.moving.take() else {
            return;
        };
        let Found {
            station,
            at,
            prelude,
        } = found;
        tracing::info!(from = %self.at, to = %at, "the server moves a listener");
        self.station.publish(self.at);
        station.publish(at);
        if self.served {
            let next = Next::Go {
                mount: station.mount.clone(),
                at,
                prelude: prelude.clone(),
            };
            module.engine.part(id, self.at, next);
        }
        if let Some(pending) = &mut self.pending {
            pending.move_to(&station, at, prelude.clone());
        }
        let place = |audio: usize| {
            let after = audio.saturating_sub(prelude.len()) as u64;
            Position::new(at.epoch, at.offset.saturating_add(after))
        };
        self.at = place(moving.audio.len());
        for (before, text) in moving.titles {
            station.titled(place(before), text.into());
        }
        self.station = station;
    }
}

/// What the server sends now is in no stream: the connection goes back to it.
fn release(client: &mut Client, module: &Module, id: u64) {
    let Stage::Shadow(shadow) = std::mem::replace(&mut client.stage, Stage::Over) else {
        return;
    };
    let Some(moving) = shadow.moving.filter(|_| shadow.served) else {
        return;
    };
    shadow.station.publish(shadow.at);
    if shadow.phase.is_some() && !shadow.in_phase {
        tracing::warn!(peer = client.peer, at = %shadow.at, "the server sends a listener what is in no stream, between blocks that stand elsewhere than ours: its response ends");
        let next = Next::End(Reason::Moved);
        return module.engine.part(id, shadow.at, next);
    }
    tracing::info!(peer = client.peer, at = %shadow.at, "the server sends a listener what is in no stream: it is forwarded from here on");
    let (fd, generation) = (client.wire.fd, client.generation);
    client.stage = Stage::Parting(Box::new(Parting {
        owed: moving.raw,
        done: false,
    }));
    let back = move |released: Released| {
        if let Some(module) = module::get() {
            module.released(fd, generation, released);
        }
    };
    let next = Next::Release(Box::new(back));
    module.engine.part(id, shadow.at, next);
}

/// A listener on its way back from a loop.
#[derive(Debug)]
pub(crate) struct Parting {
    /// Taken from the server, and not sent yet.
    owed: Vec<u8>,
    done: bool,
}

impl Parting {
    /// Nothing: what has not been sent has no time any more.
    pub(crate) fn close(self) {}
}

impl Client {
    /// The loop has given it back. What is returned must be dropped without the table's lock.
    pub(crate) fn take_back(&mut self, released: Released) -> Option<Released> {
        if self.closed {
            return Some(released);
        }
        // The number is the server's alone again.
        let _ = std::net::TcpStream::from(released.socket).into_raw_fd();
        self.loop_has = false;
        if let Stage::Parting(parting) = &mut self.stage {
            parting.done = true;
        }
        None
    }
}

/// The server sends what is in no stream.
pub(crate) fn after_parting(client: &mut Client, bytes: &[u8]) -> Done {
    let wire = client.wire;
    let Stage::Parting(parting) = &mut client.stage else {
        return wire.send(bytes);
    };
    if !parting.done {
        return Err(later());
    }
    while !parting.owed.is_empty() {
        let sent = wire.send(&parting.owed)?;
        drop(parting.owed.drain(..sent.min(parting.owed.len())));
    }
    client.stage = Stage::Left;
    wire.send(bytes)
}
