//! All cases of clients, by chapter.

mod anchors;
mod icy;
mod join;
mod legacy;
mod links;
mod miss;
mod patience;
mod races;
mod resume;
mod tls;

use super::Scene;
use crate::case::Case;

/// All of them, in the order in which reports have them.
#[must_use]
pub fn all() -> Vec<Case<Scene>> {
    [
        join::CASES,
        resume::CASES,
        miss::CASES,
        icy::CASES,
        legacy::CASES,
        links::CASES,
        tls::CASES,
        patience::CASES,
        races::CASES,
        anchors::CASES,
    ]
    .concat()
}
