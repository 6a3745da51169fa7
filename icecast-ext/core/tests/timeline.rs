//! What the writer says and the timeline keeps.

#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::time::Duration;

use bytes::Bytes;
use common::{begin, epoch, off, pos};
use icecast_ext_core::codec::Format;
use icecast_ext_core::timeline::{BLIND, MAX_TITLES, Splice, Timeline};

fn mpeg() -> Timeline {
    let mut timeline = Timeline::new(65_536);
    timeline.begin(begin(1, 0, false, Format::Mpeg));
    timeline
}

fn titles(timeline: &Timeline) -> Vec<(u64, String)> {
    let run = timeline.runs().next_back().unwrap();
    let text = |text: &Bytes| String::from_utf8(text.to_vec()).unwrap();
    let titles = run.titles.iter();
    titles
        .map(|title| (title.at.get(), text(&title.text)))
        .collect()
}

fn splices(timeline: &Timeline) -> Vec<Option<Splice>> {
    timeline.runs().map(|run| run.splice).collect()
}

#[test]
fn a_healed_pull_goes_on_in_its_run() {
    let mut timeline = mpeg();
    let id = timeline.begin(begin(1, 0, false, Format::Mpeg));
    timeline.grow(100);
    timeline.end();
    assert!(timeline.runs().next().unwrap().ended);
    assert_eq!(timeline.begin(begin(1, 100, true, Format::Mpeg)), id);
    let run = timeline.run(id).unwrap();
    assert!(!run.ended);
    assert_eq!(timeline.runs().count(), 1);
}

#[test]
fn a_splice_leads_to_the_first_sync_point_once_it_is_held() {
    let mut timeline = mpeg();
    timeline.grow(100);
    timeline.begin(begin(2, 0, true, Format::Mpeg));
    timeline.grow(7);
    assert_eq!(splices(&timeline), [None, None]);
    timeline.sync(off(10));
    timeline.grow(3);
    assert_eq!(splices(&timeline), [None, None]);
    timeline.grow(1);
    let splice = Splice {
        end: off(100),
        to: pos(2, 10),
        declared: true,
        seamless: false,
    };
    assert_eq!(splices(&timeline), [Some(splice), None]);
    timeline.sync(off(11));
    timeline.grow(1);
    assert_eq!(splices(&timeline), [Some(splice), None]);
}

#[test]
fn an_opaque_run_is_entered_at_its_first_byte_and_a_blind_one_after_64_kib() {
    let mut timeline = mpeg();
    timeline.grow(1);
    timeline.begin(begin(2, 5, true, Format::Opaque));
    assert_eq!(splices(&timeline), [None, None]);
    timeline.grow(1);
    assert_eq!(splices(&timeline)[0].unwrap().to, pos(2, 5));
    timeline.begin(begin(3, 5, true, Format::Mpeg));
    timeline.grow(BLIND - 1);
    assert_eq!(splices(&timeline)[1], None);
    // However the bytes are cut into chunks.
    timeline.sync(off(5 + BLIND));
    timeline.grow(100);
    assert_eq!(splices(&timeline)[1].unwrap().to, pos(3, 5));
}

#[test]
fn a_run_without_a_byte_vanishes_and_its_splice_with_it() {
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut timeline = mpeg();
        timeline.grow(100);
        let gone = timeline.begin(begin(2, 0, first, Format::Opaque));
        timeline.begin(begin(3, 9, second, Format::Opaque));
        timeline.grow(1);
        assert!(timeline.run(gone).is_none());
        let splice = splices(&timeline)[0].unwrap();
        assert_eq!(splice.to, pos(3, 9));
        assert_eq!(splice.declared, first && second);
    }
}

#[test]
fn a_run_that_ends_without_a_sync_point_is_passed_over() {
    let mut timeline = mpeg();
    timeline.grow(100);
    timeline.begin(begin(2, 0, true, Format::Mpeg));
    timeline.grow(40);
    timeline.begin(begin(3, 0, true, Format::Mpeg));
    assert_eq!(splices(&timeline)[0], None);
    timeline.sync(off(0));
    timeline.grow(1);
    assert_eq!(splices(&timeline)[0].unwrap().to, pos(2, 40));
    assert_eq!(splices(&timeline)[1].unwrap().to, pos(3, 0));
}

#[test]
fn a_parent_says_where_a_splice_leads() {
    let mut timeline = mpeg();
    timeline.grow(100);
    timeline.begin(begin(2, 3, false, Format::Mpeg));
    timeline.splice_to(pos(2, 20), false);
    timeline.sync(off(5));
    timeline.grow(16);
    assert_eq!(splices(&timeline)[0], None);
    timeline.grow(1);
    assert_eq!(splices(&timeline)[0].unwrap().to, pos(2, 20));
}

#[test]
fn a_title_never_stands_below_the_published_edge() {
    let mut timeline = mpeg();
    timeline.title(off(0), Bytes::from("a"));
    timeline.grow(100);
    timeline.title(off(50), Bytes::from("b"));
    timeline.title(off(100), Bytes::from("b"));
    timeline.title(off(100), Bytes::from("c"));
    timeline.title(off(130), Bytes::from("d"));
    let expected = [(0, "a"), (100, "b"), (101, "c"), (130, "d")];
    assert_eq!(
        titles(&timeline),
        expected.map(|(at, text)| (at, text.to_string()))
    );
}

#[test]
fn titles_that_a_resumed_feed_repeats_are_known() {
    let mut timeline = Timeline::new(0);
    timeline.begin(begin(1, 600, false, Format::Mpeg));
    for _ in 0..2 {
        for (at, text) in [(100, "a"), (300, "b"), (600, "c")] {
            timeline.title(off(at), Bytes::from(text));
        }
        timeline.grow(10);
        timeline.evict(5);
        timeline.begin(begin(
            1,
            timeline.edge().unwrap().offset.get(),
            false,
            Format::Mpeg,
        ));
    }
    // They outlive their bytes: who has been sent them is counted by them.
    let all = [(100, "a"), (300, "b"), (600, "c")];
    assert_eq!(
        titles(&timeline),
        all.map(|(at, text)| (at, text.to_string()))
    );
    assert_eq!(timeline.runs().next().unwrap().titles_from, off(100));
    for at in 0..5000 {
        timeline.title(off(at + 1000), Bytes::from(at.to_string()));
    }
    assert_eq!(titles(&timeline).len(), MAX_TITLES);
    let run = timeline.runs().next().unwrap();
    assert_eq!(run.titles_from, run.titles[0].at);
    for at in 0..20 {
        timeline.title(off(at + 9000), vec![b'x' + at as u8; 4000].into());
    }
    let run = timeline.runs().next().unwrap();
    let bytes: usize = run.titles.iter().map(|title| title.text.len()).sum();
    assert!((60_001..=65_536).contains(&bytes), "{bytes}");
    assert_eq!(run.titles_from, run.titles[0].at);
}

#[test]
fn eviction_keeps_what_is_in_force() {
    let mut timeline = mpeg();
    for at in [0_u64, 100, 200] {
        timeline.title(off(at), Bytes::from(at.to_string()));
        timeline.prelude(off(at), Bytes::from(format!("p{at}")));
        timeline.time(off(at), at * 10);
        timeline.sync(off(at));
        timeline.grow(100);
    }
    timeline.evict(150);
    let run = timeline.runs().next().unwrap();
    assert_eq!(run.title_at(off(150)).unwrap().at, off(100));
    assert_eq!(run.prelude_at(off(150)), "p100");
    assert_eq!(run.time_at(off(150)), Some(1000));
    assert_eq!(
        (run.titles.len(), run.preludes.len(), run.times.len()),
        (3, 3, 2),
        "titles, and the first prelude, are needed to count what was sent"
    );
    assert_eq!(run.syncs, [off(200)]);
    assert_eq!(timeline.held(), 150);
}

#[test]
fn eviction_goes_across_runs_and_remembers_64_splices() {
    let mut timeline = mpeg();
    timeline.grow(10);
    for name in 2..=100 {
        timeline.begin(begin(name, 0, true, Format::Opaque));
        timeline.grow(10);
    }
    timeline.evict(995);
    assert_eq!(timeline.runs().count(), 1);
    assert_eq!(timeline.held(), 5);
    assert_eq!(timeline.edge(), Some(pos(100, 10)));
    let start = |name, offset| {
        let asked = common::at(name, offset, icecast_ext_core::field::Miss::Oldest);
        timeline.start(&asked).unwrap()
    };
    // 100 runs, of which 99 have gone: 36 to 99 are remembered.
    assert_eq!(start(36, 4).field().lost, Some(6 + 63 * 10 + 5));
    assert_eq!(start(35, 4).field().lost, None);
}

#[test]
fn an_ended_run_stays_until_its_listeners_know_where_to_go() {
    let mut timeline = mpeg();
    timeline.grow(10);
    timeline.evict(10);
    assert_eq!(timeline.runs().count(), 1);
    timeline.begin(begin(2, 0, true, Format::Mpeg));
    timeline.grow(10);
    timeline.evict(3);
    assert_eq!(timeline.runs().count(), 2);
    timeline.sync(off(5));
    timeline.evict(0);
    assert_eq!(timeline.runs().count(), 1);
    assert_eq!(timeline.edge().unwrap().epoch, epoch(2));
}

#[test]
fn the_rate_is_that_of_the_last_minute_and_unknown_at_first() {
    let mut timeline = mpeg();
    let rate = |timeline: &Timeline| timeline.window().unwrap().rate;
    assert_eq!(rate(&timeline), None);
    let mut at = 0;
    for second in 0..200_u64 {
        let bytes = match second {
            // The burst had been arriving for longer than the clock says.
            0 => 64_000,
            1..100 => 1000,
            _ => 2000,
        };
        timeline.time(off(at), 5_000_000 + second * 1000);
        timeline.grow(bytes);
        at += bytes;
        match second {
            ..3 => assert_eq!(rate(&timeline), None),
            3..=100 => assert_eq!(rate(&timeline), Some(1000)),
            130 => assert_eq!(rate(&timeline), Some(1500)),
            160..=199 => assert_eq!(rate(&timeline), Some(2000)),
            _ => {}
        }
    }
    assert_eq!(timeline.older_than(Duration::from_secs(10)), at - 11 * 2000);
    assert_eq!(timeline.older_than(Duration::from_secs(1000)), 0);
}

#[test]
fn a_clock_that_goes_back_stands_still() {
    let mut timeline = mpeg();
    for (at, ms) in [(0, 100), (10, 50), (10, 200), (20, 120)] {
        timeline.time(off(at), ms);
        timeline.grow(10);
    }
    let run = timeline.runs().next().unwrap();
    assert_eq!(run.times, [(off(0), 100), (off(10), 100), (off(20), 120)]);
}
