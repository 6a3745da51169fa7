//! The tracker, which looks at each byte of a source once: a MiB of each family, in reads of a tick.

mod hour;

#[path = "../tests/codec/build.rs"]
#[allow(dead_code, reason = "the tests' streams have more in them")]
mod build;

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecast_ext_core::address::Offset;
use icecast_ext_core::codec::{Format, Mark, Tracker};

use build::{CLUSTER, Logical, adts, block, cluster_of, endless, mp3, noise, webm_headers};
use hour::{TICK, quick};

const SIZE: usize = 1 << 20;

/// Parts until there is a MiB.
fn fill(start: Vec<u8>, mut part: impl FnMut(u64) -> Vec<u8>) -> Vec<u8> {
    let mut out = start;
    for n in 1.. {
        out.extend(part(n));
        if out.len() >= SIZE {
            break;
        }
    }
    out
}

/// Pages of about a second of Opus, or of what a FLAC encoder makes of a tenth.
fn ogg(headers: impl FnOnce(&mut Logical) -> Vec<u8>, page: usize) -> Vec<u8> {
    let mut stream = Logical::new(1);
    let headers = headers(&mut stream);
    fill(headers, |n| stream.data(n as i64 * 48_000, page))
}

fn flac_headers(stream: &mut Logical) -> Vec<u8> {
    let first = [
        b"\x7fFLAC\x01\0\0\x01fLaC\0\0\0\x22".as_slice(),
        &noise(1, 34),
    ]
    .concat();
    let comment = [b"\x84\0\0\x28".as_slice(), &noise(2, 40)].concat();
    [
        stream.page(build::BOS, 0, &[&first], false),
        stream.page(0, 0, &[&comment], false),
    ]
    .concat()
}

fn streams() -> [(&'static str, Format, Vec<u8>); 8] {
    let cluster = |n: u64| {
        let blocks: Vec<Vec<u8>> = (0..50)
            .map(|i| block(1, true, 300 + (n + i) as usize % 50))
            .collect();
        endless(CLUSTER, &cluster_of(&blocks))
    };
    [
        (
            "MPEG",
            Format::Mpeg,
            fill(Vec::new(), |n| mp3(n, n % 2 == 0)),
        ),
        (
            "AAC",
            Format::Adts,
            fill(Vec::new(), |n| adts(n, 340 + n as usize % 64)),
        ),
        (
            "Ogg, Opus",
            Format::Ogg,
            ogg(|stream| stream.opus_headers().concat(), 12_000),
        ),
        (
            "Ogg, Vorbis",
            Format::Ogg,
            ogg(|stream| stream.vorbis_headers().concat(), 4_000),
        ),
        ("Ogg, FLAC", Format::Ogg, ogg(flac_headers, 8_000)),
        ("WebM", Format::Webm, fill(webm_headers(&[2]), cluster)),
        ("opaque", Format::Opaque, noise(1, SIZE)),
        ("MPEG that is none", Format::Mpeg, noise(1, SIZE)),
    ]
}

fn track(format: Format, stream: &[u8], marks: &mut Vec<Mark>) {
    let mut tracker = Tracker::new(format, Offset::ZERO, None);
    for read in stream.chunks(TICK as usize) {
        tracker.feed(read, marks);
    }
}

fn trackers(c: &mut Criterion) {
    let mut group = c.benchmark_group("codec");
    for (name, format, stream) in streams() {
        let mut marks = Vec::new();
        track(format, &stream, &mut marks);
        let readable = format != Format::Opaque && !name.ends_with("none");
        assert_eq!(marks.len() > 20, readable, "{name}: {} marks", marks.len());
        group.throughput(Throughput::Bytes(stream.len() as u64));
        group.bench_function(name, |b| {
            b.iter(|| {
                marks.clear();
                track(format, black_box(&stream), &mut marks);
            })
        });
    }
}

criterion_group! {
    name = benches;
    config = quick();
    targets = trackers
}
criterion_main!(benches);
