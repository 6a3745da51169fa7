//! What an answer's head means for the stream.

use std::num::NonZeroU32;
use std::time::Duration;

use crate::address::Position;
use crate::codec::Format;
use crate::field::{Proof, STREAM_PROOF, StreamOffset, StreamWindow, duplicates};
use crate::head::Field;

use super::event::{Loss, Note, Proven, Trouble, Why};

/// Bytes heard before that are skipped to get to the next one; a relay further behind is left. 16 MiB.
pub const MAX_SKIP: u64 = 16 * 1024 * 1024;

/// The longest wait that a `Retry-After` gets.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(60);

/// A response head.
#[derive(Debug, Clone, Copy)]
pub struct Head<'a> {
    /// 200 or something else.
    pub status: u16,
    /// Where the answer came from, after redirects; `None`: from where it was asked.
    pub url: Option<&'a str>,
    /// In order, as sent.
    pub fields: &'a [Field<'a>],
}

impl Head<'_> {
    /// Lines of one name, joined (RFC 9110 section 5.3).
    fn get(&self, name: &str) -> Option<Vec<u8>> {
        let mut lines = self
            .fields
            .iter()
            .filter(|field| field.name.eq_ignore_ascii_case(name));
        let mut value = lines.next()?.value.to_vec();
        for line in lines {
            value.extend_from_slice(b", ");
            value.extend_from_slice(line.value);
        }
        Some(value)
    }

    fn number(&self, name: &str) -> Option<u32> {
        std::str::from_utf8(&self.get(name)?)
            .ok()?
            .trim()
            .parse()
            .ok()
    }

    pub(super) fn retry_after(&self) -> Duration {
        let seconds = self.number("retry-after").unwrap_or(0);
        Duration::from_secs(seconds.into()).min(MAX_RETRY_AFTER)
    }

    pub(super) fn links(&self) -> Vec<String> {
        self.get("link")
            .map(|value| duplicates(&value))
            .unwrap_or_default()
    }

    pub(super) fn window(&self) -> Option<StreamWindow> {
        StreamWindow::parse(&self.get("stream-window")?).ok()
    }

    /// The server says that this byte is still to come.
    pub(super) fn is_behind(&self, wanted: Option<Position>) -> bool {
        self.window().zip(wanted).is_some_and(|(window, wanted)| {
            window.epoch == wanted.epoch && window.window.next < wanted.offset
        })
    }

    /// Bytes a second: as a relay counted them, or as a source claims.
    pub(super) fn rate(&self) -> Option<Rate> {
        if let Some(rate) = self.window().and_then(|window| window.rate) {
            return Some(Rate::Counted(rate));
        }
        self.number("icy-br")
            .filter(|kbps| (8..=10_000).contains(kbps))
            .map(|kbps| Rate::Claimed(u64::from(kbps) * 125))
    }

    pub(super) fn read(&self) -> Result<Answer, Trouble> {
        if self.status != 200 {
            return Err(Trouble::Status(self.status));
        }
        let content_type = self
            .get("content-type")
            .map(|value| String::from_utf8_lossy(&value).into_owned());
        let mut malformed = false;
        let offset =
            self.get("stream-offset")
                .and_then(|value| match StreamOffset::parse(&value) {
                    Ok(offset) => Some(offset),
                    Err(_) => {
                        malformed = true;
                        None
                    }
                });
        if let Some(text) = content_type
            .as_ref()
            .filter(|text| text.trim_start().to_ascii_lowercase().starts_with("text/"))
        {
            return Err(Trouble::NotAudio(text.clone()));
        }
        let proof = self.get(STREAM_PROOF);
        Ok(Answer {
            offset,
            proof: proof.and_then(|value| Proof::parse(&value).ok()),
            malformed,
            metaint: self.number("icy-metaint").and_then(NonZeroU32::new),
            format: content_type.as_ref().map_or(Format::Opaque, |value| {
                Format::from_content_type(value.as_bytes())
            }),
            content_type,
        })
    }
}

/// Bytes a second.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Rate {
    /// `Stream-Window`
    Counted(u64),
    /// `icy-br`
    Claimed(u64),
}

/// A 200 answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) offset: Option<StreamOffset>,
    /// What it makes of our evidence, or of the position.
    pub(super) proof: Option<Proof>,
    /// `Stream-Offset` was there, but could not be read.
    pub(super) malformed: bool,
    pub(super) metaint: Option<NonZeroU32>,
    pub(super) content_type: Option<String>,
    pub(super) format: Format,
}

/// How the audio of an answer follows the audio so far. It takes effect with the answer's first audio byte: until then,
/// another relay may do better (R-RESUME-7).
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Entry {
    /// Nothing was heard yet.
    Join(Option<Position>),
    /// After so many bytes that were heard already, the next one.
    Continue(u64),
    /// Another epoch, nothing lost.
    Spliced(Position),
    /// Another epoch, and the next byte of it, as was proven to the relay.
    Anchored(Position, Proven),
    /// A hole, and after it so many bytes that were heard before.
    Lost(Loss, u64),
    /// A burst without addresses: content has to tell. If it does not, this is lost.
    Stitch(Loss),
    /// Content has told: the position goes on.
    Stitched,
}

/// What is known when an answer comes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The next byte wanted.
    pub(super) position: Option<Position>,
    /// Audio was heard.
    pub(super) heard: bool,
    /// There is a history to compare with.
    pub(super) history: bool,
    /// The position was given up: `live` was asked for.
    pub(super) rejoin: bool,
    /// Evidence was sent.
    pub(super) evidence: bool,
    /// Epochs heard before that of `position`.
    pub(super) past: &'a [Past],
}

/// An epoch that was left.
#[derive(Clone, Copy, Debug)]
pub(super) struct Past {
    /// The end of what was heard of it.
    pub(super) end: Position,
    /// A splice said that it ends there.
    pub(super) over: bool,
}

/// Where an answer that begins at `at` has the first byte that is not heard yet, and how many bytes come before it.
fn fresh(past: &[Past], at: Position) -> Result<(Position, u64), Trouble> {
    let Some(left) = past.iter().rev().find(|left| left.end.epoch == at.epoch) else {
        return Ok((at, 0));
    };
    let heard = left.end.offset.get().saturating_sub(at.offset.get());
    match () {
        () if left.over => Err(Trouble::Past),
        () if heard > MAX_SKIP => Err(Trouble::Behind(heard)),
        () if heard > 0 => Ok((left.end, heard)),
        () => Ok((at, 0)),
    }
}

impl Entry {
    /// The answer goes on at the next byte, or is the first.
    pub(super) const fn is_exact(&self) -> bool {
        match self {
            Self::Join(_) | Self::Continue(_) | Self::Spliced(_) | Self::Anchored(..) => true,
            Self::Lost(..) | Self::Stitch(_) | Self::Stitched => false,
        }
    }

    /// What says so, but of the first.
    pub(super) const fn proof(&self) -> Option<Proven> {
        match self {
            Self::Continue(_) | Self::Spliced(_) => Some(Proven::Offset),
            Self::Anchored(_, by) => Some(*by),
            Self::Stitched => Some(Proven::Content),
            Self::Join(_) | Self::Lost(..) | Self::Stitch(_) => None,
        }
    }

    pub(super) const fn loss(&self) -> Option<&Loss> {
        match self {
            Self::Lost(loss, _) => Some(loss),
            _ => None,
        }
    }
}

impl Asked<'_> {
    /// What is wrong with an answer that is put to use nevertheless. So many bytes were heard since it was asked for.
    pub(super) fn notes(&self, answer: &Answer, entry: &Entry, since: u64) -> Vec<Note> {
        let mut notes = Vec::new();
        if answer.malformed {
            notes.push(Note::Malformed);
        }
        if let (false, Entry::Continue(bytes)) = (self.rejoin, entry) {
            let prelude = answer.offset.map_or(0, |offset| offset.prelude);
            let bytes = bytes.saturating_sub(since);
            notes.extend((bytes > 0).then_some(Note::Repeated { bytes }));
            notes.extend((prelude > 0).then_some(Note::Prelude { bytes: prelude }));
        }
        notes
    }

    /// Does the answer answer this, and how (R-RESUME-6, R-MISS-11, R-ANCHOR-18, R-ALIAS-5)?
    pub(super) fn entry(
        &self,
        answer: Option<&StreamOffset>,
        proof: Option<Proof>,
    ) -> Result<Entry, Trouble> {
        let alias = proof == Some(Proof::Alias) && !self.rejoin;
        let proof = proof.filter(|_| self.evidence);
        let why = if self.rejoin { Why::Refused } else { Why::Gone };
        let missed = |at, bytes: Option<u64>, why| {
            let (first, skip) = fresh(self.past, at)?;
            let loss = Loss {
                after: self.position,
                at: Some(first),
                bytes: bytes.map(|bytes| bytes.saturating_add(skip)),
                why,
            };
            Ok(Entry::Lost(loss, skip))
        };
        match (self.position, answer) {
            (None, answer) if !self.heard => Ok(Entry::Join(answer.map(|answer| answer.at))),
            (_, None) => {
                let loss = Loss {
                    after: self.position,
                    at: None,
                    bytes: None,
                    why: Why::Unaware,
                };
                Ok(match self.history {
                    true => Entry::Stitch(loss),
                    false => Entry::Lost(loss, 0),
                })
            }
            (wanted, Some(answer))
                if proof == Some(Proof::Anchor)
                    && answer.prelude == 0
                    && wanted.is_none_or(|wanted| wanted.epoch != answer.at.epoch) =>
            {
                Ok(Entry::Anchored(answer.at, Proven::Anchor))
            }
            (Some(wanted), Some(answer))
                if alias && answer.prelude == 0 && wanted.epoch != answer.at.epoch =>
            {
                Ok(Entry::Anchored(answer.at, Proven::Alias))
            }
            (None, Some(answer)) => missed(answer.at, None, Why::Unaware),
            (Some(wanted), Some(answer)) if wanted.epoch == answer.at.epoch => {
                match answer.at.offset.since(wanted.offset) {
                    Some(0) => Ok(Entry::Continue(0)),
                    Some(ahead) => missed(answer.at, Some(ahead), why),
                    None => match wanted.offset.get() - answer.at.offset.get() {
                        behind if behind <= MAX_SKIP => Ok(Entry::Continue(behind)),
                        behind => Err(Trouble::Behind(behind)),
                    },
                }
            }
            (Some(_), Some(answer)) if answer.spliced => Ok(Entry::Spliced(answer.at)),
            (Some(_), Some(answer)) => match answer.lost {
                Some(0) => Ok(Entry::Spliced(answer.at)),
                Some(bytes) => missed(answer.at, Some(bytes), why),
                None => {
                    let why = match proof {
                        Some(Proof::None { why: Some(why) }) => Why::Unplaced(why),
                        _ if self.rejoin => why,
                        _ => Why::Epoch,
                    };
                    // Its bytes need not go on to live, as a burst does: it may still fetch what it has missed itself. So the
                    // healing rule proves nothing here (R-COMPAT-2).
                    missed(answer.at, None, why)
                }
            },
        }
    }
}
