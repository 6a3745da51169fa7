//! mplayer.

use super::{Family, PLAIN, words};

/// Writes the stream as it comes.
pub const MPLAYER: Family = Family {
    name: "mplayer",
    program: "mplayer",
    version: &["-noconfig", "all", "-vo", "help"],
    args: |wish| {
        let mut args = words(&["-noconfig", "all", "-noconsolecontrols", "-nolirc"]);
        args.extend(words(&["-dumpstream", "-dumpfile", &wish.file(), wish.url]));
        args
    },
    ..PLAIN
};
