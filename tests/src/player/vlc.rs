//! VLC, without a face. It refuses to run as root.

use super::{Family, PLAIN, words};
use crate::child::As;

/// Writes the stream as it comes. It asks for no titles.
pub const VLC: Family = Family {
    name: "VLC",
    program: "cvlc",
    who: As::Nobody,
    args: |wish| {
        let out = format!("#std{{access=file,mux=dummy,dst={}}}", wish.file());
        words(&["-I", "dummy", "-vv", "--no-color", wish.url, "--sout", &out])
    },
    ..PLAIN
};
