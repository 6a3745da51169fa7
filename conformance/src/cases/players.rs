//! Players that know nothing, and resume by `Range`.

mod anchors;
mod answers;
mod join;
mod player;

use crate::case::Case;

/// All of them.
pub(super) fn cases() -> Vec<Case> {
    [join::CASES, anchors::CASES, answers::CASES].concat()
}
