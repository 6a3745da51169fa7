//! What a mount is sent in: records as the journal writes them, of kinds of its own.

use std::num::NonZeroU32;

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position, Window};
use icecast_ext_core::buffer::Pending;
use icecast_ext_core::timeline::{Run, RunId, Span, Splice, Title};

use crate::journal::wire::{
    self, Read, put_bytes, put_event, put_format, put_placed, put_u32, put_u64,
};

/// Another process of this version reads it; any other refuses.
const VERSION: u8 = 3;

/// A part of a mount.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Piece {
    /// Comes first.
    Head(Head),
    /// A run whose bytes are gone, the oldest first.
    Past(Span),
    /// A run, the oldest first.
    Run(Box<Run>),
    /// Bytes, the oldest first. `ms`: when the first of them arrived.
    Chunk { ms: u64, bytes: Bytes },
    /// What is not published yet of the last run, which goes on.
    Pending(Pending),
    /// Comes last.
    End,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Head {
    /// Runs that have been named.
    pub(super) ids: u32,
    /// Bytes before the oldest held.
    pub(super) floor: u64,
    pub(super) closed: bool,
}

impl Piece {
    pub(super) fn encode(&self) -> Bytes {
        let mut out = Vec::new();
        wire::frame(&mut out, |out| self.put(out));
        out.into()
    }

    fn put(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        match self {
            Self::Head(head) => {
                out.push(0);
                put_u32(out, head.ids as usize);
                put_u64(out, head.floor);
                out.push(u8::from(head.closed));
            }
            Self::Past(span) => {
                out.push(1);
                put_u32(out, span.id.number().get() as usize);
                out.extend_from_slice(span.epoch.as_bytes());
                put_format(out, span.format);
                put_u64(out, span.first.get());
                put_u64(out, span.next.get());
                put_splice(out, span.splice);
            }
            Self::Run(run) => {
                out.push(2);
                put_run(out, run);
            }
            Self::Chunk { ms, bytes } => {
                out.push(3);
                put_u64(out, *ms);
                put_bytes(out, bytes);
            }
            Self::Pending(pending) => {
                out.push(4);
                put_bytes(out, &pending.bytes);
                put_all(out, &pending.events, put_event);
                put_all(out, &pending.arrivals, put_time);
                put_u64(out, pending.ms);
                out.push(u8::from(pending.begun));
            }
            Self::End => out.push(5),
        }
    }

    /// `None` for what is damaged, unknown, or of another version.
    pub(super) fn decode(input: &Bytes) -> Option<Self> {
        let (mut read, len) = wire::unframe(input)?;
        if len != input.len() || read.u8()? != VERSION {
            return None;
        }
        let piece = match read.u8()? {
            0 => Self::Head(Head {
                ids: u32::try_from(read.u32()?).ok()?,
                floor: read.u64()?,
                closed: read.bool()?,
            }),
            1 => Self::Past(Span {
                id: id(&mut read)?,
                epoch: read.epoch()?,
                format: read.format()?,
                first: read.offset()?,
                next: read.offset()?,
                splice: splice(&mut read)?,
            }),
            2 => Self::Run(Box::new(run(&mut read)?)),
            3 => Self::Chunk {
                ms: read.u64()?,
                bytes: read.bytes()?,
            },
            4 => Self::Pending(Pending {
                bytes: read.bytes()?,
                events: all(&mut read, Read::event)?,
                arrivals: all(&mut read, time)?,
                ms: read.u64()?,
                begun: read.bool()?,
            }),
            5 => Self::End,
            _ => return None,
        };
        read.is_empty().then_some(piece)
    }
}

fn put_all<'a, T: 'a>(
    out: &mut Vec<u8>,
    all: impl IntoIterator<Item = &'a T, IntoIter: ExactSizeIterator>,
    put: impl Fn(&mut Vec<u8>, &T),
) {
    let all = all.into_iter();
    put_u32(out, all.len());
    all.for_each(|one| put(out, one));
}

fn all<T>(read: &mut Read, one: impl Fn(&mut Read) -> Option<T>) -> Option<Vec<T>> {
    (0..read.u32()?).map(|_| one(read)).collect()
}

fn put_time(out: &mut Vec<u8>, (at, ms): &(Offset, u64)) {
    put_u64(out, at.get());
    put_u64(out, *ms);
}

fn time(read: &mut Read) -> Option<(Offset, u64)> {
    Some((read.offset()?, read.u64()?))
}

fn id(read: &mut Read) -> Option<RunId> {
    let number = NonZeroU32::new(u32::try_from(read.u32()?).ok()?)?;
    Some(RunId::from_number(number))
}

fn put_splice(out: &mut Vec<u8>, splice: Option<Splice>) {
    out.push(u8::from(splice.is_some()));
    if let Some(Splice {
        end,
        to,
        declared,
        seamless,
    }) = splice
    {
        put_u64(out, end.get());
        out.extend_from_slice(to.epoch.as_bytes());
        put_u64(out, to.offset.get());
        out.push(u8::from(declared));
        out.push(u8::from(seamless));
    }
}

fn splice(read: &mut Read) -> Option<Option<Splice>> {
    if !read.bool()? {
        return Some(None);
    }
    Some(Some(Splice {
        end: read.offset()?,
        to: Position::new(read.epoch()?, read.offset()?),
        declared: read.bool()?,
        seamless: read.bool()?,
    }))
}

fn put_run(out: &mut Vec<u8>, run: &Run) {
    put_u32(out, run.id.number().get() as usize);
    out.extend_from_slice(run.epoch.as_bytes());
    for at in [run.start, run.window.first, run.window.next] {
        put_u64(out, at.get());
    }
    put_format(out, run.format);
    put_u32(out, run.tick_ms as usize);
    put_bytes(out, &run.fields);
    put_all(out, &run.titles, |out, title| {
        put_u64(out, title.at.get());
        put_bytes(out, &title.text);
    });
    put_u64(out, run.titles_from.get());
    put_offset(out, run.recalled);
    put_all(out, &run.times, put_time);
    put_all(out, &run.preludes, |out, prelude| {
        put_placed(out, Some(prelude));
    });
    put_all(out, &run.syncs, |out, at| put_u64(out, at.get()));
    put_splice(out, run.splice);
    out.push(u8::from(run.ended));
    out.push(u8::from(run.declared));
    put_offset(out, run.told);
    out.push(u8::from(run.seamless));
}

fn put_offset(out: &mut Vec<u8>, offset: Option<Offset>) {
    out.push(u8::from(offset.is_some()));
    if let Some(offset) = offset {
        put_u64(out, offset.get());
    }
}

fn offset(read: &mut Read) -> Option<Option<Offset>> {
    match read.bool()? {
        true => read.offset().map(Some),
        false => Some(None),
    }
}

fn run(read: &mut Read) -> Option<Run> {
    Some(Run {
        id: id(read)?,
        epoch: read.epoch()?,
        start: read.offset()?,
        window: Window {
            first: read.offset()?,
            next: read.offset()?,
        },
        format: read.format()?,
        tick_ms: u32::try_from(read.u32()?).ok()?,
        fields: read.bytes()?,
        titles: all(read, |read| {
            Some(Title {
                at: read.offset()?,
                text: read.bytes()?,
            })
        })?
        .into(),
        titles_from: read.offset()?,
        recalled: offset(read)?,
        times: all(read, time)?.into(),
        preludes: all(read, |read| read.placed()?)?.into(),
        syncs: all(read, Read::offset)?.into(),
        splice: splice(read)?,
        ended: read.bool()?,
        declared: read.bool()?,
        told: offset(read)?,
        seamless: read.bool()?,
    })
}
