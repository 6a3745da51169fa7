//! Aliases of epochs: another server's epoch that has the same bytes as ours, under other offsets.
//!
//! Two relays before servers that know nothing are minters both: the same bytes have two names. A relay that is told of the
//! other one, its *peer*, hears what that sends ([`Follower`]). It takes two content anchors ([`crate::anchor`]) that agree,
//! some time apart, and compares all bytes between them and after them with its own. So an alias is a stretch of bytes that
//! both have, compared one by one (R-ALIAS-1): (B, n) is looked up in it, and answered as the own position that it is.
//! What lies beyond what was compared is not known.
//!
//! A contradiction ends what is known of the two epochs for good (R-ALIAS-6).

mod follower;

use std::collections::VecDeque;

use crate::address::{Epoch, Position};

pub(crate) use follower::Own;
pub use follower::{Follower, News};

/// Stretches that are remembered of all peers of a mount.
pub const MAX_ALIASES: usize = 64;
/// Pairs of epochs that are not compared again.
const MAX_REFUTED: usize = 64;

/// The other names of a mount's bytes.
#[derive(Debug, Default)]
pub struct Aliases {
    /// The latest last.
    stretches: VecDeque<Stretch>,
    /// The peer's epoch and ours.
    refuted: VecDeque<(Epoch, Epoch)>,
    numbered: u64,
}

/// Bytes that a peer and we have both.
#[derive(Debug)]
struct Stretch {
    number: u64,
    /// The first byte, as the peer names it, and as we do.
    theirs: Position,
    ours: Position,
    /// Bytes that were compared.
    len: u64,
    /// The peer is heard, and what it sends is compared.
    open: bool,
}

impl Stretch {
    /// How far the peer's offsets are above ours.
    fn shift(&self) -> i128 {
        i128::from(self.theirs.offset.get()) - i128::from(self.ours.offset.get())
    }

    /// The own position of the byte that is so far behind the first one.
    fn own(&self, beyond: u64) -> Position {
        let offset = self.ours.offset.saturating_add(beyond);
        Position::new(self.ours.epoch, offset)
    }
}

/// What a peer's position is here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Named {
    /// This own position.
    Own(Position),
    /// This own position, if what is still to come from the peer is as ours.
    Soon {
        /// The position.
        own: Position,
        /// The end of what was compared.
        edge: Position,
    },
}

impl Aliases {
    /// What the peer's position `at` is here. `None`: nobody knows.
    #[must_use]
    pub fn find(&self, at: Position) -> Option<Named> {
        let latest = self.stretches.iter().rev();
        let mut named = latest.filter_map(|stretch| {
            let beyond = (stretch.theirs.epoch == at.epoch)
                .then(|| at.offset.since(stretch.theirs.offset))??;
            let own = stretch.own(beyond);
            match beyond <= stretch.len {
                true => Some(Named::Own(own)),
                false => stretch.open.then(|| Named::Soon {
                    own,
                    edge: stretch.own(stretch.len),
                }),
            }
        });
        let first = named.next()?;
        // What was compared counts more than what may come.
        let compared = |named: &Named| matches!(named, Named::Own(_));
        Some(if compared(&first) {
            first
        } else {
            named.find(compared).unwrap_or(first)
        })
    }

    /// Some of its positions are known here.
    #[must_use]
    pub fn knows(&self, epoch: Epoch) -> bool {
        let mut stretches = self.stretches.iter();
        stretches.any(|stretch| stretch.theirs.epoch == epoch)
    }

    /// Epochs of peers that positions are known of.
    #[must_use]
    pub fn count(&self) -> usize {
        let epochs = self.stretches.iter().map(|stretch| stretch.theirs.epoch);
        epochs.collect::<std::collections::HashSet<_>>().len()
    }

    /// Forgets stretches whose last byte is gone; `held`: it is not.
    pub(crate) fn evict(&mut self, held: impl Fn(Position) -> bool) {
        self.stretches
            .retain(|stretch| held(stretch.own(stretch.len)));
    }

    fn is_refuted(&self, theirs: Epoch, ours: Epoch) -> bool {
        self.refuted.contains(&(theirs, ours))
    }

    /// The two are not the same: nothing is known of them any more, and never will be.
    fn refute(&mut self, theirs: Epoch, ours: Epoch) {
        self.stretches
            .retain(|stretch| (stretch.theirs.epoch, stretch.ours.epoch) != (theirs, ours));
        if self.refuted.len() == MAX_REFUTED {
            self.refuted.pop_front();
        }
        self.refuted.push_back((theirs, ours));
    }

    /// A stretch that is proven. `None`: the two epochs are known to differ by something else.
    fn add(&mut self, theirs: Position, ours: Position, len: u64) -> Option<u64> {
        self.numbered += 1;
        let added = Stretch {
            number: self.numbered,
            theirs,
            ours,
            len,
            open: true,
        };
        let pair = |stretch: &Stretch| (stretch.theirs.epoch, stretch.ours.epoch);
        let mut known = self.stretches.iter();
        if known.any(|known| pair(known) == pair(&added) && known.shift() != added.shift()) {
            return None;
        }
        if self.stretches.len() == MAX_ALIASES {
            self.stretches.pop_front();
        }
        self.stretches.push_back(added);
        Some(self.numbered)
    }

    /// So many bytes more were compared. False if the stretch is not known any more.
    fn grow(&mut self, number: u64, bytes: u64) -> bool {
        self.change(number, |stretch| {
            stretch.len += bytes;
            stretch.open = true;
        })
    }

    /// Nothing comes from the peer now.
    fn close(&mut self, number: u64) {
        self.change(number, |stretch| stretch.open = false);
    }

    fn change(&mut self, number: u64, change: impl FnOnce(&mut Stretch)) -> bool {
        let mut stretches = self.stretches.iter_mut();
        let found = stretches.find(|stretch| stretch.number == number);
        found.map(change).is_some()
    }
}
