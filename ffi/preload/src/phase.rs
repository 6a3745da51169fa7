//! Where an ICY body is between two blocks, as Icecast sends it. What goes by is borrowed: this runs for every send.

use std::num::NonZeroU32;

/// A part of what was sent.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Part<'a> {
    /// With the number of bytes, from its first one on, that stand before the next block.
    Audio(&'a [u8], u32),
    /// The text of a block that was not empty, without padding.
    Title(Vec<u8>),
}

#[derive(Debug, Clone)]
enum State {
    Audio(u32),
    Length,
    Block { left: usize, text: Vec<u8> },
}

/// A body's phase.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    metaint: u32,
    state: State,
}

impl Phase {
    pub(crate) fn new(metaint: NonZeroU32) -> Self {
        let metaint = metaint.get();
        Self {
            metaint,
            state: State::Audio(metaint),
        }
    }

    /// Calls `part` with what `bytes` are, in order.
    pub(crate) fn feed<'a>(&mut self, mut bytes: &'a [u8], mut part: impl FnMut(Part<'a>)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Audio(left) => {
                    let here = usize::try_from(*left).map_or(bytes.len(), |n| n.min(bytes.len()));
                    let (audio, rest) = bytes.split_at(here);
                    bytes = rest;
                    let before = *left;
                    *left = left.saturating_sub(u32::try_from(here).unwrap_or(u32::MAX));
                    if *left == 0 {
                        self.state = State::Length;
                    }
                    part(Part::Audio(audio, before));
                }
                State::Length => {
                    self.state = match bytes[0] {
                        0 => State::Audio(self.metaint),
                        length => State::Block {
                            left: usize::from(length) * 16,
                            text: Vec::new(),
                        },
                    };
                    bytes = &bytes[1..];
                }
                State::Block { left, text } => {
                    let (here, rest) = bytes.split_at(bytes.len().min(*left));
                    bytes = rest;
                    *left -= here.len();
                    text.extend_from_slice(here);
                    if *left == 0 {
                        let len = text
                            .iter()
                            .rposition(|&byte| byte != 0)
                            .map_or(0, |at| at + 1);
                        text.truncate(len);
                        let text = std::mem::take(text);
                        self.state = State::Audio(self.metaint);
                        part(Part::Title(text));
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_a_body_apart_however_it_is_cut() {
        let mut body = b"abcd\0efgh\x01".to_vec();
        body.extend_from_slice(b"StreamTitle='x';ijkl\0");
        for cut in 0..body.len() {
            let mut phase = Phase::new(NonZeroU32::new(4).unwrap());
            let (mut audio, mut titles) = (Vec::new(), Vec::new());
            for piece in [&body[..cut], &body[cut..]] {
                phase.feed(piece, |part| match part {
                    Part::Audio(bytes, _) => audio.extend_from_slice(bytes),
                    Part::Title(text) => titles.push((audio.len(), text)),
                });
            }
            assert_eq!(audio, b"abcdefghijkl", "{cut}");
            assert_eq!(titles, [(8, b"StreamTitle='x';".to_vec())], "{cut}");
        }
    }
}
