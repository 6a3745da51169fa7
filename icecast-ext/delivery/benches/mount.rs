//! A mount that holds an hour of 128 kbit/s: what its readers and its writer do, locks and all.

use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use criterion::{Criterion, criterion_group, criterion_main};
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::Resume;
use icecast_ext_core::resume::Kind;
use icecast_ext_delivery::{Mount, MountConfig};

const EPOCH: Epoch = Epoch::from_bytes([1; 16]);
const TICKS: u64 = 14_400;
/// A title comes every so many ticks: 600 an hour.
const TITLE: u64 = TICKS / 600;

/// What a source of MPEG frames sends.
struct Source {
    mount: Arc<Mount>,
    frames: Vec<u8>,
    ticks: u64,
}

impl Source {
    /// A mount whose window is full.
    fn hour() -> Self {
        let config = MountConfig {
            window: Duration::from_secs(3600),
            cap: 1 << 30,
            ..MountConfig::default()
        };
        let mount = Mount::new("/live.mp3", config);
        mount.begin(RunStart {
            epoch: EPOCH,
            first: Offset::ZERO,
            declared: true,
            format: Format::Mpeg,
            fields: Bytes::from_static(b"Content-Type: audio/mpeg\r\n"),
            prelude: None,
        });
        // 128 kbit/s at 44.1 kHz: 417 bytes a frame. Ten are a little more than a tick has.
        let mut frame = vec![0xff, 0xfb, 0x90, 0x64];
        frame.resize(417, 0);
        let frames = frame.repeat(10);
        let mut source = Self {
            mount,
            frames,
            ticks: 0,
        };
        (0..TICKS + 10).for_each(|_| source.tick());
        source
    }

    fn tick(&mut self) {
        if self.ticks.is_multiple_of(TITLE) {
            let text = format!("StreamTitle='An artist - Title {}';", self.ticks);
            self.mount.title(None, text.into());
        }
        let ms = 1_700_000_000_000 + self.ticks * 250;
        self.mount.append(&self.frames, Some(ms));
        self.mount.flush();
        self.ticks += 1;
    }
}

fn mount(c: &mut Criterion) {
    let mut source = Source::hour();
    let mount = Arc::clone(&source.mount);
    let window = mount.window().expect("a run has begun").window;
    assert!(window.first > Offset::ZERO, "{window:?}");
    let back = Position::new(EPOCH, window.first.saturating_add(window.len() / 2));
    let asked = Resume::at(back);
    let start = mount.start(&asked).expect("it is held");
    assert_eq!(start.kind, Kind::Exact);
    c.bench_function("mount/start by offset", |b| {
        b.iter(|| mount.start(black_box(&asked)))
    });
    c.bench_function("mount/Stream-Window", |b| b.iter(|| mount.window()));
    c.bench_function("mount/a tick appended, published, evicted", |b| {
        b.iter(|| source.tick())
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_millis(600))
        .sample_size(40)
        .nresamples(5_000)
        .without_plots();
    targets = mount
}
criterion_main!(benches);
