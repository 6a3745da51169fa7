//! What a mount decides about a request, from its timeline alone.

use super::ask::{Ask, From, Miss};
use super::timeline::{BURST, Run, Then, Timeline};

/// What is reckoned with while the rate is not known (R-AHEAD-3).
const RATE: u64 = 16_000;

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

impl Timeline {
    /// What becomes of a request.
    pub(crate) fn decide(&self, ask: &Ask, feed: bool) -> Decision {
        match &ask.from {
            From::Live => self.live(feed),
            From::Oldest if self.is("feeds-from-live") => self.live(feed),
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
        if self.is("half-a-prelude") && self.content_type == "application/ogg" {
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
            let held = offset < next && run.then != Then::Running && !spliced;
            if self.is("compares-epochs") && held {
                // As if the position was one of the epoch at the edge.
                let edge = self.runs.back().map_or(0, Run::next);
                if offset > edge {
                    return Decision::Refuse(412);
                }
            }
            if offset < run.first {
                return match self.bug {
                    Some("zero-is-live") if offset == 0 && !feed => self.live(feed),
                    _ => self.miss(asked, ask, feed, None),
                };
            }
            let waits = run.then == Then::Unknown && offset == next && !feed;
            let edge = run.then == Then::Running && offset == next && !feed;
            if edge && self.is("edge-is-412") {
                return Decision::Refuse(412);
            }
            if waits && self.is("ended-is-412") {
                return Decision::Refuse(412);
            }
            let ended = run.then != Then::Running;
            if offset < next || offset == next && (!ended || feed || run.then == Then::Unknown) {
                return self.exact(index, offset, asked, spliced, ask, feed);
            }
            match run.then {
                Then::Running | Then::Unknown => return self.ahead(run, offset, ask),
                Then::Undeclared => {
                    let gap = self
                        .runs
                        .get(index + 1)
                        .is_some_and(|then| then.epoch == run.epoch);
                    if gap && self.is("gaps-are-ahead") {
                        return Decision::Refuse(412);
                    }
                    if gap && self.is("misses-go-back") && ask.miss != Miss::Fail {
                        let at = run.sync(next).unwrap_or(run.first);
                        return Decision::Start(self.start(run, at, feed));
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
                        Some("splices-to-the-start") => then.begins + offset - next,
                        Some("splices-one-further") => {
                            entry + offset - next + u64::from(offset > next)
                        }
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
        if spliced {
            start.prelude = run.scan.prelude(at).to_vec();
        }
        start.spliced = spliced && !self.is("no-spliced");
        Decision::Start(start)
    }

    fn ahead(&self, run: &Run, offset: u64, ask: &Ask) -> Decision {
        let mut rate = run.rate().unwrap_or(RATE);
        if self.is("guesses-40000") && run.rate().is_none() {
            rate = 40_000;
        }
        let far = offset - run.next() > 30 * rate;
        match self.bug {
            Some("miss-ahead") if ask.said => self.live(false),
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
            Some("absent-miss-is-live") if !ask.said => miss = Miss::Live,
            Some("miss-live-is-oldest") if miss == Miss::Live && ask.max_lag.is_none() => {
                miss = Miss::Oldest
            }
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
                Some("oldest-skips-one") if from.is_none() => {
                    run.sync(found + 5000).unwrap_or(found)
                }
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
