//! What a mount's writer does once a tick, while readers wait: a tick comes, the oldest one goes.

mod hour;

use criterion::{Criterion, criterion_group, criterion_main};

use hour::{Hour, TICK, quick};

fn ticks(c: &mut Criterion) {
    let hours = [
        ("a tick", Hour::whole()),
        ("a tick, 63 runs gone", Hour::spliced(64, 1)),
    ];
    for (name, mut hour) in hours {
        c.bench_function(&format!("timeline/{name}"), |b| {
            b.iter(|| {
                hour.tick(false);
                hour.timeline.evict(TICK);
            })
        });
    }
    let mut hour = Hour::whole();
    c.bench_function("timeline/a tick with a title", |b| {
        b.iter(|| {
            hour.tick(true);
            hour.timeline.evict(TICK);
        })
    });
}

criterion_group! {
    name = benches;
    config = quick();
    targets = ticks
}
criterion_main!(benches);
