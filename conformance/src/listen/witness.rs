//! Evidence of what was heard without a break, and what a `Stream-Proof` makes of it (R-ANCHOR-6, R-ANCHOR-9, R-ANCHOR-19, R-ALIAS-5).

use rustix::time::{ClockId, clock_gettime};

use crate::anchor::{Chunker, Proof, Witness};
use crate::http::Head;

/// Evidence as it grows.
#[derive(Debug)]
pub(super) struct Heard {
    bug: Option<&'static str>,
    witness: Witness,
}

impl Heard {
    /// Of nothing yet.
    pub(super) fn new(bug: Option<&'static str>) -> Self {
        let chunker = match bug {
            Some("early-cuts") => Chunker::early(0, 1000),
            _ => Chunker::new(0),
        };
        Self {
            bug,
            witness: Witness::new(chunker),
        }
    }

    /// What comes next does not follow what came (R-ANCHOR-6).
    pub(super) fn forget(&mut self) {
        if self.bug != Some("evidence-over-losses") {
            *self = Self::new(self.bug);
        }
    }

    /// These bytes came now.
    pub(super) fn hears(&mut self, bytes: &[u8]) {
        self.witness.hears(bytes, now());
    }

    /// `Resume-Anchor`, if there is anything to say.
    pub(super) fn value(&self) -> Option<String> {
        let mut evidence = match self.bug {
            Some("no-evidence") => return None,
            // An hour later even the largest came quickly.
            Some("largest-chunks") => self.witness.evidence(now() + 3_600_000, 0)?,
            _ => self.witness.evidence(now(), 0)?,
        };
        match self.bug {
            Some("names-of-its-own") => evidence.chunks[0].name[0] ^= 1,
            Some("age-of-nothing") => evidence.age = 0,
            Some("largest-chunks") => evidence.age -= 3_600_000,
            _ => {}
        }
        let mut value = evidence.value();
        if self.bug == Some("long-evidence") {
            value += &format!(";x={}", "a".repeat(1600));
        }
        Some(value)
    }

    /// The proof of an answer that is the continuation, `sent` being whether there was evidence.
    pub(super) fn proven(&self, head: &Head, sent: bool) -> Option<Proof> {
        let value = head.field("Stream-Proof")?;
        let proof = match self.bug {
            Some("any-proof") => Proof::Anchor,
            _ => Proof::parse(&value)?,
        };
        let is = match proof {
            Proof::Anchor => sent || self.bug == Some("unasked-proofs"),
            Proof::Alias => true,
            Proof::None(_) => false,
        };
        is.then_some(proof)
    }
}

/// Milliseconds by a clock that goes on while the device sleeps (R-ANCHOR-7).
fn now() -> u64 {
    let time = clock_gettime(ClockId::Boottime);
    let (seconds, rest) = (time.tv_sec.unsigned_abs(), time.tv_nsec.unsigned_abs());
    seconds * 1000 + rest / 1_000_000
}
