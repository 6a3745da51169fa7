//! What is asked for.

use std::time::Duration;

use crate::field::{self, Miss, Resume};

use super::{Client, Request};

impl Client {
    /// The fields of the next request. With several relays, the first round asks only for the exact byte: bytes are not given
    /// up at one relay while another may hold them.
    pub(super) fn request(&self, now: Duration, rejoin: bool) -> Request {
        let relay = self.relays.current();
        let position = self.heard.position.filter(|_| !rejoin);
        let probing = position.is_some() && self.relays.several() && relay.refusals == 0;
        let resume = Resume {
            from: position.map_or(field::From::Live, field::From::At),
            miss: if probing {
                Miss::Fail
            } else {
                self.options.miss
            },
            max_lag: self.options.max_lag.filter(|_| position.is_some()),
            session: self.relays.session(),
        };
        let mut fields = vec![(field::RESUME_OFFSET, resume.encode())];
        if let Some(evidence) = self.heard.evidence(now) {
            fields.push((field::RESUME_ANCHOR, evidence.encode()));
        }
        if self.options.icy {
            fields.push(("Icy-MetaData", "1".to_owned()));
        }
        Request {
            url: relay.url.clone(),
            fields,
        }
    }
}
