//! streamripper.

use super::{Family, HEARD, PLAIN, words};

/// Writes one file and no tracks.
pub const STREAMRIPPER: Family = Family {
    name: "streamripper",
    program: "streamripper",
    version: &["-v"],
    prepare: |wish| {
        // The name's end is its own idea.
        std::os::unix::fs::symlink("heard.mp3", wish.file())
    },
    args: |wish| {
        let dir = wish.dir.display().to_string();
        words(&[wish.url, "-d", &dir, "-s", "-A", "-a", HEARD, "--quiet"])
    },
    ..PLAIN
};
