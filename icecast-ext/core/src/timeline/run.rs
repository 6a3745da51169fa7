//! One run of a timeline.

use std::collections::VecDeque;
use std::num::NonZeroU32;

use bytes::Bytes;

use super::Begin;
use crate::address::{Epoch, Offset, Position, Window};
use crate::codec::Format;
use crate::frame::MAX_FRAME;
use crate::icy::MAX_BLOCK;

/// After so many bytes without a sync point a run is taken for one of an opaque format.
pub const BLIND: u64 = 65_536;
/// Titles remembered of a run; the oldest go first. They outlive the bytes they belong to: what a stock player has received can
/// only be counted by who knows which titles were in it (R-STOCK-11).
pub const MAX_TITLES: usize = 1024;
/// Bytes that they may have together; the latest is kept whatever it has.
const MAX_TITLES_BYTES: usize = 64 << 10;
/// The longest text of a title, so that `StreamAt` fits into its block (R-ICY-9).
pub const MAX_TITLE: usize = MAX_BLOCK - 48;
/// Preludes remembered of a run; the oldest go first.
pub const MAX_PRELUDES: usize = 64;
/// Bytes that they may have together; the latest is kept whatever it has.
const MAX_PRELUDE_BYTES: usize = 4 << 20;

/// The time that `rate` looks back.
const RATE_MS: u64 = 60_000;
/// With less than this it is unknown.
const RATE_MIN_MS: u64 = 2_000;

/// Names a run within its timeline. Later runs are greater.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(pub(super) NonZeroU32);

impl RunId {
    /// As another process says it, which took the timeline apart.
    #[must_use]
    pub const fn from_number(number: NonZeroU32) -> Self {
        Self(number)
    }

    /// Runs are numbered in order.
    #[must_use]
    pub const fn number(self) -> NonZeroU32 {
        self.0
    }
}

/// A title, in force from an offset on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Title {
    /// The first byte it belongs to.
    pub at: Offset,
    /// The text of the ICY block, as the source's server wrote it (`StreamTitle='…';…`), without padding.
    pub text: Bytes,
}

/// What stands between an epoch and the next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Splice {
    /// Where the earlier epoch ends.
    pub end: Offset,
    /// The next epoch, and its first sync point.
    pub to: Position,
    /// The minter says that `to` follows `end` (R-SPLICE-1).
    pub declared: bool,
    /// Content proves that `to` is the byte at `end` (R-SPLICE-10): decoders go on, without a prelude.
    pub seamless: bool,
}

/// One epoch, or the part of it that one unbroken pull gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Run {
    /// Its name in this timeline.
    pub id: RunId,
    /// Its epoch.
    pub epoch: Epoch,
    /// Its first byte, held or gone.
    pub start: Offset,
    /// What is held.
    pub window: Window,
    /// What its bytes are.
    pub format: Format,
    /// For the FORMAT frame: how often the mount publishes.
    pub tick_ms: u32,
    /// For the FORMAT frame: field lines.
    pub fields: Bytes,
    /// In order, no two at one offset.
    pub titles: VecDeque<Title>,
    /// From here on all titles are known.
    pub titles_from: Offset,
    /// Up to here it is from a journal. More may have been sent before a crash, with titles that have another place now.
    pub recalled: Option<Offset>,
    /// When the byte at an offset arrived: origin's clock, ms since 1970, one a tick. The last one at or before
    /// `window.first` is kept.
    pub times: VecDeque<(Offset, u64)>,
    /// Preludes, each in force from its offset on; the first one and the one in force at `window.first` are kept.
    pub preludes: VecDeque<(Offset, Bytes)>,
    /// Where a late joiner may start.
    pub syncs: VecDeque<Offset>,
    /// Set once the run has ended and its successor has a sync point.
    pub splice: Option<Splice>,
    /// Ended, whether or not a successor is known yet.
    pub ended: bool,
    /// The splice into it is declared.
    pub declared: bool,
    /// Where that leads, as a parent relay says.
    pub told: Option<Offset>,
    /// It leads to the byte that the run before ended at.
    pub seamless: bool,
}

impl Run {
    pub(super) fn new(id: RunId, begin: Begin, declared: bool) -> Self {
        Self {
            id,
            epoch: begin.epoch,
            start: begin.first,
            window: Window {
                first: begin.first,
                next: begin.first,
            },
            format: begin.format,
            tick_ms: begin.tick_ms,
            fields: begin.fields,
            titles: VecDeque::new(),
            titles_from: begin.first,
            recalled: None,
            times: VecDeque::new(),
            preludes: VecDeque::new(),
            syncs: VecDeque::new(),
            splice: None,
            ended: false,
            declared,
            told: None,
            seamless: false,
        }
    }

    // ---- the writer's side ----

    pub(super) fn time(&mut self, at: Offset, ms: u64) {
        match self.times.back() {
            Some((last, _)) if at <= *last => {}
            Some((_, before)) => self.times.push_back((at, ms.max(*before))),
            None => self.times.push_back((at, ms)),
        }
    }

    pub(super) fn title(&mut self, at: Offset, text: Bytes) {
        let fresh = self.window.next == self.start;
        let text = fitting(text);
        let mut place = if fresh { at } else { at.max(self.window.next) };
        if let Some(last) = self.titles.back() {
            let repeated = at < self.window.next && at <= last.at;
            if last.text == text || repeated {
                return;
            }
            place = place.max(last.at.saturating_add(1));
        }
        if fresh {
            // Somebody who knows tells of what was before.
            self.titles_from = self.titles_from.min(place);
        }
        self.titles.push_back(Title { at: place, text });
        let mut held: usize = self.titles.iter().map(|title| title.text.len()).sum();
        while self.titles.len() > MAX_TITLES || (held > MAX_TITLES_BYTES && self.titles.len() > 1) {
            let gone = self.titles.pop_front();
            held -= gone.map_or(0, |title| title.text.len());
            self.titles_from = self
                .titles
                .front()
                .map_or(self.window.next, |title| title.at);
        }
    }

    pub(super) fn prelude(&mut self, at: Offset, bytes: Bytes) {
        // What does not fit into a frame no relay could be told.
        if bytes.len() as u64 > MAX_FRAME - 16 {
            return;
        }
        if let Some((last, before)) = self.preludes.back() {
            if at < *last || *before == bytes {
                return;
            }
            if at == *last {
                self.preludes.pop_back();
            }
        }
        self.preludes.push_back((at, bytes));
        let mut held: usize = self.preludes.iter().map(|(_, bytes)| bytes.len()).sum();
        while self.preludes.len() > MAX_PRELUDES
            || (held > MAX_PRELUDE_BYTES && self.preludes.len() > 1)
        {
            let gone = self.preludes.pop_front();
            held -= gone.map_or(0, |(_, bytes)| bytes.len());
        }
    }

    /// Drops the oldest bytes, at most `bytes`. Returns how many.
    pub(super) fn evict(&mut self, bytes: u64) -> u64 {
        let gone = bytes.min(self.window.len());
        let first = self.window.first.saturating_add(gone);
        self.window.first = first;
        let stale = |reached: usize| reached.saturating_sub(1);
        let reached = self.times.partition_point(|(at, _)| *at <= first);
        self.times.drain(..stale(reached));
        // The first one is what a body that was carried into the run got: it is needed to count that body.
        let reached = self.preludes.partition_point(|(at, _)| *at <= first);
        self.preludes.drain(1.min(stale(reached))..stale(reached));
        let before = self.syncs.partition_point(|at| *at < first);
        self.syncs.drain(..before);
        gone
    }

    /// Where the splice into this run leads, once that byte is held (or, if a parent relay has said so, is the next).
    pub(super) fn entry(&self) -> Option<Offset> {
        let next = self.window.next;
        if next == self.start {
            return None;
        }
        if let Some(told) = self.told {
            return (next >= told).then_some(told);
        }
        let blind = self.start.saturating_add(BLIND);
        match self.syncs.front() {
            Some(sync) if *sync < blind => (*sync < next).then_some(*sync),
            _ if self.format == Format::Opaque || next >= blind => Some(self.start),
            _ => None,
        }
    }

    // ---- the readers' side ----

    /// The title in force at `at`.
    #[must_use]
    pub fn title_at(&self, at: Offset) -> Option<&Title> {
        let reached = self.titles.partition_point(|title| title.at <= at);
        self.titles.get(reached.checked_sub(1)?)
    }

    /// What a late joiner at `at` is sent first. Empty if nothing.
    #[must_use]
    pub fn prelude_at(&self, at: Offset) -> Bytes {
        let reached = self.preludes.partition_point(|(from, _)| *from <= at);
        let found = reached.checked_sub(1).and_then(|i| self.preludes.get(i));
        found.map(|(_, bytes)| bytes.clone()).unwrap_or_default()
    }

    /// When the byte at `at` arrived, to a tick: origin's clock, ms since 1970.
    #[must_use]
    pub fn time_at(&self, at: Offset) -> Option<u64> {
        let reached = self.times.partition_point(|(mark, _)| *mark <= at);
        let (_, ms) = self.times.get(reached.checked_sub(1)?)?;
        Some(*ms)
    }

    /// Bytes a second, over the last minute or less; `None` below two seconds.
    #[must_use]
    pub fn rate(&self) -> Option<u64> {
        let (edge, now) = *self.times.back()?;
        let minute = now.saturating_sub(RATE_MS);
        let reached = self.times.partition_point(|(_, ms)| *ms <= minute);
        // The first chunk of a run is a burst, of bytes that had been arriving before.
        let burst = usize::from(self.times.front().is_some_and(|(at, _)| *at == self.start));
        let (from, then) = *self.times.get(reached.saturating_sub(1).max(burst))?;
        let (bytes, ms) = (edge.since(from)?, now - then);
        let rate = bytes.saturating_mul(1000).checked_div(ms)?;
        (ms >= RATE_MIN_MS && rate > 0).then_some(rate)
    }

    /// Any byte is as good a start as any other (R-JOIN-9).
    fn is_blind(&self) -> bool {
        self.syncs.is_empty()
            && !self.window.is_empty()
            && (self.format == Format::Opaque || self.window.len() >= BLIND)
    }

    /// The first place at or after `at` where a late joiner may start.
    pub(crate) fn sync_from(&self, at: Offset) -> Option<Offset> {
        let at = at.max(self.window.first);
        if self.is_blind() {
            return (at < self.window.next).then_some(at);
        }
        let before = self.syncs.partition_point(|sync| *sync < at);
        let sync = self.syncs.get(before)?;
        (*sync <= self.window.next).then_some(*sync)
    }

    /// Where a late joiner starts who wants `target`: at the first sync point from there on, else at the last one before
    /// (R-JOIN-3).
    pub(crate) fn join(&self, target: Offset) -> Option<Offset> {
        let before = || {
            let before = self.syncs.partition_point(|sync| *sync < target);
            self.syncs.get(before.checked_sub(1)?).copied()
        };
        self.sync_from(target).or_else(before)
    }
}

/// The text, or as much of it as may be kept, its quote closed.
fn fitting(text: Bytes) -> Bytes {
    if text.len() <= MAX_TITLE {
        return text;
    }
    let mut cut = MAX_TITLE - 2;
    // Not within a character of UTF-8, which is at most four bytes.
    while cut > MAX_TITLE - 6 && text[cut] & 0xc0 == 0x80 {
        cut -= 1;
    }
    Bytes::from([&text[..cut], b"';"].concat())
}
