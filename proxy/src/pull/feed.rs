//! A pull of the relay feed: epochs, offsets and titles are the parent's.

use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_delivery::RunStart;
use tokio::time::Instant;

use super::{Body, Ended, Memory};
use crate::station::{self, Station, Supply};

/// A parent that says nothing for so long is dead (R-FEED-12), or for two of its ticks if that is longer.
const SILENCE: Duration = Duration::from_millis(500);

/// Reads to the end. `spliced`: the parent no longer holds the run that we asked for the end of, and says what a declared
/// splice puts in its place.
pub(super) async fn run(
    station: &Station,
    mut body: Body,
    spliced: bool,
    memory: &mut Memory,
) -> Result<std::convert::Infallible, Ended> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let mut child = Child {
        station,
        opening: None,
        spliced,
        splice: None,
    };
    let mut silence = SILENCE;
    loop {
        let bytes = body.next(silence).await?;
        // What came before an error counts (R-FEED-15).
        let fed = decoder.feed(bytes, &mut frames);
        for frame in frames.drain(..) {
            if let Frame::Format { tick_ms, .. } = &frame {
                silence = SILENCE.max(Duration::from_millis(u64::from(*tick_ms) * 2));
            }
            if matches!(frame, Frame::Data { .. }) {
                memory.last_byte = Some(Instant::now());
                memory.adopted = true;
            }
            child.apply(frame);
        }
        fed?;
        station.set(Supply::Live);
    }
}

/// Writes a feed into a mount.
struct Child<'a> {
    station: &'a Station,
    /// A FORMAT whose PRELUDE may follow.
    opening: Option<Opening>,
    /// What begins is the other side of a declared splice.
    spliced: bool,
    /// The SPLICE before it.
    splice: Option<(bool, Position)>,
}

struct Opening {
    epoch: Epoch,
    offset: Offset,
    fields: Bytes,
}

impl Child<'_> {
    fn apply(&mut self, frame: Frame) {
        let mount = &self.station.mount;
        match frame {
            Frame::Format {
                epoch,
                offset,
                fields,
                ..
            } => {
                self.opening = Some(Opening {
                    epoch,
                    offset,
                    fields,
                });
                return;
            }
            Frame::Prelude { bytes, .. } if self.opening.is_some() => {
                self.open(Some(bytes));
                return;
            }
            _ => {}
        }
        if self.opening.is_some() {
            self.open(None);
        }
        match frame {
            Frame::Data { bytes, .. } => mount.append(&bytes, None),
            Frame::Title { at, text } => mount.title(Some(at), text),
            Frame::Time { at, ms } => mount.time(at, ms),
            Frame::Splice { declared, to, .. } => {
                self.splice = Some((declared, to));
                mount.end();
            }
            // Our own tracker reads the same headers from the same bytes.
            Frame::Prelude { .. } | Frame::Keepalive { .. } | Frame::Format { .. } => {}
        }
    }

    /// The run that FORMAT announced: the one we hold, if it goes on there.
    fn open(&mut self, prelude: Option<Bytes>) {
        let Some(opening) = self.opening.take() else {
            return;
        };
        let mount = &self.station.mount;
        let at = Position::new(opening.epoch, opening.offset);
        let across = std::mem::take(&mut self.spliced).then_some((true, at));
        let splice = self.splice.take().or(across);
        if splice.is_none() && self.station.received() == Some(at) {
            tracing::info!(mount = self.station.path, %at, "the feed goes on where it was cut");
            return;
        }
        tracing::info!(mount = self.station.path, %at, declared = ?splice.map(|(declared, _)| declared), "the feed begins a run");
        mount.begin(RunStart {
            epoch: opening.epoch,
            first: opening.offset,
            declared: splice.is_some_and(|(declared, _)| declared),
            format: station::format(&opening.fields),
            fields: opening.fields,
            prelude,
        });
        if let Some((_, to)) = splice {
            mount.splice_to(to);
        }
    }
}
