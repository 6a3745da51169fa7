//! What is asked for.

use std::time::Duration;

use crate::field::{self, Miss, RESUME_ANCHOR, Resume};

use super::options::Conn;
use super::{Client, Request};

/// A request that is out.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ask {
    pub(super) conn: Conn,
    pub(super) relay: usize,
    pub(super) sent: Duration,
    /// The answer begins before, or never.
    pub(super) until: Duration,
    /// The position was given up.
    pub(super) rejoin: bool,
    /// It says what was heard.
    pub(super) evidence: bool,
    /// Bytes that were heard before it was sent.
    pub(super) heard: u64,
}

/// What a request is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum For {
    /// The next byte.
    Position,
    /// The next byte and nothing else: audio comes from elsewhere.
    Move,
    /// Live: the position was given up.
    Rejoin,
}

impl Client {
    /// The next request. With several relays, the first round asks only for the exact byte: bytes are not given up at one
    /// relay while another may hold them.
    pub(super) fn ask(&mut self, now: Duration, relay: usize, what: For) -> (Ask, Request) {
        let asked = self.relays.get(relay);
        let position = self.heard.position.filter(|_| what != For::Rejoin);
        let probing = position.is_some() && self.relays.several() && asked.refusals == 0;
        let resume = Resume {
            from: position.map_or(field::From::Live, field::From::At),
            miss: if probing || what == For::Move {
                Miss::Fail
            } else {
                self.options.miss
            },
            max_lag: self.options.max_lag.filter(|_| position.is_some()),
            session: asked.session,
        };
        let mut fields = vec![(field::RESUME_OFFSET, resume.encode())];
        let evidence = self.heard.evidence(now);
        if let Some(evidence) = &evidence {
            fields.push((RESUME_ANCHOR, evidence.encode()));
        }
        if self.options.icy {
            fields.push(("Icy-MetaData", "1".to_owned()));
        }
        // One at a time and others waiting: whoever holds the request is left for them.
        let patience = if self.options.race.is_none() && self.relays.several() {
            self.options.silence
        } else {
            self.options.silence.max(self.options.answer_within)
        };
        let conn = Conn(self.conns);
        self.conns += 1;
        let ask = Ask {
            conn,
            relay,
            sent: now,
            until: now.saturating_add(patience),
            rejoin: what == For::Rejoin,
            evidence: evidence.is_some(),
            heard: self.heard.total,
        };
        let url = self.relays.get(relay).url.clone();
        (ask, Request { conn, url, fields })
    }
}
