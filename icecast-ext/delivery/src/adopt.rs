//! A mount takes a parent's relay feed.

use std::sync::Arc;

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::buffer::{self, Across, Adopts, RunStart};
use icecast_ext_core::frame::Frame;

use crate::mount::Mount;

/// Applies one connection's frames, in order, as [`icecast_ext_core::frame::Decoder`] gives them.
#[derive(Debug, Default)]
pub struct Adopter(buffer::Adopter);

impl Adopter {
    /// For a new connection. `across`: as its answer's head says.
    #[must_use]
    pub fn new(across: Across) -> Self {
        Self(buffer::Adopter::new(across))
    }

    /// Writes a frame into `mount`.
    pub fn apply(&mut self, mount: &Arc<Mount>, frame: Frame) {
        self.0.apply(&mut Adopting(mount), frame);
    }
}

struct Adopting<'a>(&'a Arc<Mount>);

impl Adopts for Adopting<'_> {
    fn received(&self) -> Option<Position> {
        self.0.received()
    }

    fn goes_on(&mut self, at: Position) {
        tracing::info!(mount = self.0.name(), %at, "the feed goes on where it was cut");
    }

    fn begin(&mut self, run: RunStart) {
        let (at, declared) = (Position::new(run.epoch, run.first), run.declared);
        tracing::info!(mount = self.0.name(), %at, declared, "the feed begins a run");
        self.0.begin(run);
    }

    fn append(&mut self, bytes: &[u8]) {
        self.0.append(bytes, None);
    }

    fn title(&mut self, at: Offset, text: Bytes) {
        self.0.title(Some(at), text);
    }

    fn time(&mut self, at: Offset, ms: u64) {
        self.0.time(at, ms);
    }

    fn prelude(&mut self, at: Offset, bytes: Bytes) {
        self.0.prelude(at, bytes);
    }

    fn splice_to(&mut self, to: Position, seamless: bool) {
        self.0.splice_to(to, seamless);
    }

    fn end(&mut self) {
        self.0.end();
    }
}
