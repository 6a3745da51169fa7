//! A client: the product's, over the simulated wire; and who compares all that it tells with the source.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::Position;
use icecast_ext_core::client::http::{Act, HttpClient};
use icecast_ext_core::client::{Client, Event, Loss, Options};

use crate::clock::Clock;
use crate::content::Content;
use crate::ledger::Ledger;
use crate::net::{ConnId, End, Host, Ms, Net};

/// How a client went on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum By {
    Offset,
    Anchor,
    Splice,
    Loss,
}

/// What became of a client, or of all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// Changes of relay.
    pub(crate) moves: BTreeMap<By, u64>,
    /// Returns to the same one.
    pub(crate) returns: BTreeMap<By, u64>,
    pub(crate) bytes: u64,
    /// Bytes of the source that are missing at losses and splices that were told; at those that repeat, none.
    pub(crate) missing: u64,
    /// Whatever nobody told.
    pub(crate) wrong: Vec<String>,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        for (to, from) in [
            (&mut self.moves, &other.moves),
            (&mut self.returns, &other.returns),
        ] {
            from.iter()
                .for_each(|(by, n)| *to.entry(*by).or_default() += n);
        }
        self.bytes += other.bytes;
        self.missing += other.missing;
        self.wrong.extend(other.wrong.iter().cloned());
    }
}

pub(crate) struct Ear {
    host: Host,
    starts: Ms,
    clock: Clock,
    client: HttpClient,
    conn: Option<ConnId>,
    /// When it wants to be asked again, by its clock.
    until: Duration,
    /// The source's byte that follows what was heard.
    next: Option<u64>,
    /// Its address.
    place: Option<Position>,
    /// What was told since the last audio.
    broke: Option<Option<Loss>>,
    by: Option<By>,
    moved: bool,
    cut: bool,
    /// When audio came last.
    pub(crate) heard: Ms,
    pub(crate) tally: Tally,
}

impl Ear {
    pub(crate) fn new(
        host: Host,
        starts: Ms,
        clock: Clock,
        relays: Vec<String>,
        seed: u64,
    ) -> Self {
        let options = Options {
            evidence: true,
            give_up_after: None,
            history: 64 << 10,
            ..Options::default()
        };
        let client = Client::new(relays, options, seed).expect("good URLs");
        Self {
            host,
            starts,
            clock,
            client: HttpClient::new(client, "ear"),
            conn: None,
            until: Duration::ZERO,
            next: None,
            place: None,
            broke: None,
            by: None,
            moved: false,
            cut: false,
            heard: 0,
            tally: Tally::default(),
        }
    }

    /// The connection that it has.
    pub(crate) const fn conn(&self) -> Option<ConnId> {
        self.conn
    }

    /// `told` gets every event that is not audio.
    pub(crate) fn step(
        &mut self,
        net: &mut Net,
        content: &Content,
        ledger: &Ledger,
        told: &mut impl FnMut(&str),
    ) {
        if net.now < self.starts {
            return;
        }
        let now = self.clock.at(net.now);
        let mut busy = false;
        if let Some(conn) = self.conn {
            let (bytes, end) = net.recv(conn, false);
            busy = !bytes.is_empty() || end.is_some();
            for bytes in bytes {
                let mut bytes = &bytes[..];
                while !bytes.is_empty() {
                    let taken = self.client.received(now, bytes);
                    bytes = &bytes[taken..];
                    self.events(net.now, content, ledger, told);
                }
            }
            match end {
                Some(End::Fin) => self.client.closed(now),
                Some(End::Reset) => self.client.failed(now, "reset"),
                None => {}
            }
            if end.is_some() {
                net.forget(conn);
                self.conn = None;
            }
        }
        if !busy && now < self.until {
            return;
        }
        self.events(net.now, content, ledger, told);
        match self.client.poll(now) {
            Act::Connect(dial) => {
                self.hang_up(net);
                let host = dial.host.trim_start_matches('n').parse().expect("a relay");
                let conn = net.open(self.host, host);
                net.send(conn, false, Bytes::from(dial.head));
                self.conn = Some(conn);
                self.until = now;
            }
            Act::Read { until } => self.until = until,
            Act::Wait { until } => {
                self.hang_up(net);
                self.until = until;
            }
            Act::Ended => self.wrong("it has given up".to_owned()),
        }
        self.events(net.now, content, ledger, told);
    }

    fn hang_up(&mut self, net: &mut Net) {
        if let Some(conn) = self.conn.take() {
            net.forget(conn);
        }
    }

    fn wrong(&mut self, what: String) {
        self.tally
            .wrong
            .push(format!("client {}: {what}", self.host));
    }

    fn events(&mut self, now: Ms, content: &Content, ledger: &Ledger, told: &mut impl FnMut(&str)) {
        while let Some(event) = self.client.poll_event() {
            match event {
                Event::Audio(bytes) => {
                    self.audio(&bytes, content, ledger);
                    self.heard = now;
                    self.tally.bytes += bytes.len() as u64;
                    if std::mem::take(&mut self.cut) {
                        let count = match std::mem::take(&mut self.moved) {
                            true => &mut self.tally.moves,
                            false => &mut self.tally.returns,
                        };
                        *count
                            .entry(self.by.take().unwrap_or(By::Offset))
                            .or_default() += 1;
                    }
                    continue;
                }
                Event::Cut { .. } => self.cut = true,
                Event::Moved { .. } => self.moved = true,
                Event::Anchored { .. } => self.by = Some(By::Anchor),
                Event::Stitched { .. } => self.wrong("every relay has addresses".to_owned()),
                Event::Joined { .. } => self.broke = Some(None),
                Event::Spliced { .. } => {
                    self.by = Some(By::Splice);
                    self.broke = Some(None);
                }
                Event::Lost(ref loss) => {
                    self.by = Some(By::Loss);
                    self.broke = Some(Some(loss.clone()));
                }
                Event::Note(_) => {}
                _ => {}
            }
            told(&format!("{now} {}: {event:?}", self.host));
        }
    }

    /// Each byte is the one that its address has in the source, and follows the one before it, unless something else was told.
    fn audio(&mut self, bytes: &[u8], content: &Content, ledger: &Ledger) {
        let len = bytes.len() as u64;
        let Some(after) = self.client.client().position() else {
            return self.wrong("audio without a place".to_owned());
        };
        let at = Position::new(after.epoch, after.offset.saturating_sub(len));
        let Some(source) = ledger.source(at, len) else {
            return self.wrong(format!("audio at {at}, which nobody minted"));
        };
        let mut done = 0;
        for (from, len) in &source {
            let (from, len) = (*from as usize, *len as usize);
            if bytes[done..done + len] != content.bytes[from..from + len] {
                self.wrong(format!("other bytes at {at}"));
            }
            done += len;
        }
        let [(first, _), ..] = source[..] else {
            return;
        };
        match (self.broke.take(), self.next) {
            // After the headers with which an epoch begins, the ledger knows of a step.
            (None, Some(next)) if next != first && self.place != Some(at) => {
                let how = self.by;
                self.wrong(format!(
                    "the source's byte {first} follows {next} at {at}, {how:?}"
                ));
            }
            (Some(loss), Some(next)) => {
                self.tally.missing += first.saturating_sub(next);
                if let Some(Loss {
                    after: Some(after),
                    at: Some(at),
                    bytes: Some(lost),
                    ..
                }) = loss
                    && after.epoch == at.epoch
                    && next + lost != first
                {
                    self.wrong(format!(
                        "{lost} bytes are said to be lost, and {next} is followed by {first}"
                    ));
                }
            }
            _ => {}
        }
        self.place = Some(after);
        self.next = source.last().map(|(from, len)| from + len);
    }
}
