//! What a listener is sent at once, and what is left of it when the socket takes less.

use bytes::{Buf as _, Bytes};

use crate::plan::{Cursor, End};

/// Pieces of one turn, at most: what one `sendmsg` takes.
pub const MAX_PIECES: usize = 64;

/// What follows a turn that was sent whole.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Then {
    /// There is more: another turn.
    More,
    /// Nothing until the mount's next tick.
    Wait,
    /// The response ends.
    End(End),
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    bytes: usize,
    pieces: usize,
    audio: bool,
    before: Cursor,
    after: Cursor,
}

/// Pieces for one `sendmsg`, in order. Listeners at the same cursor share a turn.
#[derive(Debug)]
pub struct Turn {
    pieces: Vec<Bytes>,
    segments: Vec<Segment>,
    bytes: usize,
    then: Then,
    end: Option<Cursor>,
}

/// After the socket took some of a turn.
#[derive(Debug, PartialEq, Eq)]
pub struct Settled {
    /// Where the listener is now.
    pub cursor: Cursor,
    /// What it must be sent before anything else.
    pub rest: Option<Bytes>,
    /// Canonical bytes among those sent.
    pub audio: u64,
    /// What follows; `None` if the turn was sent in part.
    pub then: Option<Then>,
}

impl Default for Turn {
    fn default() -> Self {
        Self {
            pieces: Vec::new(),
            segments: Vec::new(),
            bytes: 0,
            then: Then::Wait,
            end: None,
        }
    }
}

impl Turn {
    /// Empties it.
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.segments.clear();
        self.bytes = 0;
        self.then = Then::Wait;
        self.end = None;
    }

    /// Bytes of it.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// Room for pieces.
    pub(super) fn room(&self) -> usize {
        MAX_PIECES.saturating_sub(self.pieces.len())
    }

    /// What to send.
    #[must_use]
    pub fn pieces(&self) -> &[Bytes] {
        &self.pieces
    }

    /// Bytes that are sent whole, before the cursor moves from `before` to `after`.
    pub fn overhead(&mut self, bytes: Bytes, before: Cursor, after: Cursor) {
        if !bytes.is_empty() {
            let len = bytes.len();
            self.pieces.push(bytes);
            self.segment(len, 1, false, before, after);
        } else {
            self.end = Some(after);
        }
    }

    /// Canonical bytes; `fill` appends their pieces and says how many bytes they are, and where the cursor is after them.
    pub(super) fn audio(
        &mut self,
        before: Cursor,
        fill: impl FnOnce(&mut Vec<Bytes>) -> (u64, Cursor),
    ) {
        let held = self.pieces.len();
        let (bytes, after) = fill(&mut self.pieces);
        self.segment(
            bytes as usize,
            self.pieces.len() - held,
            true,
            before,
            after,
        );
    }

    fn segment(&mut self, bytes: usize, pieces: usize, audio: bool, before: Cursor, after: Cursor) {
        self.bytes += bytes;
        self.end = Some(after);
        self.segments.push(Segment {
            bytes,
            pieces,
            audio,
            before,
            after,
        });
    }

    /// What follows once all was sent, and the cursor then.
    pub(super) fn then(&mut self, then: Then, cursor: Cursor) {
        self.then = then;
        self.end = Some(cursor);
    }

    /// The socket took `sent` bytes, at least one unless the turn is empty. `from`: the cursor that the turn was made for.
    #[must_use]
    pub fn settle(&self, from: Cursor, sent: usize) -> Settled {
        if sent >= self.bytes {
            let audio = self
                .segments
                .iter()
                .filter(|s| s.audio)
                .map(|s| s.bytes as u64);
            return Settled {
                cursor: self.end.unwrap_or(from),
                rest: None,
                audio: audio.sum(),
                then: Some(self.then),
            };
        }
        let (mut left, mut audio, mut piece) = (sent, 0, 0);
        let mut settled = Settled {
            cursor: from,
            rest: None,
            audio: 0,
            then: None,
        };
        for segment in &self.segments {
            if left >= segment.bytes {
                left -= segment.bytes;
                piece += segment.pieces;
                audio += if segment.audio {
                    segment.bytes as u64
                } else {
                    0
                };
                settled.cursor = segment.after;
                continue;
            }
            if left > 0 && segment.audio {
                audio += left as u64;
                settled.cursor = segment.before.sent(left as u64);
            } else if left > 0 {
                // What was begun is owed.
                let mut rest = self.pieces[piece].clone();
                rest.advance(left);
                settled.cursor = segment.after;
                settled.rest = Some(rest);
            }
            break;
        }
        settled.audio = audio;
        settled
    }
}
