//! What a pull remembers from one connection to the next.

use std::time::Duration;

use icecast_ext_delivery::clock;
use tokio::time::Instant;

use crate::handover::Pull;
use crate::station::Station;

/// What a pull remembers from one connection to the next.
pub(super) struct Memory {
    /// When the last byte came; for a buffer that a journal gave back, when that byte had come.
    pub(super) last_byte: Option<Instant>,
    /// The epoch was minted by a parent: only that may declare what follows it (R-SPLICE-1).
    pub(super) adopted: bool,
    /// Connections in a row that broke before it was known whether they continue the buffer.
    pub(super) unproven: u32,
    /// The last byte was live when it came: its age says where it stands.
    pub(super) live: bool,
    /// The upstream that gave no more, and why.
    pub(super) left: Option<Left>,
    /// The end of what came, kept back for more: it belongs to the epoch if the stream does not go on.
    pub(super) rest: Vec<u8>,
}

/// An upstream that was left.
pub(super) struct Left {
    pub(super) at: usize,
    pub(super) why: String,
    /// It is to be left for all that is asked.
    pub(super) dead: bool,
}

impl Memory {
    /// As far as the buffer and the process before know.
    pub(super) fn of(station: &Station) -> Self {
        let age = station.age();
        let since = |age| Instant::now().checked_sub(age);
        match station.remembered() {
            Some(pull) => {
                let ago = |ms| Duration::from_millis(clock::now_ms().saturating_sub(ms));
                Self {
                    last_byte: pull.last_byte.map(ago).and_then(since),
                    adopted: pull.adopted,
                    unproven: pull.unproven,
                    live: false,
                    left: None,
                    rest: Vec::new(),
                }
            }
            None => Self {
                last_byte: age.and_then(since),
                adopted: false,
                unproven: 0,
                live: false,
                left: None,
                rest: Vec::new(),
            },
        }
    }

    pub(super) fn pull(&self) -> Pull {
        let ms = |at: Instant| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX);
        Pull {
            last_byte: self
                .last_byte
                .map(|at| clock::now_ms().saturating_sub(ms(at))),
            adopted: self.adopted,
            unproven: self.unproven,
        }
    }
}
