//! ICY metadata blocks, in and out of a body.

use bytes::Bytes;

use crate::address::Offset;

/// The longest text of a block: 255 * 16 bytes.
pub const MAX_BLOCK: usize = 4080;

/// A part of an ICY body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Canonical bytes.
    Audio(Bytes),
    /// The text of a block that was not empty, NUL padding removed. It stands before the next audio byte.
    Block(Bytes),
}

/// Takes a body with `icy-metaint` apart, in any split.
#[derive(Debug)]
pub struct Deinterleaver {
    _metaint: u32,
}

impl Deinterleaver {
    /// `metaint` as the answer said it; not zero.
    #[must_use]
    pub fn new(metaint: std::num::NonZeroU32) -> Self {
        Self {
            _metaint: metaint.get(),
        }
    }

    /// Feeds body bytes; parts come out in order.
    pub fn feed(&mut self, input: Bytes, out: &mut Vec<Part>) {
        let _ = (input, out);
        todo!()
    }

    /// True between a length byte that was not zero and the end of its block.
    #[must_use]
    pub fn in_block(&self) -> bool {
        todo!()
    }
}

/// A block with this text (cut to [`MAX_BLOCK`] bytes): length byte, text, NUL padding.
#[must_use]
pub fn block(text: &[u8]) -> Bytes {
    let _ = text;
    todo!()
}

/// A title that a block names, with its place if the server gave it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named<'a> {
    /// Between the quotes of `StreamTitle='…';`. Any encoding.
    pub title: &'a [u8],
    /// Between the quotes of `StreamUrl='…';`, if it is there.
    pub url: Option<&'a [u8]>,
    /// `StreamAt='…';` (R-ICY-4)
    pub at: Option<Offset>,
}

/// The titles in a block's text, in order. Text that cannot be read yields none. A quote ends a value only if `;` follows.
#[must_use]
pub fn titles(text: &[u8]) -> Vec<Named<'_>> {
    let _ = text;
    todo!()
}

/// The text of a block for a title: `StreamTitle='…';`, without NUL, at most [`MAX_BLOCK`] bytes.
#[must_use]
pub fn title_text(title: &[u8]) -> Bytes {
    let _ = title;
    todo!()
}
