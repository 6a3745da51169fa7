//! Players that know nothing of us, and resume with `Range` (spec: "Stock players").
//!
//! They ask for `bytes=N-`, where N counts all body bytes since the first of their first answer. An [`Anchor`] says what N
//! means; it comes back with the request, in a cookie or in the URL, so that servers need to remember little. Pure: a request, the
//! mount's level and its timeline go in, the answer comes out.
//!
//! | room | idea |
//! |---|---|
//! | `family` | which player asks, and what it needs: a table |
//! | `anchor` | what N means, as a text |
//! | `ask` | what a request says |
//! | `place` | which byte of the stream is byte N of a body |
//! | `decide` | where the answer starts |
//! | `reply` | the answer, and the fields of its head |
//! | `anchors` | what is remembered of anchors all the same |

mod anchor;
mod anchors;
mod ask;
mod decide;
mod family;
mod place;
mod reply;

pub use anchor::{Anchor, Join, query_without, without_anchors};
pub use anchors::Anchors;
pub use ask::Ask;
pub use decide::Terms;
pub use family::{Carrier, FAMILIES, Family, Needs, Shape, Span};
pub use reply::{Reply, Stream};

/// The length that a stream without an end is given, in bytes: what all players can reckon with (R-STOCK-14).
pub const TOTAL: u64 = 1_000_000_000_000;
/// A range that begins in so many bytes at the end asks for the end of a file that there is not (R-STOCK-18).
pub const TAIL: u64 = 1 << 20;

/// How much of this a mount offers (R-STOCK-1).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Level {
    /// `Range` is ignored.
    Off,
    /// Ranges, and no length: no seek bar.
    #[default]
    Ranges,
    /// A length of [`TOTAL`] as well.
    Full,
}
