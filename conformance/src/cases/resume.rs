//! The extension, as a listener meets it.

mod ahead;
mod anchors;
mod epochs;
mod fields;
mod heads;
mod http;
mod icy;
mod join;
mod lag;
mod miss;
mod position;
mod security;
mod session;
mod splices;
mod values;

use crate::case::Case;

/// All of them, in the order of the protocol.
pub(super) fn cases() -> Vec<Case> {
    [
        epochs::CASES,
        values::CASES,
        fields::CASES,
        join::CASES,
        position::CASES,
        miss::CASES,
        ahead::CASES,
        lag::CASES,
        session::CASES,
        icy::CASES,
        splices::CASES,
        anchors::CASES,
        http::CASES,
        heads::CASES,
        security::CASES,
    ]
    .concat()
}
