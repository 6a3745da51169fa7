//! A parent relay's feed: epochs, offsets and titles are the parent's.

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::buffer::{Across, Adopter, Adopts, Event, RunStart};
use icecast_ext_core::frame::{Decoder, FrameError};

use super::station::{Station, Supply};

/// One connection to a parent.
pub(super) struct Feed {
    decoder: Decoder,
    adopter: Adopter,
}

impl Station {
    pub(super) fn feed(&mut self, spliced: bool) {
        // A source's run ends; a feed's may go on where it was cut.
        if matches!(self.supply, Supply::Source(_)) {
            self.end();
        }
        self.supply = Supply::Feed(Box::new(Feed {
            decoder: Decoder::default(),
            adopter: Adopter::new(if spliced {
                Across::Spliced
            } else {
                Across::Unknown
            }),
        }));
    }

    /// `None` if there is no feed.
    pub(super) fn fed(&mut self, data: &[u8]) -> Option<Result<(), FrameError>> {
        let mut feed = match std::mem::replace(&mut self.supply, Supply::None(None)) {
            Supply::Feed(feed) => feed,
            // A call that does not fit must not cost a source its place.
            other => {
                self.supply = other;
                return None;
            }
        };
        let mut frames = Vec::new();
        let fed = feed.decoder.feed(Bytes::copy_from_slice(data), &mut frames);
        for frame in frames {
            feed.adopter.apply(&mut *self, frame);
        }
        self.supply = Supply::Feed(feed);
        Some(fed)
    }
}

impl Adopts for Station {
    fn received(&self) -> Option<Position> {
        Station::received(self)
    }

    fn begin(&mut self, run: RunStart) {
        Station::begin(self, run);
    }

    fn append(&mut self, bytes: &[u8]) {
        Station::append(self, bytes, None);
    }

    fn title(&mut self, at: Offset, text: Bytes) {
        self.event(Event::Title(at, text));
    }

    fn time(&mut self, at: Offset, ms: u64) {
        self.event(Event::Time(at, ms));
    }

    fn prelude(&mut self, at: Offset, bytes: Bytes) {
        self.event(Event::Prelude(at, bytes));
    }

    fn splice_to(&mut self, to: Position, seamless: bool) {
        self.buffer.timeline.splice_to(to, seamless);
    }

    fn end(&mut self) {
        Station::end(self);
    }
}

impl Station {
    fn event(&mut self, event: Event) {
        if let Some(writing) = &mut self.writing {
            writing.event(event);
        }
    }
}
