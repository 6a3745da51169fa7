//! Continuation by content, where nobody gives offsets (R-COMPAT-2).

use std::time::Duration;

use bytes::Bytes;

use crate::codec::{Format, leading_headers};
use crate::heal::{Evidence, Unproven, continues};

use super::history::History;

/// A burst is collected for so long.
const COLLECT: Duration = Duration::from_secs(1);
/// A burst has ended when nothing comes for so long.
const QUIET: Duration = Duration::from_millis(250);
/// A burst has at most so many bytes.
const MAX_BURST: usize = 256 * 1024;
/// Titles that are kept while it is collected.
const MAX_TITLES: usize = 32;

/// A burst in which the end of the history is to be found.
#[derive(Debug)]
pub(super) struct Stitch {
    burst: Vec<u8>,
    /// Blocks, and how many bytes of the burst they follow.
    titles: Vec<(usize, Bytes)>,
    times: Option<(Duration, Duration)>,
}

impl Stitch {
    pub(super) const fn new() -> Self {
        Self {
            burst: Vec::new(),
            titles: Vec::new(),
            times: None,
        }
    }

    pub(super) fn audio(&mut self, now: Duration, bytes: &[u8]) {
        let (first, _) = self.times.unwrap_or((now, now));
        self.times = Some((first, now));
        self.burst.extend_from_slice(bytes);
    }

    pub(super) fn title(&mut self, text: Bytes) {
        if self.titles.len() == MAX_TITLES {
            self.titles.remove(0);
        }
        self.titles.push((self.burst.len(), text));
    }

    /// When it is time to decide; `None` before the first byte.
    pub(super) fn due(&self) -> Option<Duration> {
        let (first, last) = self.times?;
        if self.burst.len() >= MAX_BURST {
            return Some(last);
        }
        Some((first + COLLECT).min(last + QUIET))
    }

    /// Where in the burst the history goes on. `heard`: when its last byte came.
    pub(super) fn decide(
        &self,
        history: &mut History,
        format: Format,
        heard: Duration,
        rate: Option<u64>,
    ) -> Result<usize, Unproven> {
        let (_, last) = self.times.unwrap_or((heard, heard));
        let own = |body: &[u8], at_start: bool| match at_start {
            true => leading_headers(format, body).unwrap_or(0).min(body.len()),
            false => 0,
        };
        let (tail, from_join) = history.tail();
        // The server does not say how long its prelude is.
        let in_front = own(&self.burst, true);
        let evidence = Evidence {
            tail: &tail[own(tail, from_join)..],
            burst: &self.burst[in_front..],
            elapsed: last.saturating_sub(heard),
            rate,
        };
        continues(&evidence).map(|index| in_front + index)
    }

    /// The burst, and the titles in it.
    pub(super) fn into_parts(self) -> (Bytes, Vec<(usize, Bytes)>) {
        (self.burst.into(), self.titles)
    }
}
