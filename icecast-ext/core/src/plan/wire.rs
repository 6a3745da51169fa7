//! A cursor as bytes, for a process that goes on with another's listeners.
//!
//! ```abnf
//! cursor = version flags epoch offset [ run ] body [ left ]  ; integers are big-endian
//! version = %x01
//! flags   = OCTET                ; 1 aware, 2 continues, 4 run follows; 8 and 16 are the body's kind: 0 plain, 1 ICY, 2 feed,
//!                                ; 3 complete; 32 anchored, 64 ends with RST, 128 left follows
//! epoch   = 16OCTET
//! offset  = 8OCTET
//! run     = 4OCTET               ; not 0
//! body    = icy / feed / ""
//! icy     = 4OCTET 4OCTET shown  ; metaint, audio before the next block
//! shown   = %x00 / %x01 8OCTET   ; the place of the last title shown
//! left    = 8OCTET               ; bytes of body until the last one asked for; not 0
//! feed    = 4OCTET 4OCTET OCTET  ; audio left of a DATA frame, tick, 1 opened, 2 prelude, 4 title, 8 time told
//! ```

use std::num::{NonZeroU32, NonZeroU64};

use super::feed::{Feed, Told};
use super::{Anchored, Body, Cursor, Icy};
use crate::address::{Epoch, Offset, Position};
use crate::frame::MAX_DATA;
use crate::timeline::RunId;

const VERSION: u8 = 1;
const AWARE: u8 = 1;
const CONTINUES: u8 = 2;
const RUN: u8 = 4;
const KIND: u32 = 3;
const KINDS: u8 = 3;
const ANCHORED: u8 = 32;
const RESETS: u8 = 64;
const LEFT: u8 = 128;

impl Cursor {
    /// The cursor as bytes: exactly where a listener is, to be read by [`Cursor::decode`].
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let kind = match self.body {
            Body::Plain => 0,
            Body::Icy(_) => 1,
            Body::Feed(_) => 2,
            Body::Complete => 3,
        };
        let left = self.anchored.and_then(|anchored| anchored.left);
        let flag = |is: bool, flag: u8| if is { flag } else { 0 };
        let flags = flag(self.aware, AWARE)
            | flag(self.continues, CONTINUES)
            | flag(self.run.is_some(), RUN)
            | flag(self.anchored.is_some(), ANCHORED)
            | flag(self.resets(), RESETS)
            | flag(left.is_some(), LEFT)
            | kind << KIND;
        let mut out = vec![VERSION, flags];
        out.extend_from_slice(self.at.epoch.as_bytes());
        out.extend_from_slice(&self.at.offset.get().to_be_bytes());
        if let Some(run) = self.run {
            out.extend_from_slice(&run.number().get().to_be_bytes());
        }
        match self.body {
            Body::Plain | Body::Complete => {}
            Body::Icy(icy) => {
                out.extend_from_slice(&icy.metaint.get().to_be_bytes());
                out.extend_from_slice(&icy.left.to_be_bytes());
                out.push(u8::from(icy.shown.is_some()));
                if let Some(shown) = icy.shown {
                    out.extend_from_slice(&shown.get().to_be_bytes());
                }
            }
            Body::Feed(feed) => {
                out.extend_from_slice(&feed.left.to_be_bytes());
                out.extend_from_slice(&feed.tick.to_be_bytes());
                out.push(
                    flag(feed.opened, 1)
                        | flag(feed.told.prelude, 2)
                        | flag(feed.told.title, 4)
                        | flag(feed.told.time, 8),
                );
            }
        }
        if let Some(left) = left {
            out.extend_from_slice(&left.get().to_be_bytes());
        }
        out
    }

    /// What [`Cursor::encode`] wrote, all of it; `None` for anything else. That its run exists is for the timeline to say: a
    /// cursor of an unknown run ends as evicted.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let mut read = Read(bytes);
        let [VERSION, flags] = read.take()? else {
            return None;
        };
        let epoch = Epoch::from_bytes(read.take()?);
        let at = Position::new(epoch, read.offset()?);
        let run = match flags & RUN {
            0 => None,
            _ => Some(RunId::from_number(NonZeroU32::new(read.u32()?)?)),
        };
        let (aware, continues) = (flags & AWARE != 0, flags & CONTINUES != 0);
        let body = match flags >> KIND & KINDS {
            0 => Body::Plain,
            1 => {
                let metaint = NonZeroU32::new(read.u32()?)?;
                let left = Some(read.u32()?).filter(|left| *left <= metaint.get())?;
                let shown = match read.take()? {
                    [0] => None,
                    [1] => Some(read.offset()?),
                    _ => return None,
                };
                Body::Icy(Icy {
                    metaint,
                    left,
                    shown,
                })
            }
            2 if aware && !continues => {
                let left = Some(read.u32()?).filter(|left| u64::from(*left) <= MAX_DATA)?;
                let tick = read.u32()?;
                let [told] = read.take()?;
                if told >= 16 {
                    return None;
                }
                Body::Feed(Feed {
                    left,
                    tick,
                    opened: told & 1 != 0,
                    told: Told {
                        prelude: told & 2 != 0,
                        title: told & 4 != 0,
                        time: told & 8 != 0,
                    },
                })
            }
            3 if !aware => Body::Complete,
            _ => return None,
        };
        let left = match flags & LEFT {
            0 => None,
            _ => Some(NonZeroU64::new(read.take().map(u64::from_be_bytes)?)?),
        };
        let reset = flags & RESETS != 0;
        let anchored = match flags & ANCHORED {
            0 if reset || left.is_some() => return None,
            0 => None,
            _ if aware => return None,
            _ => Some(Anchored { reset, left }),
        };
        let cursor = Self {
            at,
            run,
            aware,
            continues,
            // Whoever is led is led by its own process.
            led: None,
            anchored,
            body,
        };
        read.0.is_empty().then_some(cursor)
    }
}

struct Read<'a>(&'a [u8]);

impl Read<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_be_bytes)
    }

    fn offset(&mut self) -> Option<Offset> {
        Offset::new(self.take().map(u64::from_be_bytes)?)
    }
}
