//! A station, its servers, thirty relays, two hundred listeners, and all that goes wrong.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use icecast_ext_tests::chance::Chance;
use sha2::{Digest as _, Sha256};

use crate::clock::Clock;
use crate::content::{Content, Kind};
use crate::ear::{Ear, Tally};
use crate::ledger::Ledger;
use crate::mount::{Mount, TICK};
use crate::net::{ConnId, Host, Ms, Net, STEP};
use crate::pull::{Parent, Pull};
use crate::serve::Serving;
use crate::server::Server;

const SERVERS: u32 = 3;
const RELAYS: u32 = 30;
const EARS: u32 = 200;
/// Of the relays, those that a tree begins with; then those of the second row.
const MINTERS: u32 = 3;
const SECOND: u32 = 9;

/// When faults begin and end, and the whole: what was cut has to come back.
const FAULTS: std::ops::Range<Ms> = 40_000..110_000;
pub(crate) const LENGTH: Ms = 140_000;
/// Whoever has heard nothing for so long at the end is stuck.
const STUCK: Ms = 10_000;

/// A relay.
struct Node {
    host: Host,
    clock: Clock,
    /// When it publishes.
    phase: Ms,
    tick: u32,
    mount: Mount,
    pull: Pull,
    served: BTreeMap<ConnId, Serving>,
    /// Dead until then, and whether its buffer outlives it.
    back: Option<(Ms, bool)>,
}

impl Node {
    fn step(
        &mut self,
        net: &mut Net,
        content: &Content,
        ledger: &mut Ledger,
        chance: &mut Chance,
        held: &mut u64,
    ) {
        if let Some((at, kept)) = self.back {
            if net.now < at {
                return;
            }
            self.back = None;
            net.rise(self.host);
            self.pull.restart(!kept);
            if kept {
                self.mount.recall();
            } else {
                self.mount = Mount::new();
            }
        }
        self.mount.now = self.clock.ms(net.now);
        self.pull
            .step(net, self.host, &mut self.mount, content, ledger, chance);
        for conn in net.accept(self.host) {
            self.served.insert(conn, Serving::new());
        }
        if net.now % TICK == self.phase {
            self.tick += 1;
            self.mount.publish();
        }
        for (conn, serving) in &mut self.served {
            serving.step(net, *conn, &self.mount, self.tick, chance, held);
        }
        self.served
            .retain(|_, serving| !matches!(serving, Serving::Over));
    }

    fn die(&mut self, net: &mut Net, mute: bool, back: Ms, kept: bool) {
        net.die(self.host, mute);
        self.served.clear();
        self.back = Some((back, kept));
    }
}

/// What came of a seed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) kind: Kind,
    pub(crate) tally: Tally,
    pub(crate) kills: u64,
    pub(crate) partitions: u64,
    pub(crate) resets: u64,
    /// Requests that a relay held because their byte was still to come.
    pub(crate) held: u64,
    /// Over everything that was told, in order.
    pub(crate) hash: String,
}

struct World {
    net: Net,
    content: Content,
    ledger: Ledger,
    servers: Vec<Server>,
    nodes: Vec<Node>,
    ears: Vec<Ear>,
    chance: Chance,
    next_fault: Ms,
    kills: u64,
    partitions: u64,
    resets: u64,
}

/// Runs a seed to its end.
pub(crate) fn run(seed: u64, kind: Kind) -> Outcome {
    let mut world = World::new(seed, kind);
    let mut hash = Sha256::new();
    let mut chance = world.chance.fork();
    let mut held = 0;
    let trace = std::env::var_os("TRACE").is_some();
    while world.net.now < LENGTH {
        let World {
            net,
            content,
            ledger,
            servers,
            nodes,
            ears,
            ..
        } = &mut world;
        net.tick();
        for server in servers {
            server.step(net, content, ledger);
        }
        for node in nodes {
            node.step(net, content, ledger, &mut chance, &mut held);
        }
        for ear in ears {
            ear.step(net, content, ledger, &mut |line| {
                if trace {
                    eprintln!("{line}");
                }
                hash.update(line);
            });
        }
        if world.net.now.is_multiple_of(1000) {
            world.net.sweep();
        }
        world.faults();
    }
    let mut tally = Tally::default();
    for ear in &mut world.ears {
        if ear.heard + STUCK < LENGTH {
            let heard = ear.heard;
            ear.tally
                .wrong
                .push(format!("seed {seed}: it hears nothing since {heard} ms"));
        }
        tally.add(&ear.tally);
    }
    hash.update(tally.bytes.to_be_bytes());
    let hash = hash
        .finalize()
        .iter()
        .fold(String::new(), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        });
    tally.wrong.extend(world.ledger.broken.iter().cloned());
    Outcome {
        seed,
        kind,
        tally,
        kills: world.kills,
        partitions: world.partitions,
        resets: world.resets,
        held,
        hash,
    }
}

impl World {
    fn new(seed: u64, kind: Kind) -> Self {
        let mut chance = Chance::new(seed);
        let content = Content::new(kind, LENGTH / 1000 + 5, &mut chance.fork());
        let ledger = Ledger::new(content.headers);
        let servers = (0..SERVERS).map(|host| Server::new(host, chance.range(0, 4000)));
        let servers = servers.collect();
        let relay = |n: u32| SERVERS + n;
        let nodes = (0..RELAYS).map(|n| {
            let parent = |host| Parent {
                host,
                unaware: false,
            };
            let mut parents = match n {
                0..MINTERS => vec![Parent {
                    host: n % SERVERS,
                    unaware: true,
                }],
                n if n < MINTERS + SECOND => vec![parent(relay(n % MINTERS))],
                // Three rows down: below one of the second row of the same tree.
                n => vec![parent(relay(MINTERS + n % SECOND))],
            };
            // Some have another parent: mostly of their own tree, else of one that they share nothing with but the source.
            if n >= MINTERS + SECOND && chance.one_in(3) {
                let other = MINTERS + (n + MINTERS * chance.range(1, 3) as u32) % SECOND;
                parents.push(parent(relay(other)));
            } else if n >= MINTERS && chance.one_in(8) {
                parents.push(parent(relay((n + 1) % MINTERS)));
            }
            Node {
                host: relay(n),
                clock: Clock::new(&mut chance),
                phase: chance.range(0, TICK / STEP) * STEP,
                tick: 0,
                mount: Mount::new(),
                pull: Pull::new(parents),
                served: BTreeMap::new(),
                back: None,
            }
        });
        let nodes: Vec<_> = nodes.collect();
        let ears = (0..EARS).map(|n| {
            let urls = (0..chance.range(1, 5)).map(|_| {
                format!(
                    "http://n{}/live",
                    relay(chance.range(0, u64::from(RELAYS)) as u32)
                )
            });
            let urls: Vec<_> = urls.collect();
            let starts = 2000 + chance.range(0, 6000);
            Ear::new(
                SERVERS + RELAYS + n,
                starts,
                Clock::new(&mut chance),
                urls,
                chance.bits(),
            )
        });
        let ears = ears.collect();
        Self {
            net: Net::new(chance.fork()),
            content,
            ledger,
            servers,
            nodes,
            ears,
            next_fault: FAULTS.start,
            chance,
            kills: 0,
            partitions: 0,
            resets: 0,
        }
    }

    fn faults(&mut self) {
        let now = self.net.now;
        if now < self.next_fault || !FAULTS.contains(&now) {
            return;
        }
        let chance = &mut self.chance;
        self.next_fault = now + chance.range(100, 1200);
        let time = chance.range(200, 8000);
        match chance.range(0, 12) {
            0..4 => {
                let first = match chance.one_in(8) {
                    true => 0,
                    false => MINTERS,
                };
                let node = chance.range(first.into(), RELAYS.into()) as usize;
                let node = &mut self.nodes[node];
                if node.back.is_none() {
                    self.kills += 1;
                    node.die(
                        &mut self.net,
                        chance.one_in(3),
                        now + time,
                        chance.one_in(2),
                    );
                }
            }
            4 => {
                let server = chance.range(0, self.servers.len() as u64) as usize;
                match chance.one_in(4) {
                    true => self.servers[server].restart(&mut self.net, &self.content),
                    false => self.servers[server].stalled = now + chance.range(200, 2500),
                }
            }
            5..8 => {
                self.partitions += 1;
                let node = SERVERS + chance.range(0, RELAYS.into()) as Host;
                let parent = self.nodes[(node - SERVERS) as usize].pull.parents[0].host;
                let other = chance.one_in(2).then_some(parent);
                self.net.partition(node, other, time);
            }
            _ => {
                for _ in 0..chance.range(1, 12) {
                    let ear = chance.range(0, self.ears.len() as u64) as usize;
                    if let Some(conn) = self.ears[ear].conn() {
                        self.resets += 1;
                        self.net.reset(conn);
                    }
                }
            }
        }
    }
}
