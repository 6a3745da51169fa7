//! Content that describes itself: MPEG frames in which each word of eight bytes says where in the stream it stands.
//!
//! So a listener needs no copy of what was sent: from its first frames it knows its place, and from there on each byte is
//! known. A gap, a repeat and a wrong byte all show at once, at the cost of one comparison a word.

/// MPEG-1 layer III, 128 kbit/s at 48 kHz: 24 ms.
pub(crate) const FRAME: usize = 384;
/// Words of a frame.
const WORDS: u64 = FRAME as u64 / 8;
/// Sync word, version, layer, bit rate, sampling rate, joint stereo.
const HEADER: u32 = u32::from_le_bytes([0xff, 0xfb, 0x94, 0x64]);
/// Odd, so that no two words are alike.
const STEP: u64 = 0x1f3d_5b79_9775_3b1d;

/// Word `index` of the stream: a frame's first holds its header and its number, the others a multiple of [`STEP`].
const fn word(index: u64) -> u64 {
    match index % WORDS {
        0 => (index / WORDS) << 32 | HEADER as u64,
        _ => index.wrapping_mul(STEP),
    }
}

/// The byte at `position`.
const fn byte(position: u64) -> u8 {
    word(position / 8).to_le_bytes()[(position % 8) as usize]
}

/// Appends frame `number`.
pub(crate) fn write(number: u64, out: &mut Vec<u8>) {
    for index in number * WORDS..(number + 1) * WORDS {
        out.extend_from_slice(&word(index).to_le_bytes());
    }
}

/// So many bytes are enough for [`locate`], wherever they begin.
pub(crate) const ENOUGH: usize = 2 * FRAME;

/// Where the first of `bytes` stands in the stream, by the first whole frame head in it. `None`: they are no part of it.
pub(crate) fn locate(bytes: &[u8]) -> Option<u64> {
    bytes
        .windows(8)
        .enumerate()
        .filter(|(_, window)| window[..4] == HEADER.to_le_bytes())
        .find_map(|(at, head)| {
            let number = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            let first = (u64::from(number) * FRAME as u64).checked_sub(at as u64)?;
            agree(first, bytes).then_some(first)
        })
}

/// Whether `bytes` are what stands at `position`.
pub(crate) fn agree(position: u64, bytes: &[u8]) -> bool {
    let head = bytes.len().min((8 - position as usize % 8) % 8);
    let (first, rest) = bytes.split_at(head);
    let (words, last) = rest.as_chunks::<8>();
    let mut at = position;
    for &each in first {
        if each != byte(at) {
            return false;
        }
        at += 1;
    }
    let mut index = at / 8;
    let mut left = words;
    while !left.is_empty() {
        let inside = index % WORDS;
        let run = ((WORDS - inside) as usize).min(left.len());
        let (now, later) = left.split_at(run);
        let mut wrong = 0;
        let mut expected = index.wrapping_mul(STEP);
        for (i, each) in now.iter().enumerate() {
            let right = if i == 0 && inside == 0 {
                word(index)
            } else {
                expected
            };
            wrong |= u64::from_le_bytes(*each) ^ right;
            expected = expected.wrapping_add(STEP);
        }
        if wrong != 0 {
            return false;
        }
        index += run as u64;
        left = later;
    }
    let at = index * 8;
    last.iter()
        .zip(at..)
        .all(|(each, position)| *each == byte(position))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut bytes = Vec::new();
        for number in 0..40 {
            write(number, &mut bytes);
        }
        bytes
    }

    #[test]
    fn any_part_knows_its_place() {
        let bytes = stream();
        for start in 0..2 * FRAME {
            assert_eq!(
                locate(&bytes[start..start + ENOUGH]),
                Some(start as u64),
                "{start}"
            );
            assert!(agree(start as u64, &bytes[start..]));
        }
    }

    #[test]
    fn one_wrong_byte_a_gap_and_a_repeat_show() {
        let bytes = stream();
        for at in (0..bytes.len()).step_by(7) {
            let mut other = bytes.clone();
            other[at] ^= 0x10;
            assert!(!agree(0, &other), "{at}");
        }
        for length in [1, 8, 384, 3840] {
            let gap = [&bytes[..4000], &bytes[4000 + length..]].concat();
            let twice = [&bytes[..4000], &bytes[4000 - length..]].concat();
            assert!(!agree(0, &gap) && !agree(0, &twice), "{length}");
        }
    }
}
