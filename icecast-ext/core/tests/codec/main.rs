//! Where a late joiner may start, and what it must be told first: by hand, at random, and with real encoders.

mod build;
mod encoded;
mod frames;
mod ogg;
mod splits;
mod webm;

use bytes::Bytes;
use icecast_ext_core::address::Offset;
use icecast_ext_core::codec::{Format, Mark, Tracker, leading_headers};

fn offset(at: usize) -> Offset {
    Offset::new(at as u64).expect("a small offset")
}

fn sync(at: usize) -> Mark {
    Mark::Sync(offset(at))
}

fn prelude(at: usize, bytes: &[u8]) -> Mark {
    Mark::Prelude(offset(at), Bytes::copy_from_slice(bytes))
}

/// All marks of a stream fed at once.
fn marks(format: Format, bytes: &[u8]) -> Vec<Mark> {
    marks_from(format, bytes, 0, None)
}

/// The marks of `bytes[from..]`.
fn marks_from(format: Format, bytes: &[u8], from: usize, prelude: Option<&[u8]>) -> Vec<Mark> {
    let mut out = Vec::new();
    let prelude = prelude.map(Bytes::copy_from_slice);
    Tracker::new(format, offset(from), prelude).feed(&bytes[from..], &mut out);
    out
}

#[test]
fn content_types_name_the_family() {
    for (value, format) in [
        ("audio/mpeg", Format::Mpeg),
        ("Audio/MP3 ; x=y", Format::Mpeg),
        ("audio/aacp", Format::Adts),
        ("audio/aac", Format::Adts),
        ("audio/x-aac", Format::Adts),
        ("application/ogg", Format::Ogg),
        ("audio/ogg;codecs=opus", Format::Ogg),
        ("video/ogg", Format::Ogg),
        ("audio/opus", Format::Ogg),
        ("video/webm", Format::Webm),
        ("audio/webm; codecs=\"opus\"", Format::Webm),
        ("audio/x-matroska", Format::Webm),
        ("audio/flac", Format::Opaque),
        ("text/html", Format::Opaque),
        ("", Format::Opaque),
    ] {
        assert_eq!(
            Format::from_content_type(value.as_bytes()),
            format,
            "{value}"
        );
    }
}

#[test]
fn an_opaque_stream_has_no_marks_and_is_whole_everywhere() {
    let mut tracker = Tracker::new(Format::Opaque, offset(7), None);
    let mut out = Vec::new();
    tracker.feed(&[0xff; 100_000], &mut out);
    assert_eq!(out, []);
    assert_eq!(tracker.whole(), offset(100_007));
}

#[test]
fn only_containers_have_headers_in_front() {
    for format in [Format::Mpeg, Format::Adts, Format::Opaque] {
        assert_eq!(leading_headers(format, b""), Some(0));
    }
    for format in [Format::Ogg, Format::Webm] {
        assert_eq!(leading_headers(format, b""), None);
        assert_eq!(leading_headers(format, &[7; 100]), Some(0));
    }
}
