//! Bodies of stock players: where one begins, and where it goes on.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::ask::Ask;
use super::mount::Mount;
use super::place::{Anchor, Place, find};
use super::serve::House;
use super::timeline::Then;
use super::{listener, names};

/// Requests for what has not come are held so long (R-STOCK-12).
const HOLD: Duration = Duration::from_secs(10);

/// A body that begins live: its anchor, and where it starts. Of a loss, byte `n` is the first of it.
pub(crate) async fn join(
    house: &House,
    mount: &Mount,
    metaint: u64,
    join: Option<[u8; 6]>,
    n: u64,
) -> Result<(Anchor, Place), u16> {
    let start = listener::decide(house, mount, &Ask::nothing(), false).await?;
    let state = mount.lock();
    let run = state.timeline.run(start.run).ok_or(503_u16)?;
    let mut id = names::random();
    if house.config.is("joins-by-counter") {
        id = [0, 0, 0, 0, 0, 1];
    }
    let anchor = Anchor {
        join: join.unwrap_or(id),
        epoch: run.epoch,
        body: n + start.prelude.len() as u64,
        offset: start.at,
        metaint,
    };
    Ok((
        anchor,
        Place {
            run: start.run,
            at: start.at,
            owed: start.prelude,
            icy: None,
        },
    ))
}

/// Whether a join began within the last twenty seconds of audio (R-STOCK-22).
pub(crate) fn begun_lately(mount: &Mount, anchor: &Anchor) -> bool {
    let state = mount.lock();
    let run = state
        .timeline
        .runs
        .back()
        .filter(|run| run.epoch == anchor.epoch);
    run.is_some_and(|run| anchor.offset + 20 * run.rate().unwrap_or(16_000) + 65_536 >= run.next())
}

pub(crate) fn held(mount: &Mount, anchor: &Anchor, n: u64) -> Option<Place> {
    let state = mount.lock();
    let place = find(&state.timeline, anchor, n)?;
    let run = state.timeline.run(place.run)?;
    (place.at >= run.first && place.at <= run.next()).then_some(place)
}

/// The byte on which all anchors agree, once there is a second of audio from it on.
pub(crate) async fn resumed(
    house: &House,
    mount: &Mount,
    anchors: &[Anchor],
    n: u64,
) -> Option<(Anchor, Place)> {
    let mut changes = mount.watch();
    let end = Instant::now() + HOLD;
    let anchors = if house.config.is("first-anchor-counts") {
        &anchors[..anchors.len().min(1)]
    } else {
        anchors
    };
    loop {
        let (found, enough) = {
            let state = mount.lock();
            let places: Option<Vec<_>> = anchors
                .iter()
                .map(|anchor| find(&state.timeline, anchor, n))
                .collect();
            let places = places.filter(|places| !places.is_empty())?;
            if places.iter().any(|place| place != &places[0]) {
                return None;
            }
            let place = places[0].clone();
            let run = state.timeline.run(place.run)?;
            let rate = run.rate().unwrap_or(16_000);
            if place.at < run.first || place.at > run.next() + 30 * rate {
                return None;
            }
            let more = matches!(run.then, Then::Running | Then::Unknown);
            let enough = !more
                || place.at + rate <= run.next()
                || house.config.is("gives-what-there-is") && place.at <= run.next();
            (place, enough)
        };
        if enough {
            return Some((anchors[0], found));
        }
        if timeout_at(end, changes.changed()).await.is_err() {
            let state = mount.lock();
            let has = state
                .timeline
                .run(found.run)
                .is_some_and(|run| found.at < run.next());
            return has.then_some((anchors[0], found));
        }
    }
}
