//! Units that carry their number, and what fills them.

/// So many bytes of a unit carry its number, whatever the format, from where its number is looked for.
pub(super) const MARKED: usize = 48;
/// Layer III of MPEG-1, no checksum; 320 kbit/s, 48 kHz; joint stereo.
const MPEG: [u8; 4] = [0xff, 0xfb, 0xe4, 0x64];
const MPEG_LENGTH: usize = 960;
const PLAIN: &[u8] = b"conformance ";
const PLAIN_LENGTH: usize = 1000;

/// An MPEG frame. No byte after its header has the highest bit: nothing in it looks like another header.
pub(super) fn mpeg(seed: u16, number: u64) -> Vec<u8> {
    let mut out = MPEG.to_vec();
    label(seed, number, &mut out);
    fill(seed, number, MPEG_LENGTH, &mut out);
    out
}

/// The number of the frame with which a slice begins.
pub(super) fn mpeg_number(slice: &[u8]) -> Option<u64> {
    read_label(slice.strip_prefix(&MPEG)?)
}

/// A unit of a format that nobody knows.
pub(super) fn plain(seed: u16, number: u64) -> Vec<u8> {
    let mut out = PLAIN.to_vec();
    label(seed, number, &mut out);
    fill(seed, number, PLAIN_LENGTH, &mut out);
    out
}

/// The number of the unit with which a slice begins.
pub(super) fn plain_number(slice: &[u8]) -> Option<u64> {
    read_label(slice.strip_prefix(PLAIN)?)
}

/// Number and seed in 16 letters: `@` to `O` for 4 bits each.
pub(super) fn label(seed: u16, number: u64, out: &mut Vec<u8>) {
    let value = number << 16 | u64::from(seed);
    for octet in value.to_be_bytes() {
        out.push(0x40 | octet >> 4);
        out.push(0x40 | octet & 15);
    }
}

/// The number in a label.
pub(super) fn read_label(label: &[u8]) -> Option<u64> {
    let label = label.get(..16)?;
    let mut value = 0_u64;
    for letter in label {
        if letter & 0xf0 != 0x40 {
            return None;
        }
        value = value << 4 | u64::from(letter & 15);
    }
    Some(value >> 16)
}

/// Fills a unit up to a length, from its seed and number (xorshift64*), with octets below 0x80.
pub(super) fn fill(seed: u16, number: u64, length: usize, out: &mut Vec<u8>) {
    let mut state = (number << 16 | u64::from(seed)).wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    while out.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        let word = state.wrapping_mul(0x2545_f491_4f6c_dd1d) & 0x7f7f_7f7f_7f7f_7f7f;
        let octets = word.to_be_bytes();
        let take = (length - out.len()).min(8);
        out.extend_from_slice(&octets[..take]);
    }
}
