//! A pull of the relay feed: epochs, offsets and titles are the parent's.

use std::time::Duration;

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
    let mut adopter = Adopter::new(spliced);
    let mut silence = SILENCE;
    loop {
        let bytes = body.next(silence).await?;
        // What came before an error counts (R-FEED-15).
        let fed = decoder.feed(bytes, &mut frames);
        for frame in frames.drain(..) {
            if let Frame::Format { tick_ms, .. } = &frame {
                silence = self::silence(*tick_ms);
            }
            if matches!(frame, Frame::Data { .. }) {
                memory.last_byte = Some(Instant::now());
                memory.adopted = true;
            }
            adopter.apply(&station.mount, frame);
        }
        fed?;
        station.set(Supply::Live);
    }
}
