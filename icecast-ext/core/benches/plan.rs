//! What a listener is sent next: a turn of one tick, from a mount that holds an hour.

mod hour;

use std::hint::black_box;
use std::num::NonZeroU32;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecast_ext_core::plan::{Cursor, Step};
use icecast_ext_core::timeline::Timeline;

use hour::{Hour, TICK, TICKS, position, quick};

/// A block in each tick.
const METAINT: NonZeroU32 = NonZeroU32::new(TICK as u32).expect("not zero");

/// All that there is for a listener now: canonical bytes, other bytes, and the cursor after it.
fn turn(mut cursor: Cursor, timeline: &Timeline, tick: u32) -> (u64, usize, Cursor) {
    let (mut audio, mut overhead) = (0, 0);
    loop {
        let (step, after) = cursor.step(timeline, 1 << 16, tick);
        match step {
            Step::Audio(bytes) => audio += bytes,
            Step::Overhead(bytes) => overhead += bytes.len(),
            Step::Wait => return (audio, overhead, after),
            Step::End(end) => panic!("a live stream does not end: {end:?}"),
        }
        cursor = after;
    }
}

/// The turn of a listener that has all but the last tick. `more`: how many bytes there are besides the audio.
fn measure(
    c: &mut Criterion,
    name: &str,
    cursor: fn(&Hour) -> Cursor,
    titled: bool,
    more: std::ops::RangeInclusive<usize>,
) {
    let mut hour = Hour::whole();
    let (_, _, cursor) = turn(cursor(&hour), &hour.timeline, 1);
    hour.tick(titled);
    let (audio, overhead, _) = turn(cursor, &hour.timeline, 2);
    assert!(
        audio == TICK && more.contains(&overhead),
        "{name}: {audio} and {overhead}"
    );
    let mut group = c.benchmark_group("plan");
    group.throughput(Throughput::Bytes(TICK));
    group.bench_function(name, |b| {
        b.iter(|| turn(black_box(cursor), &hour.timeline, 2))
    });
}

fn turns(c: &mut Criterion) {
    let plain = |hour: &Hour| Cursor::plain(hour.edge(), true, true);
    // A block is due where the tick begins, and nothing has been named yet.
    let icy = |hour: &Hour| Cursor::icy(hour.edge(), METAINT, false, true).within_icy(0, None);
    let aware = |hour: &Hour| Cursor::icy(hour.edge(), METAINT, true, true).within_icy(0, None);
    let feed = |hour: &Hour| Cursor::feed(hour.edge());
    measure(c, "plain", plain, false, 0..=0);
    measure(c, "ICY, a new title", icy, true, 32..=100);
    measure(
        c,
        "ICY, an aware client's first block",
        aware,
        true,
        300..=1000,
    );
    measure(c, "relay feed", feed, false, 10..=40);
    measure(c, "relay feed, a new title", feed, true, 41..=100);
}

/// A turn of 64 KiB of one that is half an hour behind.
fn behind(c: &mut Criterion) {
    let hour = Hour::whole();
    let at = position(1, TICKS / 2 * TICK);
    let cursors = [
        ("plain", Cursor::plain(at, true, true)),
        ("ICY", Cursor::icy(at, METAINT, false, true)),
        ("relay feed", Cursor::feed(at)),
    ];
    let mut group = c.benchmark_group("plan");
    group.throughput(Throughput::Bytes(1 << 16));
    for (name, cursor) in cursors {
        group.bench_function(format!("{name}, 64 KiB half an hour back"), |b| {
            b.iter(|| {
                let (mut cursor, mut left) = (black_box(cursor), 1 << 16);
                while left > 0 {
                    let (step, after) = cursor.step(&hour.timeline, left, 1);
                    match step {
                        Step::Audio(bytes) => left -= bytes,
                        Step::Overhead(bytes) => drop(black_box(bytes)),
                        Step::Wait | Step::End(_) => break,
                    }
                    cursor = after;
                }
                assert_eq!(left, 0);
                cursor
            })
        });
    }
}

criterion_group! {
    name = benches;
    config = quick();
    targets = turns, behind
}
criterion_main!(benches);
