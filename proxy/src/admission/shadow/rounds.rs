//! Looking after shadows: drained, found closed, asked for again.

use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};

use icecast_ext_delivery::Mount;
use rustix::event::epoll;
use rustix::net::RecvFlags;

use super::{Line, Link, Loss, Shadows, State, Who};
use crate::admission::verdict::{self, Said};
use crate::server::Server;
use crate::station::{Station, Supply};

/// Between two turns; a shadow that was closed is noticed in the next one.
const TURN: Duration = Duration::from_millis(50);
/// Turns until every shadow has been drained.
const TURNS: usize = 10;
/// A shadow that the upstream closed was a verdict on this listener, unless the pull is lost as well within so long,
const GRACE: Duration = Duration::from_millis(250);
/// or was lost so long before. Then it depends on whether it still is the same source.
const AROUND: Duration = Duration::from_secs(2);
/// Asked for again at once, at most: a server that has just been restarted has enough to do.
const AT_ONCE: usize = 8;
/// Orphans looked at in a turn.
const LOOKED_AT: usize = 256;
/// For so long, the upstream may still count a connection that the network took, and refuse the listener because of it.
const GHOSTS: Duration = Duration::from_secs(20);
/// An upstream that cannot say whether a listener may stay is asked again after so long.
const AGAIN: Duration = Duration::from_secs(2);

impl State {
    /// Throws away what has come.
    fn drain(&mut self, slot: usize, waste: &mut [u8]) {
        let Some(Some(shadow)) = self.slots.get_mut(slot) else {
            return;
        };
        let Link::Up(line) = &shadow.link else {
            return;
        };
        let now = Instant::now();
        match look(&line.socket, waste) {
            Look::Open => {}
            Look::Closed => {
                shadow.link = Link::Fallen;
                self.fallen.push_back((now, shadow.id));
            }
            Look::Lost => {
                let loss = Loss {
                    since: now,
                    closed: false,
                };
                shadow.link = Link::Orphan { next: now, loss };
                self.orphans.push_back(shadow.id);
            }
        }
    }
}

enum Look {
    Open,
    /// By the other end, on purpose.
    Closed,
    /// By the network.
    Lost,
}

fn look(socket: &TcpStream, waste: &mut [u8]) -> Look {
    loop {
        // The kernel copies nothing.
        match rustix::net::recv(socket, &mut *waste, RecvFlags::TRUNC | RecvFlags::DONTWAIT) {
            Ok((_, 0)) => return Look::Closed,
            Ok((_, length)) if length < waste.len() => return Look::Open,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Look::Open,
            Err(rustix::io::Errno::CONNRESET | rustix::io::Errno::PIPE) => return Look::Closed,
            Err(_) => return Look::Lost,
        }
    }
}

/// What a turn leaves to do.
enum Task {
    /// The upstream does not want this listener.
    Kick(Arc<Mount>, u64),
    Ask(Question),
}

/// Whether a listener may stay.
struct Question {
    id: u64,
    station: Arc<Station>,
    request: Box<[u8]>,
    /// If this source is still there, the listener was meant when its connection was closed.
    unlike: Option<Arc<str>>,
    since: Instant,
}

impl Shadows {
    /// One of [`TURNS`] turns.
    fn turn(&self, turn: usize, waste: &mut [u8], patience: Duration, followed: bool) -> Vec<Task> {
        let mut events = Vec::<epoll::Event>::with_capacity(1024);
        let none = rustix::event::Timespec {
            tv_sec: 0,
            tv_nsec: 0,
        };
        let _ = epoll::wait(
            &self.epoll,
            rustix::buffer::spare_capacity(&mut events),
            Some(&none),
        );
        let mut state = self.state();
        for event in events {
            if let Some(&slot) = state.by_id.get(&event.data.u64()) {
                state.drain(slot as usize, waste);
            }
        }
        let count = state.slots.len();
        drop(state);
        let mine: Vec<usize> = (turn..count).step_by(TURNS).collect();
        // Whoever ends meanwhile does not wait for all of them.
        for some in mine.chunks(128) {
            let mut state = self.state();
            for &slot in some {
                state.drain(slot, waste);
            }
        }
        let mut tasks = Vec::new();
        let mut state = self.state();
        judge(&mut state, followed, &mut tasks);
        revive(&mut state, patience, &mut tasks);
        tasks
    }

    /// The upstream closed this one's connection, and it was not because of the source.
    fn meant(&self, id: u64) -> Option<Arc<Mount>> {
        let mut state = self.state();
        state.asking -= 1;
        let shadow = state.get(id)?;
        shadow.link = Link::Fallen;
        Some(shadow.station.mount.clone())
    }

    /// What the upstream said when asked again.
    fn said(&self, id: u64, said: Result<Said, verdict::Unanswered>) -> Option<Arc<Mount>> {
        if let Ok(Said::Yes(held)) = &said {
            self.watch(id, &held.socket);
        }
        let mut state = self.state();
        state.asking -= 1;
        let shadow = state.get(id)?;
        let Link::Asking(loss) = shadow.link else {
            return None;
        };
        match said {
            Ok(Said::Yes(held)) => {
                shadow.started = held.started;
                shadow.link = Link::Up(Line::new(held.socket, held.place, &shadow.station));
            }
            // The mount is not there yet, or the server not well.
            Ok(Said::Other(other))
                if !matches!(other.status, 200 | 404)
                    && other.status < 500
                    && (loss.closed || loss.since.elapsed() > GHOSTS) =>
            {
                shadow.link = Link::Fallen;
                tracing::info!(
                    mount = shadow.station.path,
                    id,
                    status = other.status,
                    "the upstream is back, and does not want this listener any more"
                );
                return Some(shadow.station.mount.clone());
            }
            _ => {
                let next = Instant::now() + AGAIN;
                shadow.link = Link::Orphan { next, loss };
                state.orphans.push_back(id);
            }
        }
        None
    }
}

/// Those that were closed: by a verdict, or because the upstream went.
fn judge(state: &mut State, followed: bool, tasks: &mut Vec<Task>) {
    while let Some(&(at, id)) = state.fallen.front()
        && at.elapsed() >= GRACE
    {
        state.fallen.pop_front();
        let Some(shadow) = state.get(id) else {
            continue;
        };
        let station = &shadow.station;
        let before = at.checked_sub(AROUND).unwrap_or(at);
        // Who follows another process does not know how the upstream is doing.
        if !followed && station.supply() == Supply::Live && !station.lost_since(before) {
            tracing::info!(mount = station.path, id, "the upstream ended this listener");
            tasks.push(Task::Kick(station.mount.clone(), id));
        } else {
            let loss = Loss {
                since: at,
                closed: true,
            };
            shadow.link = Link::Orphan { next: at, loss };
            state.orphans.push_back(id);
        }
    }
}

/// Asks for some of the orphans, if their mounts are back.
fn revive(state: &mut State, patience: Duration, tasks: &mut Vec<Task>) {
    let now = Instant::now();
    for _ in 0..state.orphans.len().min(LOOKED_AT) {
        if state.asking >= AT_ONCE {
            return;
        }
        let Some(id) = state.orphans.pop_front() else {
            return;
        };
        let Some(shadow) = state.get(id) else {
            continue;
        };
        let Link::Orphan { next, loss } = shadow.link else {
            continue;
        };
        let live = shadow.station.supply() == Supply::Live;
        if live && next <= now {
            shadow.link = Link::Asking(loss);
            tasks.push(Task::Ask(Question {
                id,
                station: shadow.station.clone(),
                request: shadow.request.clone(),
                // The same source is still there: so it was not the upstream that went.
                unlike: shadow.started.clone().filter(|_| loss.closed),
                since: loss.since,
            }));
            state.asking += 1;
        } else if loss.since + patience < now {
            tasks.push(Task::Kick(shadow.station.mount.clone(), id));
        } else {
            state.orphans.push_back(id);
        }
    }
}

/// Looks after shadows and terms until the server stops.
pub(crate) async fn rounds(server: Arc<Server>) {
    let door = server.door.clone();
    let mut waste = vec![0; 1 << 20];
    let mut turns = (0..TURNS).cycle();
    let mut clock = tokio::time::interval(TURN);
    clock.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        if door.shadows.is_empty() && door.bounds.is_empty() {
            tokio::select! {
                () = server.stop.cancelled() => return,
                () = door.shadows.news.notified() => {}
            }
        }
        tokio::select! {
            () = server.stop.cancelled() => return,
            _ = clock.tick() => {}
        }
        for (mount, id) in door.bounds.over(Instant::now()) {
            server.engine.kick(&mount, id);
        }
        let patience = server.config().patience;
        let turn = turns.next().unwrap_or_default();
        let followed = server.gate.gone();
        for task in door.shadows.turn(turn, &mut waste, patience, followed) {
            match task {
                Task::Kick(mount, id) => server.engine.kick(&mount, id),
                Task::Ask(question) => {
                    server.tasks.spawn(again(server.clone(), question));
                }
            }
        }
    }
}

async fn again(server: Arc<Server>, question: Question) {
    let Question {
        id,
        station,
        request,
        unlike,
        since,
    } = question;
    let Some(upstream) = &server.upstream else {
        return;
    };
    let now = upstream.started(&station.path, Some(since.into())).await;
    let kick = if unlike.is_some() && now == unlike {
        server.door.shadows.meant(id)
    } else {
        // Who it is was settled when it came.
        let said = verdict::put(&server, upstream, &station, &request, Who(0)).await;
        server.door.shadows.said(id, said)
    };
    if let Some(mount) = kick {
        server.engine.kick(&mount, id);
    }
}
