//! Connections between hosts, in virtual time: latency, bandwidth, partitions, resets, hosts that die with or without a word.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use icecast_ext_tests::chance::Chance;

/// Virtual milliseconds since the beginning.
pub(crate) type Ms = u64;
/// A server, a relay or a client.
pub(crate) type Host = u32;
pub(crate) type ConnId = u64;

/// Time goes on in steps of so much.
pub(crate) const STEP: Ms = 25;
/// What a connection takes before its reader has read.
const WINDOW: usize = 64 << 10;

/// How a direction of a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Fin,
    Reset,
}

#[derive(Debug, Default)]
struct Pipe {
    queue: VecDeque<(Ms, Bytes)>,
    held: usize,
    end: Option<(Ms, End)>,
}

#[derive(Debug)]
struct Conn {
    client: Host,
    server: Host,
    /// When the server sees it.
    opens: Ms,
    accepted: bool,
    latency: Ms,
    /// Bytes a step.
    bandwidth: usize,
    up: Pipe,
    down: Pipe,
    /// A side has vanished: nothing is delivered any more.
    void: bool,
}

/// All of them.
#[derive(Debug)]
pub(crate) struct Net {
    pub(crate) now: Ms,
    conns: BTreeMap<ConnId, Conn>,
    /// By server, those that it has not accepted.
    fresh: BTreeMap<Host, Vec<ConnId>>,
    next: ConnId,
    down: BTreeSet<Host>,
    /// Hosts that died without a word: packets to them get no answer.
    mute: BTreeSet<Host>,
    /// Nothing passes between these hosts until then; `None`: between the first and anybody.
    cuts: Vec<(Host, Option<Host>, Ms)>,
    chance: Chance,
}

impl Net {
    pub(crate) fn new(chance: Chance) -> Self {
        Self {
            now: 0,
            conns: BTreeMap::new(),
            fresh: BTreeMap::new(),
            next: 0,
            down: BTreeSet::new(),
            mute: BTreeSet::new(),
            cuts: Vec::new(),
            chance,
        }
    }

    /// Another step.
    pub(crate) fn tick(&mut self) {
        self.now += STEP;
        let now = self.now;
        self.cuts.retain(|(_, _, until)| *until > now);
    }

    fn is_cut(&self, a: Host, b: Host) -> bool {
        self.cuts.iter().any(|(one, other, _)| match other {
            Some(other) => (*one, *other) == (a, b) || (*one, *other) == (b, a),
            None => *one == a || *one == b,
        })
    }

    /// Nothing passes for a time.
    pub(crate) fn partition(&mut self, one: Host, other: Option<Host>, time: Ms) {
        self.cuts.push((one, other, self.now + time));
    }

    pub(crate) fn open(&mut self, client: Host, server: Host) -> ConnId {
        self.next += 1;
        let id = self.next;
        let latency = self.chance.range(5, 160);
        let bandwidth = match self.chance.range(0, 4) {
            0 => self.chance.range(300, 1000),
            _ => self.chance.range(2000, 40_000),
        };
        let conn = Conn {
            client,
            server,
            opens: self.now + latency,
            accepted: false,
            latency,
            bandwidth: bandwidth as usize,
            up: Pipe::default(),
            down: Pipe::default(),
            void: self.mute.contains(&server),
        };
        self.conns.insert(id, conn);
        self.fresh.entry(server).or_default().push(id);
        id
    }

    /// New connections that have reached this server.
    pub(crate) fn accept(&mut self, server: Host) -> Vec<ConnId> {
        let Some(fresh) = self.fresh.get_mut(&server).map(std::mem::take) else {
            return Vec::new();
        };
        let (mut accepted, mut waiting) = (Vec::new(), Vec::new());
        for id in fresh {
            let Some(conn) = self.conns.get(&id) else {
                continue;
            };
            if conn.opens > self.now || self.is_cut(conn.client, server) {
                waiting.push(id);
                continue;
            }
            if let Some(conn) = self.conns.get_mut(&id).filter(|conn| !conn.void) {
                conn.accepted = true;
                accepted.push(id);
            }
        }
        self.fresh.insert(server, waiting);
        accepted
    }

    /// How much a side may send now.
    pub(crate) fn room(&self, id: ConnId, by_server: bool) -> usize {
        self.conns.get(&id).map_or(0, |conn| {
            let pipe = if by_server { &conn.down } else { &conn.up };
            WINDOW.saturating_sub(pipe.held)
        })
    }

    pub(crate) fn send(&mut self, id: ConnId, by_server: bool, bytes: Bytes) {
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(&id) {
            let at = now + conn.latency;
            let pipe = if by_server {
                &mut conn.down
            } else {
                &mut conn.up
            };
            if pipe.end.is_none() && !bytes.is_empty() {
                pipe.held += bytes.len();
                pipe.queue.push_back((at, bytes));
            }
        }
    }

    /// A side has no more to say, or resets the connection: then what is on its way is lost.
    pub(crate) fn close(&mut self, id: ConnId, by_server: bool, how: End) {
        let now = self.now;
        if let Some(conn) = self.conns.get_mut(&id) {
            let at = now + conn.latency;
            let pipe = if by_server {
                &mut conn.down
            } else {
                &mut conn.up
            };
            pipe.end.get_or_insert((at, how));
            if how == End::Reset {
                pipe.queue.clear();
                pipe.held = 0;
            }
        }
    }

    /// The client is done with it.
    pub(crate) fn forget(&mut self, id: ConnId) {
        self.close(id, false, End::Fin);
    }

    /// What has come, and the end, once all before it was read.
    pub(crate) fn recv(&mut self, id: ConnId, by_server: bool) -> (Vec<Bytes>, Option<End>) {
        let now = self.now;
        let Some(conn) = self.conns.get(&id) else {
            return (Vec::new(), Some(End::Reset));
        };
        if conn.void || self.is_cut(conn.client, conn.server) {
            return (Vec::new(), None);
        }
        let refused = !conn.accepted && conn.opens <= now && self.down.contains(&conn.server);
        let Some(conn) = self.conns.get_mut(&id) else {
            return (Vec::new(), None);
        };
        if refused {
            return (Vec::new(), Some(End::Reset));
        }
        let mut budget = conn.bandwidth;
        let pipe = if by_server {
            &mut conn.up
        } else {
            &mut conn.down
        };
        let mut out = Vec::new();
        while let Some((at, bytes)) = pipe.queue.front_mut() {
            if *at > now || budget == 0 {
                return (out, None);
            }
            let part = bytes.split_to(budget.min(bytes.len()));
            budget -= part.len();
            pipe.held -= part.len();
            if bytes.is_empty() {
                pipe.queue.pop_front();
            }
            out.push(part);
        }
        let end = pipe.end.filter(|(at, _)| *at <= now).map(|(_, end)| end);
        (out, end)
    }

    /// A host dies; `mute`: as if its cable had been pulled.
    pub(crate) fn die(&mut self, host: Host, mute: bool) {
        self.down.insert(host);
        if mute {
            self.mute.insert(host);
        }
        let theirs: Vec<ConnId> = self
            .conns
            .iter()
            .filter(|(_, conn)| conn.client == host || conn.server == host)
            .map(|(id, _)| *id)
            .collect();
        for id in theirs {
            if mute {
                if let Some(conn) = self.conns.get_mut(&id) {
                    conn.void = true;
                }
            } else {
                self.reset(id);
            }
        }
    }

    /// Both sides lose it.
    pub(crate) fn reset(&mut self, id: ConnId) {
        self.close(id, false, End::Reset);
        self.close(id, true, End::Reset);
    }

    pub(crate) fn rise(&mut self, host: Host) {
        self.down.remove(&host);
        self.mute.remove(&host);
        self.fresh.remove(&host);
    }

    /// Drops what nobody reads any more.
    pub(crate) fn sweep(&mut self) {
        self.conns
            .retain(|_, conn| conn.up.end.is_none() || conn.down.end.is_none());
    }
}
