//! Bodies taken apart: the relay feed, the chunked coding, ICY blocks. A minute of 128 kbit/s, in reads of a tick.

mod hour;

use std::hint::black_box;
use std::num::NonZeroU32;

use bytes::Bytes;
use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, Criterion, Throughput, criterion_group, criterion_main};
use icecast_ext_core::chunked;
use icecast_ext_core::frame::{self, Frame};
use icecast_ext_core::icy::{self, Deinterleaver};

use hour::{TICK, epoch, offset, quick};

const TICKS: u64 = 240;
const METAINT: NonZeroU32 = NonZeroU32::new(16_000).expect("not zero");
const TITLE: &[u8] =
    b"StreamTitle='An artist - The title of a song';StreamUrl='https://radio.example/';";

fn audio() -> Bytes {
    (0..TICK).map(|n| ((n * 31) >> 3) as u8).collect()
}

/// As a relay is sent it: in each tick TIME and DATA, in every tenth a title.
fn feed() -> Bytes {
    let mut out = Vec::new();
    let format = Frame::Format {
        epoch: epoch(1),
        offset: offset(0),
        tick_ms: 250,
        fields: Bytes::from_static(b"Content-Type: audio/mpeg\r\nicy-name: Radio\r\n"),
    };
    format.encode(&mut out);
    let audio = audio();
    for n in 0..TICKS {
        let at = offset(n * TICK);
        if n % 10 == 0 {
            let text = Bytes::from_static(TITLE);
            Frame::Title { at, text }.encode(&mut out);
        }
        let ms = 1_700_000_000_000 + n * 250;
        Frame::Time { at, ms }.encode(&mut out);
        out.extend_from_slice(&Frame::data_head(at, TICK));
        out.extend_from_slice(&audio);
    }
    out.into()
}

fn group<'a>(c: &'a mut Criterion, body: &Bytes) -> BenchmarkGroup<'a, WallTime> {
    let mut group = c.benchmark_group("bodies");
    group.throughput(Throughput::Bytes(body.len() as u64));
    group
}

/// Reads of a tick's bytes.
fn reads(body: &Bytes) -> Vec<Bytes> {
    let parts = body.chunks(TICK as usize);
    parts.map(|part| body.slice_ref(part)).collect()
}

fn relay_feed(c: &mut Criterion) {
    let body = feed();
    let reads = reads(&body);
    group(c, &body).bench_function("relay feed", |b| {
        let mut frames = Vec::new();
        b.iter(|| {
            let mut decoder = frame::Decoder::default();
            for read in black_box(&reads) {
                frames.clear();
                decoder
                    .feed(read.clone(), &mut frames)
                    .expect("it was encoded so");
            }
            frames.len()
        })
    });
    let frames = frames_of(&body);
    group(c, &body).bench_function("relay feed, encode", |b| {
        let mut out = Vec::with_capacity(body.len());
        b.iter(|| {
            out.clear();
            for frame in black_box(&frames) {
                frame.encode(&mut out);
            }
            out.len()
        })
    });
}

fn frames_of(body: &Bytes) -> Vec<Frame> {
    let mut frames = Vec::new();
    let mut decoder = frame::Decoder::default();
    decoder
        .feed(body.clone(), &mut frames)
        .expect("it was encoded so");
    frames
}

fn chunked(c: &mut Criterion) {
    let mut body = Vec::new();
    for _ in 0..TICKS {
        chunked::encode(&audio(), &mut body);
    }
    chunked::end(&mut body);
    let body = Bytes::from(body);
    let reads = reads(&body);
    group(c, &body).bench_function("chunked", |b| {
        let mut out = Vec::with_capacity(TICK as usize);
        b.iter(|| {
            let mut decoder = chunked::Decoder::default();
            let mut ended = false;
            for read in black_box(&reads) {
                out.clear();
                ended = decoder.feed(read, &mut out).expect("it was encoded so");
            }
            assert!(ended);
        })
    });
}

fn icy(c: &mut Criterion) {
    let mut body = Vec::new();
    for n in 0..TICKS {
        body.extend_from_slice(&audio());
        if ((n + 1) * TICK).is_multiple_of(u64::from(METAINT.get())) {
            body.extend_from_slice(&icy::block(TITLE));
        }
    }
    let body = Bytes::from(body);
    let reads = reads(&body);
    group(c, &body).bench_function("ICY, a title in each block", |b| {
        let mut parts = Vec::new();
        b.iter(|| {
            let mut body = Deinterleaver::new(METAINT);
            for read in black_box(&reads) {
                parts.clear();
                body.feed(read.clone(), &mut parts);
            }
            parts.len()
        })
    });
    c.bench_function("bodies/an ICY block, made", |b| {
        b.iter(|| icy::block(black_box(TITLE)))
    });
    c.bench_function("bodies/an ICY block, its titles", |b| {
        b.iter(|| icy::titles(black_box(TITLE)))
    });
}

criterion_group! {
    name = benches;
    config = quick();
    targets = relay_feed, chunked, icy
}
criterion_main!(benches);
