//! The body of an answer, taken apart: audio in its canonical form, and titles.

use bytes::Bytes;
use icecast_ext_core::codec::{Canonical, Format};
use icecast_ext_core::icy::{Deinterleaver, Part};

use super::legacy::Shape;
use crate::config::Vorbis;

/// From the answer's first byte on.
#[derive(Debug)]
pub(super) struct Parts {
    blocks: Option<Deinterleaver>,
    vorbis: Option<Canonical>,
    /// That were told.
    holes: u64,
}

impl Parts {
    pub(super) fn of(shape: Shape) -> Self {
        let canonical = shape.format == Format::Ogg && shape.vorbis == Vorbis::Canonical;
        Self {
            blocks: shape.metaint.map(Deinterleaver::new),
            vorbis: canonical.then(Canonical::default),
            holes: 0,
        }
    }

    /// Takes the bytes that follow. Audio that comes out is never empty.
    pub(super) fn take(&mut self, bytes: Bytes) -> Vec<Part> {
        let mut parts = Vec::new();
        match &mut self.blocks {
            Some(blocks) => blocks.feed(bytes, &mut parts),
            None => parts.push(Part::Audio(bytes)),
        }
        let Some(vorbis) = &mut self.vorbis else {
            return parts;
        };
        parts.retain_mut(|part| {
            let Part::Audio(bytes) = part else {
                return true;
            };
            let mut made = Vec::with_capacity(bytes.len());
            vorbis.feed(bytes, &mut made);
            *bytes = made.into();
            !bytes.is_empty()
        });
        parts
    }

    /// How many more places than before the stream of Vorbis lacked packets at.
    pub(super) fn new_holes(&mut self) -> u64 {
        let holes = self.vorbis.as_ref().map_or(0, Canonical::holes);
        holes - std::mem::replace(&mut self.holes, holes)
    }

    /// What was kept for bytes that do not come any more.
    pub(super) fn rest(mut self) -> Vec<u8> {
        let mut rest = Vec::new();
        if let Some(vorbis) = &mut self.vorbis {
            vorbis.finish(&mut rest);
        }
        rest
    }
}
