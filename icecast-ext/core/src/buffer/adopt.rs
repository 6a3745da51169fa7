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
    /// Where the splice into the current run leads, and whether to the very byte that the run before ended at.
    fn splice_to(&mut self, to: Position, seamless: bool);
    /// The current run ends.
    fn end(&mut self);
}

/// How a feed follows the run that is held, if not exactly.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum Across {
    /// Nobody knows.
    #[default]
    Unknown,
    /// The answer's `Stream-Offset` says `spliced`, because the parent no longer holds the run that was asked for.
    Spliced,
    /// The answer's `Stream-Proof` says that it begins with the very byte that was asked for (R-RELAY-8).
    Proven,
}

/// A splice into the run that FORMAT announces.
#[derive(Debug, Clone, Copy)]
struct Joint {
    declared: bool,
    seamless: bool,
    to: Position,
}

/// Applies one connection's frames, in order, as [`crate::frame::Decoder`] gives them.
#[derive(Debug, Default)]
pub struct Adopter {
    /// A FORMAT whose PRELUDE may follow.
    opening: Option<(Epoch, Offset, Bytes)>,
    /// How what begins follows what is held.
    across: Across,
    /// The SPLICE before the FORMAT.
    splice: Option<Joint>,
}

impl Adopter {
    /// For a new connection. `across`: as its answer's head says.
    #[must_use]
    pub fn new(across: Across) -> Self {
        Self {
            across,
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
            Frame::Splice {
                declared,
                seamless,
                to,
                ..
            } => {
                self.splice = Some(Joint {
                    declared,
                    seamless,
                    to,
                });
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
        let across = match std::mem::take(&mut self.across) {
            Across::Unknown => None,
            across => Some(Joint {
                declared: true,
                seamless: across == Across::Proven,
                to: at,
            }),
        };
        let splice = self.splice.take().or(across);
        if splice.is_none() && mount.received() == Some(at) {
            return mount.goes_on(at);
        }
        let declared = splice.is_some_and(|splice| splice.declared);
        mount.begin(RunStart {
            epoch,
            first,
            declared,
            format: format(&fields),
            fields,
            prelude,
        });
        if let Some(Joint { to, seamless, .. }) = splice {
            mount.splice_to(to, seamless);
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
