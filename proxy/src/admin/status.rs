//! `/status.json`: everything at this moment. Fields are added, never changed; otherwise [`SCHEMA`] goes up.

mod mount;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use icecast_ext_delivery::Kind;
use serde::Serialize;

use super::health::Health;
use super::process::Process;
use crate::events::short;
use crate::figures::LIMITS;
use crate::server::Server;
use crate::station::Station;
use icecast_ext_delivery::clock;
use mount::{Counts, OfMount};

/// Of this document.
const SCHEMA: u32 = 1;
/// With more mounts than this, histories are given for one mount at a time.
const HISTORIES: usize = 64;
/// Relays of ours that are listed.
const CHILDREN: usize = 100;

/// The document.
#[derive(Debug, Serialize)]
pub(crate) struct Status {
    schema: u32,
    server: About,
    health: Health,
    /// Its base URL; none: an origin.
    upstream: Option<String>,
    /// Other relays of the same streams, as listeners are told.
    relays: Vec<String>,
    /// Relays that pull from us.
    children: Vec<Child>,
    /// Where listeners find the mounts: `href` of a mount follows.
    stream_base: String,
    totals: Totals,
    /// Times that each limit was hit, but for those that were not.
    limits: BTreeMap<&'static str, u64>,
    /// Answers of our own by status.
    answers: BTreeMap<u16, u64>,
    process: Process,
    mounts: Vec<OfMount>,
}

#[derive(Debug, Serialize)]
struct About {
    name: &'static str,
    version: &'static str,
    /// Its name in `Via`.
    id: String,
    /// Milliseconds since 1970.
    started: u64,
    now: u64,
}

#[derive(Debug, Serialize)]
struct Child {
    address: IpAddr,
    agent: String,
    mounts: usize,
}

#[derive(Debug, Default, Serialize)]
struct Totals {
    listeners: usize,
    relays: usize,
    joins: u64,
    resumes: u64,
    misses: u64,
    lost_bytes: u64,
    lost_unknown: u64,
    sent_bytes: u64,
    received_bytes: u64,
    connections: u64,
    tunnelled: u64,
    passages: u64,
    tls_failed: u64,
}

impl Status {
    /// `base`: what the mounts' URLs begin with. `only`: one mount.
    pub(crate) fn of(server: &Arc<Server>, base: String, only: Option<&str>) -> Self {
        server.watch.want();
        let config = server.config();
        let mut stations = server.stations.all();
        stations.sort_by(|a, b| a.path.cmp(&b.path));
        let all = stations.len();
        let mut children: Vec<Child> = Vec::new();
        for station in stations
            .iter()
            .filter(|station| station.mount.listeners().feed > 0)
        {
            let visits = server.audience.of(&station.path);
            for visit in visits.iter().filter(|visit| visit.kind == Kind::Feed) {
                let known = |child: &&mut Child| {
                    child.address == visit.address && *child.agent == *visit.asked.agent
                };
                if let Some(child) = children.iter_mut().find(known) {
                    child.mounts += 1;
                } else if children.len() < CHILDREN {
                    children.push(Child {
                        address: visit.address,
                        agent: short(&visit.asked.agent),
                        mounts: 1,
                    });
                }
            }
        }
        let limits = LIMITS.iter().zip(&server.figures.limits);
        let limits = limits
            .map(|(limit, count)| (*limit, count.get()))
            .filter(|(_, count)| *count > 0);
        let limits = limits.collect();
        let with_history = |path: &str| all <= HISTORIES || only == Some(path);
        Self {
            schema: SCHEMA,
            server: About {
                name: "icecast-ext",
                version: env!("CARGO_PKG_VERSION"),
                id: server.id.clone(),
                started: server.started_ms,
                now: clock::now_ms(),
            },
            health: Health::of(server),
            upstream: (server.upstream.as_ref())
                .map(|upstreams| upstreams.get(upstreams.current()).server().base()),
            relays: config.relays.clone(),
            children,
            stream_base: base,
            totals: Totals::of(server, &stations),
            limits,
            answers: server.figures.answers(),
            process: Process::now(),
            mounts: stations
                .iter()
                .filter(|station| only.is_none_or(|only| station.path == only))
                .map(|station| OfMount::of(server, station, with_history(&station.path)))
                .collect(),
        }
    }
}

impl Totals {
    fn of(server: &Server, stations: &[Arc<Station>]) -> Self {
        let figures = &server.figures;
        let mut totals = Self {
            connections: figures.connections.get(),
            tunnelled: figures.tunnelled.get(),
            passages: figures.passages.get(),
            tls_failed: figures.tls_failed.get(),
            ..Self::default()
        };
        for station in stations {
            let now = station.mount.listeners();
            totals.listeners += now.plain + now.icy;
            totals.relays += now.feed;
        }
        for (_, mount) in figures.mounts() {
            let counts = Counts::of(&mount);
            totals.joins += counts.joins;
            totals.resumes += counts.resumes;
            totals.misses += counts.misses;
            totals.lost_bytes += counts.lost_bytes;
            totals.lost_unknown += counts.lost_unknown;
            totals.sent_bytes += counts.sent_bytes;
            totals.received_bytes += counts.received_bytes;
        }
        totals
    }
}
