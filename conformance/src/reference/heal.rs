//! The healing rule (R-EPOCH-4): whether what a new connection brings goes on where the old one ended.

use super::timeline::Run;

/// So many bytes before the cut are looked for.
const PROBE: usize = 1024;

/// What is known so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Healed {
    /// The stream goes on at this index of the new bytes.
    At(usize),
    /// It cannot be said that it does.
    No,
}

/// Applies the rule to all that a new connection has sent. `since`: seconds since the cut; `rate`: bytes a second.
pub(crate) fn heal(run: &Run, new: &[u8], since: f64, rate: f64, trusts_content: bool) -> Healed {
    let old: Vec<u8> = run.bytes.iter().copied().collect();
    let Some(probe) = old.len().checked_sub(PROBE).map(|from| &old[from..]) else {
        return Healed::No;
    };
    let places = |bytes: &[u8]| -> Vec<usize> {
        let found = bytes
            .windows(PROBE)
            .enumerate()
            .filter(|(_, window)| *window == probe);
        found.map(|(at, _)| at).take(2).collect()
    };
    let [place] = places(new)[..] else {
        return Healed::No;
    };
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate is below 2^32"
    )]
    let eight = (8.0 * rate) as usize;
    if places(&old[old.len().saturating_sub(eight)..]).len() != 1 && !trusts_content {
        return Healed::No;
    }
    let end = place + PROBE;
    let common = end.min(old.len());
    if old[old.len() - common..] != new[end - common..end] {
        return Healed::No;
    }
    #[expect(clippy::cast_precision_loss, reason = "below 2^52")]
    let fresh = (new.len() - end) as f64;
    if (fresh - since * rate).abs() > 2.0 * rate && !trusts_content {
        return Healed::No;
    }
    Healed::At(end)
}
