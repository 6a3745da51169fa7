//! ICY metadata blocks, in and out of a body.
//!
//! ```abnf
//! block  = length text *NUL            ; length: one octet, a sixteenth of what follows it
//! text   = *( name "='" value "';" )   ; StreamTitle, StreamUrl, StreamAt, others
//! ```

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};
use nom::bytes::complete::{tag, take_while_m_n};
use nom::{IResult, Parser};

use crate::address::Offset;

/// The longest text of a block: 255 * 16 bytes.
pub const MAX_BLOCK: usize = 4080;
/// Names of values are no longer.
const MAX_NAME: usize = 32;

/// A part of an ICY body.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Part {
    /// Canonical bytes.
    Audio(Bytes),
    /// The text of a block that was not empty, NUL padding removed. It stands before the next audio byte.
    Block(Bytes),
}

/// Takes a body with `icy-metaint` apart, in any split. Audio is not copied.
#[derive(Debug)]
pub struct Deinterleaver {
    metaint: u32,
    state: State,
}

#[derive(Debug)]
enum State {
    Audio { left: u32 },
    Length,
    Block { left: usize, text: BytesMut },
}

impl Deinterleaver {
    /// `metaint` as the answer said it; not zero.
    #[must_use]
    pub fn new(metaint: std::num::NonZeroU32) -> Self {
        let metaint = metaint.get();
        Self {
            metaint,
            state: State::Audio { left: metaint },
        }
    }

    /// Feeds body bytes; parts come out in order.
    pub fn feed(&mut self, mut input: Bytes, out: &mut Vec<Part>) {
        while !input.is_empty() {
            match &mut self.state {
                State::Audio { left } => {
                    let here =
                        usize::try_from(*left).map_or(input.len(), |left| left.min(input.len()));
                    out.push(Part::Audio(input.split_to(here)));
                    *left = left.saturating_sub(u32::try_from(here).unwrap_or(u32::MAX));
                    if *left == 0 {
                        self.state = State::Length;
                    }
                }
                State::Length => {
                    self.state = match input.split_to(1)[0] {
                        0 => State::Audio { left: self.metaint },
                        length => State::Block {
                            left: usize::from(length) * 16,
                            text: BytesMut::new(),
                        },
                    };
                }
                State::Block { left, text } => {
                    let part = input.split_to(input.len().min(*left));
                    *left -= part.len();
                    text.extend_from_slice(&part);
                    if *left == 0 {
                        let text = std::mem::take(text).freeze();
                        let len = text
                            .iter()
                            .rposition(|&byte| byte != 0)
                            .map_or(0, |last| last + 1);
                        if len > 0 {
                            out.push(Part::Block(text.slice(..len)));
                        }
                        self.state = State::Audio { left: self.metaint };
                    }
                }
            }
        }
    }

    /// True between a length byte that was not zero and the end of its block.
    #[must_use]
    pub fn in_block(&self) -> bool {
        matches!(self.state, State::Block { .. })
    }
}

/// A block with this text (cut to [`MAX_BLOCK`] bytes): length byte, text, NUL padding.
#[must_use]
pub fn block(text: &[u8]) -> Bytes {
    let text = &text[..text.len().min(MAX_BLOCK)];
    let length = text.len().div_ceil(16);
    let mut out = BytesMut::zeroed(1 + length * 16);
    out[0] = u8::try_from(length).unwrap_or(u8::MAX);
    out[1..=text.len()].copy_from_slice(text);
    out.freeze()
}

/// A title that a block names, with its place if the server gave it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Named<'a> {
    /// Between the quotes of `StreamTitle='…';`. Any encoding.
    pub title: &'a [u8],
    /// Between the quotes of `StreamUrl='…';`, if it is there.
    pub url: Option<&'a [u8]>,
    /// `StreamAt='…';` (R-ICY-4). The last one counts: the server's own comes after what the source wrote.
    pub at: Option<Offset>,
}

/// The titles in a block's text, in order. Text that cannot be read yields none. A quote ends a value only if `;` follows
/// and then the text's end or another `name='`.
#[must_use]
pub fn titles(text: &[u8]) -> Vec<Named<'_>> {
    let mut out: Vec<Named<'_>> = Vec::new();
    let mut input = text;
    while let Ok((rest, (name, value))) = named(input) {
        input = rest;
        match (name, out.last_mut()) {
            (b"StreamTitle", _) => out.push(Named {
                title: value,
                url: None,
                at: None,
            }),
            (b"StreamUrl", Some(title)) => title.url = Some(value),
            (b"StreamAt", Some(title)) => title.at = offset(value).or(title.at),
            _ => {}
        }
    }
    out
}

/// named = opening value "';"
fn named(input: &[u8]) -> IResult<&[u8], (&[u8], &[u8])> {
    let (input, name) = opening(input)?;
    let end = memchr::memchr_iter(b'\'', input).find(|&quote| ends(&input[quote + 1..]));
    match end {
        Some(quote) => Ok((&input[quote + 2..], (name, &input[..quote]))),
        None => nom::combinator::fail().parse(input),
    }
}

/// What stands after a quote that ends a value.
fn ends(rest: &[u8]) -> bool {
    match rest.strip_prefix(b";") {
        Some(rest) => rest.iter().all(|&byte| byte == 0) || opening(rest).is_ok(),
        None => false,
    }
}

/// opening = 1*32( ALPHA / DIGIT / "_" ) "='"
fn opening(input: &[u8]) -> IResult<&[u8], &[u8]> {
    let name = take_while_m_n(1, MAX_NAME, |byte: u8| {
        byte.is_ascii_alphanumeric() || byte == b'_'
    });
    (name, tag(&b"='"[..])).map(|(name, _)| name).parse(input)
}

/// StreamAt = 1*15DIGIT
fn offset(value: &[u8]) -> Option<Offset> {
    let plain = (1..=15).contains(&value.len()) && value.iter().all(u8::is_ascii_digit);
    plain
        .then(|| std::str::from_utf8(value).ok()?.parse().ok())
        .flatten()
        .and_then(Offset::new)
}

/// The text of a block for a title: `StreamTitle='…';`, without NUL, at most [`MAX_BLOCK`] bytes. A `;` after a quote that
/// would end the title early becomes a comma.
#[must_use]
pub fn title_text(title: &[u8]) -> Bytes {
    const BEGIN: &[u8] = b"StreamTitle='";
    const END: &[u8] = b"';";
    let mut title: Cow<'_, [u8]> = Cow::Borrowed(title);
    if title.contains(&0) {
        title.to_mut().retain(|&byte| byte != 0);
    }
    let title = cut(&title, MAX_BLOCK - BEGIN.len() - END.len());
    let mut out = BytesMut::with_capacity(BEGIN.len() + title.len() + END.len());
    out.extend_from_slice(BEGIN);
    out.extend_from_slice(title);
    out.extend_from_slice(END);
    for quote in BEGIN.len()..BEGIN.len() + title.len() {
        if out[quote] == b'\'' && ends(&out[quote + 1..]) {
            out[quote + 1] = b',';
        }
    }
    out.freeze()
}

/// The first `most` bytes; less, if they would end within a character of UTF-8.
fn cut(text: &[u8], most: usize) -> &[u8] {
    if text.len() <= most {
        return text;
    }
    match std::str::from_utf8(text) {
        Ok(text) => &text.as_bytes()[..text.floor_char_boundary(most)],
        Err(_) => &text[..most],
    }
}
