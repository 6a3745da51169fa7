//! A naive model of relays.

use std::time::Duration;

use icecast_ext_core::address::{Epoch, Offset, Window};
use icecast_ext_core::field::{From, Miss, Resume, StreamWindow};
use icecast_ext_core::icy::block;

use crate::caller::noise;

/// Bytes a second.
pub(crate) const RATE: u64 = 1000;
pub(crate) const METAINT: usize = 64;
pub(crate) const PRELUDE: &[u8] = b"<head>";

/// Draws of a script.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % n
    }

    pub(crate) fn once_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }
}

pub(crate) struct Run {
    /// When its first byte arrived, in bytes of all runs before.
    pub(crate) begins: u64,
    pub(crate) bytes: Vec<u8>,
    pub(crate) titles: Vec<(u64, String)>,
    /// Where the splice into it leads.
    pub(crate) sync: u64,
    pub(crate) declared: bool,
}

pub(crate) struct Relay {
    /// Bytes behind the source.
    pub(crate) lag: u64,
    /// Bytes held.
    pub(crate) held: u64,
}

pub(crate) struct World {
    pub(crate) runs: Vec<Run>,
    pub(crate) relays: Vec<Relay>,
    pub(crate) icy: bool,
}

pub(crate) enum Verdict {
    Status(u16),
    Start {
        run: usize,
        offset: u64,
        spliced: bool,
        lost: Option<u64>,
        prelude: bool,
    },
}

impl World {
    pub(crate) fn new(dice: &mut Dice, declared: bool, held: u64) -> Self {
        let mut begins = 0;
        let runs = (0..6).map(|n| {
            let len = 3000 + dice.below(9000);
            let titles = (0..len / 700)
                .map(|t| (t * 700 + dice.below(700), format!("{n}/{t}")))
                .collect();
            let run = Run {
                begins,
                bytes: noise(dice.below(1 << 40), usize::try_from(len).unwrap()),
                titles,
                sync: dice.below(50),
                declared: declared || dice.once_in(2),
            };
            begins += len;
            run
        });
        let runs = runs.collect();
        let relays = (0..1 + dice.below(3))
            .map(|_| Relay {
                lag: dice.below(2000),
                held: held + dice.below(1000),
            })
            .collect();
        Self {
            runs,
            relays,
            icy: dice.once_in(2),
        }
    }

    pub(crate) fn end(&self) -> u64 {
        self.runs
            .last()
            .map_or(0, |run| run.begins + run.bytes.len() as u64)
    }

    pub(crate) fn edge(&self, relay: usize, now: Duration) -> u64 {
        let sent = u64::try_from(now.as_millis()).unwrap() * RATE / 1000;
        sent.saturating_sub(self.relays[relay].lag).min(self.end())
    }

    pub(crate) fn window(&self, relay: usize, now: Duration) -> StreamWindow {
        let edge = self.edge(relay, now);
        let (run, next) = self.place(edge.saturating_sub(1));
        let first = edge
            .saturating_sub(self.relays[relay].held)
            .saturating_sub(self.runs[run].begins);
        let [first, next] = [first, next + 1].map(|offset| Offset::new(offset).unwrap());
        StreamWindow {
            epoch: Self::epoch(run),
            window: Window { first, next },
            rate: Some(RATE),
        }
    }

    /// The run that a byte of the whole is in; the edge belongs to the run before.
    pub(crate) fn place(&self, byte: u64) -> (usize, u64) {
        let run = self
            .runs
            .iter()
            .rposition(|run| run.begins <= byte)
            .unwrap();
        (run, byte - self.runs[run].begins)
    }

    pub(crate) fn epoch(run: usize) -> Epoch {
        Epoch::from_bytes([u8::try_from(run + 1).unwrap(); 16])
    }

    pub(crate) fn run(epoch: Epoch) -> usize {
        usize::from(epoch.as_bytes()[0]) - 1
    }

    /// What is lost between two places, if anybody can tell.
    pub(crate) fn between(&self, from: (usize, u64), to: (usize, u64)) -> Option<u64> {
        let (mut run, mut offset, mut lost) = (from.0, from.1, 0);
        while run < to.0 {
            if !self.runs[run + 1].declared {
                return None;
            }
            lost += (self.runs[run].bytes.len() as u64).saturating_sub(offset);
            run += 1;
            offset = self.runs[run].sync;
        }
        lost.checked_add(to.1.checked_sub(offset)?)
    }

    pub(crate) fn resolve(&self, relay: usize, now: Duration, asked: &Resume) -> Verdict {
        let edge = self.edge(relay, now);
        if edge == 0 {
            return Verdict::Status(503);
        }
        let first = edge.saturating_sub(self.relays[relay].held);
        let (last, reach) = self.place(edge.saturating_sub(1));
        let reach = reach + 1;
        let live = |lost| {
            let (run, offset) = self.place(edge.saturating_sub(1500).max(first));
            Verdict::Start {
                run,
                offset,
                spliced: false,
                lost,
                prelude: true,
            }
        };
        let From::At(position) = asked.from else {
            return live(None);
        };
        let (asked_run, asked_offset) = (Self::run(position.epoch), position.offset.get());
        let (mut run, mut offset) = (asked_run, asked_offset);
        if run > last {
            return if asked.miss == Miss::Fail {
                Verdict::Status(412)
            } else {
                live(None)
            };
        }
        while run < last
            && offset >= self.runs[run].bytes.len() as u64
            && self.runs[run + 1].declared
        {
            offset = offset - self.runs[run].bytes.len() as u64 + self.runs[run + 1].sync;
            run += 1;
        }
        let gone = run < last && offset >= self.runs[run].bytes.len() as u64;
        if run == last && offset > reach {
            return Verdict::Status(412);
        }
        if !gone && self.runs[run].begins + offset >= first {
            let spliced = run != asked_run;
            return Verdict::Start {
                run,
                offset,
                spliced,
                lost: None,
                prelude: spliced,
            };
        }
        match asked.miss {
            Miss::Fail => Verdict::Status(412),
            Miss::Live => live(None),
            Miss::Oldest => {
                let next = if gone {
                    self.runs[run + 1].begins + self.runs[run + 1].sync
                } else {
                    first
                };
                let (run, offset) = self.place(next.max(first));
                let lost = self.between((asked_run, asked_offset), (run, offset));
                Verdict::Start {
                    run,
                    offset,
                    spliced: false,
                    lost,
                    prelude: true,
                }
            }
        }
    }

    pub(crate) fn text(&self, run: usize, after: Option<u64>, here: u64) -> String {
        let titles = self.runs[run]
            .titles
            .iter()
            .rev()
            .filter(|(at, _)| *at <= here && after.is_none_or(|after| *at > after));
        titles
            .take(8)
            .map(|(at, text)| format!("StreamTitle='{text}';StreamAt='{at}';"))
            .collect()
    }
}

/// A connection to a model relay.
pub(crate) struct Wire {
    pub(crate) relay: usize,
    pub(crate) run: usize,
    pub(crate) offset: u64,
    pub(crate) phase: usize,
    pub(crate) shown: Option<u64>,
}

impl Wire {
    /// What has arrived for it, and whether it ends there.
    pub(crate) fn read(&mut self, world: &World, now: Duration, most: u64) -> (Vec<u8>, bool) {
        let run = &world.runs[self.run];
        let held = world
            .edge(self.relay, now)
            .saturating_sub(run.begins)
            .min(run.bytes.len() as u64);
        let upto = held.min(self.offset + most);
        let mut out = Vec::new();
        while self.offset < upto {
            out.push(run.bytes[usize::try_from(self.offset).unwrap()]);
            self.offset += 1;
            self.phase += 1;
            if world.icy && self.phase == METAINT {
                self.phase = 0;
                out.extend_from_slice(&block(
                    world.text(self.run, self.shown, self.offset).as_bytes(),
                ));
                self.shown = Some(self.offset);
            }
        }
        (out, self.offset >= run.bytes.len() as u64)
    }
}
