//! A pull of the relay feed: epochs, offsets and titles are the parent's.

use std::time::Duration;

use icecast_ext_core::address::Position;
use icecast_ext_core::buffer::Across;
use icecast_ext_core::frame::{Decoder, Frame};
use icecast_ext_delivery::Adopter;
use tokio::time::Instant;

use super::{Body, Ended, Memory};
use crate::station::{Station, Supply};

/// A parent that says nothing for so long is dead (R-FEED-12), or for two of its ticks if that is longer.
pub(super) const SILENCE: Duration = Duration::from_millis(500);

/// Of a parent that publishes so often.
pub(super) fn silence(tick_ms: u32) -> Duration {
    SILENCE.max(Duration::from_millis(u64::from(tick_ms) * 2))
}

/// A parent that has nothing but that may have lost its own: after so long another is tried, if there is one.
const STALLED: Duration = Duration::from_secs(5);

/// How a feed begins.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start {
    /// How it follows what is held.
    pub(super) across: Across,
    /// Up to here it is what had come before we asked.
    pub(super) edge: Option<Position>,
    /// There are other parents.
    pub(super) others: bool,
}

/// Reads to the end.
pub(super) async fn run(
    station: &Station,
    mut body: Body,
    start: Start,
    memory: &mut Memory,
) -> Result<std::convert::Infallible, Ended> {
    let mut decoder = Decoder::default();
    let mut frames = Vec::new();
    let mut adopter = Adopter::new(start.across);
    let mut silence = SILENCE;
    let mut last = Instant::now();
    memory.live = false;
    station.feeds(true);
    loop {
        let bytes = body.next(silence).await?;
        // What came before an error counts (R-FEED-15).
        let fed = decoder.feed(bytes, &mut frames);
        for frame in frames.drain(..) {
            if let Frame::Format { tick_ms, .. } = &frame {
                silence = self::silence(*tick_ms);
            }
            if matches!(frame, Frame::Data { .. }) {
                last = Instant::now();
                memory.last_byte = Some(last);
                memory.adopted = true;
            }
            adopter.apply(&station.mount, frame);
        }
        fed?;
        memory.live = memory.live || is_live(station.mount.received(), start.edge);
        if start.others && last.elapsed() > STALLED {
            return Err(Ended::Stalled(STALLED));
        }
        station.set(Supply::Live);
    }
}

/// Whether all has come that had come to the parent when we asked.
fn is_live(next: Option<Position>, edge: Option<Position>) -> bool {
    matches!((next, edge), (Some(next), Some(edge)) if next >= edge)
}
