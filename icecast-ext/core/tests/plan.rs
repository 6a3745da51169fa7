//! What a listener is sent, against what it should have got.
#![expect(clippy::unwrap_used, reason = "a test may")]

mod common;

use std::num::NonZeroU32;

use bytes::Bytes;
use common::{Event, Reader, World, begin, canonical, event, grow, off, pos, title};
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::codec::Format;
use icecast_ext_core::icy::{self, Deinterleaver, Part};
use icecast_ext_core::plan::{Cursor, End, Step};
use icecast_ext_core::timeline::{MAX_TITLE, Run, RunId, Timeline};
use proptest::prelude::*;

/// What a listener that is carried over gets from `from` on: (run, first, end, the prelude before).
fn carried(timeline: &Timeline, from: Position) -> Vec<(RunId, u64, u64, Bytes)> {
    let runs: Vec<&Run> = timeline.runs().collect();
    let holds = |run: &&Run| run.epoch == from.epoch && run.window.reaches(from.offset);
    let mut index = runs.iter().rposition(holds).unwrap();
    let mut out = Vec::new();
    let (mut first, mut prelude) = (from.offset, Bytes::new());
    loop {
        let run = runs[index];
        out.push((run.id, first.get(), run.window.next.get(), prelude));
        let Some(splice) = run.splice else { return out };
        index += 1;
        first = splice.to.offset;
        prelude = runs[index].prelude_at(first);
    }
}

fn audio(timeline: &Timeline, spans: &[(RunId, u64, u64, Bytes)], preludes: bool) -> Vec<u8> {
    let mut out = Vec::new();
    for (id, first, end, prelude) in spans {
        out.extend(prelude.iter().filter(|_| preludes));
        out.extend(canonical(timeline.run(*id).unwrap().epoch, *first, *end));
    }
    out
}

fn playing(story: &[Event], format: Format, cursor: Cursor) -> (World, Reader) {
    let mut world = World::new(format);
    let mut reader = Reader::new(cursor);
    for event in story {
        world.happen(event);
        if let Event::Read(most) = event {
            reader.read(&world.timeline, 0, |len| len.min(*most));
        }
    }
    reader.read(&world.timeline, 0, |len| len);
    (world, reader)
}

/// Audio, and the texts of the blocks with the audio bytes before each.
fn taken_apart(body: Vec<u8>, metaint: NonZeroU32) -> (Vec<u8>, Vec<(u64, Bytes)>) {
    let (mut audio, mut blocks, mut parts) = (Vec::new(), Vec::new(), Vec::new());
    let mut icy = Deinterleaver::new(metaint);
    icy.feed(body.into(), &mut parts);
    assert!(!icy.in_block());
    for part in parts {
        match part {
            Part::Audio(bytes) => audio.extend(bytes),
            Part::Block(text) => blocks.push((audio.len() as u64, text)),
        }
    }
    (audio, blocks)
}

/// Titles by offset, newest first, of the run at `at`, from `low` on.
fn newest(run: &Run, low: Offset, at: u64) -> impl Iterator<Item = (Vec<u8>, u64)> {
    let titles = run.titles.iter().rev();
    let titles = titles.filter(move |title| title.at <= off(at) && title.at >= low);
    titles.map(|title| {
        let named = icy::titles(&title.text);
        (named[0].title.to_vec(), title.at.get())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn a_listener_gets_every_byte_once_across_splices(story in prop::collection::vec(event(), 1..60)) {
        let start = pos(1, 0);
        let (world, reader) = playing(&story, Format::Ogg, Cursor::plain(start, false, true));
        let spans = carried(&world.timeline, start);
        prop_assert_eq!(reader.got, audio(&world.timeline, &spans, true));
        prop_assert_eq!(reader.end, None);
    }

    #[test]
    fn an_aware_client_gets_every_byte_once_and_ends_with_the_run(story in prop::collection::vec(event(), 1..60)) {
        let start = pos(1, 0);
        let (world, reader) = playing(&story, Format::Ogg, Cursor::plain(start, true, true));
        let run = world.timeline.runs().next().unwrap();
        prop_assert_eq!(reader.got, canonical(run.epoch, 0, run.window.next.get()));
        prop_assert_eq!(reader.end, run.splice.map(|_| End::Epoch));
        prop_assert_eq!(reader.cursor.at(), Position::new(run.epoch, run.window.next));
    }

    #[test]
    fn icy_blocks_stand_in_one_phase_across_splices(
        story in prop::collection::vec(event(), 1..60),
        metaint in 1..500_u32,
    ) {
        let story: Vec<Event> = story.into_iter().filter(|event| !matches!(event, Event::Prelude(_))).collect();
        let (start, metaint) = (pos(1, 0), NonZeroU32::new(metaint).unwrap());
        let (world, reader) = playing(&story, Format::Mpeg, Cursor::icy(start, metaint, false, true));
        let (got, blocks) = taken_apart(reader.got, metaint);
        let spans = carried(&world.timeline, start);
        prop_assert_eq!(&got, &audio(&world.timeline, &spans, false));
        // Before each byte at which a block is due: the title in force, if it has not been shown.
        let (mut expected, mut last, mut count) = (Vec::new(), None, 0_u64);
        for (id, first, end, _) in spans {
            let run = world.timeline.run(id).unwrap();
            for at in first..end {
                if count > 0 && count.is_multiple_of(u64::from(metaint.get()))
                    && let Some(title) = run.title_at(off(at)).filter(|title| last != Some((id, title.at)))
                {
                    last = Some((id, title.at));
                    expected.push((count, title.text.clone()));
                }
                count += 1;
            }
        }
        prop_assert_eq!(blocks, expected);
    }

    #[test]
    fn an_aware_client_is_told_each_title_with_its_place(
        story in prop::collection::vec(event(), 1..80),
        metaint in 1..500_u32,
        start in 0..200_u64,
    ) {
        let metaint = NonZeroU32::new(metaint).unwrap();
        let story: Vec<Event> = [Event::Title(9), Event::Grow(200)].into_iter().chain(story).collect();
        let (world, reader) = playing(&story, Format::Mpeg, Cursor::icy(pos(1, start), metaint, true, true));
        let run = world.timeline.runs().next().unwrap();
        let (got, blocks) = taken_apart(reader.got, metaint);
        prop_assert_eq!(got, canonical(run.epoch, start, run.window.next.get()));
        let step = usize::try_from(metaint.get()).unwrap();
        let (mut expected, mut seen) = (Vec::new(), None);
        for at in (start + u64::from(metaint.get())..run.window.next.get()).step_by(step) {
            let titles: Vec<_> = match seen {
                None => newest(run, Offset::ZERO, at).take(8).collect(),
                Some(seen) => newest(run, off(seen + 1), at).collect(),
            };
            if !titles.is_empty() {
                expected.push((at - start, titles));
            }
            seen = Some(at);
        }
        let named = |text: &Bytes| -> Vec<_> {
            let named = icy::titles(text);
            named.iter().map(|named| (named.title.to_vec(), named.at.unwrap().get())).collect()
        };
        let blocks: Vec<_> = blocks.iter().map(|(count, text)| (*count, named(text))).collect();
        prop_assert_eq!(blocks, expected);
    }
}

#[test]
fn a_resume_at_every_offset_is_the_suffix() {
    let mut world = World::new(Format::Mpeg);
    [299, 1, 77, 200]
        .iter()
        .for_each(|bytes| world.happen(&Event::Grow(*bytes)));
    let whole = canonical(world.edge().epoch, 0, 578);
    for offset in 0..=578_u32 {
        let at = pos(1, u64::from(offset));
        let mut plain = Reader::new(Cursor::plain(at, true, true));
        plain.read(&world.timeline, 0, |len| 1 + len / 3);
        assert_eq!(plain.got, whole[offset as usize..]);
        let metaint = NonZeroU32::new(50).unwrap();
        let mut icy = Reader::new(Cursor::icy(at, metaint, true, true));
        icy.read(&world.timeline, 0, |len| 1 + len / 3);
        assert_eq!(taken_apart(icy.got, metaint).0, whole[offset as usize..]);
    }
}

#[test]
fn a_listener_is_cut_when_its_position_is_evicted() {
    let mut timeline = Timeline::new(0);
    timeline.begin(begin(1, 0, false, Format::Mpeg));
    grow(&mut timeline, 100);
    let cursor = Cursor::plain(pos(1, 10), false, true);
    let (step, after) = cursor.step(&timeline, 20, 0);
    assert_eq!((step, after.at()), (Step::Audio(20), pos(1, 30)));
    timeline.evict(30);
    assert_eq!(after.step(&timeline, 1, 0).0, Step::Audio(1));
    timeline.evict(1);
    assert_eq!(after.step(&timeline, 1, 0).0, Step::End(End::Evicted));
    assert_eq!(cursor.step(&timeline, 1, 0).0, Step::End(End::Evicted));
}

#[test]
fn a_listener_that_waits_at_a_lost_source_goes_on_when_all_before_is_gone() {
    let mut timeline = Timeline::new(0);
    timeline.begin(begin(1, 0, false, Format::Mpeg));
    grow(&mut timeline, 100);
    let waiting = Cursor::plain(pos(1, 100), false, true);
    let feed = Cursor::feed(pos(1, 100)).step(&timeline, 1, 0).1;
    timeline.end();
    timeline.begin(begin(2, 0, true, Format::Mpeg));
    assert_eq!(waiting.step(&timeline, 1, 0).0, Step::Wait);
    grow(&mut timeline, 10);
    timeline.evict(100);
    assert_eq!(timeline.runs().count(), 1);
    let (step, after) = waiting.step(&timeline, 1, 0);
    assert_eq!(
        (step, after.at()),
        (Step::Overhead(Bytes::new()), pos(2, 0))
    );
    assert_eq!(after.step(&timeline, 7, 0).0, Step::Audio(7));
    assert_eq!(feed.step(&timeline, 1, 0).1.at(), pos(2, 0));
}

#[test]
fn only_a_format_that_goes_on_is_carried() {
    let end = |from, to, aware, continues| {
        let mut timeline = Timeline::new(0);
        timeline.begin(begin(1, 0, false, from));
        grow(&mut timeline, 100);
        timeline.begin(begin(2, 0, false, to));
        timeline.prelude(off(0), Bytes::from("p"));
        grow(&mut timeline, 100);
        let metaint = NonZeroU32::new(10_000).unwrap();
        let icy = Cursor::icy(pos(1, 100), metaint, aware, continues);
        let plain = Cursor::plain(pos(1, 100), aware, continues);
        (plain.step(&timeline, 1, 0).0, icy.step(&timeline, 1, 0).0)
    };
    let ended = || Step::End(End::Epoch);
    let prelude = Step::Overhead(Bytes::from("p"));
    // ICY counts audio, and a prelude is none.
    assert_eq!(
        end(Format::Ogg, Format::Ogg, false, true),
        (prelude, ended())
    );
    assert_eq!(
        end(Format::Ogg, Format::Mpeg, false, true),
        (ended(), ended())
    );
    assert_eq!(
        end(Format::Webm, Format::Webm, false, false),
        (ended(), ended())
    );
    assert_eq!(
        end(Format::Ogg, Format::Ogg, true, true),
        (ended(), ended())
    );
}

#[test]
fn whoever_is_led_waits_at_the_end_until_it_is_said_where_it_goes_on() {
    let mut timeline = Timeline::new(0);
    timeline.begin(begin(1, 0, false, Format::Mpeg));
    grow(&mut timeline, 100);
    timeline.begin(begin(2, 0, true, Format::Mpeg));
    grow(&mut timeline, 100);
    let run = |timeline: &Timeline, n| timeline.run_at(pos(n, 0)).unwrap().id;
    let led = Cursor::plain(pos(1, 90), false, true).led(run(&timeline, 1));
    let (step, led) = led.step(&timeline, 50, 0);
    assert_eq!(step, Step::Audio(10));
    let (step, led) = led.step(&timeline, 50, 0);
    assert_eq!((step, led.at()), (Step::Wait, pos(1, 100)));
    let there = led.carried(pos(2, 7), false).unwrap();
    let (step, there) = there.step(&timeline, 93, 0);
    assert_eq!(step, Step::Audio(93));
    // There, too.
    timeline.begin(begin(3, 0, true, Format::Mpeg));
    grow(&mut timeline, 100);
    assert_eq!(there.step(&timeline, 50, 0).0, Step::Wait);
    // Whoever begins before where the server has it comes there by itself.
    let before = Cursor::plain(pos(1, 100), false, true).led(run(&timeline, 2));
    let (step, before) = before.step(&timeline, 50, 0);
    assert_eq!(
        (step, before.at()),
        (Step::Overhead(Bytes::new()), pos(2, 0))
    );
    let (_, before) = before.step(&timeline, 100, 0);
    assert_eq!(before.step(&timeline, 50, 0).0, Step::Wait);
    let aware = Cursor::plain(pos(1, 100), true, true).led(run(&timeline, 1));
    assert_eq!(aware.step(&timeline, 50, 0).0, Step::End(End::Epoch));
}

#[test]
fn a_block_holds_what_fits_and_its_newest_title_always() {
    let mut timeline = Timeline::new(0);
    timeline.begin(begin(1, 0, false, Format::Mpeg));
    let metaint = NonZeroU32::new(1000).unwrap();
    let block = |timeline: &Timeline, aware| {
        let mut reader = Reader::new(Cursor::icy(pos(1, 0), metaint, aware, true));
        reader.read(timeline, 0, |len| len);
        let (_, blocks) = taken_apart(reader.got, metaint);
        blocks[0].1.clone()
    };
    for n in 0..100_u8 {
        timeline.title(timeline.edge().unwrap().offset, title(n));
        grow(&mut timeline, 5);
    }
    let long = format!("StreamTitle='{}';", "é".repeat(2033));
    timeline.title(off(500), Bytes::from(long));
    grow(&mut timeline, 600);
    let aware = block(&timeline, true);
    let named = icy::titles(&aware);
    assert_eq!(named.len(), 1);
    assert_eq!(named[0].at, Some(off(500)));
    assert!(std::str::from_utf8(named[0].title).is_ok());
    assert!(named[0].title.len() > MAX_TITLE - 20);
    assert!(block(&timeline, false).len() <= MAX_TITLE);
}

#[test]
fn titles_that_do_not_fit_come_with_the_next_block() {
    let mut timeline = Timeline::new(0);
    timeline.begin(begin(1, 0, false, Format::Mpeg));
    let metaint = NonZeroU32::new(1000).unwrap();
    let mut reader = Reader::new(Cursor::icy(pos(1, 0), metaint, true, true));
    timeline.title(off(0), title(0));
    grow(&mut timeline, 1100);
    for n in 1..=250_u8 {
        timeline.title(timeline.edge().unwrap().offset, title(n));
        grow(&mut timeline, 3);
    }
    grow(&mut timeline, 3000);
    reader.read(&timeline, 0, |len| len);
    let (_, blocks) = taken_apart(reader.got, metaint);
    let mut told = Vec::new();
    for (_, text) in &blocks {
        let named = icy::titles(text);
        let places: Vec<u64> = named.iter().map(|named| named.at.unwrap().get()).collect();
        assert!(places.is_sorted_by(|a, b| a > b));
        told.extend(places.into_iter().rev());
    }
    assert_eq!(told.len(), 251);
    assert!(told.is_sorted_by(|a, b| a < b));
}

#[test]
fn a_cursor_is_small() {
    assert!(size_of::<Cursor>() <= 80, "{}", size_of::<Cursor>());
}
