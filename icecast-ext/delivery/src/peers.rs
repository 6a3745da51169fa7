//! What a mount's peers call its bytes.

use icecast_ext_core::address::{Epoch, Position};
use icecast_ext_core::alias::{Follower, News};

use crate::clock;
use crate::mount::Mount;

impl Mount {
    /// A peer sends bytes now, the first of which stands `at` by its own names. They are compared with what is published.
    pub fn hear(&self, follower: &mut Follower, at: Position, bytes: &[u8]) -> Option<News> {
        self.write().hear(follower, at, bytes, clock::now_ms())
    }

    /// Compares what has been published since with what the peer has sent.
    pub fn settle(&self, follower: &mut Follower) -> Option<News> {
        self.write().settle(follower, clock::now_ms())
    }

    /// The peer is not heard any more, for now.
    pub fn peer_gone(&self, follower: &Follower) {
        self.write().peer_gone(follower);
    }

    /// A peer's epoch, of which positions are known here.
    #[must_use]
    pub fn knows_alias(&self, epoch: Epoch) -> bool {
        self.read().aliases().knows(epoch)
    }

    /// Epochs of peers, of which positions are known here.
    #[must_use]
    pub fn aliases(&self) -> usize {
        self.read().aliases().count()
    }
}
