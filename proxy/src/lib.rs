//! The reverse proxy, origin and listener behind the `icecast-ext` command.
//!
//! A connection's way through the rooms: `accept` takes it, `connection` reads its head, `caller` says who asks, `route` whose
//! request it is, `admission` whether it may listen; `listener` answers from a `station`'s back buffer and hands the socket to the delivery loops, `tunnel`
//! carries everything else, and `origin` takes sources where there is no upstream. A station's bytes come from `pull`. The
//! `audience` knows who listens; `server` holds what they share. `figures` counts, `events` tells, `watch` looks once a second,
//! and `admin` shows it all.

mod accept;
mod accesslog;
mod admin;
mod admission;
mod answer;
mod audience;
mod bans;
mod caller;
pub mod check;

pub mod config;
mod connection;
pub mod demo;
mod descriptors;
mod drain;
mod entrance;
mod events;
mod figures;
mod gate;
mod handover;
mod house;
pub mod icecast_xml;
mod limits;
pub mod listen;
mod listener;
mod notify;
mod origin;
mod overlay;
mod pace;
mod privileges;
pub mod propose;
mod pull;
mod reload;
mod route;
pub mod serve;
mod server;
mod sockets;
mod station;
mod stations;
mod stream;
mod tls;
mod tunnel;
mod upstream;
mod upstreams;
mod watch;

use icecast_ext_core::address::{Epoch, Session};

/// What we call ourselves.
const USER_AGENT: &str = concat!("icecast-ext/", env!("CARGO_PKG_VERSION"));

fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| std::io::Error::other(error.to_string()))?;
    Ok(bytes)
}

fn random_epoch() -> std::io::Result<Epoch> {
    random().map(Epoch::from_bytes)
}

fn random_session() -> std::io::Result<Session> {
    random().map(Session::from_bytes)
}

/// A name for `Via` that no other process has.
fn random_id() -> std::io::Result<String> {
    let bytes: [u8; 8] = random()?;
    Ok(format!("icx-{:016x}", u64::from_be_bytes(bytes)))
}
