//! Bodies of answers to listeners: audio, ICY blocks, splices.

use std::io;

use tokio::io::AsyncWriteExt as _;

use super::ask::Ask;
use super::decide::Start;
use super::listener::{Answer, METAINT};
use super::mount::{Mount, Seat, State};
use super::scan;
use super::serve::{Client, House};
use super::timeline::{Run, Then};
use crate::icy;

/// Bytes that are sent at once.
const PIECE: usize = 16 * 1024;
/// Earlier titles that a first block names (R-ICY-5).
const EARLIER: usize = 7;

/// A body on its way.
pub(crate) struct Body {
    run: u64,
    at: u64,
    aware: bool,
    /// Whether the request named a largest lag: for the bug that applies it on the way.
    lags: bool,
    begun: bool,
    /// For the bugs that put octets into a body, and change them.
    adds: bool,
    damages: bool,
    anchored: bool,
    /// Octets of body that may still be sent.
    left: Option<u64>,
    icy: Option<Blocks>,
}

/// ICY blocks on their way.
struct Blocks {
    /// Audio before the next one.
    until: usize,
    /// The run and the offset of the latest title that was named.
    named: Option<(u64, u64)>,
    first: bool,
}

enum Step {
    Send(Vec<u8>),
    Wait,
    End,
}

impl Body {
    pub(crate) fn new(house: &House, ask: &Ask, start: &Start, answer: &Answer) -> Self {
        let fresh = answer.metaint.map(|metaint| Blocks {
            until: if house.config.is("phase-is-kept") {
                metaint - usize::try_from(start.at % metaint as u64).unwrap_or(0)
            } else {
                metaint
            },
            named: None,
            first: true,
        });
        let going_on = answer.going_on.map(|(until, named)| Blocks {
            until,
            named: named.map(|at| (start.run, at)),
            first: false,
        });
        Self {
            run: start.run,
            at: start.at,
            aware: ask.aware,
            lags: ask.max_lag.is_some(),
            begun: false,
            adds: false,
            damages: false,
            anchored: answer.anchored,
            left: None,
            icy: fresh.or(going_on),
        }
    }

    /// Leaves bytes out.
    pub(crate) fn skip(&mut self, bytes: u64) {
        self.at += bytes;
    }

    /// Ends after so many octets.
    pub(crate) fn limit(&mut self, left: Option<u64>) {
        self.left = left;
    }

    /// Sends it, until it ends or somebody ends it.
    pub(crate) async fn run(
        &mut self,
        house: &House,
        mount: &Mount,
        client: &mut Client,
        seat: Option<&Seat>,
    ) -> io::Result<()> {
        let mpeg = mount.lock().timeline.content_type == "audio/mpeg";
        self.adds = mpeg && house.config.is("more-for-the-unaware");
        let relayed = house.config.upstream.is_some() && !mount.path.contains("above");
        self.damages = relayed && house.config.is("another-byte-at-relays");
        let mut changes = mount.watch();
        let mut cuts = mount.watch_cuts();
        let ended = seat.map(|seat| seat.ended.clone());
        let mut behind = [0; 512];
        loop {
            changes.mark_unchanged();
            let step = self.step(house, &mount.lock());
            let act = async {
                match step {
                    Step::End => Ok(false),
                    Step::Send(octets) => client.stream.write_all(&octets).await.map(|()| true),
                    // What a listener says is none of our business, but that it goes is.
                    Step::Wait => tokio::select! {
                        changed = changes.changed() => Ok(changed.is_ok()),
                        read = tokio::io::AsyncReadExt::read(&mut client.stream, &mut behind) => {
                            read.map(|read| read > 0)
                        }
                    },
                }
            };
            let over = async {
                match ended.clone() {
                    Some(mut ended) => {
                        let _ = ended.wait_for(|is| *is).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let goes_on = tokio::select! {
                goes_on = act => goes_on?,
                _ = cuts.changed() => false,
                () = over => false,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn step(&mut self, house: &House, state: &State) -> Step {
        let is = |bug: &str| house.config.is(bug);
        let Some(run) = state.timeline.run(self.run) else {
            return Step::End;
        };
        if self.left == Some(0) {
            return Step::End;
        }
        if self.at < run.first {
            return Step::End;
        }
        let behind = run.next().saturating_sub(self.at) > 20_000;
        if is("max-lag-on-the-way") && self.lags && self.begun && behind {
            self.at = run.next();
        }
        self.begun = true;
        if self.at < run.next() {
            return Step::Send(self.audio(house, run));
        }
        if matches!(run.then, Then::Running | Then::Unknown) {
            return Step::Wait;
        }
        let undeclared = run.then == Then::Undeclared;
        let carried = !self.aware || is("carries-the-aware");
        let stays = undeclared && self.anchored && !is("carries-over-undeclared");
        if !carried || stays || !scan::goes_on(&state.timeline.content_type) || is("carries-nobody")
        {
            return Step::End;
        }
        let Some(next) = state.timeline.after(self.run) else {
            return Step::Wait;
        };
        let Some(entry) = run.target.or(next.entry()) else {
            return Step::Wait;
        };
        self.run = next.id;
        self.at = entry;
        Step::Send(next.scan.prelude(entry).to_vec())
    }

    fn audio(&mut self, house: &House, run: &Run) -> Vec<u8> {
        let held = usize::try_from(run.next() - self.at).unwrap_or(usize::MAX);
        let mut count = held.min(PIECE);
        if let Some(left) = self.left {
            count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if let Some(icy) = &mut self.icy {
            if icy.until == 0 {
                icy.until = METAINT;
                return self.block(house, run);
            }
            count = count.min(icy.until);
            icy.until -= count;
        }
        let skip = usize::try_from(self.at - run.first).unwrap_or(usize::MAX);
        let mut out: Vec<u8> = run.bytes.range(skip..).take(count).copied().collect();
        if self.damages {
            // One byte in 10,000.
            let at = self.at;
            let chosen = out
                .iter_mut()
                .enumerate()
                .filter(|(index, _)| (at + *index as u64) % 10_000 == 77);
            chosen.for_each(|(_, byte)| *byte ^= 1);
        }
        self.at += count as u64;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        let plain = !self.aware && self.icy.is_none() && !self.anchored;
        if self.adds && plain && self.at.is_multiple_of(3) {
            out.push(0);
        }
        out
    }

    fn block(&mut self, house: &House, run: &Run) -> Vec<u8> {
        let Some(icy) = &mut self.icy else {
            return Vec::new();
        };
        let named = icy.named.filter(|(of, _)| *of == run.id).map(|(_, at)| at);
        let (text, latest) = if self.aware {
            aware(house, run, self.at, named, icy.first)
        } else {
            unaware(house, run, self.at, named)
        };
        icy.first = false;
        if let Some(latest) = latest {
            icy.named = Some((run.id, latest));
        }
        icy::block(&text)
    }
}

/// The text of a block for a client that is not aware (R-ICY-7), and the place of the title.
pub(crate) fn unaware(
    house: &House,
    run: &Run,
    at: u64,
    named: Option<u64>,
) -> (Vec<u8>, Option<u64>) {
    match run.title(at) {
        Some((from, text))
            if named.is_none_or(|named| named < *from) || house.config.is("repeats-titles") =>
        {
            (text.clone(), Some(*from))
        }
        _ => (Vec::new(), named),
    }
}

/// The text of a block for an aware client (R-ICY-4 to R-ICY-6), and the latest title in it.
fn aware(
    house: &House,
    run: &Run,
    at: u64,
    named: Option<u64>,
    first: bool,
) -> (Vec<u8>, Option<u64>) {
    let is = |bug: &str| house.config.is(bug);
    let known: Vec<_> = run.titles.iter().filter(|(from, _)| *from <= at).collect();
    let most = if is("only-the-title-in-force") {
        1
    } else {
        EARLIER + 1
    };
    let mut due: Vec<_> = if first {
        known.iter().rev().take(most).copied().collect()
    } else {
        known
            .iter()
            .rev()
            .take_while(|(from, _)| named.is_none_or(|named| *from > named))
            .copied()
            .collect()
    };
    if !first && is("later-blocks-name-one") {
        due.truncate(1);
    }
    let text = |titles: &[&(u64, Vec<u8>)]| -> Vec<u8> {
        let mut out = Vec::new();
        for (from, text) in titles {
            out.extend_from_slice(text);
            if !is("no-stream-at") {
                let from = if is("stream-at-of-the-block") {
                    at
                } else {
                    *from
                };
                out.extend_from_slice(format!("StreamAt='{from}';").as_bytes());
            }
        }
        out
    };
    // A first block leaves the oldest out, a later one the latest.
    while text(&due).len() > 4080 {
        if first {
            due.pop();
        } else {
            due.remove(0);
        }
    }
    let latest = due.first().map(|(from, _)| *from).or(named);
    (text(&due), latest)
}
