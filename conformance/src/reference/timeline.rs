//! What the server knows of a mount: its runs in order, and what it decides about a request. No clock, no sockets.

use std::collections::VecDeque;

use super::ask::{Ask, From, Miss};
use super::names;
use super::scan::Scan;

/// A new listener gets so many bytes at once.
pub(crate) const BURST: u64 = 65_536;
/// Splices that are remembered after the bytes have gone (R-SPLICE-7).
const REMEMBERED: usize = 64;
/// A title's text is no longer (R-ICY-9).
const LONGEST_TITLE: usize = 4032;
/// What is reckoned with while the rate is not known (R-AHEAD-3).
const RATE: u64 = 16_000;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Then {
    /// It runs.
    Running,
    /// It has ended, and nothing has followed.
    Unknown,
    /// The next run follows, and nothing is lost.
    Declared,
    /// The next run follows; what lies between nobody knows.
    Undeclared,
}

/// A part of an epoch without a gap.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) id: u64,
    pub(crate) epoch: [u8; 16],
    /// The first byte that there ever was here.
    pub(crate) begins: u64,
    /// The oldest byte held.
    pub(crate) first: u64,
    pub(crate) bytes: VecDeque<u8>,
    /// Offset and text, oldest first.
    pub(crate) titles: Vec<(u64, Vec<u8>)>,
    /// Offset and milliseconds since 1970, oldest first.
    pub(crate) times: VecDeque<(u64, u64)>,
    pub(crate) scan: Scan,
    pub(crate) then: Then,
    /// Where the run after the splice is entered, if a parent has said so.
    pub(crate) target: Option<u64>,
}

impl Run {
    /// The edge.
    pub(crate) fn next(&self) -> u64 {
        self.first + self.bytes.len() as u64
    }

    /// Where a splice leads to (R-SPLICE-2); `None` while that is not known.
    pub(crate) fn entry(&self) -> Option<u64> {
        match self.scan.first {
            Some(first) if first < self.begins + BURST || self.scan.free() => Some(first),
            _ if self.next() >= self.begins + BURST => Some(self.begins),
            _ => None,
        }
    }

    /// The first sync point at or after a target, else the last one before it (R-JOIN-3, R-JOIN-9).
    fn sync(&self, target: u64) -> Option<u64> {
        let mut held = self
            .scan
            .syncs
            .iter()
            .copied()
            .filter(|at| *at >= self.first);
        let none = held.clone().next().is_none();
        if self.scan.free() || none && self.bytes.len() as u64 >= BURST {
            return Some(target.max(self.first));
        }
        held.clone().find(|at| *at >= target).or(held.next_back())
    }

    /// When the byte at an offset arrived; `None` if that is longer ago than is known.
    fn arrived(&self, at: u64) -> Option<u64> {
        let found = self.times.iter().rev().find(|(from, _)| *from <= at);
        found.map(|(_, ms)| *ms)
    }

    /// The title in force.
    pub(crate) fn title(&self, at: u64) -> Option<&(u64, Vec<u8>)> {
        self.titles.iter().rev().find(|(from, _)| *from <= at)
    }

    /// Bytes a second, if 2 seconds of arrivals are known (R-FIELD-10).
    pub(crate) fn rate(&self) -> Option<u64> {
        let ((from, begin), (to, end)) = (self.times.front()?, self.times.back()?);
        (end - begin >= 2000).then(|| (to - from) * 1000 / (end - begin))
    }
}

/// Where an answer starts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Start {
    pub(crate) run: u64,
    pub(crate) at: u64,
    pub(crate) prelude: Vec<u8>,
    pub(crate) spliced: bool,
    pub(crate) lost: Option<u64>,
}

/// What becomes of a request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Decision {
    Start(Start),
    /// Wait; and if nothing changes, this status.
    Hold(u16),
    Refuse(u16),
}

/// A mount's runs.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) content_type: String,
    pub(crate) runs: VecDeque<Run>,
    count: u64,
    bug: Option<&'static str>,
}

impl Timeline {
    pub(crate) fn new(bug: Option<&'static str>) -> Self {
        Self {
            bug,
            ..Self::default()
        }
    }

    fn is(&self, bug: &str) -> bool {
        self.bug == Some(bug)
    }

    /// A run begins. What ran has ended by a splice of this kind.
    pub(crate) fn begin(
        &mut self,
        epoch: [u8; 16],
        begins: u64,
        declared: bool,
        target: Option<u64>,
    ) {
        if let Some(last) = self.runs.back_mut() {
            last.then = if declared {
                Then::Declared
            } else {
                Then::Undeclared
            };
            last.target = target;
        }
        self.count += 1;
        self.runs.push_back(Run {
            id: self.count,
            epoch,
            begins,
            first: begins,
            bytes: VecDeque::new(),
            titles: Vec::new(),
            times: VecDeque::new(),
            scan: Scan::new(&self.content_type, begins),
            then: Then::Running,
            target: None,
        });
        while self.runs.len() > REMEMBERED + 1 {
            self.runs.pop_front();
        }
    }

    /// An epoch of our own begins: the minter's part (R-ADDR-1, R-EPOCH-2).
    pub(crate) fn mint(&mut self) {
        let mut epoch = names::random();
        if self.is("epochs-by-counter") {
            epoch = [0; 16];
            epoch[15] = u8::try_from(self.count % 256).unwrap_or(0);
        }
        let mpeg = self.content_type == "audio/mpeg";
        let begins = if self.is("offsets-from-1000") && mpeg {
            1000
        } else {
            0
        };
        let declared = !self.runs.is_empty() && !self.is("splices-undeclared");
        self.begin(epoch, begins, declared, None);
    }

    /// The last run has ended, and nobody knows what follows.
    pub(crate) fn end(&mut self) {
        if let Some(run) = self.runs.back_mut().filter(|run| run.then == Then::Running) {
            run.then = Then::Unknown;
        }
    }

    /// Bytes have come, at a time by the minter's clock.
    pub(crate) fn push(&mut self, bytes: &[u8], ms: Option<u64>) {
        let Some(run) = self.runs.back_mut() else {
            return;
        };
        if let Some(ms) = ms {
            let next = run.next();
            run.times.push_back((next, ms));
        }
        run.scan.push(bytes);
        run.bytes.extend(bytes);
    }

    /// A title, where the next byte will be, or where a parent says.
    pub(crate) fn title(&mut self, at: Option<u64>, text: &[u8]) {
        let (again, low, pads, long) = (
            self.is("titles-twice"),
            self.is("titles-below-the-edge"),
            self.is("titles-with-padding"),
            self.is("titles-without-end"),
        );
        let relayed = at.is_some();
        let Some(run) = self.runs.back_mut() else {
            return;
        };
        let mut text = if long {
            text.to_vec()
        } else {
            text[..text.len().min(LONGEST_TITLE)].to_vec()
        };
        if pads {
            text.resize(text.len().next_multiple_of(16), b' ');
        }
        if run.titles.last().is_some_and(|(_, last)| *last == text) && !again {
            return;
        }
        let mut at = at.unwrap_or(run.next());
        if !relayed {
            if low {
                at = at.saturating_sub(30_000).max(run.begins);
            } else if let Some((last, _)) = run.titles.last() {
                at = at.max(last + 1);
            }
        }
        run.titles.push((at, text));
        if run.titles.len() > 1024 {
            run.titles.remove(0);
        }
    }

    /// Forgets the bytes that arrived before a time, and what belongs to them.
    pub(crate) fn forget(&mut self, before: u64) {
        for run in &mut self.runs {
            let mut first = run.first;
            while let Some((at, _)) = run.times.get(1).filter(|(_, ms)| *ms < before) {
                first = *at;
                run.times.pop_front();
            }
            if run.then != Then::Running && run.times.back().is_none_or(|(_, ms)| *ms < before) {
                first = run.next();
                run.times.clear();
            }
            let gone = usize::try_from(first - run.first)
                .unwrap_or(0)
                .min(run.bytes.len());
            run.bytes.drain(..gone);
            run.first = first;
            let stale = run.scan.syncs.partition_point(|at| *at < first);
            run.scan.syncs.drain(..stale);
        }
    }

    /// The run of an id.
    pub(crate) fn run(&self, id: u64) -> Option<&Run> {
        self.runs.iter().find(|run| run.id == id)
    }

    /// The run after one.
    pub(crate) fn after(&self, id: u64) -> Option<&Run> {
        self.runs.iter().find(|run| run.id > id)
    }

    /// What becomes of a request.
    pub(crate) fn decide(&self, ask: &Ask, feed: bool) -> Decision {
        match &ask.from {
            From::Live => self.live(feed),
            From::Oldest => self.oldest(feed),
            From::Shift(seconds) => self.shift(*seconds),
            From::At(epoch, offset) => self.at(epoch, *offset, ask, feed),
        }
    }

    fn start(&self, run: &Run, at: u64, feed: bool) -> Start {
        let prelude = if feed { &[] } else { run.scan.prelude(at) };
        let mut prelude = prelude.to_vec();
        if self.is("no-prelude") && self.content_type == "application/ogg" {
            prelude.clear();
        }
        if self.is("half-a-prelude") {
            prelude.truncate(47);
        }
        if self.is("webm-without-tracks") && self.content_type == "audio/webm" {
            prelude.truncate(40);
        }
        Start {
            run: run.id,
            at,
            prelude,
            spliced: false,
            lost: None,
        }
    }

    /// A late join with a target in a run.
    fn late(&self, run: &Run, target: u64, feed: bool) -> Decision {
        if feed {
            return Decision::Start(self.start(run, target.max(run.first), feed));
        }
        let mut found = run.sync(target);
        let known = matches!(
            &self.content_type[..],
            "audio/mpeg" | "application/ogg" | "audio/webm"
        );
        match self.bug {
            Some("second-sync-point") if self.content_type == "audio/mpeg" => {
                found = found.and_then(|at| run.sync(at + 1));
            }
            Some("mpeg-mid-frame") if self.content_type == "audio/mpeg" => {
                found = found.map(|at| at + 3)
            }
            Some("ogg-mid-page") if self.content_type == "application/ogg" => {
                found = found.map(|at| at + 30)
            }
            Some("webm-mid-cluster") if self.content_type == "audio/webm" => {
                found = found.map(|at| at + 30)
            }
            Some("unknown-on-thousands") if !known => {
                found = found.map(|at| at.next_multiple_of(1000))
            }
            _ => {}
        }
        match found {
            Some(at) => Decision::Start(self.start(run, at, feed)),
            None => Decision::Hold(503),
        }
    }

    fn live(&self, feed: bool) -> Decision {
        let Some(run) = self.runs.back().filter(|run| !run.bytes.is_empty()) else {
            return Decision::Hold(503);
        };
        self.late(run, run.next().saturating_sub(BURST).max(run.first), feed)
    }

    fn oldest(&self, feed: bool) -> Decision {
        match self.runs.iter().find(|run| !run.bytes.is_empty()) {
            Some(run) if self.is("feeds-from-live") => {
                self.late(run, run.next().saturating_sub(BURST), feed)
            }
            Some(run) => self.late(run, run.first, feed),
            None => Decision::Hold(503),
        }
    }

    fn shift(&self, seconds: f64) -> Decision {
        let Some(run) = self.runs.back().filter(|run| !run.bytes.is_empty()) else {
            return Decision::Hold(503);
        };
        let Some((_, edge)) = run.times.back() else {
            return self.late(run, run.first, false);
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "at most 12 digits of seconds"
        )]
        let goal = edge.saturating_sub((seconds * 1000.0) as u64);
        if self.is("shift-by-bytes") {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "the same"
            )]
            let back = (seconds * 8000.0) as u64;
            return self.late(run, run.next().saturating_sub(back).max(run.first), false);
        }
        let found = run
            .times
            .iter()
            .find(|(at, ms)| *ms >= goal && *at >= run.first);
        let beyond = run.times.front().is_none_or(|(_, ms)| *ms > goal);
        if beyond && self.is("shift-beyond-is-live") {
            return self.live(false);
        }
        self.late(run, found.map_or(run.first, |(at, _)| *at), false)
    }

    fn at(&self, epoch: &[u8; 16], offset: u64, ask: &Ask, feed: bool) -> Decision {
        let mut same = self
            .runs
            .iter()
            .enumerate()
            .filter(|(_, run)| run.epoch == *epoch);
        let holds = same.clone().rev().find(|(_, run)| run.begins <= offset);
        let Some((mut index, _)) = holds.or_else(|| same.next()) else {
            return self.unknown(ask, feed);
        };
        let (asked, mut offset) = ((index, offset), offset);
        let mut spliced = false;
        loop {
            let run = &self.runs[index];
            let next = run.next();
            if self.is("compares-epochs") && run.then != Then::Running && !spliced {
                // As if the position was one of the epoch at the edge.
                let edge = self.runs.back().map_or(0, Run::next);
                if offset > edge {
                    return Decision::Refuse(412);
                }
            }
            if offset < run.first {
                return match self.bug {
                    Some("silent-clamp") => {
                        let mut start = self.start(run, run.first, true);
                        start.at = offset;
                        Decision::Start(start)
                    }
                    Some("evicted-is-412") => Decision::Refuse(412),
                    _ => self.miss(asked, ask, feed, None),
                };
            }
            let ended = run.then != Then::Running;
            if offset < next || offset == next && (!ended || feed || run.then == Then::Unknown) {
                return self.exact(index, offset, asked, spliced, ask, feed);
            }
            match run.then {
                Then::Running | Then::Unknown => return self.ahead(run, offset),
                Then::Undeclared => {
                    let gap = self
                        .runs
                        .get(index + 1)
                        .is_some_and(|then| then.epoch == run.epoch);
                    if gap && self.is("gaps-are-ahead") {
                        return Decision::Refuse(412);
                    }
                    let mut decision = self.miss(asked, ask, feed, Some(index + 1));
                    if let (Decision::Start(start), true) =
                        (&mut decision, self.is("lost-over-undeclared") && !gap)
                    {
                        start.lost = Some(1);
                    }
                    return decision;
                }
                Then::Declared => {
                    let Some(then) = self.runs.get(index + 1) else {
                        return Decision::Hold(503);
                    };
                    let Some(entry) = run.target.or(then.entry()) else {
                        return Decision::Hold(503);
                    };
                    offset = match self.bug {
                        Some("splices-to-the-start") => then.begins,
                        Some("splices-one-further") => entry + offset - next + 1,
                        _ => entry + offset - next,
                    };
                    spliced = true;
                    index += 1;
                }
            }
        }
    }

    fn exact(
        &self,
        index: usize,
        at: u64,
        asked: (usize, u64),
        spliced: bool,
        ask: &Ask,
        feed: bool,
    ) -> Decision {
        let run = &self.runs[index];
        if let Some(max) = ask.max_lag
            && !self.is("ignores-max-lag")
            && let (Some(then), Some((_, edge))) = (
                run.arrived(at),
                self.runs.back().and_then(|run| run.times.back()),
            )
            && let Decision::Start(live) = self.live(feed)
        {
            let last = self.runs.back().map_or(0, Run::next);
            #[expect(clippy::cast_precision_loss, reason = "milliseconds")]
            let lag = match self.is("lag-by-bytes") {
                true => (last - at.min(last)) as f64 / 16_000.0,
                false => edge.saturating_sub(then) as f64 / 1000.0,
            };
            let later = live.run > run.id || live.run == run.id && live.at > at;
            if lag > max && (later || self.is("max-lag-goes-back")) {
                let ask = Ask {
                    miss: if ask.miss == Miss::Fail {
                        Miss::Fail
                    } else {
                        Miss::Live
                    },
                    ..ask.clone()
                };
                return self.miss(asked, &ask, feed, None);
            }
        }
        let mut start = self.start(run, at, feed);
        if !spliced && !self.is("prelude-on-resume") {
            start.prelude.clear();
        }
        start.spliced = spliced && !self.is("no-spliced");
        if self.is("resumes-at-frames") && !spliced && self.content_type == "audio/mpeg" {
            start.at = run
                .scan
                .syncs
                .iter()
                .rev()
                .copied()
                .find(|sync| *sync <= at)
                .unwrap_or(at);
        }
        Decision::Start(start)
    }

    fn ahead(&self, run: &Run, offset: u64) -> Decision {
        let mut rate = run.rate().unwrap_or(RATE);
        if self.is("guesses-40000") && run.rate().is_none() {
            rate = 40_000;
        }
        let far = offset - run.next() > 30 * rate;
        match self.bug {
            Some("miss-ahead") => self.live(false),
            Some("holds-what-is-far") if run.rate().is_some() => Decision::Hold(412),
            Some("never-holds") if !far => Decision::Refuse(412),
            _ if far => Decision::Refuse(412),
            _ => Decision::Hold(412),
        }
    }

    fn unknown(&self, ask: &Ask, feed: bool) -> Decision {
        match ask.miss {
            Miss::Fail => Decision::Refuse(412),
            _ if self.is("unknown-is-412") && !feed => Decision::Refuse(412),
            Miss::Oldest if feed && !self.is("feed-unknown-is-live") => self.oldest(feed),
            Miss::Oldest if self.is("unknown-is-oldest") && !feed => self.oldest(feed),
            _ => {
                let mut decision = self.live(feed);
                if let (Decision::Start(start), true) =
                    (&mut decision, self.is("lost-of-nothing") && !feed)
                {
                    start.lost = Some(0);
                }
                decision
            }
        }
    }

    /// The byte cannot be given: from where on else, and what is lost (R-MISS-1 to R-MISS-9).
    fn miss(&self, asked: (usize, u64), ask: &Ask, feed: bool, from: Option<usize>) -> Decision {
        let mut miss = ask.miss;
        match self.bug {
            Some("miss-is-ignored") if ask.said => miss = Miss::Oldest,
            Some("absent-miss-is-live") if !ask.said => miss = Miss::Live,
            Some("miss-live-is-oldest") if miss == Miss::Live => miss = Miss::Oldest,
            Some("miss-fail-is-503") if miss == Miss::Fail => return Decision::Refuse(503),
            _ => {}
        }
        let decision = match miss {
            Miss::Fail => return Decision::Refuse(412),
            Miss::Live => self.live(feed),
            Miss::Oldest => self.oldest_from(asked, feed, from),
        };
        let Decision::Start(mut start) = decision else {
            return decision;
        };
        start.lost = self.lost(asked, &start);
        match self.bug {
            Some("no-lost") => start.lost = None,
            Some("lost-one-more") => start.lost = start.lost.map(|lost| lost + 1),
            _ => {}
        }
        Decision::Start(start)
    }

    /// The first sync point held at or after a position, in the order of the timeline.
    fn oldest_from(&self, asked: (usize, u64), feed: bool, from: Option<usize>) -> Decision {
        let begin = from.unwrap_or(asked.0);
        for index in begin..self.runs.len() {
            let run = &self.runs[index];
            let at = match (index == asked.0, from == Some(index)) {
                (true, _) => asked.1.max(run.first),
                (_, true) => run
                    .target
                    .or(run.entry())
                    .unwrap_or(run.first)
                    .max(run.first),
                _ => run.first,
            };
            if feed && at < run.next() {
                return self.late(run, at, feed);
            }
            let found = match run.sync(at) {
                Some(sync) if sync >= at && (sync < run.next() || run.then == Then::Running) => {
                    sync
                }
                _ => continue,
            };
            if found >= run.next() {
                continue;
            }
            let found = match self.bug {
                Some("oldest-skips-one") => run.sync(found + 5000).unwrap_or(found),
                _ => found,
            };
            return Decision::Start(self.start(run, found, feed));
        }
        Decision::Hold(503)
    }

    /// How many canonical bytes lie between, if that can be proven.
    fn lost(&self, asked: (usize, u64), start: &Start) -> Option<u64> {
        let to = self.runs.iter().position(|run| run.id == start.run)?;
        if self.runs[asked.0].epoch == self.runs[to].epoch {
            return start.at.checked_sub(asked.1);
        }
        let (mut sum, mut at) = (0, asked.1);
        for index in asked.0..to {
            let run = &self.runs[index];
            if run.then != Then::Declared {
                return None;
            }
            sum += run.next().checked_sub(at)?;
            at = run.target.or(self.runs[index + 1].entry())?;
        }
        Some(sum + start.at.checked_sub(at)?)
    }
}
