//! Where every byte that has an address stands in the source, by whoever sees everything.

use std::collections::BTreeMap;

use icecast_ext_core::address::Position;

use crate::net::ConnId;

/// An offset of an epoch, and the source's byte there.
type Stretch = (u64, u64);

#[derive(Debug, Default)]
struct Minted {
    stretches: Vec<Stretch>,
    next: u64,
}

/// What servers sent, and what minters made of it.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    epochs: BTreeMap<[u8; 16], Minted>,
    /// Of each connection to a server: the source's first byte after the headers.
    sent: BTreeMap<ConnId, u64>,
    headers: u64,
    /// Epochs in which bytes follow that do not follow in the source.
    pub(crate) broken: Vec<String>,
}

impl Ledger {
    pub(crate) fn new(headers: u64) -> Self {
        Self {
            headers,
            ..Self::default()
        }
    }

    /// A server answers: its headers, and then the source from `at` on.
    pub(crate) fn served(&mut self, conn: ConnId, at: u64) {
        self.sent.insert(conn, at);
    }

    /// A minter appends bytes, the first of which is the body's byte `index` of a connection to a server.
    pub(crate) fn minted(&mut self, edge: Position, conn: ConnId, index: u64, len: u64) {
        let at = self.sent.get(&conn).copied().unwrap_or(0);
        let (headers, epoch) = (self.headers, edge.epoch);
        if let Some(minted) = self.epochs.get_mut(epoch.as_bytes()) {
            // What was not published when its process died never had an address.
            let from = edge.offset.get();
            minted.next = minted.next.min(from);
            minted.stretches.retain(|(offset, _)| *offset < from);
        }
        let mut add = |source: u64, len: u64| {
            let minted = self.epochs.entry(*epoch.as_bytes()).or_default();
            let follows = minted
                .stretches
                .last()
                .map(|(offset, from)| from + (minted.next - offset));
            if follows != Some(source) {
                // After the headers with which an epoch began, and nowhere else, there may be a step.
                let begins =
                    minted.next == 0 || (minted.stretches.len() == 1 && minted.next == headers);
                if !begins {
                    let next = minted.next;
                    self.broken
                        .push(format!("{epoch} at {next}: {source} after {follows:?}"));
                }
                minted.stretches.push((minted.next, source));
            }
            minted.next += len;
        };
        let head = headers.saturating_sub(index).min(len);
        if head > 0 {
            add(index, head);
        }
        if len > head {
            add(at + (index + head - headers), len - head);
        }
    }

    /// The source's bytes at `len` bytes from a position on, in stretches of (first, length); `None` if nobody minted them.
    pub(crate) fn source(&self, at: Position, len: u64) -> Option<Vec<(u64, u64)>> {
        let minted = self.epochs.get(at.epoch.as_bytes())?;
        let (mut from, end) = (at.offset.get(), at.offset.get() + len);
        if end > minted.next {
            return None;
        }
        let mut out = Vec::new();
        while from < end {
            let index = minted
                .stretches
                .partition_point(|(offset, _)| *offset <= from)
                - 1;
            let (offset, source) = minted.stretches[index];
            let until = minted
                .stretches
                .get(index + 1)
                .map_or(end, |(next, _)| (*next).min(end));
            out.push((source + (from - offset), until - from));
            from = until;
        }
        Some(out)
    }
}
