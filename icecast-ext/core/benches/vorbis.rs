//! What makes the pages of Ogg Vorbis anew: a MiB, in reads of a tick.

mod hour;

#[path = "../tests/vorbis/build.rs"]
#[allow(dead_code, reason = "the tests' streams have more in them")]
mod build;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecast_ext_core::codec::Canonical;

use build::{Logical, header_pages, headers, packets, pages};
use hour::{TICK, quick};

/// 200 kbit/s, in pages of a quarter of a second.
fn stream() -> Vec<u8> {
    let packets = packets(1, &[(true, 580); (1 << 20) / 580]);
    let mut source = Logical::new(1);
    let mut out = header_pages(&mut source, &headers(1));
    out.extend(pages(&mut source, &packets, || 33));
    out.concat()
}

fn canonical(c: &mut Criterion) {
    let stream = stream();
    let mut group = c.benchmark_group("vorbis");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("canonical", |b| {
        b.iter(|| {
            let (mut canonical, mut out, mut made) = (Canonical::default(), Vec::new(), 0);
            for read in stream.chunks(TICK as usize) {
                out.clear();
                canonical.feed(black_box(read), &mut out);
                made += out.len();
            }
            assert!(made > stream.len() * 9 / 10);
            made
        })
    });
}

criterion_group! {
    name = benches;
    config = quick();
    targets = canonical
}
criterion_main!(benches);
