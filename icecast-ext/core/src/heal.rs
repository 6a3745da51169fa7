//! Does a burst continue a buffer? The healing rule: never wrong, at worst a new epoch (R-EPOCH-4).

use std::time::Duration;

use memchr::memmem;

/// Bytes of the buffer's end that are looked for in the burst.
pub const PROBE: usize = 1024;

/// The probe must not stand elsewhere in so much of the buffer's end: what repeats sooner proves nothing.
pub const UNIQUE: Duration = Duration::from_secs(8);

/// How far the new bytes may be from what the clock says.
pub const CLOCK: Duration = Duration::from_secs(2);

/// What is known when a connection has come back.
#[derive(Debug, Clone, Copy)]
pub struct Evidence<'a> {
    /// The end of what was received before, oldest byte first: at least 8 s of it where so much is held.
    pub tail: &'a [u8],
    /// What the new connection has sent, without codec headers in front ([`crate::codec::leading_headers`]). It may go on
    /// past the server's burst into live bytes, and may begin before `tail` does.
    pub burst: &'a [u8],
    /// From the last byte of `tail` to the last byte of `burst`, by a monotonic clock.
    pub elapsed: Duration,
    /// Bytes a second. Without it nothing is proven.
    pub rate: Option<u64>,
}

/// Why continuity is not proven.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unproven {
    /// Less than [`PROBE`] bytes were held.
    #[error("less than {PROBE} bytes are held")]
    TooLittle,
    /// The buffer's end is not in the burst: too long away, or not all of the burst is there yet.
    #[error("the burst does not overlap")]
    Absent,
    /// It is there more than once, or also earlier in the buffer.
    #[error("the overlap is ambiguous")]
    Ambiguous,
    /// The bytes before it differ.
    #[error("the overlap differs")]
    Differs,
    /// The clock cannot be asked.
    #[error("the rate is not known")]
    NoRate,
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
///
/// The last [`PROBE`] bytes of `tail` stand in `burst` exactly once and nowhere else in the last [`UNIQUE`] of `tail` (in
/// all of it, without a rate); all bytes before them that both hold are equal; and the bytes after them are as many as the
/// rate makes of the time, give or take [`CLOCK`].
pub fn continues(evidence: &Evidence<'_>) -> Result<usize, Unproven> {
    let Evidence {
        tail,
        burst,
        elapsed,
        rate,
    } = *evidence;
    let (before, probe) = tail
        .split_last_chunk::<PROBE>()
        .ok_or(Unproven::TooLittle)?;
    let find = memmem::Finder::new(probe);

    let place = find.find(burst).ok_or(Unproven::Absent)?;
    let again = burst.get(place + 1..).unwrap_or_default();
    if find.find(again).is_some() {
        return Err(Unproven::Ambiguous);
    }
    let recent = rate.map_or(usize::MAX, |rate| bytes_in(UNIQUE, rate));
    let recent = tail.get(tail.len().saturating_sub(recent.max(PROBE))..tail.len() - 1);
    if find.find(recent.unwrap_or_default()).is_some() {
        return Err(Unproven::Ambiguous);
    }

    let overlap = place.min(before.len());
    if burst.get(place - overlap..place) != before.get(before.len() - overlap..) {
        return Err(Unproven::Differs);
    }

    let rate = rate.ok_or(Unproven::NoRate)?;
    let follows = place + PROBE;
    let new = burst.len() - follows;
    if new.abs_diff(bytes_in(elapsed, rate)) > bytes_in(CLOCK, rate) {
        return Err(Unproven::Clock {
            new: new as u64,
            elapsed,
        });
    }
    Ok(follows)
}

fn bytes_in(time: Duration, rate: u64) -> usize {
    let bytes = u128::from(rate).saturating_mul(time.as_millis()) / 1000;
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
