//! wget, with its patience shortened.

use super::{Family, PLAIN, words};

/// It waits a second longer each time, up to ten, unless it is told not to.
pub const WGET: Family = Family {
    name: "wget",
    program: "wget",
    args: |wish| {
        let args = [
            "--waitretry=1",
            "--tries=50",
            "--no-verbose",
            "--output-document",
        ];
        let mut args = words(&args);
        args.extend([wish.file(), wish.url.to_owned()]);
        args
    },
    ..PLAIN
};
