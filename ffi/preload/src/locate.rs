//! Where bytes that the server sends stand in a stream that a source feeds.

use std::sync::Arc;

use bytes::Bytes;
use icecast_ext_core::address::Position;
use icecast_ext_core::codec::{Format, leading_headers};
use memchr::memmem;

use crate::station::{Station, Stations};

/// Bytes of a stream's end in which content is looked for: Icecast's default queue, twice.
const TAIL: usize = 1 << 20;
/// So many bytes of MP3 or AAC are looked for by content alone, and only if they stand in one place.
const ENOUGH: usize = 512;
/// A page or a cluster is told from all others by its first bytes.
const PAGE: usize = 48;
/// Of what is looked for, no more is.
const NEEDLE: usize = 512;
/// No headers are longer.
const MAX_HEADERS: usize = 1 << 20;

/// A place.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) station: Arc<Station>,
    /// Of the first byte that is no header.
    pub(crate) at: Position,
    /// Codec headers that the server put in front.
    pub(crate) prelude: Bytes,
}

/// What is known of bytes so far.
#[derive(Debug)]
pub(crate) enum Verdict {
    Found(Found),
    /// More bytes would tell.
    More,
    /// They are in no stream.
    Unknown,
}

/// Looks for `audio`, whose first byte the server has at `address`. `near`: the stream that the listener has asked for.
pub(crate) fn find(
    stations: &Stations,
    near: Option<&Arc<Station>>,
    audio: &[u8],
    address: usize,
) -> Verdict {
    if audio.is_empty() {
        return Verdict::More;
    }
    if let Some((station, at)) = stations.addresses.find(address)
        && station.mount.holds(at, audio)
    {
        let prelude = Bytes::new();
        return Verdict::Found(Found {
            station,
            at,
            prelude,
        });
    }
    for format in [Format::Ogg, Format::Webm] {
        if begins_as(format, audio) {
            return in_pages(stations, near, format, audio);
        }
    }
    let Some(station) = near.filter(|one| one.format().is_some_and(|f| !f.has_preludes())) else {
        return Verdict::Unknown;
    };
    if audio.len() < ENOUGH {
        return Verdict::More;
    }
    match search(station, audio) {
        Some(at) => Verdict::Found(Found {
            station: station.clone(),
            at,
            prelude: Bytes::new(),
        }),
        None => Verdict::Unknown,
    }
}

fn begins_as(format: Format, audio: &[u8]) -> bool {
    let magic: &[u8] = match format {
        Format::Ogg => b"OggS",
        // EBML, or a cluster.
        _ if audio.starts_with(b"\x1f\x43\xb6\x75") => return true,
        _ => b"\x1a\x45\xdf\xa3",
    };
    audio.starts_with(magic)
}

fn in_pages(
    stations: &Stations,
    near: Option<&Arc<Station>>,
    format: Format,
    audio: &[u8],
) -> Verdict {
    let Some(headers) = leading_headers(format, audio) else {
        return match audio.len() < MAX_HEADERS {
            true => Verdict::More,
            false => Verdict::Unknown,
        };
    };
    let (prelude, rest) = audio.split_at(headers);
    if rest.len() < PAGE {
        return Verdict::More;
    }
    // Of streams that were not asked for, the headers tell which it may be.
    let theirs = |station: &Arc<Station>| {
        prelude.is_empty()
            || station.mount.with(|timeline| {
                let run = timeline.runs().next_back();
                run.is_some_and(|run| run.prelude_at(run.window.next) == prelude)
            })
    };
    let live = stations.live();
    let others = live
        .iter()
        .filter(|one| near.is_none_or(|near| !Arc::ptr_eq(near, one)) && theirs(one));
    let fits = |one: &&Arc<Station>| one.format() == Some(format);
    for station in near.into_iter().chain(others).filter(fits) {
        if let Some(at) = search(station, rest) {
            return Verdict::Found(Found {
                station: station.clone(),
                at,
                prelude: Bytes::copy_from_slice(prelude),
            });
        }
    }
    Verdict::Unknown
}

/// The one place where `bytes` stand at the end of a stream.
fn search(station: &Station, bytes: &[u8]) -> Option<Position> {
    let (first, tail) = station.mount.tail_with_place(TAIL)?;
    let needle = &bytes[..bytes.len().min(NEEDLE)];
    let mut found = memmem::find_iter(&tail, needle);
    let index = found.next()?;
    if found.next().is_some() {
        return None;
    }
    let offset = first.offset.checked_add(index as u64)?;
    let at = Position::new(first.epoch, offset);
    station.mount.holds(at, bytes).then_some(at)
}
