//! Content anchors: what chunking costs a byte, and a lookup a request, among a thousand mounts of an hour.

use std::hint::black_box;
use std::time::Duration;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use icecast_ext_core::anchor::{Chunker, Collector, Evidence, Index, Place, SKEW, Unproven};
use sha2::{Digest, Sha256};

/// Bytes a second.
const RATE: usize = 16_000;
/// Of each mount.
const HOUR: usize = 3_600;
/// How many there are: each of so many hours, in as many copies. What counts is that each has memory of its own.
const MOUNTS: usize = 1_000;
const HOURS: usize = 25;

/// Bytes that never repeat.
struct Noise(u64);

impl Noise {
    fn fill(&mut self, bytes: &mut [u8]) {
        for word in bytes.chunks_mut(8) {
            self.0 ^= self.0 << 13;
            self.0 ^= self.0 >> 7;
            self.0 ^= self.0 << 17;
            word.copy_from_slice(&self.0.to_le_bytes()[..word.len()]);
        }
    }
}

fn few() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_secs(2))
        .sample_size(20)
        .without_plots()
}

/// What a relay does with each byte, and a client; beside it the hash that most of it is.
fn bytes(c: &mut Criterion) {
    let mut stream = vec![0; 4_000_000];
    Noise(1).fill(&mut stream);
    let mut group = c.benchmark_group("anchor");
    group.throughput(Throughput::Bytes(stream.len() as u64));
    group.bench_function("SHA-256 alone", |b| {
        b.iter(|| Sha256::digest(black_box(&stream)))
    });
    group.bench_function("cuts alone", |b| {
        // Before the first cut nothing is named, and silence has none.
        let silence = vec![0; stream.len()];
        let mut chunker = Chunker::new(0);
        b.iter(|| chunker.feed(black_box(&silence), |_| unreachable!("silence has no cut")));
    });
    group.bench_function("chunks of all levels", |b| {
        let mut chunker = Chunker::new(0);
        let mut chunks = 0;
        b.iter(|| chunker.feed(black_box(&stream), |cut| chunks += cut.chunks.len()));
        assert!(chunks > 1_000);
    });
    let mut collector = Collector::default();
    group.bench_function("a client's evidence", |b| {
        b.iter(|| collector.feed(black_box(&stream), Duration::ZERO));
    });
    println!("a client's memory: {} bytes", collector.size());
    group.finish();
}

/// An hour of a mount, and a client of it that went away somewhere.
#[derive(Clone)]
struct Mount {
    index: Index,
    /// The last bytes before the client's cut.
    tail: Vec<u8>,
    evidence: Evidence,
    asked: Duration,
    place: u64,
}

impl Mount {
    fn new(seed: u64) -> Self {
        let mut noise = Noise(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        let mut index = Index::new(0, SKEW);
        let mut client = Collector::default();
        let mut bytes = vec![0; RATE];
        let cut = (
            600 + usize::try_from(seed).unwrap_or(0) * 7919 % 2_900,
            1 + (seed as usize * 31) % (RATE - 1),
        );
        let (mut tail, mut evidence) = (Vec::new(), None);
        for second in 0..HOUR {
            let now = Duration::from_secs(second as u64);
            noise.fill(&mut bytes);
            index.push(&bytes, now);
            if second + 300 >= cut.0 && second < cut.0 {
                client.feed(&bytes, now);
                tail.extend_from_slice(&bytes);
            } else if second == cut.0 {
                client.feed(&bytes[..cut.1], now);
                tail.extend_from_slice(&bytes[..cut.1]);
                tail.drain(..tail.len() - 65_536);
                evidence = client.evidence(now, Duration::ZERO);
            }
        }
        let asked = Duration::from_secs(HOUR as u64);
        let mut evidence = evidence.expect("it listened for five minutes");
        evidence.age = asked - Duration::from_secs(cut.0 as u64);
        let place = (cut.0 * RATE + cut.1) as u64;
        let mount = Self {
            index,
            tail,
            evidence,
            asked,
            place,
        };
        assert_eq!(mount.find(), Ok(Place::Held(place)));
        mount
    }

    fn find(&self) -> Result<Place, Unproven> {
        let first = self.place - self.tail.len() as u64;
        self.index.find(&self.evidence, self.asked, |from, len| {
            let from = (from - first) as usize;
            std::iter::once(&self.tail[from..from + len as usize])
        })
    }
}

/// An hour of the same ten seconds, and a client of it: each name stands in 360 places.
struct Loop {
    index: Index,
    stream: Vec<u8>,
    evidence: Evidence,
    asked: Duration,
}

impl Loop {
    fn new() -> Self {
        let mut once = vec![0; 10 * RATE];
        Noise(7).fill(&mut once);
        let stream = once.repeat(HOUR / 10);
        let mut index = Index::new(0, SKEW);
        let mut client = Collector::default();
        for (second, bytes) in (0..).map(Duration::from_secs).zip(stream.chunks(RATE)) {
            index.push(bytes, second);
            client.feed(bytes, second);
        }
        let asked = Duration::from_secs(HOUR as u64);
        let evidence = client.evidence(asked, Duration::ZERO);
        Self {
            index,
            stream,
            evidence: evidence.expect("ten seconds are not silence"),
            asked,
        }
    }

    fn find(&self) -> Result<Place, Unproven> {
        self.index.find(&self.evidence, self.asked, |from, len| {
            self.stream
                .get(from as usize..(from + len) as usize)
                .into_iter()
        })
    }
}

fn lookups(c: &mut Criterion) {
    let hours: Vec<Mount> = (0..HOURS as u64).map(Mount::new).collect();
    let mounts: Vec<Mount> = hours.iter().cycle().take(MOUNTS).cloned().collect();
    let held = (HOUR * RATE) as f64;
    let size: usize = mounts.iter().map(|mount| mount.index.size()).sum();
    let size = size as f64 / mounts.len() as f64;
    println!(
        "index of an hour of 128 kbit/s: {:.0} bytes, {:.2} % of the window",
        size,
        100.0 * size / held
    );
    let mut times: Vec<u64> = (0..20 * MOUNTS)
        .map(|turn| {
            let mount = &mounts[turn * 7919 % MOUNTS];
            let before = std::time::Instant::now();
            assert!(black_box(mount.find()).is_ok());
            before.elapsed().as_nanos() as u64
        })
        .collect();
    times.sort_unstable();
    let at = |percent: usize| times[times.len() * percent / 100] as f64 / 1000.0;
    println!(
        "lookup among {MOUNTS} mounts: p50 {:.1} us, p90 {:.1} us, p99 {:.1} us",
        at(50),
        at(90),
        at(99)
    );
    let mut fields: Vec<usize> = mounts
        .iter()
        .map(|mount| mount.evidence.encode().len())
        .collect();
    fields.sort_unstable();
    println!(
        "Resume-Anchor: p50 {} octets, at most {}",
        fields[fields.len() / 2],
        fields[fields.len() - 1]
    );
    let mut turn = 0;
    c.bench_function("anchor/a lookup among a thousand mounts of an hour", |b| {
        b.iter(|| {
            turn += 7919;
            black_box(mounts[turn % MOUNTS].find())
        })
    });
    let looped = Loop::new();
    assert!(looped.find().is_err());
    c.bench_function("anchor/a lookup in an hour of a loop of 10 s", |b| {
        b.iter(|| looped.find())
    });
    let field = mounts[0].evidence.encode();
    c.bench_function("anchor/the field parsed", |b| {
        b.iter(|| Evidence::parse(black_box(field.as_bytes())))
    });
}

criterion_group! {
    name = benches;
    config = few();
    targets = bytes, lookups
}
criterion_main!(benches);
