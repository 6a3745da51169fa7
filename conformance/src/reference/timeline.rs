//! What the server knows of a mount: its runs in order. No clock, no sockets.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};

use super::heard::Heard;
use super::names;
use super::scan::Scan;
use crate::content::pages;

/// A new listener gets so many bytes at once.
pub(crate) const BURST: u64 = 65_536;
/// Splices that are remembered after the bytes have gone (R-SPLICE-7).
const REMEMBERED: usize = 64;
/// A title's text is no longer (R-ICY-9).
const LONGEST_TITLE: usize = 4032;

/// Epochs, for the bug that counts them.
static MINTED: AtomicU64 = AtomicU64::new(1);

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
    /// Its chunks.
    pub(crate) heard: Heard,
    pub(crate) then: Then,
    /// Where the run after the splice is entered, if a parent has said so.
    pub(crate) target: Option<u64>,
    /// Headers that a bug leaves out, while they come.
    front: Vec<u8>,
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
    pub(super) fn sync(&self, target: u64) -> Option<u64> {
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
    pub(super) fn arrived(&self, at: u64) -> Option<u64> {
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

/// A mount's runs.
#[derive(Debug, Default)]
pub(crate) struct Timeline {
    pub(crate) content_type: String,
    pub(crate) runs: VecDeque<Run>,
    count: u64,
    pub(super) bug: Option<&'static str>,
}

impl Timeline {
    pub(crate) fn new(bug: Option<&'static str>) -> Self {
        Self {
            bug,
            ..Self::default()
        }
    }

    pub(super) fn is(&self, bug: &str) -> bool {
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
            heard: Heard::new(begins, self.bug),
            then: Then::Running,
            target: None,
            front: Vec::new(),
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
            epoch[8..].copy_from_slice(&MINTED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
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

    /// Bytes have come: at a time by the minter's clock, if they bring none along, and now by our own.
    pub(crate) fn push(&mut self, bytes: &[u8], ms: Option<u64>, now: u64) {
        let front;
        let mut bytes = bytes;
        let uncounted = self.is("headers-do-not-count");
        let Some(run) = self.runs.back_mut() else {
            return;
        };
        let mut left_out = 0;
        if uncounted && run.next() == 0 && (bytes.starts_with(b"OggS") || !run.front.is_empty()) {
            // They may come in pieces.
            run.front.extend(bytes);
            let pages = pages(&run.front);
            if pages.iter().all(|page| page.header) {
                return;
            }
            let headers = pages.iter().take_while(|page| page.header);
            left_out = headers.map(|page| page.length).sum();
            front = std::mem::take(&mut run.front);
            bytes = &front;
        }
        if let Some(ms) = ms {
            let next = run.next();
            run.times.push_back((next, ms));
        }
        run.scan.push(bytes);
        if left_out > 0 {
            run.scan.shift(left_out as u64);
        }
        run.bytes.extend(&bytes[left_out..]);
        run.heard.push(&bytes[left_out..], now);
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
        if pads && !relayed {
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
}
