//! ICY blocks between a listener's audio.

use std::io::Write as _;
use std::iter;
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
    pub(super) metaint: NonZeroU32,
    /// Audio bytes before the next block.
    pub(super) left: u32,
    /// The place of the last title shown, in the cursor's run.
    pub(super) shown: Option<Offset>,
}

impl Icy {
    pub(super) fn new(metaint: NonZeroU32) -> Self {
        Self {
            metaint,
            left: metaint.get(),
            shown: None,
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

    /// Another run: its titles are not shown yet. The phase goes on.
    pub(super) fn forget(&mut self) {
        self.shown = None;
    }

    /// The block that stands before the byte at `at`.
    pub(super) fn block(&mut self, run: &Run, at: Offset, aware: bool) -> Bytes {
        self.left = self.metaint.get();
        let Some(title) = run
            .title_at(at)
            .filter(|title| self.shown != Some(title.at))
        else {
            return Bytes::from_static(&[0]);
        };
        if !aware {
            self.shown = Some(title.at);
            return icy::block(&title.text);
        }
        let reached = run.titles.partition_point(|title| title.at <= at);
        let text = match self.shown {
            None => {
                self.shown = Some(title.at);
                let earlier = run.titles.range(..reached - 1).rev();
                let held = earlier.take_while(|title| title.at >= run.window.first);
                as_many_as_fit(iter::once(title).chain(held.take(HISTORY))).concat()
            }
            Some(shown) => {
                // The oldest first, should they be too many for one block: the others come with the next (R-ICY-6).
                let seen = run.titles.partition_point(|title| title.at <= shown);
                let mut texts = as_many_as_fit(run.titles.range(seen..reached));
                let last = seen + texts.len().saturating_sub(1);
                self.shown = run.titles.get(last).map(|title| title.at);
                texts.reverse();
                texts.concat()
            }
        };
        icy::block(&text)
    }
}

/// Texts with their places, of the first titles that go into a block together.
fn as_many_as_fit<'a>(titles: impl Iterator<Item = &'a Title>) -> Vec<Vec<u8>> {
    let mut room = MAX_BLOCK;
    titles
        .map_while(|title| {
            let text = placed(title);
            room = room.checked_sub(text.len())?;
            Some(text)
        })
        .collect()
}

/// A title's text with its place (R-ICY-4).
fn placed(title: &Title) -> Vec<u8> {
    let mut text = Vec::with_capacity(title.text.len() + 32);
    text.extend_from_slice(&title.text);
    if text.last().is_some_and(|last| *last != b';') {
        text.push(b';');
    }
    // Writing to a vector cannot fail.
    let _ = write!(text, "StreamAt='{}';", title.at);
    text
}
