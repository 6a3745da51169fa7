//! Ports for servers that must come back on the same one.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Mutex;

use crate::chance::Chance;

static TAKEN: Mutex<BTreeSet<u16>> = Mutex::new(BTreeSet::new());

/// A loopback address nobody listens on, below the range that outgoing connections take theirs from; never given twice
/// by this process. Another process may still be faster: who binds it tries again with another.
#[must_use]
pub fn free() -> SocketAddr {
    let mut chance = Chance::new(u64::from(std::process::id()) ^ nanos());
    loop {
        let port = 10_000 + chance.range(0, 22_000) as u16;
        let addr = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let mut taken = TAKEN.lock().expect("no panic while held");
        if !taken.contains(&port) && TcpListener::bind(addr).is_ok() {
            taken.insert(port);
            return addr;
        }
    }
}

/// As [`free`], with a port above it that is free, too.
#[must_use]
pub fn free_pair() -> SocketAddr {
    loop {
        let addr = free();
        let next = SocketAddr::new(addr.ip(), addr.port() + 1);
        let mut taken = TAKEN.lock().expect("no panic while held");
        if !taken.contains(&next.port()) && TcpListener::bind(next).is_ok() {
            taken.insert(next.port());
            return addr;
        }
    }
}

fn nanos() -> u64 {
    std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}
