//! What a listener may have heard.

use std::sync::Arc;

use anyhow::{Context as _, Result, bail, ensure};
use icecast_ext_tests::http::Place;
use icecast_ext_tests::truth::{find, first_difference};

use crate::stream::{Run, Stream};

/// So many bytes stand nowhere else.
const PROBE: usize = 48;

/// The run in which these bytes stand at this place.
fn run_at(stream: &Stream, offset: usize, bytes: &[u8]) -> Option<Arc<Run>> {
    let mut runs = stream.runs().into_iter();
    runs.find(|run| {
        run.with(|sent| {
            sent.get(offset..)
                .is_some_and(|sent| sent.starts_with(bytes))
        })
    })
}

/// All bytes stand where the place says, in one run, whose epoch is the place's and no other's.
pub(crate) fn one_run(stream: &Stream, place: &Place, prelude: &[u8], audio: &[u8]) -> Result<()> {
    pieces(stream, place, prelude, audio, false)
}

/// The same, but the listener may have been taken to another source on the way: each piece is of another run.
pub(crate) fn some_runs(
    stream: &Stream,
    place: &Place,
    prelude: &[u8],
    audio: &[u8],
) -> Result<()> {
    pieces(stream, place, prelude, audio, true)
}

fn pieces(stream: &Stream, place: &Place, prelude: &[u8], audio: &[u8], moves: bool) -> Result<()> {
    if audio.len() < PROBE {
        return Ok(());
    }
    let mut at = place.offset as usize;
    let mut run = run_at(stream, at, &audio[..PROBE])
        .with_context(|| format!("what comes first is nowhere at {place:?}"))?;
    named(stream, &run, place)?;
    let headers = run.with(|sent| sent.starts_with(prelude));
    ensure!(
        headers,
        "a prelude that its source never sent, at {place:?}"
    );
    let mut rest = audio;
    let mut way = String::new();
    loop {
        let same = run.with(|sent| first_difference(&sent[at.min(sent.len())..], rest));
        rest = &rest[same..];
        if rest.is_empty() {
            return Ok(());
        }
        way += &format!("{same} bytes from {at} of {}, ", named_or_not(stream, &run));
        let probe = &rest[..rest.len().min(PROBE)];
        let next = stream.runs().into_iter().find_map(|next| {
            let at = next.with(|sent| find(sent, probe))?;
            Some((next, at))
        });
        let Some((next, then)) = next else {
            bail!("at {place:?}: {way}then {} of no source", rest.len());
        };
        ensure!(
            moves && !Arc::ptr_eq(&next, &run),
            "at {place:?}: {way}then {} from {then} of {}",
            rest.len(),
            named_or_not(stream, &next)
        );
        (run, at) = (next, then);
    }
}

/// For people: which run, the newest is 0, how long, its epoch.
fn named_or_not(stream: &Stream, run: &Arc<Run>) -> String {
    let index = stream.runs().iter().position(|one| Arc::ptr_eq(one, run));
    let len = run.with(<[u8]>::len);
    format!("run {index:?} ({len} bytes, {:?})", run.epoch.get())
}

/// Every run has one epoch, and every epoch one run.
fn named(stream: &Stream, run: &Arc<Run>, place: &Place) -> Result<()> {
    let epoch = run.epoch.get_or_init(|| place.epoch.clone());
    ensure!(*epoch == place.epoch, "{epoch} is {place:?}, too");
    let others = stream.runs();
    let mut others = others.iter().filter(|other| !Arc::ptr_eq(other, run));
    ensure!(
        others.all(|other| other.epoch.get() != Some(&place.epoch)),
        "two sources have {place:?}"
    );
    Ok(())
}
