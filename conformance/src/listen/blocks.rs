//! ICY blocks, taken out of a body that comes in pieces.

/// A part of a body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Part {
    /// Bytes of the stream.
    Audio(Vec<u8>),
    /// The text of a whole block, its padding included.
    Block(Vec<u8>),
}

/// What some bugs remember of the answer before.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Last {
    /// The first interval of all.
    pub(super) first: Option<usize>,
    /// The last interval, and how much of it was left.
    pub(super) left: Option<(usize, usize)>,
}

#[derive(Debug)]
enum State {
    Audio { left: usize },
    Length,
    Block { left: usize, text: Vec<u8> },
}

/// Takes a body apart.
#[derive(Debug)]
pub(super) struct Blocks {
    metaint: usize,
    state: State,
}

impl Blocks {
    /// For a body that has a block each so many bytes, the first one after `left`.
    pub(super) fn new(metaint: usize, left: usize) -> Self {
        Self {
            metaint,
            state: State::Audio { left },
        }
    }

    /// How much of the interval is left.
    pub(super) fn left(&self) -> (usize, usize) {
        match self.state {
            State::Audio { left } => (self.metaint, left),
            _ => (self.metaint, self.metaint),
        }
    }

    /// The text so far of a block that is not complete.
    pub(super) fn half(&self) -> Option<&[u8]> {
        match &self.state {
            State::Block { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The next piece of the body.
    pub(super) fn take(&mut self, mut piece: &[u8]) -> Vec<Part> {
        let mut out = Vec::new();
        while !piece.is_empty() {
            match &mut self.state {
                State::Audio { left } => {
                    let (audio, rest) = piece.split_at((*left).min(piece.len()));
                    out.push(Part::Audio(audio.to_vec()));
                    *left -= audio.len();
                    piece = rest;
                    if *left == 0 {
                        self.state = State::Length;
                    }
                }
                State::Length => {
                    let left = usize::from(piece[0]) * 16;
                    piece = &piece[1..];
                    self.state = match left {
                        0 => self.audio(),
                        left => State::Block {
                            left,
                            text: Vec::new(),
                        },
                    };
                }
                State::Block { left, text } => {
                    let (some, rest) = piece.split_at((*left).min(piece.len()));
                    text.extend_from_slice(some);
                    *left -= some.len();
                    piece = rest;
                    if *left == 0 {
                        out.push(Part::Block(std::mem::take(text)));
                        self.state = self.audio();
                    }
                }
            }
        }
        out
    }

    fn audio(&self) -> State {
        State::Audio { left: self.metaint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icy;

    #[test]
    fn pieces_make_no_difference() {
        let block = icy::block(b"StreamTitle='x';");
        let body = [b"abcd", &block[..], b"efgh", &[0], b"ij"].concat();
        for size in 1..body.len() {
            let mut blocks = Blocks::new(4, 4);
            let (mut audio, mut texts) = (Vec::new(), 0);
            for part in body.chunks(size).flat_map(|piece| blocks.take(piece)) {
                match part {
                    Part::Audio(some) => audio.extend(some),
                    Part::Block(_) => texts += 1,
                }
            }
            assert_eq!((&audio[..], texts), (&b"abcdefghij"[..], 1), "{size}");
            assert_eq!(blocks.left(), (4, 2));
        }
    }
}
