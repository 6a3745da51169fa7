//! The demo's audio: silent MPEG-1 layer III frames, 320 kbit/s at 44.1 kHz, whose spare bytes say which frame they are.
//!
//! No two frames are alike, so that a wrong byte, a loop or a skip shows, and its place can be named. A byte at any place can
//! be made again from the place alone.

use std::ops::Range;

/// How fast the audio plays.
pub(super) const BYTES_PER_SECOND: u64 = 40_000;
/// MPEG-1, layer III, no CRC, 320 kbit/s, 44.1 kHz, joint stereo. The third byte's second bit is the padding bit.
const HEADER: [u8; 4] = [0xff, 0xfb, 0xe0, 0x64];
const PADDING: u8 = 0x02;
/// All zero: no bits of audio in either granule.
const SIDE_INFO: usize = 32;
/// From a frame's first byte to the end of its number.
const STAMP_END: usize = HEADER.len() + SIDE_INFO + "frame 0123456789\n".len();

/// Where frame `number` begins. A frame is 144 * 320000 / 44100 = 51200 / 49 bytes; the padding byte makes it whole.
pub(super) fn start_of(number: u64) -> u64 {
    number * 51_200 / 49
}

/// The frame that the byte at `place` belongs to.
pub(super) fn frame_at(place: u64) -> u64 {
    (49 * (place + 1)).div_ceil(51_200) - 1
}

/// Frame `number`: header, silence, its number in plain text, and bytes that no other frame has. None of them is 0xff,
/// so that nothing but a header looks like one.
pub(super) fn frame(number: u64) -> Vec<u8> {
    let length = usize::try_from(start_of(number + 1) - start_of(number)).unwrap_or(0);
    let mut frame = Vec::with_capacity(length);
    frame.extend_from_slice(&HEADER);
    if length == 1045 {
        frame[2] |= PADDING;
    }
    frame.resize(HEADER.len() + SIDE_INFO, 0);
    frame.extend_from_slice(format!("frame {number:010}\n").as_bytes());
    let mut noise = Noise(number);
    frame.resize_with(length, || noise.below(255) as u8);
    frame
}

/// Frame by frame, the bytes of a range.
pub(super) fn pieces(range: Range<u64>) -> impl Iterator<Item = Vec<u8>> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at >= range.end {
            return None;
        }
        let number = frame_at(at);
        let mut piece = frame(number);
        let skip = at - start_of(number);
        piece.drain(..usize::try_from(skip).unwrap_or(0));
        piece.truncate(usize::try_from(range.end - at).unwrap_or(usize::MAX));
        at += piece.len() as u64;
        Some(piece)
    })
}

/// The first frame in `bytes` whose number can be read: the index of its first byte, and the number.
pub(super) fn find(bytes: &[u8]) -> Option<(usize, u64)> {
    bytes
        .windows(STAMP_END)
        .enumerate()
        .find_map(|(index, window)| Some((index, number(window)?)))
}

fn number(window: &[u8]) -> Option<u64> {
    if !window.starts_with(&HEADER[..2]) {
        return None;
    }
    let text = std::str::from_utf8(window.get(HEADER.len() + SIDE_INFO..STAMP_END)?).ok()?;
    text.strip_prefix("frame ")?
        .strip_suffix('\n')?
        .parse()
        .ok()
}

/// SplitMix64: good enough to be unlike everything else, and the same everywhere.
#[derive(Debug)]
pub(super) struct Noise(pub(super) u64);

impl Noise {
    /// Evenly from 0 to `bound` - 1, near enough.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// Any stretch of the content without making the same frame twice in a row.
#[derive(Debug, Default)]
pub(super) struct Source {
    made: Option<(u64, Vec<u8>)>,
}

impl Source {
    /// From `place` to the end of its frame; never empty.
    pub(super) fn from(&mut self, place: u64) -> &[u8] {
        let wanted = frame_at(place);
        if self
            .made
            .as_ref()
            .is_none_or(|(number, _)| *number != wanted)
        {
            self.made = Some((wanted, frame(wanted)));
        }
        let skip = usize::try_from(place - start_of(wanted)).unwrap_or(0);
        self.made.as_ref().map_or(&[], |(_, frame)| &frame[skip..])
    }

    /// How many of `bytes`, from the first on, are what stands at `place`.
    pub(super) fn agreement(&mut self, place: u64, bytes: &[u8]) -> usize {
        let mut same = 0;
        while same < bytes.len() {
            let right = self.from(place + same as u64);
            let run = right
                .iter()
                .zip(&bytes[same..])
                .take_while(|(a, b)| a == b)
                .count();
            let whole = run == right.len();
            same += run;
            if !whole {
                break;
            }
        }
        same
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_frames_agree() {
        for number in 0..2000 {
            let (start, end) = (start_of(number), start_of(number + 1));
            assert!(matches!(end - start, 1044 | 1045));
            assert_eq!(frame(number).len() as u64, end - start);
            for place in [start, start + 1, end - 1] {
                assert_eq!(frame_at(place), number, "{place}");
            }
        }
        assert_eq!(start_of(49), 51_200);
    }

    #[test]
    fn frames_are_valid_mpeg_and_say_which_they_are() {
        for number in [0, 1, 48, 49, 1_000_000] {
            let frame = frame(number);
            assert_eq!(frame[..2], [0xff, 0xfb]);
            assert_eq!(frame[2] & PADDING != 0, frame.len() == 1045);
            assert_eq!(find(&frame), Some((0, number)));
            assert!(
                !frame[2..].contains(&0xff),
                "nothing else looks like a header"
            );
        }
    }

    #[test]
    fn no_stretch_of_noise_comes_twice() {
        let all: Vec<u8> = pieces(0..200_000).flatten().collect();
        let mut seen = std::collections::HashSet::new();
        for number in 0..190 {
            let noise = usize::try_from(start_of(number)).unwrap() + STAMP_END;
            for window in all[noise..noise + 900].windows(12) {
                assert!(seen.insert(window.to_vec()), "frame {number}");
            }
        }
    }

    #[test]
    fn any_slice_can_be_made_again() {
        let all: Vec<u8> = pieces(0..10_000).flatten().collect();
        assert_eq!(all.len(), 10_000);
        let slice: Vec<u8> = pieces(1_500..7_777).flatten().collect();
        assert_eq!(slice, all[1_500..7_777]);
        let mut source = Source::default();
        assert_eq!(source.agreement(1_500, &slice), slice.len());
        assert!(source.agreement(1_501, &slice) < 100);
    }
}
