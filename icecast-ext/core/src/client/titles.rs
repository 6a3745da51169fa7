//! Every title once, where it came into force (R-ICY-8).

use bytes::Bytes;

use crate::address::Position;
use crate::icy;

use super::event::{Event, Out, Title};

/// Titles of one block that are looked at.
const MOST: usize = 32;

/// What was told so far.
#[derive(Debug, Default)]
pub(super) struct Titles {
    /// The newest title that came with its place.
    seen: Option<Position>,
    /// Where the audio that was heard without a hole begins.
    began: Option<Position>,
    /// The text told last, and whether its place is exact.
    last: Option<(Bytes, bool)>,
}

impl Titles {
    /// What follows was not preceded by what was heard before.
    pub(super) fn began(&mut self, at: Option<Position>) {
        self.began = at;
    }

    /// A block that stands before the byte at `here`.
    pub(super) fn block(&mut self, text: &[u8], here: Option<Position>, out: &mut Out) {
        let named = icy::titles(text);
        let mut placed = Vec::new();
        // A block has room for hundreds; the newest stand first where they have places, and else there is one.
        for title in named.into_iter().take(MOST) {
            let text = Bytes::copy_from_slice(title.title);
            let url = title.url.map(Bytes::copy_from_slice);
            match (title.at, here) {
                (Some(at), Some(here)) if at <= here.offset => {
                    placed.push((Position::new(here.epoch, at), text, url))
                }
                _ => self.unplaced(here, text, url, out),
            }
        }
        placed.sort_by_key(|(at, ..)| at.offset);
        // Titles that ended before the first byte heard are not ours; the one in force there is.
        let ours = placed
            .iter()
            .rposition(|(at, ..)| self.began.is_some_and(|began| *at <= began))
            .unwrap_or(0);
        for (at, text, url) in placed.drain(..).skip(ours) {
            if self.seen.is_some_and(|seen| at <= seen) {
                continue;
            }
            self.seen = Some(at);
            let told = self.last.as_ref().is_some_and(|(last, exact)| {
                *last == text && (!exact || self.began.is_some_and(|began| at <= began))
            });
            self.last = Some((text.clone(), true));
            if !told {
                out.push(Event::Title(Title {
                    at: Some(at),
                    text,
                    url,
                }));
            }
        }
    }

    fn unplaced(&mut self, at: Option<Position>, text: Bytes, url: Option<Bytes>, out: &mut Out) {
        if self.last.as_ref().is_some_and(|(last, _)| *last == text) {
            return;
        }
        self.last = Some((text.clone(), false));
        out.push(Event::Title(Title { at, text, url }));
    }
}
