//! Where in the server's memory the newest bytes of each stream lie: Icecast sends MP3 and AAC from the buffers that it read them
//! into, so the address of what it sends tells the place. A hint: whoever uses it compares the bytes.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use icecast_ext_core::address::Position;

use crate::station::Station;

/// Reads that are remembered, of all streams. Icecast's queue of a stream is 512 KiB, in blocks of 1400 bytes.
const MOST: usize = 64 << 10;

#[derive(Debug, Default)]
struct Inside {
    by_address: HashMap<usize, (Weak<Station>, Position)>,
    order: VecDeque<usize>,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Addresses(Mutex<Inside>);

impl Addresses {
    /// The byte at `at` was read to this address.
    pub(crate) fn read(&self, address: usize, station: &Arc<Station>, at: Position) {
        let mut inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let place = (Arc::downgrade(station), at);
        if inside.by_address.insert(address, place).is_none() {
            inside.order.push_back(address);
        }
        while inside.order.len() > MOST {
            if let Some(oldest) = inside.order.pop_front() {
                inside.by_address.remove(&oldest);
            }
        }
    }

    /// What was read there last.
    pub(crate) fn find(&self, address: usize) -> Option<(Arc<Station>, Position)> {
        let inside = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (station, at) = inside.by_address.get(&address)?;
        Some((station.upgrade()?, *at))
    }
}
