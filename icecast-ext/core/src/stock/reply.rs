//! The answer to a player that may resume.

use std::num::NonZeroU32;

use super::{Anchor, TOTAL};
use crate::plan::Cursor;
use crate::range::ContentRange;
use crate::resume::Start;

/// An answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Reply {
    /// 302, not to be stored. `lost`: a loss that is told here, and not there.
    Redirect {
        /// Path and query.
        location: String,
        /// If there is a loss: what the answer there starts with.
        lost: Option<Start>,
    },
    /// 206: NULs, the end of a file that there is not (R-STOCK-18).
    Tail {
        /// The first byte asked for.
        first: u64,
        /// The last.
        last: u64,
    },
    /// 416: nothing can be there.
    Beyond,
    /// 200 or 206.
    Stream(Stream),
}

/// The stream, from a byte of a body on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stream {
    /// The first canonical byte, what stands before it, and why there.
    pub start: Start,
    /// From there on.
    pub cursor: Cursor,
    /// What the body's bytes mean from now on.
    pub anchor: Anchor,
    /// What `icy-metaint` says, if it is there.
    pub metaint: Option<NonZeroU32>,
    /// The body has a length.
    pub(super) sized: bool,
    pub(super) first: u64,
    pub(super) last: Option<u64>,
    pub(super) tell: Option<Tell>,
}

/// How the player learns its anchor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Tell {
    Cookie(String),
    Location(String),
}

impl Stream {
    /// 200 for a body from its beginning, 206 for a part.
    #[must_use]
    pub const fn status(&self) -> u16 {
        if self.first == 0 && self.last.is_none() {
            200
        } else {
            206
        }
    }

    /// Fields of the head, besides those of every listener's.
    #[must_use]
    pub fn fields(&self) -> Vec<(&'static str, String)> {
        let mut fields = vec![
            ("Accept-Ranges", "bytes".to_owned()),
            ("ETag", self.anchor.join.etag()),
        ];
        let last = self.last.unwrap_or(TOTAL - 1);
        if self.status() == 206 {
            let range = ContentRange::Bytes {
                first: self.first,
                last,
                total: Some(TOTAL),
            };
            fields.push(("Content-Range", range.to_string()));
        }
        if self.sized {
            fields.push(("Content-Length", (last - self.first + 1).to_string()));
        }
        match &self.tell {
            Some(Tell::Cookie(cookie)) => fields.push(("Set-Cookie", cookie.clone())),
            Some(Tell::Location(location)) => fields.push(("Content-Location", location.clone())),
            None => {}
        }
        fields
    }
}
