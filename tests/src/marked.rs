//! Streams in which each byte says which stream it is of and where it stands: MPEG frames here, Ogg pages in [`ogg`].
//!
//! So a recording tells by itself what it was made of: every join, gap, repeat and wrong byte shows, whatever server sent it
//! and however often its listener was moved.

use std::fmt::Write as _;

pub mod ogg;

/// MPEG-1 layer III, 128 kbit/s at 48 kHz: 24 ms.
pub const FRAME: usize = 384;
const WORDS: u64 = FRAME as u64 / 8;
/// Sync word, version, layer, bit rate, sampling rate, joint stereo.
const HEADER: [u8; 4] = [0xff, 0xfb, 0x94, 0x64];
/// Odd, so that no two words are alike.
const STEP: u64 = 0x1f3d_5b79_9775_3b1d;

/// Word `index` of a stream: a frame's first holds its header, its number and the stream's, the others a multiple of [`STEP`].
const fn word(stream: u8, index: u64) -> u64 {
    match index % WORDS {
        0 => {
            let number = (index / WORDS) | ((stream as u64) << 24);
            (number << 32) | u32::from_le_bytes(HEADER) as u64
        }
        _ => (index | ((stream as u64) << 40)).wrapping_mul(STEP),
    }
}

const fn byte(stream: u8, at: u64) -> u8 {
    word(stream, at / 8).to_le_bytes()[(at % 8) as usize]
}

/// What stands at `at` in a stream of MPEG frames. Streams have numbers from 1 on.
#[must_use]
pub fn bytes(stream: u8, at: usize, len: usize) -> Vec<u8> {
    let at = at as u64;
    (at..at + len as u64).map(|at| byte(stream, at)).collect()
}

/// A part of a recording that is a part of one stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// Which; 0 if it is of none.
    pub stream: u8,
    /// Where it stands in the stream: its first byte, or its first page.
    pub from: u64,
    /// Where it ends.
    pub to: u64,
}

impl Piece {
    /// How long it is.
    #[must_use]
    pub const fn len(&self) -> u64 {
        self.to - self.from
    }

    /// Whether there is nothing in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What a recording is made of, in its order. Two pieces of one stream in a row are a gap or a repeat. A rest that is too
/// short to tell is left out.
#[must_use]
pub fn pieces(recording: &[u8]) -> Vec<Piece> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some((skip, stream, from)) = locate(&recording[at..]) {
        if skip > 0 {
            out.push(unknown(skip));
        }
        at += skip;
        let same = (recording[at..].iter().zip(from..))
            .take_while(|(each, at)| **each == byte(stream, *at));
        let to = from + same.count() as u64;
        at += (to - from) as usize;
        out.push(Piece { stream, from, to });
    }
    if recording.len() - at >= FRAME + 8 {
        out.push(unknown(recording.len() - at));
    }
    out
}

const fn unknown(len: usize) -> Piece {
    Piece {
        stream: 0,
        from: 0,
        to: len as u64,
    }
}

/// How many bytes are of no stream, and where the next one stands.
fn locate(bytes: &[u8]) -> Option<(usize, u8, u64)> {
    let heads = memchr::memmem::find_iter(bytes, &HEADER);
    heads
        .filter(|head| head + 8 <= bytes.len())
        .find_map(|head| {
            let [low, middle, high, stream] = bytes[head + 4..head + 8] else {
                return None;
            };
            let number = u32::from_le_bytes([low, middle, high, 0]);
            let stands = u64::from(number) * FRAME as u64;
            let before = bytes[..head].iter().rev().zip((0..stands).rev());
            let before = before
                .take_while(|(each, at)| **each == byte(stream, *at))
                .count();
            (stream > 0).then_some((head - before, stream, stands - before as u64))
        })
}

/// The streams of pieces in their order, such as `1 2 1`.
#[must_use]
pub fn order(pieces: &[Piece]) -> String {
    let mut out = String::new();
    for piece in pieces {
        let _ = write!(out, " {}", piece.stream);
    }
    out.trim_start().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: u8, from: u64, to: u64) -> Piece {
        Piece { stream, from, to }
    }

    #[test]
    fn a_part_knows_its_place() {
        for from in 0..2 * FRAME {
            let part = bytes(7, from, 1000);
            assert_eq!(pieces(&part), [piece(7, from as u64, from as u64 + 1000)]);
        }
    }

    #[test]
    fn a_move_a_gap_and_a_repeat_show() {
        let recording = [
            bytes(1, 100, 5000),
            bytes(2, 50, 3000),
            bytes(1, 6001, 1000),
            bytes(1, 6500, 1000),
        ]
        .concat();
        assert_eq!(
            pieces(&recording),
            [
                piece(1, 100, 5100),
                piece(2, 50, 3050),
                piece(1, 6001, 7001),
                piece(1, 6500, 7500)
            ]
        );
        assert_eq!(order(&pieces(&recording)), "1 2 1 1");
    }

    #[test]
    fn other_bytes_show() {
        let recording = [bytes(1, 0, 5000), vec![0; 3000], bytes(1, 5000, 1000)].concat();
        assert_eq!(order(&pieces(&recording)), "1 0 1");
        let mut recording = bytes(1, 0, 5000);
        recording[3000] ^= 1;
        assert_eq!(
            pieces(&recording),
            [piece(1, 0, 3000), unknown(1), piece(1, 3001, 5000)]
        );
    }
}
