//! A server that knows nothing of addresses: a burst, and then live.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::content::Content;
use crate::ledger::Ledger;
use crate::net::{ConnId, End, Host, Ms, Net};

/// What a new listener is sent at once.
const BURST: u64 = 32 << 10;
/// It passes on what it gets in pieces of that.
const BLOCK: u64 = 1400;

/// Behind the source by what it queues.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) host: Host,
    lag: Ms,
    /// It has nothing from before it was started.
    since: u64,
    /// Its thread does not run until then.
    pub(crate) stalled: Ms,
    edge: u64,
    /// What each has got.
    readers: BTreeMap<ConnId, Option<u64>>,
}

impl Server {
    pub(crate) fn new(host: Host, lag: Ms) -> Self {
        Self {
            host,
            lag,
            since: 0,
            stalled: 0,
            edge: 0,
            readers: BTreeMap::new(),
        }
    }

    /// Dies, and is back at once with an empty queue.
    pub(crate) fn restart(&mut self, net: &mut Net, content: &Content) {
        net.die(self.host, false);
        net.rise(self.host);
        self.readers.clear();
        self.since = content.unit(self.edge);
    }

    pub(crate) fn step(&mut self, net: &mut Net, content: &Content, ledger: &mut Ledger) {
        if net.now < self.stalled {
            return;
        }
        let sent = content.sent(net.now.saturating_sub(self.lag));
        // Pages are passed on whole, everything else as it comes.
        self.edge = match content.headers {
            0 => sent / BLOCK * BLOCK,
            _ => self.edge.max(content.unit(sent.saturating_sub(2 * BLOCK))),
        };
        for conn in net.accept(self.host) {
            self.readers.insert(conn, None);
        }
        let mut gone = Vec::new();
        for (conn, at) in &mut self.readers {
            let (asked, end) = net.recv(*conn, true);
            if end.is_some() {
                gone.push(*conn);
                continue;
            }
            if at.is_none() && !asked.is_empty() {
                let from = self
                    .edge
                    .saturating_sub(BURST)
                    .max(self.since)
                    .max(content.headers);
                let from = match content.headers {
                    0 => from,
                    _ => content.unit(from),
                };
                ledger.served(*conn, from);
                let kind = content.kind.content_type();
                let head = format!(
                    "HTTP/1.0 200 OK\r\nServer: Icecast 2.4.4\r\nContent-Type: {kind}\r\n\r\n"
                );
                net.send(*conn, true, head.into());
                let headers = &content.bytes[..content.headers as usize];
                net.send(*conn, true, Bytes::copy_from_slice(headers));
                *at = Some(from);
            }
            if let Some(at) = at {
                let to = self.edge.min(*at + net.room(*conn, true) as u64).max(*at);
                let bytes = &content.bytes[*at as usize..to as usize];
                net.send(*conn, true, Bytes::copy_from_slice(bytes));
                *at = to;
            }
        }
        for conn in gone {
            net.close(conn, true, End::Fin);
            self.readers.remove(&conn);
        }
    }
}
