//! What is remembered of stock players' anchors, where a player cannot bring along what has become of it: whose place was lost
//! may not get the new anchor's cookie (R-STOCK-26), and who was moved to another mount has an anchor that is not so any more
//! (R-STOCK-27). All else they bring along themselves.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use icecast_ext_core::stock::{Anchor, Ask, Join};

/// Joins that are remembered of a mount; the oldest go first.
const MOST: usize = 16_384;

#[derive(Debug, Default)]
struct Inside {
    by_join: HashMap<Join, Option<Anchor>>,
    order: VecDeque<Join>,
}

/// Of one mount.
#[derive(Debug, Default)]
pub(crate) struct Anchors(Mutex<Inside>);

impl Anchors {
    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The anchor of a join is this now; `None`: it has none.
    pub(crate) fn set(&self, join: Join, anchor: Option<Anchor>) {
        let mut inside = self.inside();
        if inside.by_join.insert(join, anchor).is_none() {
            inside.order.push_back(join);
        }
        while inside.order.len() > MOST {
            if let Some(oldest) = inside.order.pop_front() {
                inside.by_join.remove(&oldest);
            }
        }
    }

    /// The request with what is known better here.
    pub(crate) fn mend(&self, ask: &Ask) -> Ask {
        let inside = self.inside();
        let mut mended = ask.clone();
        for join in ask.joins() {
            match inside.by_join.get(&join) {
                None => {}
                Some(Some(anchor)) => mended.learn(*anchor),
                Some(None) => mended.disown(join),
            }
        }
        mended
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let anchors = Anchors::default();
        let join = |n: usize| {
            let bytes = (n as u64).to_be_bytes();
            Join::from_bytes(std::array::from_fn(|i| bytes[2 + i]))
        };
        for n in 0..=MOST {
            anchors.set(join(n), None);
            anchors.set(join(n), None);
        }
        let inside = anchors.inside();
        assert_eq!((inside.by_join.len(), inside.order.len()), (MOST, MOST));
        assert!(!inside.by_join.contains_key(&join(0)) && inside.by_join.contains_key(&join(1)));
    }
}
