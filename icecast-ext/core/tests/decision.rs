//! The decision where an answer starts, by cases and against a naive model.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::time::{Duration, Instant};

use bytes::Bytes;
use common::{at, begin, off, pos, resume};
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Miss, Resume};
use icecast_ext_core::resume::{Kind, Refusal, Start};
use icecast_ext_core::timeline::Timeline;

const NO_MISS: Kind = Kind::Miss { lost: None };

fn lost(bytes: u64) -> Kind {
    Kind::Miss { lost: Some(bytes) }
}

/// Epoch 1: 1000 bytes, a sync point each 100, one second each 100, a prelude from 0 on; the first 250 are gone.
fn radio() -> Timeline {
    let mut timeline = Timeline::new(300);
    timeline.begin(begin(1, 0, false, Format::Ogg));
    timeline.prelude(off(0), Bytes::from("head"));
    for second in 0..10 {
        timeline.sync(off(second * 100));
        timeline.time(off(second * 100), 9_000_000 + second * 1000);
        timeline.grow(100);
    }
    timeline.evict(250);
    timeline
}

fn spliced(declared: bool) -> Timeline {
    let mut timeline = radio();
    timeline.begin(begin(2, 0, declared, Format::Ogg));
    timeline.prelude(off(0), Bytes::from("second"));
    timeline.sync(off(40));
    timeline.sync(off(140));
    timeline.time(off(0), 9_010_000);
    timeline.grow(500);
    timeline
}

fn started(timeline: &Timeline, asked: &Resume) -> (u8, u64, Kind) {
    let Start { at, kind, .. } = timeline.start(asked).unwrap();
    (at.epoch.as_bytes()[0], at.offset.get(), kind)
}

#[test]
fn every_held_byte_and_the_edge_are_answered_exactly() {
    let timeline = radio();
    for offset in 250..=1000 {
        let start = timeline.start(&at(1, offset, Miss::Fail)).unwrap();
        assert_eq!((start.at, start.kind), (pos(1, offset), Kind::Exact));
        assert_eq!(start.prelude, "");
    }
}

#[test]
fn a_join_starts_at_the_first_sync_point_within_the_burst() {
    let live = resume(From::Live, Miss::Oldest);
    let start = radio().start(&live).unwrap();
    assert_eq!((start.at, start.kind), (pos(1, 700), Kind::Join));
    assert_eq!(start.prelude, "head");
    let mut timeline = radio();
    timeline.grow(400);
    assert_eq!(started(&timeline, &live), (1, 900, Kind::Join));
}

#[test]
fn a_join_without_sync_points_starts_at_the_burst() {
    let live = resume(From::Live, Miss::Oldest);
    let mut timeline = Timeline::new(300);
    assert_eq!(timeline.start(&live), Err(Refusal::Empty));
    timeline.begin(begin(1, 50, false, Format::Opaque));
    assert_eq!(timeline.start(&live), Err(Refusal::Empty));
    timeline.grow(100);
    assert_eq!(started(&timeline, &live), (1, 50, Kind::Join));
    timeline.grow(900);
    assert_eq!(started(&timeline, &live), (1, 750, Kind::Join));
}

#[test]
fn what_is_evicted_is_missed_as_asked_for() {
    let timeline = radio();
    let start = timeline.start(&at(1, 7, Miss::Oldest)).unwrap();
    assert_eq!((start.at, start.kind), (pos(1, 300), lost(293)));
    assert_eq!(start.prelude, "head");
    assert_eq!(start.field().lost, Some(293));
    assert_eq!(
        started(&timeline, &at(1, 7, Miss::Live)),
        (1, 700, lost(693))
    );
    assert_eq!(timeline.start(&at(1, 7, Miss::Fail)), Err(Refusal::Missed));
}

#[test]
fn an_unknown_epoch_is_answered_live() {
    let timeline = radio();
    for miss in [Miss::Oldest, Miss::Live] {
        assert_eq!(started(&timeline, &at(9, 7, miss)), (1, 700, NO_MISS));
    }
    assert_eq!(timeline.start(&at(9, 7, Miss::Fail)), Err(Refusal::Missed));
}

#[test]
fn ahead_of_the_edge_is_never_clamped() {
    let timeline = radio();
    let asked = |offset| timeline.start(&at(1, offset, Miss::Oldest));
    let (next, rate) = (off(1000), 100);
    let soon = Refusal::Soon {
        asked: off(1001),
        next,
    };
    assert_eq!(asked(1001), Err(soon));
    assert!(matches!(asked(1000 + 30 * rate), Err(Refusal::Soon { .. })));
    let far = 1000 + 30 * rate + 1;
    let ahead = Refusal::Ahead {
        asked: off(far),
        next,
    };
    assert_eq!(asked(far), Err(ahead));
    assert!(matches!(
        asked(999_999_999_999_999),
        Err(Refusal::Ahead { .. })
    ));
}

#[test]
fn a_declared_splice_is_followed_and_an_undeclared_one_is_a_miss() {
    let timeline = spliced(true);
    let start = timeline.start(&at(1, 1000, Miss::Fail)).unwrap();
    assert_eq!((start.at, start.kind), (pos(2, 40), Kind::Spliced));
    assert_eq!(start.prelude, "second");
    assert!(start.field().spliced);
    assert_eq!(
        started(&timeline, &at(1, 1007, Miss::Fail)),
        (2, 47, Kind::Spliced)
    );
    let beyond = timeline.start(&at(1, 1461, Miss::Oldest));
    assert!(matches!(beyond, Err(Refusal::Soon { .. })));

    let timeline = spliced(false);
    assert_eq!(
        timeline.start(&at(1, 1000, Miss::Fail)),
        Err(Refusal::Missed)
    );
    assert_eq!(
        started(&timeline, &at(1, 1000, Miss::Oldest)),
        (2, 40, NO_MISS)
    );
    assert_eq!(
        started(&timeline, &at(1, 1007, Miss::Oldest)),
        (2, 40, NO_MISS)
    );
    assert_eq!(
        started(&timeline, &at(1, 999, Miss::Fail)),
        (1, 999, Kind::Exact)
    );
}

#[test]
fn a_loss_is_summed_over_declared_splices() {
    let mut timeline = spliced(true);
    timeline.evict(750 + 60);
    assert_eq!(
        started(&timeline, &at(1, 990, Miss::Oldest)),
        (2, 140, lost(10 + 100))
    );
    assert_eq!(
        started(&timeline, &at(1, 1010, Miss::Oldest)),
        (2, 140, lost(90))
    );
    assert_eq!(
        started(&timeline, &at(2, 3, Miss::Oldest)),
        (2, 140, lost(137))
    );
    let mut timeline = spliced(false);
    timeline.evict(750 + 60);
    assert_eq!(
        started(&timeline, &at(1, 990, Miss::Oldest)),
        (2, 140, NO_MISS)
    );
}

#[test]
fn the_end_of_an_epoch_waits_for_what_follows() {
    let mut timeline = radio();
    timeline.end();
    let asked = at(1, 1000, Miss::Oldest);
    assert_eq!(started(&timeline, &asked), (1, 1000, Kind::Exact));
    let beyond = timeline.start(&at(1, 1001, Miss::Oldest));
    assert!(matches!(beyond, Err(Refusal::Soon { .. })));
    timeline.begin(begin(2, 0, true, Format::Ogg));
    assert_eq!(started(&timeline, &asked), (1, 1000, Kind::Exact));
    timeline.sync(off(0));
    timeline.grow(1);
    assert_eq!(started(&timeline, &asked), (2, 0, Kind::Spliced));
}

#[test]
fn a_gap_within_an_epoch_is_lost_exactly() {
    let mut timeline = radio();
    timeline.begin(begin(1, 1500, false, Format::Ogg));
    timeline.sync(off(1510));
    timeline.grow(100);
    for offset in [1000, 1001, 1499] {
        let start = started(&timeline, &at(1, offset, Miss::Oldest));
        assert_eq!(start, (1, 1510, lost(1510 - offset)));
    }
    assert_eq!(
        started(&timeline, &at(1, 1500, Miss::Oldest)),
        (1, 1500, Kind::Exact)
    );
    assert_eq!(
        started(&timeline, &at(1, 999, Miss::Oldest)),
        (1, 999, Kind::Exact)
    );
}

#[test]
fn an_epoch_that_comes_back_is_found_where_it_goes_on() {
    let mut timeline = spliced(false);
    timeline.begin(begin(1, 1200, false, Format::Ogg));
    timeline.sync(off(1250));
    timeline.grow(100);
    assert_eq!(
        started(&timeline, &at(1, 1220, Miss::Oldest)),
        (1, 1220, Kind::Exact)
    );
    assert_eq!(
        started(&timeline, &at(1, 1100, Miss::Oldest)),
        (1, 1250, lost(150))
    );
    assert_eq!(
        started(&timeline, &at(1, 1000, Miss::Oldest)),
        (2, 40, NO_MISS)
    );
    // Behind what was had before: never back, never clamped.
    let mut timeline = spliced(false);
    timeline.evict(750);
    timeline.begin(begin(1, 600, false, Format::Ogg));
    timeline.sync(off(600));
    timeline.grow(100);
    let ahead = timeline.start(&at(1, 900, Miss::Oldest));
    assert!(matches!(ahead, Err(Refusal::Soon { .. })));
}

#[test]
fn a_lag_beyond_the_limit_goes_live_but_never_back() {
    let timeline = radio();
    let lagging = |offset, secs| Resume {
        max_lag: Some(Duration::from_secs(secs)),
        ..at(1, offset, Miss::Oldest)
    };
    assert_eq!(started(&timeline, &lagging(450, 5)), (1, 450, Kind::Exact));
    assert_eq!(started(&timeline, &lagging(450, 4)), (1, 700, lost(250)));
    assert_eq!(started(&timeline, &lagging(700, 0)), (1, 700, Kind::Exact));
    assert_eq!(started(&timeline, &lagging(750, 0)), (1, 750, Kind::Exact));
}

#[test]
fn a_shift_goes_back_in_time_as_far_as_bytes_are_held() {
    let timeline = radio();
    let shifted = |secs| {
        started(
            &timeline,
            &resume(From::Shift(Duration::from_secs(secs)), Miss::Oldest),
        )
    };
    assert_eq!(shifted(0), (1, 900, Kind::Join));
    assert_eq!(shifted(4), (1, 500, Kind::Join));
    assert_eq!(shifted(100), (1, 300, Kind::Join));
    let timeline = spliced(true);
    let back = resume(From::Shift(Duration::from_secs(5)), Miss::Oldest);
    assert_eq!(started(&timeline, &back), (1, 500, Kind::Join));
}

#[test]
fn a_feed_starts_at_exact_bytes() {
    let timeline = spliced(true);
    let feed = |asked: Option<Resume>| {
        let start = timeline.start_feed(asked.as_ref()).unwrap();
        assert_eq!(start.prelude, "");
        (start.at, start.kind)
    };
    assert_eq!(feed(None), (pos(1, 250), Kind::Join));
    assert_eq!(
        feed(Some(resume(From::Live, Miss::Oldest))),
        (pos(2, 200), Kind::Join)
    );
    assert_eq!(
        feed(Some(at(1, 1000, Miss::Oldest))),
        (pos(1, 1000), Kind::Exact)
    );
    assert_eq!(
        feed(Some(at(1, 10, Miss::Oldest))),
        (pos(1, 250), lost(240))
    );
    assert_eq!(feed(Some(at(9, 10, Miss::Oldest))), (pos(1, 250), NO_MISS));
    assert_eq!(
        timeline.start_feed(Some(&at(1, 10, Miss::Fail))),
        Err(Refusal::Missed)
    );
    let mut timeline = spliced(true);
    timeline.end();
    let end = timeline.start_feed(Some(&at(2, 500, Miss::Fail))).unwrap();
    assert_eq!((end.at, end.kind), (pos(2, 500), Kind::Exact));
    timeline.evict(750 + 10);
    let after = timeline.start_feed(Some(&at(1, 1000, Miss::Fail))).unwrap();
    assert_eq!((after.at, after.kind), (pos(2, 40), Kind::Spliced));
}

#[test]
fn the_decision_takes_less_than_a_microsecond() {
    // Two hours of MP3 at a mark each 250 ms and a sync point each frame.
    let mut timeline = Timeline::new(65_536);
    timeline.begin(begin(1, 0, false, Format::Mpeg));
    for tick in 0..28_800_u64 {
        timeline.time(off(tick * 4000), tick * 250);
        (0..8).for_each(|frame| timeline.sync(off(tick * 4000 + frame * 500)));
        timeline.grow(4000);
    }
    let rounds = 20_000_u64;
    let begun = Instant::now();
    for round in 0..rounds {
        let asked = Resume {
            max_lag: Some(Duration::from_secs(7200)),
            ..at(1, round * 5000, Miss::Oldest)
        };
        let start = timeline.start(std::hint::black_box(&asked)).unwrap();
        assert_eq!(start.kind, Kind::Exact);
    }
    let each = begun.elapsed() / u32::try_from(rounds).unwrap();
    // Unoptimised, and while other tests run, it takes some ten times as long.
    let limit = if cfg!(debug_assertions) { 20 } else { 1 };
    println!("{each:?} a decision");
    assert!(each < Duration::from_micros(limit), "{each:?}");
}
