//! ICY blocks between a listener's audio.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::num::NonZeroU32;

use bytes::Bytes;

use crate::address::Offset;
use crate::icy::{self, MAX_BLOCK};
use crate::timeline::{Run, Title};

/// Titles before the one in force that an aware client's first block names, so that one that is cut often misses none
/// (R-ICY-5).
const HISTORY: usize = 7;

/// Where a response is between two blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Icy {
    metaint: NonZeroU32,
    /// Audio bytes before the next block.
    left: u32,
    shown: Shown,
}

/// What the blocks have said so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Shown {
    Nothing,
    /// To an aware client: the titles up to the one at this offset.
    UpTo(Offset),
    /// To any other: a text with this hash. It may be longer gone than the response lasts.
    Text(u64),
}

impl Icy {
    pub(super) fn new(metaint: NonZeroU32) -> Self {
        Self {
            metaint,
            left: metaint.get(),
            shown: Shown::Nothing,
        }
    }

    pub(super) fn is_due(&self) -> bool {
        self.left == 0
    }

    pub(super) fn until_due(&self) -> u64 {
        u64::from(self.left)
    }

    pub(super) fn pass(&mut self, n: u64) {
        self.left = u32::try_from(n).map_or(0, |n| self.left.saturating_sub(n));
    }

    /// The block that stands before the byte at `at`.
    pub(super) fn block(&mut self, run: &Run, at: Offset, aware: bool) -> Bytes {
        self.left = self.metaint.get();
        let Some(title) = run.title_at(at) else {
            return empty();
        };
        let shown = if aware {
            Shown::UpTo(title.at)
        } else {
            Shown::Text(hash(&title.text))
        };
        let before = std::mem::replace(&mut self.shown, shown);
        if before == shown {
            return empty();
        }
        if !aware {
            return icy::block(&title.text);
        }
        let reached = run.titles.partition_point(|title| title.at <= at);
        let earlier = run.titles.range(..reached.saturating_sub(1)).rev();
        let mut text = placed(title);
        let mut add = |earlier: &Title| {
            let more = placed(earlier);
            let fits = text.len() + more.len() <= MAX_BLOCK;
            if fits {
                text.extend_from_slice(&more);
            }
            fits
        };
        // What does not fit is left out, the oldest first (R-ICY-9).
        let _all = match before {
            Shown::UpTo(shown) => earlier.take_while(|title| title.at > shown).all(&mut add),
            _ => {
                let held = earlier.take_while(|title| title.at >= run.window.first);
                held.take(HISTORY).all(&mut add)
            }
        };
        icy::block(&text)
    }
}

/// Nothing has changed.
fn empty() -> Bytes {
    Bytes::from_static(&[0])
}

fn hash(text: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

/// A title's text with its place (R-ICY-4), cut if the two do not fit into a block (R-ICY-9).
fn placed(title: &Title) -> Vec<u8> {
    let at = format!("StreamAt='{}';", title.at);
    let room = MAX_BLOCK - at.len();
    let mut text = Vec::with_capacity(title.text.len() + at.len() + 1);
    text.extend_from_slice(&title.text);
    if !text.is_empty() && !text.ends_with(b";") {
        text.push(b';');
    }
    if text.len() > room {
        let mut cut = room - 2;
        // Not within a character of UTF-8, which is at most four bytes.
        while cut > room - 5 && text[cut] & 0xc0 == 0x80 {
            cut -= 1;
        }
        text.truncate(cut);
        text.extend_from_slice(b"';");
    }
    text.extend_from_slice(at.as_bytes());
    text
}
