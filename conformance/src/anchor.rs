//! Content anchors: chunks of a stream, and what a client says of those that it has heard.
//!
//! Written from the chapter "Content anchors" alone; the vectors of the protocol hold it to that.

mod chunks;
mod evidence;

#[cfg(test)]
pub(crate) use chunks::tests::contents;
pub use chunks::{Chunk, Chunker, Cut, LEVELS, Name, Sum, WARM, sum};
pub use evidence::{Evidence, LONGEST, MOST, Proof, Witness};
