//! A pull from a server that knows nothing of addresses: we are the minter.

use std::num::NonZeroU32;
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::Offset;
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::{self, Format};
use icecast_ext_core::head::Response;
use icecast_ext_core::heal::{self, Evidence, Unproven};
use icecast_ext_core::icy::{self, Part};
use tokio::time::Instant;

use super::parts::Parts;
use super::{Body, Ended, Memory};
use crate::config::Vorbis;
use crate::events::What;
use crate::figures::Pulled;
use crate::station::{Station, Supply};

/// A stream that is silent for so long is asked for again. Longer than Icecast's `source-timeout`: a source that pauses is
/// Icecast's to judge, and a dead link is found by keepalive.
const SILENCE: Duration = Duration::from_secs(30);
/// A burst is complete, at most links, after so long.
const FIRST_LOOK: Duration = Duration::from_millis(300);
/// A burst that does not prove continuity by then never will.
const LAST_LOOK: Duration = Duration::from_secs(2);
/// So many connections in a row may break before they prove anything.
const MAX_UNPROVEN: u32 = 3;
/// Of the buffer's end, at least so much is compared: every burst. More if eight seconds are more.
const TAIL: u64 = 1 << 20;

/// How the body is made.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) format: Format,
    pub(super) metaint: Option<NonZeroU32>,
    pub(super) vorbis: Vorbis,
}

impl Shape {
    pub(super) fn of(answer: &Response<'_>, content_type: &[u8], vorbis: Vorbis) -> Self {
        Self {
            format: Format::from_content_type(content_type),
            metaint: answer.metaint(),
            vorbis,
        }
    }
}

/// Reads to the end.
pub(super) async fn run(
    station: &Station,
    mut body: Body,
    shape: Shape,
    lines: Bytes,
    memory: &mut Memory,
) -> Result<std::convert::Infallible, Ended> {
    let mut body_parts = Parts::of(shape);
    let mut unreadable = false;
    let mut gathered = Gathered::default();
    let started = Instant::now();
    let mut look = FIRST_LOOK;
    // A stock server sends what comes as it comes, but for a burst.
    memory.live = true;
    station.feeds(false);
    let mut healing = station.mount.edge_with_pending().is_some();
    if !healing {
        begin(station, shape.format, &lines, memory)?;
    }
    loop {
        let silence = if healing {
            (started + look).saturating_duration_since(Instant::now())
        } else {
            SILENCE
        };
        let parts = match body.next(silence).await {
            Ok(bytes) => body_parts.take(bytes),
            Err(Ended::Silent(_)) if healing => Vec::new(),
            Err(ended) => {
                // What came before the end counts if it is proven. If not, one of the next connections may still prove it.
                if healing && !gathered.audio.is_empty() {
                    memory.unproven += 1;
                    let last = memory.unproven > MAX_UNPROVEN;
                    healing = !settle(station, shape, &lines, memory, &gathered, last)?;
                }
                if !healing {
                    memory.rest = body_parts.rest();
                }
                return Err(ended);
            }
        };
        let holes = body_parts.new_holes();
        if holes > 0 {
            tracing::warn!(
                mount = station.path,
                holes,
                "the stream lacks packets of Vorbis: the cells that they were in are left out"
            );
        }
        let mut parts = parts.into_iter();
        if healing {
            for part in parts.by_ref() {
                gathered.take(part);
            }
            if started.elapsed() >= look {
                let last = look >= LAST_LOOK;
                healing = !settle(station, shape, &lines, memory, &gathered, last)?;
                look += FIRST_LOOK;
                if !healing {
                    gathered = Gathered::default();
                }
            }
            if healing {
                continue;
            }
        }
        station.set(Supply::Live);
        for part in parts {
            match part {
                Part::Audio(bytes) => {
                    station.append(&bytes);
                    memory.last_byte = Some(Instant::now());
                }
                Part::Block(text) => {
                    if icy::titles(&text).is_empty() && !unreadable {
                        unreadable = true;
                        tracing::warn!(mount = station.path, text = %String::from_utf8_lossy(&text[..text.len().min(80)]).escape_debug(), "a metadata block that names no title: does icy-metaint lie?");
                    }
                    station.mount.title(None, text);
                }
            }
        }
    }
}

/// What a new connection has sent, while it is not known where it belongs.
#[derive(Debug, Default)]
struct Gathered {
    audio: Vec<u8>,
    /// Before which byte of `audio`.
    titles: Vec<(usize, Bytes)>,
    last: Option<Instant>,
}

impl Gathered {
    fn take(&mut self, part: Part) {
        match part {
            Part::Audio(bytes) => {
                self.audio.extend_from_slice(&bytes);
                self.last = Some(Instant::now());
            }
            Part::Block(text) => self.titles.push((self.audio.len(), text)),
        }
    }
}

/// Decides whether the burst continues the buffer; true once that is decided. `last`: a new epoch begins if not.
fn settle(
    station: &Station,
    shape: Shape,
    lines: &Bytes,
    memory: &mut Memory,
    gathered: &Gathered,
    last: bool,
) -> Result<bool, Ended> {
    let from = match prove(station, shape, memory, gathered) {
        Ok(from) => {
            station.figures.pulled(Pulled::Healed);
            station.figures.tell(What::Healed {});
            memory.rest = Vec::new();
            tracing::info!(
                mount = station.path,
                new = gathered.audio.len() - from,
                "healed: the epoch goes on"
            );
            if let Some((_, text)) = gathered.titles.iter().rfind(|(at, _)| *at < from) {
                station.mount.title(None, text.clone());
            }
            from
        }
        Err(_) if !last => return Ok(false),
        Err(unproven) => {
            tracing::warn!(mount = station.path, %unproven, gathered = gathered.audio.len(), "the stream does not continue: a new epoch begins");
            begin(station, shape.format, lines, memory)?;
            0
        }
    };
    let mut done = from;
    for (at, text) in gathered.titles.iter().filter(|(at, _)| *at >= from) {
        station.append(&gathered.audio[done..*at]);
        station.mount.title(None, text.clone());
        done = *at;
    }
    station.append(&gathered.audio[done..]);
    memory.last_byte = gathered.last.or(memory.last_byte);
    memory.unproven = 0;
    Ok(true)
}

/// Index of the first byte that the buffer has not.
fn prove(
    station: &Station,
    shape: Shape,
    memory: &Memory,
    gathered: &Gathered,
) -> Result<usize, Unproven> {
    let headers = codec::leading_headers(shape.format, &gathered.audio).ok_or(Unproven::Absent)?;
    let (Some(before), Some(after)) = (memory.last_byte, gathered.last) else {
        return Err(Unproven::TooLittle);
    };
    let rate = station.mount.window().and_then(|window| window.rate);
    let unique = rate.unwrap_or(0).saturating_mul(heal::UNIQUE.as_secs() + 1);
    let tail = station
        .mount
        .tail(usize::try_from(TAIL.max(unique)).unwrap_or(usize::MAX));
    let evidence = Evidence {
        tail: &tail,
        burst: &gathered.audio[headers..],
        elapsed: after.saturating_duration_since(before),
        rate,
    };
    heal::continues(&evidence).map(|at| at + headers)
}

/// A new epoch, whose first byte is the next one. What is left of the stream before it comes first.
fn begin(
    station: &Station,
    format: Format,
    lines: &Bytes,
    memory: &mut Memory,
) -> Result<(), Ended> {
    let rest = std::mem::take(&mut memory.rest);
    if !rest.is_empty() {
        station.append(&rest);
    }
    station.figures.pulled(Pulled::Minted);
    station.mount.begin(RunStart {
        epoch: crate::random_epoch()?,
        first: Offset::ZERO,
        declared: !memory.adopted && station.end_is_known(),
        format,
        fields: lines.clone(),
        prelude: None,
    });
    memory.adopted = false;
    Ok(())
}
