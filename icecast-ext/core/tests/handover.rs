//! Another process goes on with a timeline and the cursors in it.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::num::NonZeroU32;

use common::{Event, Reader, World, event, pos};
use icecast_ext_core::codec::Format;
use icecast_ext_core::plan::{Cursor, End, Step};
use icecast_ext_core::timeline::{Parts, RunId, Timeline};
use proptest::prelude::*;

fn cursors() -> Vec<Cursor> {
    let metaint = NonZeroU32::new(100).unwrap();
    let at = pos(1, 0);
    vec![
        Cursor::plain(at, false, true),
        Cursor::plain(at, true, true),
        Cursor::icy(at, metaint, false, true),
        Cursor::icy(at, metaint, true, false),
        Cursor::feed(at),
    ]
}

/// The same mount in another process.
fn moved(timeline: &Timeline) -> Timeline {
    let parts = timeline.parts();
    let moved = Timeline::from_parts(65_536, parts.clone()).unwrap();
    assert_eq!(moved.parts(), parts);
    moved
}

proptest! {
    /// Two readers of each kind live through the same story; one of each moves to another process, again and again.
    #[test]
    fn what_a_listener_gets_does_not_depend_on_which_process_sends_it(
        story in prop::collection::vec((event(), any::<bool>()), 1..80),
        evict in 0..2000_u64,
    ) {
        let mut stays = World::new(Format::Mpeg);
        let mut goes = World::new(Format::Mpeg);
        let mut readers: Vec<_> = cursors().into_iter().map(|cursor| (Reader::new(cursor), Reader::new(cursor))).collect();
        for (index, (event, move_now)) in story.iter().enumerate() {
            for world in [&mut stays, &mut goes] {
                world.happen(event);
                if world.timeline.held() > 4000 {
                    world.timeline.evict(evict.min(world.timeline.held()));
                }
            }
            for (one, other) in &mut readers {
                if let Event::Read(most) = event {
                    one.read(&stays.timeline, index as u32, |len| len.min(*most));
                    other.read(&goes.timeline, index as u32, |len| len.min(*most));
                }
                let cursor = Cursor::decode(&other.cursor.encode()).unwrap();
                prop_assert_eq!(cursor, other.cursor);
                other.cursor = cursor;
                // One that names its run, too.
                let (_, after) = other.cursor.step(&goes.timeline, 50, 0);
                prop_assert_eq!(Cursor::decode(&after.encode()), Some(after));
            }
            if *move_now {
                goes.timeline = moved(&goes.timeline);
            }
        }
        for (one, other) in &mut readers {
            one.read(&stays.timeline, 99, |len| len);
            other.read(&goes.timeline, 99, |len| len);
            prop_assert_eq!(&one.got, &other.got);
            prop_assert_eq!(one.end, other.end);
        }
    }

    #[test]
    fn no_bytes_are_read_as_a_cursor_that_was_not_written(mut bytes in prop::collection::vec(any::<u8>(), 0..60), flags in 0..32_u8) {
        if let [version, second, ..] = &mut bytes[..] {
            (*version, *second) = (1, flags);
        }
        if let Some(cursor) = Cursor::decode(&bytes) {
            prop_assert_eq!(cursor.encode(), bytes);
        }
    }
}

#[test]
fn a_torn_or_foreign_cursor_is_none() {
    for cursor in cursors() {
        let bytes = cursor.encode();
        for len in 0..bytes.len() {
            assert_eq!(Cursor::decode(&bytes[..len]), None);
        }
        assert_eq!(Cursor::decode(&[&bytes[..], &[0]].concat()), None);
        let mut newer = bytes;
        newer[0] += 1;
        assert_eq!(Cursor::decode(&newer), None);
    }
}

#[test]
fn a_cursor_of_a_run_that_is_not_there_ends() {
    let world = World::new(Format::Mpeg);
    let (_, cursor) = Cursor::plain(pos(1, 0), true, true).step(&world.timeline, 9, 0);
    let mut bytes = cursor.encode();
    bytes[26..30].copy_from_slice(&77_u32.to_be_bytes());
    let cursor = Cursor::decode(&bytes).unwrap();
    let run = RunId::from_number(NonZeroU32::new(77).unwrap());
    assert_eq!(cursor.run(), Some(run));
    let (step, _) = cursor.step(&world.timeline, 9, 1);
    assert_eq!(step, Step::End(End::Evicted));
}

#[test]
fn parts_that_no_timeline_has_are_refused() {
    let mut world = World::new(Format::Mpeg);
    for event in [
        Event::Title(1),
        Event::Grow(500),
        Event::Title(2),
        Event::Time(5),
        Event::Grow(500),
        Event::Time(5),
        Event::Epoch(true),
        Event::Grow(100),
    ] {
        world.happen(&event);
    }
    let good = world.timeline.parts();
    let bad: [fn(&mut Parts); 6] = [
        |parts| parts.runs.swap(0, 1),
        |parts| parts.ids = 1,
        |parts| parts.runs[0].window.next = parts.runs[0].start,
        |parts| parts.runs[0].titles.swap(0, 1),
        |parts| parts.runs[0].times[0].1 = u64::MAX,
        |parts| parts.runs[0].syncs.swap(0, 1),
    ];
    for (index, spoil) in bad.iter().enumerate() {
        let mut parts = good.clone();
        spoil(&mut parts);
        // A window that ends before it began.
        if index == 2 {
            parts.runs[0].window.first = good.runs[0].window.next;
        }
        assert!(Timeline::from_parts(0, parts).is_none(), "{index}");
    }
}
