//! An Icecast with the module, and what it holds.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_tests::icecast::{Icecast, Setup};
use icecast_ext_tests::module::Module;
use icecast_ext_tests::wait::wait_for;

const SOON: Duration = Duration::from_secs(30);
/// Small, so that buffers are full soon.
const MODULE: &str = "log = \"{dir}/module.log\"\nwindow = 5\ndelivery-tick = 100\n";
const SPARE: &str = "<mount type=\"normal\"><mount-name>/live.mp3</mount-name>\
    <fallback-mount>/spare.mp3</fallback-mount><fallback-override>1</fallback-override></mount>";

/// Descriptors and threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Held {
    descriptors: usize,
    threads: usize,
}

pub(crate) struct Server {
    icecast: Icecast,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let icecast = Icecast::with(Setup {
            module: Some(Module {
                config: MODULE.to_owned(),
            }),
            more: SPARE.to_owned(),
            ..Setup::default()
        });
        let icecast = icecast.await.expect("icecast starts");
        Self { icecast }
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.icecast.addr()
    }

    /// It reads its configuration again.
    pub(crate) fn reread(&mut self) {
        self.icecast.signal("HUP").expect("it runs");
    }

    fn file(&self, name: &str) -> String {
        let id = self.icecast.id().expect("it runs");
        format!("/proc/{id}/{name}")
    }

    fn held(&self) -> Held {
        let count = |name| std::fs::read_dir(self.file(name)).map_or(0, Iterator::count);
        Held {
            descriptors: count("fd"),
            threads: count("task"),
        }
    }

    /// What it holds, once that does not change any more.
    pub(crate) async fn settled(&self) -> Held {
        let (mut last, mut times) = (Held::default(), 0);
        wait_for("the server settles", SOON, || {
            let now = self.held();
            times = if now == last { times + 1 } else { 0 };
            last = now;
            times > 50
        })
        .await;
        last
    }

    /// Nobody listens, and nothing is held that was not held before.
    pub(crate) async fn is_idle(&self, idle: Held) {
        let mut stats = String::new();
        let start = Instant::now();
        while !is_listened_to_by_nobody(&stats) {
            assert!(start.elapsed() < SOON, "somebody listens: {stats}");
            stats = self
                .icecast
                .admin("/admin/stats")
                .await
                .map_or(String::new(), |all| all.text());
        }
        let what = format!("{idle:?}");
        let mut last = Held::default();
        wait_for(&what, SOON, || {
            last = self.held();
            last == idle
        })
        .await;
    }

    /// Bytes of memory that are its own.
    pub(crate) fn memory(&self) -> u64 {
        let status = std::fs::read_to_string(self.file("status")).expect("it runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix("RssAnon:"));
        let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok());
        kib.expect("a number of KiB") << 10
    }

    /// It runs, and nothing of ours went wrong.
    pub(crate) fn is_well(&mut self) {
        assert!(self.icecast.runs());
        for text in [self.icecast.read("module.log"), self.icecast.output()] {
            let wrong = |line: &&str| line.contains("ERROR") || line.contains("panicked");
            assert_eq!(text.lines().find(wrong), None);
        }
    }
}

/// By the mounts' own counts: the one of all mounts is wrong after sources have gone, in a stock Icecast, too.
fn is_listened_to_by_nobody(stats: &str) -> bool {
    let mut mounts = stats.split("<source ").skip(1).peekable();
    mounts.peek().is_some() && mounts.all(|mount| mount.contains("<listeners>0</listeners>"))
}
