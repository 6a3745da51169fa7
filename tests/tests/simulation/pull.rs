//! How a relay gets the stream: a parent's feed as it is, or a server's bytes, which it names itself and heals.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset};
use icecast_ext_core::buffer::{Across, Adopter, Adopts as _, RunStart};
use icecast_ext_core::codec::leading_headers;
use icecast_ext_core::field::{From, Miss, Resume, StreamOffset};
use icecast_ext_core::frame::{Decoder, MEDIA_TYPE};
use icecast_ext_core::head::{Response, upstream_lines};
use icecast_ext_core::heal::{self, Evidence};
use icecast_ext_tests::chance::Chance;

use crate::content::Content;
use crate::ledger::Ledger;
use crate::mount::Mount;
use crate::net::{ConnId, Host, Net};

/// A parent that says nothing for so long is dead, ms.
const FEED_SILENCE: u64 = 500;
/// Of a head, and of a server.
const SILENCE: u64 = 3000;
/// When a burst is looked at, and when for the last time.
const LOOK: u64 = 300;
const LAST_LOOK: u64 = 2000;

/// Where a relay gets the stream.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parent {
    pub(crate) host: Host,
    /// It knows nothing of addresses.
    pub(crate) unaware: bool,
}

#[derive(Debug)]
enum State {
    Idle {
        until: u64,
    },
    Asking {
        conn: ConnId,
        head: Vec<u8>,
        until: u64,
    },
    Feed {
        conn: ConnId,
        decoder: Decoder,
        adopter: Adopter,
        until: u64,
    },
    Raw(Raw),
}

/// A body without addresses.
#[derive(Debug)]
struct Raw {
    conn: ConnId,
    lines: Bytes,
    /// Body bytes that are in the mount.
    done: u64,
    gathered: Vec<u8>,
    began: u64,
    look: u64,
    last: u64,
    healing: bool,
}

/// The upstream side of a relay. All times are of its clock.
#[derive(Debug)]
pub(crate) struct Pull {
    pub(crate) parents: Vec<Parent>,
    at: usize,
    state: State,
    /// Body bytes that came with the head.
    early: Vec<u8>,
    /// When the last byte came from a server.
    last_byte: Option<u64>,
    /// The bytes before are a parent's.
    adopted: bool,
}

impl Pull {
    pub(crate) fn new(parents: Vec<Parent>) -> Self {
        Self {
            parents,
            at: 0,
            state: State::Idle { until: 0 },
            early: Vec::new(),
            last_byte: None,
            adopted: false,
        }
    }

    /// The process has started again. `empty`: it remembers nothing.
    pub(crate) fn restart(&mut self, empty: bool) {
        self.state = State::Idle { until: 0 };
        if empty {
            self.last_byte = None;
        }
    }

    pub(crate) fn step(
        &mut self,
        net: &mut Net,
        me: Host,
        mount: &mut Mount,
        content: &Content,
        ledger: &mut Ledger,
        chance: &mut Chance,
    ) {
        let now = mount.now;
        match &mut self.state {
            State::Idle { until } if *until > now => {}
            State::Idle { .. } => {
                let parent = self.parents[self.at];
                let conn = net.open(me, parent.host);
                let resume =
                    mount
                        .received()
                        .filter(|_| !parent.unaware)
                        .map_or_else(String::new, |at| {
                            let resume = Resume {
                                from: From::At(at),
                                miss: Miss::Oldest,
                                max_lag: None,
                                session: None,
                            };
                            format!("Resume-Offset: {}\r\n", resume.encode())
                        });
                let request = format!(
                    "GET /live HTTP/1.0\r\nHost: a\r\nAccept: {MEDIA_TYPE}, */*;q=0.5\r\n{resume}\r\n"
                );
                net.send(conn, false, request.into());
                self.state = State::Asking {
                    conn,
                    head: Vec::new(),
                    until: now + SILENCE,
                };
            }
            State::Asking { conn, head, until } => {
                let (bytes, end) = net.recv(*conn, false);
                bytes.iter().for_each(|bytes| head.extend_from_slice(bytes));
                let late = *until <= now;
                match self.head(mount) {
                    Ok(true) => self.body(net, Vec::new(), mount, content, ledger, chance),
                    Ok(false) if end.is_some() || late => self.fails(net, now, chance),
                    Ok(false) => {}
                    Err(()) => self.fails(net, now, chance),
                }
            }
            State::Feed { conn, .. } | State::Raw(Raw { conn, .. }) => {
                let (bytes, end) = net.recv(*conn, false);
                self.body(net, bytes, mount, content, ledger, chance);
                if end.is_some() {
                    self.fails(net, now, chance);
                }
            }
        }
    }

    /// The next parent, after a while.
    fn fails(&mut self, net: &mut Net, now: u64, chance: &mut Chance) {
        match &self.state {
            State::Asking { conn, .. }
            | State::Feed { conn, .. }
            | State::Raw(Raw { conn, .. }) => net.forget(*conn),
            State::Idle { .. } => return,
        }
        self.at = (self.at + 1) % self.parents.len();
        self.state = State::Idle {
            until: now + chance.range(50, 600),
        };
    }

    /// True: the head is whole, and what follows it is a body.
    fn head(&mut self, mount: &Mount) -> Result<bool, ()> {
        let State::Asking { conn, head, .. } = &mut self.state else {
            return Ok(false);
        };
        let (conn, held) = (*conn, std::mem::take(head));
        let parsed = Response::parse(&held).map_err(|_| ())?;
        let Some((answer, length)) = parsed else {
            *head = held;
            return Ok(false);
        };
        if answer.status != 200 {
            return Err(());
        }
        let kind = answer.field("Content-Type").unwrap_or_default();
        let now = mount.now;
        let rest = held[length..].to_vec();
        if kind.as_ref() == MEDIA_TYPE.as_bytes() {
            let offset = answer.field("Stream-Offset").ok_or(())?;
            let spliced = StreamOffset::parse(&offset).map_err(|_| ())?.spliced;
            self.state = State::Feed {
                conn,
                decoder: Decoder::default(),
                adopter: Adopter::new(match spliced {
                    true => Across::Spliced,
                    false => Across::Unknown,
                }),
                until: now + FEED_SILENCE,
            };
        } else {
            let healing = mount.edge().is_some();
            self.state = State::Raw(Raw {
                conn,
                lines: upstream_lines(&answer),
                done: 0,
                gathered: Vec::new(),
                began: now,
                look: LOOK,
                last: now,
                healing,
            });
        }
        self.early = rest;
        Ok(true)
    }

    fn body(
        &mut self,
        net: &mut Net,
        mut bytes: Vec<Bytes>,
        mount: &mut Mount,
        content: &Content,
        ledger: &mut Ledger,
        chance: &mut Chance,
    ) {
        let now = mount.now;
        let early = std::mem::take(&mut self.early);
        if !early.is_empty() {
            bytes.insert(0, early.into());
        }
        let came = bytes.iter().any(|bytes| !bytes.is_empty());
        let failed = match &mut self.state {
            State::Feed {
                decoder,
                adopter,
                until,
                ..
            } => {
                let mut failed = false;
                let mut frames = Vec::new();
                for bytes in bytes {
                    failed |= decoder.feed(bytes, &mut frames).is_err();
                }
                for frame in frames {
                    adopter.apply(mount, frame);
                    self.adopted = true;
                }
                assert!(!failed, "a relay sends no feed");
                if came {
                    *until = now + FEED_SILENCE;
                }
                *until <= now
            }
            State::Raw(raw) => {
                for bytes in bytes {
                    raw.gathered.extend_from_slice(&bytes);
                }
                if came {
                    raw.last = now;
                }
                raw.settle(
                    mount,
                    content,
                    ledger,
                    &mut self.last_byte,
                    &mut self.adopted,
                    chance,
                );
                raw.last + SILENCE <= now
            }
            _ => false,
        };
        if failed {
            self.fails(net, now, chance);
        }
    }
}

impl Raw {
    fn settle(
        &mut self,
        mount: &mut Mount,
        content: &Content,
        ledger: &mut Ledger,
        last_byte: &mut Option<u64>,
        adopted: &mut bool,
        chance: &mut Chance,
    ) {
        let format = content.format();
        let begin = |mount: &mut Mount, chance: &mut Chance, lines: &Bytes, declared| {
            let mut epoch = [0; 16];
            epoch.copy_from_slice(&chance.bytes(16));
            mount.begin(RunStart {
                epoch: Epoch::from_bytes(epoch),
                first: Offset::ZERO,
                declared,
                format,
                fields: lines.clone(),
                prelude: None,
            });
        };
        if self.healing {
            let waited = mount.now - self.began;
            if waited < self.look {
                return;
            }
            let last = self.look >= LAST_LOOK;
            self.look += LOOK;
            match self.prove(mount, content, *last_byte) {
                Some(from) => {
                    self.gathered.drain(..from);
                    self.done = from as u64;
                }
                None if !last => return,
                None => {
                    let declared = !*adopted && mount.edge().is_some();
                    begin(mount, chance, &self.lines, declared);
                    *adopted = false;
                }
            }
            self.healing = false;
        } else if mount.edge().is_none() {
            let declared = !*adopted && mount.received().is_some();
            begin(mount, chance, &self.lines, declared);
            *adopted = false;
        }
        if self.gathered.is_empty() {
            return;
        }
        if let Some(edge) = mount.edge() {
            ledger.minted(edge, self.conn, self.done, self.gathered.len() as u64);
        }
        mount.append_now(&self.gathered);
        self.done += self.gathered.len() as u64;
        self.gathered.clear();
        *last_byte = Some(mount.now);
    }

    fn prove(&self, mount: &Mount, content: &Content, last_byte: Option<u64>) -> Option<usize> {
        let headers = leading_headers(content.format(), &self.gathered)?;
        let rate = mount
            .buffer
            .timeline
            .window()
            .and_then(|window| window.rate);
        let tail = mount.tail(1 << 20);
        let evidence = Evidence {
            tail: &tail,
            burst: &self.gathered[headers..],
            elapsed: Duration::from_millis(self.last.saturating_sub(last_byte?)),
            rate,
        };
        heal::continues(&evidence).ok().map(|at| at + headers)
    }
}
