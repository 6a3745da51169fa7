//! What a client tells its caller.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use bytes::Bytes;

use crate::address::Position;
use crate::anchor;
use crate::heal::Unproven;

/// What happened, in the order of the stream: an event between two [`Event::Audio`] belongs between their bytes.
#[derive(Clone, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Event {
    /// The first relay sends audio.
    Joined {
        /// Its URL, without credentials.
        url: String,
        /// Of the first byte; unknown at a server that has no offsets.
        at: Option<Position>,
        /// As the server said it.
        content_type: Option<String>,
    },
    /// Canonical bytes: each exactly once, without a hole except where [`Event::Lost`] says so.
    Audio(Bytes),
    /// Codec headers that a decoder needs before the audio that follows. They have no address.
    Prelude(Bytes),
    /// A title.
    Title(Title),
    /// Audio comes from another relay than before.
    Moved(Move),
    /// A move that was called for did not come about; audio goes on from where it came, or from yet another relay.
    Stayed {
        /// The relay that was not moved to, without credentials.
        url: String,
        /// What it said.
        why: Trouble,
    },
    /// An epoch ended and another one follows; no byte that has an address is lost (R-SPLICE-1). What never reached the minter, while
    /// its link was gone, has none.
    Spliced {
        /// The end of the audio so far.
        from: Position,
        /// The audio that follows.
        to: Position,
    },
    /// The bytes that follow continue the bytes so far, by their content.
    Stitched {
        /// The next byte, if its position is known.
        at: Option<Position>,
    },
    /// The bytes that follow continue the bytes so far, as was proven to a relay that names them otherwise.
    Anchored {
        /// The next byte, as this relay names it.
        at: Position,
        /// What has proven it: [`Proven::Anchor`] or [`Proven::Alias`].
        by: Proven,
    },
    /// Audio is lost here.
    Lost(Loss),
    /// A connection that was accepted has ended. An epoch's end looks like this too.
    Cut {
        /// The relay's URL, without credentials.
        url: String,
        /// How it ended.
        why: Trouble,
    },
    /// A relay did not give what was asked for.
    Refused {
        /// The relay's URL, without credentials.
        url: String,
        /// What it said.
        why: Trouble,
    },
    /// The next request has to wait.
    Waiting {
        /// What the relay said that was asked last.
        why: Trouble,
        /// For so long.
        pause: Duration,
    },
    /// A server did what the protocol forbids, and it was made good.
    Note(Note),
}

/// A change of relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Move {
    /// The relay before, without credentials.
    pub from: String,
    /// The relay now, without credentials.
    pub to: String,
    /// What says that its first byte is the next one; `None`: nothing, and [`Move::lost`] says what that means.
    pub proof: Option<Proven>,
    /// The loss, of which [`Event::Lost`] tells next.
    pub lost: Option<Box<Loss>>,
    /// Since the move was called for, or since the connection before had ended. Audio may have come all the time.
    pub took: Duration,
}

/// How a move that was called for ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// As it was wanted.
    Moved(Move),
    /// As [`Event::Stayed`] says.
    Stayed(Trouble),
}

/// What proves that the first byte of a relay's answer is the next one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Proven {
    /// Its offset (R-RESUME-3), or a splice that it declares.
    Offset,
    /// The relay knows the epoch that was asked for as another name of its own (R-ALIAS-5).
    Alias,
    /// Our evidence, to the relay (R-ANCHOR-18).
    Anchor,
    /// Its bytes, to us (R-COMPAT-2).
    Content,
}

impl fmt::Display for Proven {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Offset => "offset",
            Self::Alias => "alias",
            Self::Anchor => "anchor",
            Self::Content => "content",
        })
    }
}

/// A title that came into force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Title {
    /// From this byte on; unknown at a server that has no offsets.
    pub at: Option<Position>,
    /// What stands in `StreamTitle`. Any encoding.
    pub text: Bytes,
    /// What stands in `StreamUrl`.
    pub url: Option<Bytes>,
}

/// A hole in the audio.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loss {
    /// The end of the audio before it.
    pub after: Option<Position>,
    /// The audio after it.
    pub at: Option<Position>,
    /// Canonical bytes lost, where that is known.
    pub bytes: Option<u64>,
    /// Why.
    pub why: Why,
}

/// Why audio was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Why {
    /// No relay asked still held the position, or the lag was over the maximum.
    #[error("the position is no longer held")]
    Gone,
    /// Every relay answered 412, so the client joined anew.
    #[error("every relay refused the position")]
    Refused,
    /// Another epoch follows, and nobody says that it continues this one.
    #[error("the epoch changed and nothing says that the new one continues it")]
    Epoch,
    /// Another epoch follows, and our evidence proved no place in it.
    #[error("the epoch changed and the bytes heard prove no place in it: {0}")]
    Unplaced(anchor::Unproven),
    /// The server has no offsets, and there is no history to stitch with.
    #[error("the server knows no offsets")]
    Unaware,
    /// The server has no offsets, and content could not prove that its bytes continue ours.
    #[error("the server knows no offsets and content proves nothing: {0}")]
    Unproven(Unproven),
}

/// What went wrong with a relay.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Trouble {
    /// No answer: refused, unresolved, reset, not HTTP.
    #[error("no answer: {0}")]
    Unreachable(String),
    /// An answer other than 200.
    #[error("status {0}")]
    Status(u16),
    /// Nothing came for so long.
    #[error("silent for {0:?}")]
    Silent(Duration),
    /// The response ended.
    #[error("the response ended")]
    Closed,
    /// The connection broke.
    #[error("the connection broke: {0}")]
    Broke(String),
    /// A page instead of a stream.
    #[error("answered with {0} instead of audio")]
    NotAudio(String),
    /// The prelude is longer than [`super::Options::max_prelude`].
    #[error("a prelude of {0} bytes is over the limit")]
    Prelude(u64),
    /// The answer would repeat so many bytes, over [`super::MAX_SKIP`].
    #[error("it is {0} bytes behind")]
    Behind(u64),
    /// It sends what was heard before, and nothing after that.
    #[error("it sends what was heard before")]
    Past,
    /// It cannot go on at the next byte, and another relay may.
    #[error("it does not go on at the next byte")]
    Inexact,
    /// Audio comes from there already.
    #[error("audio comes from there already")]
    Here,
}

/// What a server did wrong, without harm.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[non_exhaustive]
pub enum Note {
    /// It sends bytes that were heard already; they are skipped.
    Repeated {
        /// Canonical bytes.
        bytes: u64,
    },
    /// It sends a prelude to a decoder that has one; it is skipped (R-RESUME-8).
    Prelude {
        /// Bytes.
        bytes: u64,
    },
    /// Its `Stream-Offset` is malformed; it counts as absent.
    Malformed,
}

/// The client has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GaveUp {
    /// Every relay's URL, without credentials, and what it said last.
    pub relays: Vec<(String, Option<Trouble>)>,
}

impl fmt::Display for GaveUp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no relay gives audio")?;
        for (n, (url, trouble)) in self.relays.iter().enumerate() {
            f.write_str(if n == 0 { ": " } else { "; " })?;
            match trouble {
                Some(trouble) => write!(f, "{url}: {trouble}")?,
                None => write!(f, "{url}: not asked")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for GaveUp {}

/// What has happened so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Stats {
    /// Accepted connections that ended, epoch ends included.
    pub cuts: u64,
    /// Changes of relay.
    pub moves: u64,
    /// Declared splices followed.
    pub splices: u64,
    /// Continuations proven by content.
    pub stitches: u64,
    /// Continuations that our evidence proved to a relay.
    pub anchors: u64,
    /// Continuations at a relay that knew the epoch as another name of its own.
    pub aliases: u64,
    /// Holes.
    pub losses: u64,
    /// Holes of unknown size among them.
    pub unknown_losses: u64,
    /// Canonical bytes lost in the others.
    pub lost_bytes: u64,
    /// Canonical bytes received.
    pub audio_bytes: u64,
    /// Titles.
    pub titles: u64,
}

/// Events that wait for the caller, counted as they come.
#[derive(Debug, Default)]
pub(super) struct Out {
    queue: VecDeque<Event>,
    /// Bytes of audio in it.
    pub(super) held: usize,
    pub(super) stats: Stats,
}

impl Out {
    pub(super) fn push(&mut self, event: Event) {
        let stats = &mut self.stats;
        match &event {
            Event::Audio(bytes) => {
                self.held += bytes.len();
                stats.audio_bytes += bytes.len() as u64;
            }
            Event::Cut { .. } => stats.cuts += 1,
            Event::Moved(_) => stats.moves += 1,
            Event::Spliced { .. } => stats.splices += 1,
            Event::Stitched { .. } => stats.stitches += 1,
            Event::Anchored {
                by: Proven::Alias, ..
            } => stats.aliases += 1,
            Event::Anchored { .. } => stats.anchors += 1,
            Event::Title(_) => stats.titles += 1,
            Event::Lost(loss) => {
                stats.losses += 1;
                match loss.bytes {
                    Some(bytes) => stats.lost_bytes = stats.lost_bytes.saturating_add(bytes),
                    None => stats.unknown_losses += 1,
                }
            }
            _ => {}
        }
        self.queue.push_back(event);
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        let event = self.queue.pop_front()?;
        if let Event::Audio(bytes) = &event {
            self.held -= bytes.len();
        }
        Some(event)
    }
}
