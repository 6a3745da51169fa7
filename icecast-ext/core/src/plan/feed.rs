//! The relay feed: frames around the audio.

use bytes::Bytes;

use super::{Body, Cursor, End, Step};
use crate::address::{Offset, Position};
use crate::frame::{Frame, MAX_DATA};
use crate::timeline::{Run, Span, Timeline};

/// Where a feed is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Feed {
    /// Audio bytes left of the DATA frame that has begun.
    pub(super) left: u32,
    /// The tick in which something was last sent.
    pub(super) tick: u32,
    /// FORMAT has been sent.
    pub(super) opened: bool,
    /// What has been told of the byte that comes next.
    pub(super) told: Told,
}

/// Events at one offset that have been sent. No two of a kind are at one offset.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Told {
    pub(super) prelude: bool,
    pub(super) title: bool,
    pub(super) time: bool,
}

impl Feed {
    pub(super) fn new() -> Self {
        Self {
            left: 0,
            tick: 0,
            opened: false,
            told: Told::default(),
        }
    }

    pub(super) fn pass(&mut self, n: u64) {
        self.left = u32::try_from(n).map_or(0, |n| self.left.saturating_sub(n));
        self.told = Told::default();
    }

    /// FORMAT and all that is in force at `at` (R-FEED-2).
    fn open(&mut self, run: &Run, at: Offset, out: &mut Vec<u8>) {
        let format = Frame::Format {
            epoch: run.epoch,
            offset: at,
            tick_ms: run.tick_ms,
            fields: run.fields.clone(),
        };
        format.encode(out);
        let mut told = Told::default();
        let reached = run.preludes.partition_point(|(from, _)| *from <= at);
        if let Some((from, bytes)) = reached.checked_sub(1).and_then(|i| run.preludes.get(i)) {
            told.prelude = *from == at;
            if !bytes.is_empty() {
                prelude(*from, bytes).encode(out);
            }
        }
        let reached = run.titles.partition_point(|title| title.at <= at);
        for title in run.titles.range(..reached) {
            told.title = title.at == at;
            title_frame(title.at, &title.text).encode(out);
        }
        let reached = run.times.partition_point(|(mark, _)| *mark <= at);
        if let Some((mark, ms)) = reached.checked_sub(1).and_then(|i| run.times.get(i)) {
            told.time = *mark == at;
            Frame::Time { at: *mark, ms: *ms }.encode(out);
        }
        self.opened = true;
        self.told = told;
    }

    /// What is told of the byte at `at` and has not been told yet.
    fn events(&mut self, run: &Run, at: Offset, out: &mut Vec<u8>) {
        if !self.told.prelude
            && let Ok(i) = run.preludes.binary_search_by_key(&at, |(from, _)| *from)
        {
            self.told.prelude = true;
            prelude(at, &run.preludes[i].1).encode(out);
        }
        if !self.told.title
            && let Ok(i) = run.titles.binary_search_by_key(&at, |title| title.at)
        {
            self.told.title = true;
            title_frame(at, &run.titles[i].text).encode(out);
        }
        if !self.told.time
            && let Ok(i) = run.times.binary_search_by_key(&at, |(mark, _)| *mark)
        {
            self.told.time = true;
            let ms = run.times[i].1;
            Frame::Time { at, ms }.encode(out);
        }
    }
}

impl Cursor {
    pub(super) fn feed_step(
        &mut self,
        timeline: &Timeline,
        index: usize,
        span: &Span,
        max: u64,
        tick: u32,
    ) -> Step {
        let Body::Feed(mut feed) = self.body else {
            return Step::Wait;
        };
        let at = self.at.offset;
        let held = span.next.since(at).unwrap_or(0);
        if feed.left > 0 {
            let audio = u64::from(feed.left).min(held).min(max);
            if audio == 0 {
                return Step::Wait;
            }
            self.pass(audio);
            return Step::Audio(audio);
        }
        let mut out = Vec::new();
        let run = timeline.run_of(index);
        match run {
            Some(run) if feed.opened => feed.events(run, at, &mut out),
            Some(run) => feed.open(run, at, &mut out),
            // The end of a run that is gone.
            None if feed.opened => {}
            None => return Step::End(End::Evicted),
        }
        if let Some(run) = run
            && held > 0
        {
            let until = next_event(run, at).and_then(|event| event.since(at));
            let len = held.min(MAX_DATA).min(until.unwrap_or(u64::MAX));
            let head = Frame::data_head(self.at.offset, len);
            out.extend_from_slice(&head);
            feed.left = u32::try_from(len).unwrap_or(u32::MAX);
        } else if out.is_empty()
            && let Some(splice) = span.splice
        {
            let Some(run) = timeline.run_of(index + 1) else {
                return Step::End(End::Evicted);
            };
            let frame = Frame::Splice {
                declared: splice.declared,
                seamless: splice.seamless,
                end: splice.end,
                to: splice.to,
            };
            frame.encode(&mut out);
            self.at = Position::new(run.epoch, run.window.first);
            self.run = Some(run.id);
            feed.open(run, run.window.first, &mut out);
        } else if out.is_empty() && feed.tick != tick {
            Frame::Keepalive { next: at }.encode(&mut out);
        }
        if out.is_empty() {
            return Step::Wait;
        }
        feed.tick = tick;
        self.body = Body::Feed(feed);
        Step::Overhead(Bytes::from(out))
    }
}

fn prelude(at: Offset, bytes: &Bytes) -> Frame {
    Frame::Prelude {
        at,
        bytes: bytes.clone(),
    }
}

fn title_frame(at: Offset, text: &Bytes) -> Frame {
    Frame::Title {
        at,
        text: text.clone(),
    }
}

/// Where the next event after `at` is.
fn next_event(run: &Run, at: Offset) -> Option<Offset> {
    let preludes = run.preludes.partition_point(|(from, _)| *from <= at);
    let titles = run.titles.partition_point(|title| title.at <= at);
    let times = run.times.partition_point(|(mark, _)| *mark <= at);
    let next = [
        run.preludes.get(preludes).map(|(from, _)| *from),
        run.titles.get(titles).map(|title| title.at),
        run.times.get(times).map(|(mark, _)| *mark),
    ];
    next.into_iter().flatten().min()
}
