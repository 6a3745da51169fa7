//! GStreamer's `souphttpsrc`.

use super::{Family, PLAIN, words};

/// Writes what comes out of the source, or of the element that takes titles out.
pub const GSTREAMER: Family = Family {
    name: "GStreamer souphttpsrc",
    program: "gst-launch-1.0",
    args: |wish| {
        let location = format!("location={}", wish.url);
        let mut args = words(&["-t", "souphttpsrc", &location]);
        if wish.icy {
            args.extend(words(&["iradio-mode=true", "!", "icydemux"]));
        } else {
            args.push("iradio-mode=false".to_owned());
        }
        let file = format!("location={}", wish.file());
        args.extend(words(&["!", "filesink", "buffer-mode=unbuffered", &file]));
        args
    },
    title: Some(" title: "),
    ..PLAIN
};
