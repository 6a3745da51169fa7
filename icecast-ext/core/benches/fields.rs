//! The extension's fields, parsed and encoded.

mod hour;

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use icecast_ext_core::address::{Session, Window};
use icecast_ext_core::field::{Miss, Resume, StreamOffset, StreamWindow};

use hour::{epoch, offset, position, quick};

const AT: u64 = 123_456_789;

fn resume_offset(c: &mut Criterion) {
    let short = Resume::at(position(1, AT));
    let long = Resume {
        miss: Miss::Live,
        max_lag: Some(Duration::from_secs(30)),
        session: Some(Session::from_bytes([7; 16])),
        ..short
    };
    for (name, resume) in [("", short), (", all parameters", long)] {
        let value = resume.encode();
        assert_eq!(Resume::parse(value.as_bytes()), Ok(resume));
        c.bench_function(&format!("fields/parse Resume-Offset{name}"), |b| {
            b.iter(|| Resume::parse(black_box(value.as_bytes())))
        });
        c.bench_function(&format!("fields/encode Resume-Offset{name}"), |b| {
            b.iter(|| black_box(&resume).encode())
        });
    }
    let query = short.encode_query().expect("a position has one");
    c.bench_function("fields/parse _resume", |b| {
        b.iter(|| Resume::from_query(black_box(&query)))
    });
}

fn stream_offset(c: &mut Criterion) {
    let start = StreamOffset {
        at: position(1, AT),
        prelude: 4096,
        session: Some(Session::from_bytes([7; 16])),
        spliced: false,
        lost: Some(16_000),
    };
    let value = start.encode();
    assert_eq!(StreamOffset::parse(value.as_bytes()), Ok(start));
    c.bench_function("fields/parse Stream-Offset", |b| {
        b.iter(|| StreamOffset::parse(black_box(value.as_bytes())))
    });
    c.bench_function("fields/encode Stream-Offset", |b| {
        b.iter(|| black_box(&start).encode())
    });
}

fn stream_window(c: &mut Criterion) {
    let window = StreamWindow {
        epoch: epoch(1),
        window: Window {
            first: offset(AT),
            next: offset(AT + 57_600_000),
        },
        rate: Some(16_000),
    };
    let value = window.encode();
    assert_eq!(StreamWindow::parse(value.as_bytes()), Ok(window));
    c.bench_function("fields/parse Stream-Window", |b| {
        b.iter(|| StreamWindow::parse(black_box(value.as_bytes())))
    });
    c.bench_function("fields/encode Stream-Window", |b| {
        b.iter(|| black_box(&window).encode())
    });
}

criterion_group! {
    name = benches;
    config = quick();
    targets = resume_offset, stream_offset, stream_window
}
criterion_main!(benches);
