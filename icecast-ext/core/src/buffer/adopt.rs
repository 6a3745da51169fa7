//! A parent's relay feed, written into a mount: epochs, offsets, titles and splices are the parent's (R-RELAY-2).

use bytes::Bytes;

use crate::address::{Epoch, Offset, Position};
use crate::codec::Format;
use crate::frame::Frame;
use crate::head::field_lines;

use super::RunStart;

/// What a feed can be written into.
pub trait Adopts {
    /// The byte that comes next, or where the last run ended.
    fn received(&self) -> Option<Position>;
    /// The run that is held goes on at `at`, where the feed was cut.
    fn goes_on(&mut self, _at: Position) {}
    /// A run begins.
    fn begin(&mut self, run: RunStart);
    /// Bytes that follow.
    fn append(&mut self, bytes: &[u8]);
    /// The title from `at` on.
    fn title(&mut self, at: Offset, text: Bytes);
    /// When the byte at `at` arrived at the origin, ms since 1970.
    fn time(&mut self, at: Offset, ms: u64);
    /// The prelude from `at` on.
    fn prelude(&mut self, at: Offset, bytes: Bytes);
    /// Where the splice into the current run leads.
    fn splice_to(&mut self, to: Position);
    /// The current run ends.
    fn end(&mut self);
}

/// Applies one connection's frames, in order, as [`crate::frame::Decoder`] gives them.
#[derive(Debug, Default)]
pub struct Adopter {
    /// A FORMAT whose PRELUDE may follow.
    opening: Option<(Epoch, Offset, Bytes)>,
    /// What begins is the other side of a declared splice.
    spliced: bool,
    /// The SPLICE before the FORMAT.
    splice: Option<(bool, Position)>,
}

impl Adopter {
    /// For a new connection. `spliced`: the answer's `Stream-Offset` says so, because the parent no longer holds the run that
    /// was asked for.
    #[must_use]
    pub fn new(spliced: bool) -> Self {
        Self {
            spliced,
            ..Self::default()
        }
    }

    /// Writes a frame into `mount`.
    pub fn apply(&mut self, mount: &mut impl Adopts, frame: Frame) {
        match frame {
            Frame::Format {
                epoch,
                offset,
                fields,
                ..
            } => {
                self.opening = Some((epoch, offset, fields));
                return;
            }
            Frame::Prelude { bytes, .. } if self.opening.is_some() => {
                return self.open(mount, Some(bytes));
            }
            _ => self.open(mount, None),
        }
        match frame {
            Frame::Data { bytes, .. } => mount.append(&bytes),
            Frame::Title { at, text } => mount.title(at, text),
            Frame::Time { at, ms } => mount.time(at, ms),
            Frame::Splice { declared, to, .. } => {
                self.splice = Some((declared, to));
                mount.end();
            }
            Frame::Prelude { at, bytes } => mount.prelude(at, bytes),
            Frame::Keepalive { .. } | Frame::Format { .. } => {}
        }
    }

    /// The run that FORMAT announced, if it waits: the one that is held, if it goes on there.
    fn open(&mut self, mount: &mut impl Adopts, prelude: Option<Bytes>) {
        let Some((epoch, first, fields)) = self.opening.take() else {
            return;
        };
        let at = Position::new(epoch, first);
        let across = std::mem::take(&mut self.spliced).then_some((true, at));
        let splice = self.splice.take().or(across);
        if splice.is_none() && mount.received() == Some(at) {
            return mount.goes_on(at);
        }
        let declared = splice.is_some_and(|(declared, _)| declared);
        mount.begin(RunStart {
            epoch,
            first,
            declared,
            format: format(&fields),
            fields,
            prelude,
        });
        if let Some((_, to)) = splice {
            mount.splice_to(to);
        }
    }
}

/// The format that a run's lines name.
fn format(fields: &[u8]) -> Format {
    let lines = field_lines(fields).unwrap_or_default();
    let mut lines = lines.iter();
    let content_type = lines.find(|field| field.is("Content-Type"));
    content_type.map_or(Format::Opaque, |field| {
        Format::from_content_type(field.value)
    })
}
