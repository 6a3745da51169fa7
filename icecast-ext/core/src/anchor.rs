//! Content anchors: where in a relay's buffer do a client's last bytes stand, if the two share no epoch?
//!
//! Both sides cut the stream into chunks at places that the bytes themselves decide ([`Chunker`]). A client keeps the
//! names of the chunks it heard last ([`Collector`]) and sends them with the time since its last byte ([`Evidence`]). A
//! relay keeps the names of all chunks in its window ([`Index`]) and looks for the one place that names *and* clock
//! allow ([`Index::find`]). Repeats are common in radio, and byte-identical: what is not proven is a miss, never a guess.
//!
//! ```
//! use std::time::Duration;
//! use icecast_ext_core::anchor::{Collector, Index, Place, SKEW};
//! # use sha2::{Digest, Sha256};
//! # let stream: Vec<u8> = (0..40_000_u64).flat_map(|n| Sha256::digest(n.to_be_bytes())).collect();
//! // A relay and a client of another relay hear the same 16 000 bytes a second, for a minute.
//! let mut index = Index::new(0, SKEW);
//! let mut client = Collector::default();
//! for (second, bytes) in (0..).map(Duration::from_secs).zip(stream[..960_000].chunks(16_000)) {
//!     index.push(bytes, second);
//!     client.feed(bytes, second);
//! }
//! // Two seconds later the client asks here.
//! let now = Duration::from_secs(61);
//! let evidence = client.evidence(now, Duration::ZERO).expect("a minute is enough");
//! let held = |from: u64, len: u64| [&stream[from as usize..][..len as usize]].into_iter();
//! assert_eq!(index.find(&evidence, now, held), Ok(Place::Held(960_000)));
//! ```

mod arrivals;
mod chunker;
mod collector;
mod index;
mod lookup;
mod start;

use std::time::Duration;

pub use chunker::{Chunk, ChunkId, Chunker, Cut, LEVELS, MIN_CHUNK, Sum, WARM_UP};
pub use collector::Collector;
pub use index::Index;
pub use lookup::{Place, Unproven};
pub use start::Shown;

/// How far the clocks and the delays of a client's relay and of this one may be apart in all (R-ANCHOR-13). It must
/// exceed the real skew and what servers hold back; the more it is, the more must a client have heard.
pub const SKEW: Duration = Duration::from_secs(10);

/// Chunks that evidence names at most: as many as fit into a `Resume-Anchor`, whatever their lengths.
pub const MAX_CHUNKS: usize = 44;
/// Bytes since the newest cut at most. In silence there is no cut, and so no evidence.
pub const MAX_TAIL: u32 = 65_536;
/// Chunks that ended longer ago are not in the evidence: two minutes prove all that can be proven.
pub const MEMORY: Duration = Duration::from_secs(120);

/// What a client can say of the bytes that it heard last: the value of `Resume-Anchor`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Evidence {
    /// Since the last byte came, by a clock that goes on while the device sleeps. Milliseconds count.
    pub age: Duration,
    /// How far behind live the last byte was when it came, as far as the client knows. Milliseconds count.
    pub lag: Duration,
    /// Bytes since the newest cut, at most [`MAX_TAIL`].
    pub tail: u32,
    /// Of these bytes.
    pub sum: Sum,
    /// The chunks before them without a gap, the newest first: 1 to [`MAX_CHUNKS`].
    pub chunks: Vec<Chunk>,
}
