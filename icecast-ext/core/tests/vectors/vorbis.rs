//! `vorbis.json`

use icecast_ext_core::codec::Canonical;
use icecast_ext_spec::vector;

use super::all;

#[test]
fn pages_are_made_anew() {
    let vectors = vector::vorbis().expect("vectors");
    all(&vectors.canonical, |input, expect| {
        let mut out = Vec::new();
        Canonical::default().feed(&input.hex().expect("octets"), &mut out);
        let expect = expect.as_ref().expect("octets");
        (out, expect.hex().expect("octets"))
    });
}
