//! Does a burst continue a buffer? The healing rule: never wrong, at worst a new epoch (R-EPOCH-4).

use std::time::Duration;

/// Bytes of the buffer's end that are looked for in the burst.
pub const PROBE: usize = 1024;

/// What is known when a connection has come back.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The end of what was received before, oldest byte first: at least 8 s of it where so much is held.
    pub tail: &'a [u8],
    /// What the new connection has sent, without codec headers in front ([`crate::codec::leading_headers`]).
    pub burst: &'a [u8],
    /// From the last byte of `tail` to the last byte of `burst`, by a monotonic clock.
    pub elapsed: Duration,
    /// Bytes a second.
    pub rate: Option<u64>,
}

/// Why continuity is not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// Less than [`PROBE`] bytes were held.
    #[error("less than {PROBE} bytes are held")]
    TooLittle,
    /// The buffer's end is not in the burst.
    #[error("the burst does not overlap")]
    Absent,
    /// It is there more than once, or also earlier in the buffer.
    #[error("the overlap is ambiguous")]
    Ambiguous,
    /// The bytes before it differ.
    #[error("the overlap differs")]
    Differs,
    /// The new bytes are not what the clock says.
    #[error("{new} new bytes in {elapsed:?} do not fit the rate")]
    Clock {
        /// Bytes after the overlap.
        new: u64,
        /// In this time.
        elapsed: Duration,
    },
}

/// Index into `burst` of the first byte that follows `tail`.
pub fn continues(evidence: &Evidence<'_>) -> Result<usize, Unproven> {
    let _ = evidence;
    todo!()
}
