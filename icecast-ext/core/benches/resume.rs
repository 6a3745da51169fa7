//! Where an answer starts: what a request to resume costs once its head is parsed.

mod hour;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use icecast_ext_core::field::{From, Miss, Resume};
use icecast_ext_core::resume::Kind;
use icecast_ext_core::timeline::Timeline;

use hour::{Hour, TICK, TICKS, position, quick};

/// Held in [`Hour::whole`], half an hour back, in the middle of a frame.
const HELD: u64 = TICKS / 2 * TICK + 123;

/// Measures a decision that is of this kind.
fn decides(
    c: &mut Criterion,
    name: &str,
    timeline: &Timeline,
    asked: &Resume,
    kind: fn(Kind) -> bool,
) {
    let start = timeline.start(asked).expect("all of these have a start");
    assert!(kind(start.kind), "{name}: {start:?}");
    c.bench_function(&format!("resume/{name}"), |b| {
        b.iter(|| timeline.start(black_box(asked)))
    });
}

fn exact(kind: Kind) -> bool {
    kind == Kind::Exact
}

fn counted_miss(kind: Kind) -> bool {
    matches!(kind, Kind::Miss { lost: Some(1..) })
}

fn within_an_epoch(c: &mut Criterion) {
    let Hour { timeline, .. } = Hour::whole();
    let timeline = &timeline;
    let held = Resume::at(position(1, HELD));
    decides(c, "by offset", timeline, &held, exact);
    let asked = Resume {
        max_lag: Some(Duration::from_secs(3000)),
        ..held
    };
    decides(c, "by offset, max-lag", timeline, &asked, exact);
    let asked = Resume::at(position(1, 5));
    decides(c, "a miss, oldest", timeline, &asked, counted_miss);
    let asked = Resume {
        miss: Miss::Live,
        ..asked
    };
    decides(c, "a miss, live", timeline, &asked, counted_miss);
    let asked = Resume::at(position(9, 5));
    let unknown = |kind| kind == Kind::Miss { lost: None };
    decides(c, "a miss, unknown epoch", timeline, &asked, unknown);
    let join = |kind| kind == Kind::Join;
    decides(c, "a live join", timeline, &Resume::LIVE, join);
    let asked = Resume {
        from: From::Shift(Duration::from_secs(1000)),
        ..Resume::LIVE
    };
    decides(c, "a time shift", timeline, &asked, join);
    c.bench_function("resume/a relay feed by offset", |b| {
        b.iter(|| timeline.start_feed(Some(black_box(&held))))
    });
}

/// As the proxy does it for each request: the field is parsed, the start is decided, the answer's two fields are written.
fn with_its_fields(c: &mut Criterion) {
    let Hour { timeline, .. } = Hour::whole();
    let field = Resume::at(position(1, HELD)).encode();
    let decide = |field: &[u8]| {
        let asked = Resume::parse(field).expect("it was encoded so");
        timeline.start(&asked).expect("it is held")
    };
    c.bench_function("resume/the field parsed, by offset", |b| {
        b.iter(|| decide(black_box(field.as_bytes())))
    });
    c.bench_function("resume/the field parsed, by offset, answered", |b| {
        b.iter(|| {
            let start = decide(black_box(field.as_bytes()));
            let window = timeline.window().map(|window| window.encode());
            (start.field().encode(), window)
        })
    });
}

fn over_splices(c: &mut Criterion) {
    let spliced = |kind| kind == Kind::Spliced;
    let end = |count| Resume::at(position(1, Hour::share(count)));
    let Hour { timeline, .. } = Hour::spliced(2, 2);
    let asked = Resume::at(position(1, 500_123));
    decides(c, "by offset, before a splice", &timeline, &asked, exact);
    decides(c, "over a splice", &timeline, &end(2), spliced);
    // Each epoch is shorter than the byte asked for is beyond its end: one splice leads to the next.
    let Hour { timeline, .. } = Hour::spliced(64, 64);
    let most = Hour::share(64) * 63;
    let asked = Resume::at(position(1, most + 123));
    decides(c, "over 63 splices", &timeline, &asked, spliced);
    let Hour { timeline, .. } = Hour::spliced(64, 1);
    let asked = Resume::at(position(1, 5));
    decides(c, "a miss, 63 splices ago", &timeline, &asked, counted_miss);
}

criterion_group! {
    name = benches;
    config = quick();
    targets = within_an_epoch, with_its_fields, over_splices
}
criterion_main!(benches);
