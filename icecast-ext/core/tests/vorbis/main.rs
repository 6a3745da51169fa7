//! Ogg Vorbis in its canonical form: whatever the pages, the same bytes; and the same samples.

mod broken;
mod build;
mod decoded;
mod form;

use icecast_ext_core::codec::Canonical;

/// What comes of bytes that are fed at once, up to what is kept for more.
fn canonical(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Canonical::default().feed(bytes, &mut out);
    out
}

/// The same, to the end of the stream.
fn finished(bytes: &[u8]) -> Vec<u8> {
    let (mut canonical, mut out) = (Canonical::default(), Vec::new());
    canonical.feed(bytes, &mut out);
    canonical.finish(&mut out);
    out
}
