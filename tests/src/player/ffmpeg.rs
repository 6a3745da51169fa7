//! ffmpeg, with the one option that makes it come back.

use super::{Family, PLAIN, words};

/// Copies the frames as they are. It says a title whenever a block with one comes.
pub const FFMPEG: Family = Family {
    name: "ffmpeg -reconnect 1",
    program: "ffmpeg",
    version: &["-version"],
    args: |wish| {
        let icy = if wish.icy { "1" } else { "0" };
        let mut args = words(&["-nostdin", "-nostats", "-v", "verbose"]);
        args.extend(words(&["-reconnect", "1", "-icy", icy, "-i", wish.url]));
        args.extend(words(&["-c", "copy", "-f", "mp3", "-write_xing", "0"]));
        args.extend(words(&[
            "-id3v2_version",
            "0",
            "-flush_packets",
            "1",
            &wish.file(),
        ]));
        args
    },
    title: Some("Metadata update for StreamTitle: "),
    ..PLAIN
};
