//! The relay feed, two servers of one stream, and servers whose upstream the suite plays.

pub(super) mod above;
mod below;
mod feed;
mod healing;
mod pace;
mod receiver;
mod second;
mod sender;
mod titles;
mod tunnel;

use crate::case::Case;

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [
        sender::CASES,
        pace::CASES,
        second::CASES,
        below::CASES,
        receiver::CASES,
        titles::CASES,
        healing::CASES,
        tunnel::CASES,
    ]
    .concat()
}
