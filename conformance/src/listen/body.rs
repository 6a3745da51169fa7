//! The body of an answer: its prelude, its audio, its blocks, and what is counted of them.

use std::io::{self, Write};
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::time::timeout;

use super::Listener;
use super::ask::{Answer, Wire};
use super::blocks::{Blocks, Part};
use super::place::{self, Loss};
use crate::anchor::Proof;
use crate::field::{Position, StreamOffset};
use crate::http::Head;
use crate::reference::names;

/// A connection that brings nothing for so long is dead (R-CLIENT-2).
const SILENCE: Duration = Duration::from_secs(5);
/// No prelude is longer.
const MOST_PRELUDE: usize = 1 << 20;

/// A body, read piece by piece.
struct Pieces {
    ahead: Vec<u8>,
    wire: Box<dyn Wire>,
    silence: Duration,
}

impl Pieces {
    /// The next bytes; `None` at the end, however it comes.
    async fn next(&mut self) -> Option<Vec<u8>> {
        if !self.ahead.is_empty() {
            return Some(std::mem::take(&mut self.ahead));
        }
        let mut piece = vec![0; 16 * 1024];
        match timeout(self.silence, self.wire.read(&mut piece)).await {
            Ok(Ok(read @ 1..)) => {
                piece.truncate(read);
                Some(piece)
            }
            _ => None,
        }
    }
}

/// Where the next byte of a body stands, and where it begins to be new.
struct Counting {
    at: Option<Position>,
    new_from: Option<u64>,
    /// Whether what is not new is counted all the same.
    counts_old: bool,
}

impl<A: Write, S: Write> Listener<A, S> {
    /// Reads a 200 answer to its end.
    pub(super) async fn listen(&mut self, answer: Answer) -> io::Result<()> {
        let Answer {
            url,
            head,
            evidence,
            ahead,
            wire,
        } = answer;
        self.learn(&url, &head);
        let here = place::read(&head, self.bug);
        let silence = match self.is("waits-in-silence") {
            true => Duration::from_secs(600),
            false => SILENCE,
        };
        let mut pieces = Pieces {
            ahead,
            wire,
            silence,
        };
        if let Some(session) = here.as_ref().and_then(|here| here.session.clone()) {
            self.session = Some((url.origin(), session));
        }
        if let Some(here) = &here {
            if self.is("forgets-half-a-prelude") && here.prelude > 0 {
                self.at = Some(here.at.clone());
            }
            if !self.prelude(here.prelude, &mut pieces).await? {
                self.failed(true);
                return Ok(());
            }
        }
        let mut counting = self.begin(&head, here.as_ref(), evidence)?;
        let mut blocks = self.interval(&head);
        let mut brought = false;
        while let Some(piece) = pieces.next().await {
            let parts = match &mut blocks {
                Some(blocks) => blocks.take(&piece),
                None => vec![Part::Audio(piece)],
            };
            for part in parts {
                match part {
                    Part::Audio(audio) => {
                        brought = true;
                        self.audio(&audio, &mut counting)?;
                    }
                    Part::Block(text) => {
                        if self.is("counts-blocks") {
                            self.at = self.at.as_ref().map(|at| at.plus(1 + text.len()));
                        }
                        self.title(&text, here.as_ref())?;
                    }
                }
            }
        }
        if let Some(blocks) = &blocks {
            self.last.left = Some(blocks.left());
            if let Some(half) = blocks.half().filter(|_| self.is("reads-cut-blocks")) {
                let half = half.to_vec();
                self.title(&half, here.as_ref())?;
            }
        }
        match brought {
            true => self.fails = 0,
            false => self.failed(false),
        }
        Ok(())
    }

    /// Gives the prelude to the decoder. Whether all of it has come (R-RESUME-7, R-CLIENT-9).
    async fn prelude(&mut self, length: usize, pieces: &mut Pieces) -> io::Result<bool> {
        let mut left = length;
        if left > MOST_PRELUDE {
            return Ok(false);
        }
        while left > 0 {
            let Some(mut piece) = pieces.next().await else {
                return Ok(false);
            };
            pieces.ahead = piece.split_off(left.min(piece.len()));
            left -= piece.len();
            if !self.is("drops-preludes") {
                self.audio.write_all(&piece)?;
                self.audio.flush()?;
            }
        }
        Ok(true)
    }

    /// Compares where an answer begins with what was asked for, says what is lost, and begins to count.
    fn begin(
        &mut self,
        head: &Head,
        here: Option<&StreamOffset>,
        evidence: bool,
    ) -> io::Result<Counting> {
        let asked = self.at.take();
        let proof = here.and_then(|_| self.witness.proven(head, evidence));
        let anchor = proof == Some(Proof::Anchor);
        let alias = proof == Some(Proof::Alias);
        if here.is_some_and(|here| here.spliced) && !alias {
            self.witness.forget();
        }
        let mut counting = Counting {
            at: here.map(|here| here.at.clone()),
            new_from: None,
            counts_old: false,
        };
        match (&asked, here) {
            (Some(asked), Some(here)) => {
                let follows = alias || anchor && !self.is("proofs-are-losses");
                let loss = place::loss(asked, here).filter(|_| !follows);
                let hidden = match here.lost {
                    Some(_) => self.is("hides-losses"),
                    None => self.is("hides-what-it-reckons"),
                };
                if loss.is_some() {
                    self.witness.forget();
                }
                if let Some(loss) = loss.filter(|_| !hidden) {
                    self.lost(loss)?;
                }
                if here.lost.is_some() && self.is("believes-its-own-count") {
                    counting.at = Some(asked.clone());
                }
                if anchor && self.is("proofs-change-nothing") {
                    counting.at = Some(asked.clone());
                }
                if alias && self.is("aliases-change-nothing") {
                    counting.at = Some(asked.clone());
                }
                if here.spliced && !alias && self.is("counts-over-splices") {
                    counting.at = Some(Position::new(&here.at.epoch, asked.offset));
                }
                let same = here.at.epoch == asked.epoch;
                if same && here.at.offset < asked.offset && !self.is("hears-twice")
                    || !same && self.is("compares-epochs")
                {
                    counting.new_from = Some(asked.offset);
                    counting.counts_old = !same;
                }
            }
            (Some(_), None) if !self.is("trusts-what-has-no-address") => {
                self.witness.forget();
                self.lost(Loss::Unknown)?
            }
            (None, None) => {
                if self.heard {
                    self.witness.forget();
                    self.lost(Loss::Unknown)?;
                }
                if self.is("counts-without-an-address") && head.field("Stream-Offset").is_none() {
                    counting.at = Some(Position::new(&names::encode(&[1; 16]), 0));
                }
            }
            _ => {}
        }
        // Until something new has come, what was asked for is what is lacking.
        self.at = match counting.new_from.is_some() && !counting.counts_old {
            true => asked,
            false => counting.at.clone(),
        };
        if self.is("counts-one-more") {
            self.at = self.at.as_ref().map(|at| at.plus(1));
        }
        Ok(counting)
    }

    /// The interval of an answer is its own, and begins with it (R-ICY-1, R-ICY-3).
    fn interval(&mut self, head: &Head) -> Option<Blocks> {
        let mut metaint = head
            .field("icy-metaint")
            .and_then(|value| value.parse().ok())
            .filter(|metaint| (1..=16_000_000).contains(metaint));
        if self.is("first-interval-for-all") && self.last.first.is_some() {
            metaint = self.last.first;
        }
        let metaint = metaint?;
        self.last.first.get_or_insert(metaint);
        let left = match self.last.left {
            Some((last, left)) if last == metaint && self.is("keeps-the-phase") => left,
            _ => metaint,
        };
        Some(Blocks::new(metaint, left))
    }

    /// Bytes of the stream: those that are new go out, and are counted.
    fn audio(&mut self, audio: &[u8], counting: &mut Counting) -> io::Result<()> {
        let mut new = audio;
        if let (Some(at), Some(from)) = (&counting.at, counting.new_from) {
            let old = usize::try_from(from.saturating_sub(at.offset)).unwrap_or(usize::MAX);
            new = &audio[old.min(audio.len())..];
        }
        self.heard = true;
        self.witness.hears(new);
        self.audio.write_all(new)?;
        self.audio.flush()?;
        let Some(at) = &mut counting.at else {
            return Ok(());
        };
        *at = at.plus(audio.len());
        let counted = match counting.counts_old {
            true => audio.len(),
            false => new.len(),
        };
        self.at = self.at.as_ref().map(|at| at.plus(counted));
        Ok(())
    }

    fn lost(&mut self, loss: Loss) -> io::Result<()> {
        match loss {
            Loss::Bytes(bytes) => self.say(format_args!("lost {bytes} bytes")),
            Loss::Unknown => self.say(format_args!("lost, and nobody knows how much")),
        }
    }

    fn title(&mut self, text: &[u8], here: Option<&StreamOffset>) -> io::Result<()> {
        let epoch = here.map(|here| here.at.epoch.as_str());
        for title in self.titles.new_ones(text, epoch, self.bug) {
            self.say(format_args!("title: {}", String::from_utf8_lossy(&title)))?;
        }
        Ok(())
    }
}
