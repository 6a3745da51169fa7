//! What happened.

use std::ffi::{CString, c_char};
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::Position;
use icecast_ext_core::client::{Event, Loss, Note, Proven, Title, Why};

use crate::record::{Record, name};

/// The first relay sends audio: `text` is its URL, `bytes` the content type, `epoch` and `offset` where the audio begins.
pub const ICECAST_EXT_EVENT_JOINED: u32 = 1;
/// Audio: `bytes`, for the decoder. Each byte of the stream comes once.
pub const ICECAST_EXT_EVENT_AUDIO: u32 = 2;
/// Codec headers: `bytes`, for the decoder, before the audio that follows.
pub const ICECAST_EXT_EVENT_PRELUDE: u32 = 3;
/// A title: `bytes`, in whatever encoding the station has; `url` if it has one. In force from `epoch`, `offset` on.
pub const ICECAST_EXT_EVENT_TITLE: u32 = 4;
/// Audio comes from another relay: `text` is its URL. `why` is one of `ICECAST_EXT_PROOF_…`, `pause` how long that took.
pub const ICECAST_EXT_EVENT_MOVED: u32 = 5;
/// An epoch ended and another one follows, at `epoch`, `offset`; nothing is lost.
pub const ICECAST_EXT_EVENT_SPLICED: u32 = 6;
/// What follows continues what came before, as its content proves.
pub const ICECAST_EXT_EVENT_STITCHED: u32 = 7;
/// Audio is lost here: `lost` bytes, or nobody knows how many. `why` is one of `ICECAST_EXT_WHY_…`, `text` says it.
pub const ICECAST_EXT_EVENT_LOST: u32 = 8;
/// A connection ended; `text` says how. Nothing is lost by that.
pub const ICECAST_EXT_EVENT_CUT: u32 = 9;
/// A relay did not give what was asked for; `text` says what it said.
pub const ICECAST_EXT_EVENT_REFUSED: u32 = 10;
/// The next request has to wait for `pause` ms.
pub const ICECAST_EXT_EVENT_WAITING: u32 = 11;
/// A server did what the protocol forbids, and it was made good: `text` says what.
pub const ICECAST_EXT_EVENT_NOTE: u32 = 12;
/// One of a later version.
pub const ICECAST_EXT_EVENT_OTHER: u32 = 13;

/// Another epoch follows, at `epoch`, `offset`, and a relay has proven by content that nothing is lost.
pub const ICECAST_EXT_EVENT_ANCHORED: u32 = 14;

/// A move that was called for did not come about: `text` says why. Audio goes on all the same.
pub const ICECAST_EXT_EVENT_STAYED: u32 = 15;

/// Nothing proves that a relay goes on at the next byte; a loss follows.
pub const ICECAST_EXT_PROOF_NONE: u32 = 0;
/// Its offset does, or a splice that it declares.
pub const ICECAST_EXT_PROOF_OFFSET: u32 = 1;
/// It knows the epoch asked for as another name of its own.
pub const ICECAST_EXT_PROOF_ALIAS: u32 = 2;
/// The evidence that was sent does.
pub const ICECAST_EXT_PROOF_ANCHOR: u32 = 3;
/// Its bytes do.
pub const ICECAST_EXT_PROOF_CONTENT: u32 = 4;

/// The position is no longer held.
pub const ICECAST_EXT_WHY_GONE: u32 = 1;
/// Every relay refused it.
pub const ICECAST_EXT_WHY_REFUSED: u32 = 2;
/// Another epoch, and nobody says that it continues the one before.
pub const ICECAST_EXT_WHY_EPOCH: u32 = 3;
/// The server has no offsets, and there is no history to stitch with.
pub const ICECAST_EXT_WHY_UNAWARE: u32 = 4;
/// The server has no offsets, and content proves nothing.
pub const ICECAST_EXT_WHY_UNPROVEN: u32 = 5;
/// One of a later version.
pub const ICECAST_EXT_WHY_OTHER: u32 = 6;

/// `lost`, where nobody knows.
pub const ICECAST_EXT_UNKNOWN: u64 = u64::MAX;

/// What `icecast_ext_client_event` says.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ClientEvent {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// One of `ICECAST_EXT_EVENT_…`; 0 with `ICECAST_EXT_NONE`.
    pub kind: u32,
    /// Of a loss, or of a move.
    pub why: u32,
    /// Not text: no NUL at the end.
    pub bytes: *const u8,
    /// How many.
    pub length: usize,
    /// For people; NULL where there is nothing to say. Credentials are left out.
    pub text: *const c_char,
    /// Of a title; NULL if it has none.
    pub url: *const u8,
    /// Bytes of it.
    pub url_length: usize,
    /// Bytes lost, or `ICECAST_EXT_UNKNOWN`.
    pub lost: u64,
    /// Milliseconds.
    pub pause: u64,
    /// Where what follows stands; `epoch` is empty where nobody knows.
    pub offset: u64,
    /// 22 characters and a NUL.
    pub epoch: [c_char; 24],
}

// SAFETY: `repr(C)`, begins with its size, and holds pointers and numbers alone.
unsafe impl Record for ClientEvent {
    const FIRST: usize = size_of::<Self>();
}

/// What an event points to.
#[derive(Default)]
pub(super) struct Words {
    bytes: Bytes,
    url: Option<Bytes>,
    text: CString,
}

impl Words {
    pub(super) fn tell(&mut self, event: Option<Event>) -> ClientEvent {
        let mut told = ClientEvent {
            size: 0,
            kind: 0,
            why: 0,
            bytes: std::ptr::null(),
            length: 0,
            text: std::ptr::null(),
            url: std::ptr::null(),
            url_length: 0,
            lost: 0,
            pause: 0,
            offset: 0,
            epoch: [0; 24],
        };
        *self = Self::default();
        let Some(event) = event else {
            return told;
        };
        let mut place = None;
        let text = match event {
            Event::Joined {
                url,
                at,
                content_type,
            } => {
                told.kind = ICECAST_EXT_EVENT_JOINED;
                place = at;
                self.bytes = content_type.unwrap_or_default().into();
                Some(url)
            }
            Event::Audio(bytes) => {
                told.kind = ICECAST_EXT_EVENT_AUDIO;
                self.bytes = bytes;
                None
            }
            Event::Prelude(bytes) => {
                told.kind = ICECAST_EXT_EVENT_PRELUDE;
                self.bytes = bytes;
                None
            }
            Event::Title(Title { at, text, url }) => {
                told.kind = ICECAST_EXT_EVENT_TITLE;
                place = at;
                (self.bytes, self.url) = (text, url);
                None
            }
            Event::Moved(moved) => {
                told.kind = ICECAST_EXT_EVENT_MOVED;
                told.why = proof(moved.proof);
                told.pause = millis(moved.took);
                Some(moved.to)
            }
            Event::Stayed { url, why } => {
                told.kind = ICECAST_EXT_EVENT_STAYED;
                Some(format!("{url}: {why}"))
            }
            Event::Spliced { to, .. } => {
                told.kind = ICECAST_EXT_EVENT_SPLICED;
                place = Some(to);
                None
            }
            Event::Anchored { at, .. } => {
                told.kind = ICECAST_EXT_EVENT_ANCHORED;
                place = Some(at);
                None
            }
            Event::Stitched { at } => {
                told.kind = ICECAST_EXT_EVENT_STITCHED;
                place = at;
                None
            }
            Event::Lost(Loss { at, bytes, why, .. }) => {
                told.kind = ICECAST_EXT_EVENT_LOST;
                told.why = number(why);
                told.lost = bytes.unwrap_or(ICECAST_EXT_UNKNOWN);
                place = at;
                Some(why.to_string())
            }
            Event::Cut { url, why } => {
                told.kind = ICECAST_EXT_EVENT_CUT;
                Some(format!("{url}: {why}"))
            }
            Event::Refused { url, why } => {
                told.kind = ICECAST_EXT_EVENT_REFUSED;
                Some(format!("{url}: {why}"))
            }
            Event::Waiting { why, pause } => {
                told.kind = ICECAST_EXT_EVENT_WAITING;
                told.pause = millis(pause);
                Some(why.to_string())
            }
            Event::Note(note) => {
                told.kind = ICECAST_EXT_EVENT_NOTE;
                Some(said(note))
            }
            _ => {
                told.kind = ICECAST_EXT_EVENT_OTHER;
                None
            }
        };
        self.place(&mut told, place, text);
        told
    }

    fn place(&mut self, told: &mut ClientEvent, place: Option<Position>, text: Option<String>) {
        told.offset = place.map_or(0, |at| at.offset.get());
        told.epoch = name(place.map(|at| at.epoch));
        told.bytes = self.bytes.as_ptr();
        told.length = self.bytes.len();
        if let Some(url) = &self.url {
            told.url = url.as_ptr();
            told.url_length = url.len();
        }
        if let Some(text) = text {
            // What a peer says has no NUL that means anything.
            self.text = CString::new(text.replace('\0', " ")).unwrap_or_default();
            told.text = self.text.as_ptr();
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

const fn proof(proof: Option<Proven>) -> u32 {
    match proof {
        Some(Proven::Offset) => ICECAST_EXT_PROOF_OFFSET,
        Some(Proven::Alias) => ICECAST_EXT_PROOF_ALIAS,
        Some(Proven::Anchor) => ICECAST_EXT_PROOF_ANCHOR,
        Some(Proven::Content) => ICECAST_EXT_PROOF_CONTENT,
        _ => ICECAST_EXT_PROOF_NONE,
    }
}

const fn number(why: Why) -> u32 {
    match why {
        Why::Gone => ICECAST_EXT_WHY_GONE,
        Why::Refused => ICECAST_EXT_WHY_REFUSED,
        Why::Epoch => ICECAST_EXT_WHY_EPOCH,
        Why::Unaware => ICECAST_EXT_WHY_UNAWARE,
        Why::Unproven(_) => ICECAST_EXT_WHY_UNPROVEN,
        _ => ICECAST_EXT_WHY_OTHER,
    }
}

fn said(note: Note) -> String {
    match note {
        Note::Repeated { bytes } => format!("it repeats {bytes} bytes; they are skipped"),
        Note::Prelude { bytes } => format!(
            "it sends {bytes} bytes of codec headers to a decoder that has them; they are skipped"
        ),
        Note::Malformed => "its Stream-Offset is malformed; it counts as absent".to_owned(),
        _ => "it did something odd".to_owned(),
    }
}
