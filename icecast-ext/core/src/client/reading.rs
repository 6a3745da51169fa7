//! The body of an answer, on its way to the caller.

use std::time::Duration;

use bytes::Bytes;

use crate::address::Position;
use crate::anchor::Evidence;
use crate::codec::Format;
use crate::field::StreamWindow;
use crate::icy::{Deinterleaver, Part};

use super::answer::{Answer, Entry, Head, Past, Rate};
use super::ask::Ask;
use super::event::{Event, Move, Out, Why};
use super::history::{History, Pace};
use super::options::{Conn, Options};
use super::stitch::Stitch;
use super::titles::Titles;
use super::witness::Witness;

/// Epochs that are remembered after they were left.
const MAX_PAST: usize = 8;
/// Blocks that are kept until the first audio byte …
const MAX_EARLY: usize = 16;
/// … and their bytes: two of the longest.
const MAX_EARLY_BYTES: usize = 8 << 10;

/// The stream as it was heard so far.
#[derive(Debug)]
pub(super) struct Heard {
    /// The next byte wanted.
    pub(super) position: Option<Position>,
    /// Epochs heard before that of `position`, the latest last.
    pub(super) past: Vec<Past>,
    /// Audio was heard, and how many bytes.
    pub(super) any: bool,
    pub(super) total: u64,
    /// The relay that it came from last, and its URL without credentials.
    relay: Option<(usize, String)>,
    /// The change of relay with which the last answer began, if it did.
    pub(super) moved: Option<Move>,
    /// When.
    at: Duration,
    pub(super) history: History,
    pace: Pace,
    witness: Option<Witness>,
    titles: Titles,
}

impl Heard {
    pub(super) fn new(position: Option<Position>, options: &Options) -> Self {
        let mut titles = Titles::default();
        titles.began(position);
        Self {
            position,
            past: Vec::new(),
            any: false,
            total: 0,
            relay: None,
            moved: None,
            at: Duration::ZERO,
            history: History::new(options.history),
            pace: Pace::default(),
            witness: options.evidence.then(Witness::default),
            titles,
        }
    }

    /// Audio is expected from here.
    pub(super) fn open(&mut self, reading: &Reading) {
        self.pace.open(reading.opened, reading.rate);
        if let Some(witness) = &mut self.witness {
            witness.open(reading.opened, reading.window);
        }
    }

    /// What can be said to a relay that does not know the position.
    pub(super) fn evidence(&self, now: Duration) -> Option<Evidence> {
        self.witness.as_ref()?.evidence(now)
    }

    /// What follows does not follow what was heard.
    fn forget(&mut self) {
        if let Some(witness) = &mut self.witness {
            witness.forget();
        }
    }

    /// What follows stands at `to`.
    fn go(&mut self, to: Option<Position>, over: bool) {
        let from = std::mem::replace(&mut self.position, to);
        let Some(end) = from.filter(|from| to.is_none_or(|to| to.epoch != from.epoch)) else {
            return;
        };
        self.past.retain(|left| {
            left.end.epoch != end.epoch && to.is_none_or(|to| to.epoch != left.end.epoch)
        });
        if self.past.len() == MAX_PAST {
            self.past.remove(0);
        }
        self.past.push(Past { end, over });
    }
}

/// A connection whose answer was accepted.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) conn: Conn,
    pub(super) relay: usize,
    pub(super) shown: String,
    /// Since when it was wanted.
    since: Duration,
    rate: Option<Rate>,
    window: Option<StreamWindow>,
    content_type: Option<String>,
    format: Format,
    aware: bool,
    blocks: Option<Deinterleaver>,
    prelude_left: u64,
    /// To be told with the first audio; `None`: to be skipped.
    prelude: Option<Vec<u8>>,
    /// Canonical bytes that were heard already.
    skip: u64,
    entry: Option<Entry>,
    stitch: Option<Stitch>,
    early: Vec<Bytes>,
    pub(super) opened: Duration,
    last: Duration,
    /// Canonical bytes that were told.
    pub(super) told: u64,
}

impl Reading {
    /// What `ask` got, from the relay of this name; it was wanted since then.
    pub(super) fn new(
        now: Duration,
        (ask, shown, since): (&Ask, String, Duration),
        head: &Head<'_>,
        answer: Answer,
        entry: Entry,
    ) -> Self {
        let prelude_left = answer.offset.map_or(0, |offset| offset.prelude);
        let skip = match entry {
            Entry::Continue(skip) | Entry::Lost(_, skip) => skip,
            _ => 0,
        };
        let stitched = matches!(entry, Entry::Stitch(_));
        Self {
            conn: ask.conn,
            relay: ask.relay,
            shown,
            since,
            rate: head.rate(),
            window: head.window(),
            content_type: answer.content_type,
            format: answer.format,
            aware: answer.offset.is_some(),
            blocks: answer.metaint.map(Deinterleaver::new),
            prelude_left,
            prelude: (!matches!(entry, Entry::Continue(_))).then(Vec::new),
            skip,
            stitch: stitched.then(Stitch::new),
            entry: Some(entry),
            early: Vec::new(),
            opened: now,
            last: now,
            told: 0,
        }
    }

    /// After a hole it has brought nothing that was not heard before.
    pub(super) const fn only_repeats(&self) -> bool {
        matches!(self.entry, Some(Entry::Lost(_, skip)) if skip > 0)
    }

    /// So many bytes were heard elsewhere: they come here, too, and are skipped.
    pub(super) fn overtaken(&mut self, bytes: u64) {
        self.skip = self.skip.saturating_add(bytes);
        if let Some(Entry::Anchored(at, _)) = &mut self.entry {
            at.offset = at.offset.saturating_add(bytes);
        }
    }

    /// All that was heard elsewhere has come here, too.
    pub(super) const fn has_caught_up(&self) -> bool {
        self.skip == 0 && self.prelude_left == 0
    }

    /// When to call [`Reading::stitch_if_due`] at the latest.
    pub(super) fn stitch_due(&self) -> Option<Duration> {
        self.stitch.as_ref()?.due()
    }

    /// When the connection counts as dead.
    pub(super) fn silent_at(&self, silence: Duration) -> Duration {
        self.last + silence
    }

    /// Body bytes, in any split.
    pub(super) fn feed(&mut self, now: Duration, bytes: Bytes, heard: &mut Heard, out: &mut Out) {
        if bytes.is_empty() {
            return;
        }
        self.last = now;
        let Some(blocks) = &mut self.blocks else {
            return self.audio(now, bytes, heard, out);
        };
        let mut parts = Vec::new();
        blocks.feed(bytes, &mut parts);
        for part in parts {
            match part {
                Part::Audio(bytes) => self.audio(now, bytes, heard, out),
                Part::Block(text) => self.block(text, heard, out),
            }
        }
    }

    fn audio(&mut self, now: Duration, mut bytes: Bytes, heard: &mut Heard, out: &mut Out) {
        let prelude = bytes.split_to(at_most(self.prelude_left, bytes.len()));
        self.prelude_left -= prelude.len() as u64;
        if let Some(kept) = &mut self.prelude {
            kept.extend_from_slice(&prelude);
        }
        let repeated = bytes.split_to(at_most(self.skip, bytes.len()));
        self.skip -= repeated.len() as u64;
        if bytes.is_empty() {
            return;
        }
        if let Some(stitch) = &mut self.stitch {
            stitch.audio(now, &bytes);
            return self.stitch_if_due(now, heard, out);
        }
        self.enter(now, heard, out);
        self.tell(now, bytes, heard, out);
    }

    fn block(&mut self, text: Bytes, heard: &mut Heard, out: &mut Out) {
        if let Some(stitch) = &mut self.stitch {
            stitch.title(text);
        } else if self.entry.is_none() {
            heard.titles.block(&text, heard.position, out);
        } else {
            let most = MAX_EARLY_BYTES - text.len();
            while self.early.len() == MAX_EARLY
                || self.early.iter().map(Bytes::len).sum::<usize>() > most
            {
                self.early.remove(0);
            }
            // Not a part of whatever it came in, which would be kept as well.
            self.early.push(Bytes::copy_from_slice(&text));
        }
    }

    fn tell(&mut self, now: Duration, bytes: Bytes, heard: &mut Heard, out: &mut Out) {
        if bytes.is_empty() {
            return;
        }
        heard.position = heard.position.map(|position| after(position, bytes.len()));
        heard.history.push(&bytes);
        heard.pace.feed(now, &bytes);
        if let Some(witness) = &mut heard.witness {
            witness.feed(now, &bytes, heard.position);
        }
        heard.at = now;
        heard.total += bytes.len() as u64;
        self.told += bytes.len() as u64;
        out.push(Event::Audio(bytes));
    }

    /// The first audio byte is here: what its answer means takes effect.
    fn enter(&mut self, now: Duration, heard: &mut Heard, out: &mut Out) {
        let Some(entry) = self.entry.take() else {
            return;
        };
        let from = heard.position;
        match &entry {
            Entry::Join(at) => heard.position = *at,
            Entry::Spliced(to) => heard.go(Some(*to), true),
            Entry::Lost(loss, _) => heard.go(loss.at, false),
            Entry::Anchored(to, _) => heard.go(Some(*to), false),
            Entry::Continue(_) | Entry::Stitch(_) | Entry::Stitched => {}
        }
        if !heard.any {
            heard.any = true;
            out.push(Event::Joined {
                url: self.shown.clone(),
                at: heard.position,
                content_type: self.content_type.take(),
            });
        }
        let before = heard.relay.replace((self.relay, self.shown.clone()));
        heard.moved = before
            .filter(|(relay, _)| *relay != self.relay)
            .map(|(_, from)| Move {
                from,
                to: self.shown.clone(),
                proof: entry.proof(),
                lost: entry.loss().cloned().map(Box::new),
                took: now.saturating_sub(self.since),
            });
        if let Some(moved) = &heard.moved {
            out.push(Event::Moved(moved.clone()));
        }
        match entry {
            Entry::Lost(loss, _) => {
                heard.history.clear();
                heard.forget();
                heard.titles.began(heard.position);
                out.push(Event::Lost(loss));
            }
            Entry::Join(at) => heard.titles.began(at),
            Entry::Spliced(to) => {
                heard.forget();
                heard.titles.began(Some(to));
                if let Some(from) = from {
                    out.push(Event::Spliced { from, to });
                }
            }
            Entry::Anchored(at, by) => {
                heard.titles.began(Some(at));
                out.push(Event::Anchored { at, by });
            }
            Entry::Stitched => out.push(Event::Stitched { at: from }),
            Entry::Continue(_) | Entry::Stitch(_) => {}
        }
        if let Some(prelude) = self.prelude.take().filter(|prelude| !prelude.is_empty()) {
            out.push(Event::Prelude(prelude.into()));
        }
        let early = std::mem::take(&mut self.early);
        // Without places, only the last title before the first byte is in force there.
        let ended = if self.aware {
            0
        } else {
            early.len().saturating_sub(1)
        };
        for text in early.into_iter().skip(ended) {
            heard.titles.block(&text, heard.position, out);
        }
    }

    /// Decides about the burst, if it is complete.
    pub(super) fn stitch_if_due(&mut self, now: Duration, heard: &mut Heard, out: &mut Out) {
        if self.stitch_due().is_some_and(|due| due <= now) {
            self.stitch(now, true, heard, out);
        }
    }

    /// The body has ended: a burst that is not complete can prove continuity, but not refute it.
    pub(super) fn end(&mut self, now: Duration, heard: &mut Heard, out: &mut Out) {
        self.stitch(now, false, heard, out);
    }

    fn stitch(&mut self, now: Duration, complete: bool, heard: &mut Heard, out: &mut Out) {
        let Some(stitch) = self.stitch.take() else {
            return;
        };
        let Some(Entry::Stitch(mut loss)) = self.entry.clone() else {
            return;
        };
        let rate = heard.pace.rate();
        match stitch.decide(&mut heard.history, self.format, heard.at, rate) {
            Ok(index) => {
                self.prelude = None;
                self.skip = index as u64;
                self.entry = Some(Entry::Stitched);
            }
            Err(_) if !complete => return,
            Err(unproven) => {
                if loss.why == Why::Unaware {
                    loss.why = Why::Unproven(unproven);
                }
                self.entry = Some(Entry::Lost(loss, 0));
            }
        }
        let (burst, titles) = stitch.into_parts();
        let mut done = 0;
        for (index, text) in titles {
            self.audio(now, burst.slice(done..index), heard, out);
            self.block(text, heard, out);
            done = index;
        }
        self.audio(now, burst.slice(done..), heard, out)
    }
}

fn after(position: Position, bytes: usize) -> Position {
    Position {
        offset: position.offset.saturating_add(bytes as u64),
        ..position
    }
}

fn at_most(wanted: u64, len: usize) -> usize {
    usize::try_from(wanted).unwrap_or(usize::MAX).min(len)
}
