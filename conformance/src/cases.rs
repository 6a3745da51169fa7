//! All cases, by profile and chapter.

mod icecast;
mod players;
mod relay;
mod resume;

use crate::case::Case;

/// All of them, in the order in which reports have them.
#[must_use]
pub fn all() -> Vec<Case> {
    [
        icecast::CASES.to_vec(),
        resume::cases(),
        relay::cases(),
        players::cases(),
    ]
    .concat()
}
