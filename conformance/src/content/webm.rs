//! WebM: EBML (RFC 8794) as far as a stream of audio needs it.

use super::unit::{fill, label, read_label};

const CLUSTER: [u8; 4] = [0x1f, 0x43, 0xb6, 0x75];
const PAYLOAD: usize = 900;

/// An element with a length in four octets.
fn element(id: &[u8], value: &[u8]) -> Vec<u8> {
    let length = u32::try_from(value.len()).unwrap_or(0) | 0x1000_0000;
    [id, &length.to_be_bytes(), value].concat()
}

/// EBML header, Segment without an end, Info, Tracks.
pub(super) fn head() -> Vec<u8> {
    let ebml = [
        element(&[0x42, 0x86], &[1]),
        element(&[0x42, 0xf7], &[1]),
        element(&[0x42, 0xf2], &[4]),
        element(&[0x42, 0xf3], &[8]),
        element(&[0x42, 0x82], b"webm"),
        element(&[0x42, 0x87], &[4]),
        element(&[0x42, 0x85], &[2]),
    ]
    .concat();
    let info = [
        element(&[0x2a, 0xd7, 0xb1], &[0x0f, 0x42, 0x40]),
        element(&[0x4d, 0x80], b"conformance"),
        element(&[0x57, 0x41], b"conformance"),
    ]
    .concat();
    let track = [
        element(&[0xd7], &[1]),
        element(&[0x73, 0xc5], &[1]),
        element(&[0x83], &[2]),
        element(&[0x86], b"A_OPUS"),
        element(
            &[0x63, 0xa2],
            b"OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00",
        ),
        element(
            &[0xe1],
            &[
                element(&[0xb5], &48_000_f64.to_be_bytes()),
                element(&[0x9f], &[2]),
            ]
            .concat(),
        ),
    ]
    .concat();
    let mut out = element(&[0x1a, 0x45, 0xdf, 0xa3], &ebml);
    out.extend_from_slice(&[
        0x18, 0x53, 0x80, 0x67, 0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
    ]);
    out.extend_from_slice(&element(&[0x15, 0x49, 0xa9, 0x66], &info));
    out.extend_from_slice(&element(
        &[0x16, 0x54, 0xae, 0x6b],
        &element(&[0xae], &track),
    ));
    out
}

/// A cluster of one block.
pub(super) fn unit(seed: u16, number: u64) -> Vec<u8> {
    let mut block = vec![0x81, 0, 0, 0x80];
    label(seed, number, &mut block);
    fill(seed, number, PAYLOAD, &mut block);
    let inner = [
        element(&[0xe7], &(number * 20).to_be_bytes()),
        element(&[0xa3], &block),
    ]
    .concat();
    element(&CLUSTER, &inner)
}

/// The number of the cluster with which a slice begins.
pub(super) fn number(slice: &[u8]) -> Option<u64> {
    slice.strip_prefix(&CLUSTER)?;
    // Its length, its time code, the block's head.
    read_label(slice.get(4 + 4 + 1 + 4 + 8 + 1 + 4 + 4..)?)
}
