//! A server with the module whose system calls can fail, and listeners who must not notice.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use icecast_ext_tests::faults::Faults;
use icecast_ext_tests::http::request;
use icecast_ext_tests::icecast::{Icecast, Setup};
use icecast_ext_tests::module::Module;
use icecast_ext_tests::source::{Method, Source, Streaming};
use icecast_ext_tests::stage::{RATE, noise};
use icecast_ext_tests::tap::Tap;
use icecast_ext_tests::wait::{wait_for, wait_until};
use socket2::SockRef;
use tokio::net::TcpStream;

/// What is watched all the while.
pub(crate) const LIVE: &str = "/live.mp3";
pub(crate) const SOON: Duration = Duration::from_secs(30);

pub(crate) struct Scene {
    pub(crate) faults: Faults,
    pub(crate) icecast: Icecast,
    pub(crate) source: Streaming,
    /// Of that source's connection.
    pub(crate) port: u16,
    bystanders: Vec<Tap>,
    /// Descriptors of the server, without listeners.
    idle: usize,
}

impl Scene {
    pub(crate) async fn new() -> Self {
        Self::with(Setup::default()).await
    }

    pub(crate) async fn with(setup: Setup) -> Self {
        let faults = Faults::new().expect("faults");
        let setup = Setup {
            module: Some(Module {
                config: "log = \"{dir}/module.log\"\nwindow = 30\n".to_owned(),
            }),
            preload: vec![faults.object()],
            environment: vec![faults.environment()],
            ..setup
        };
        let icecast = Icecast::with(setup).await.expect("icecast starts");
        let source = Source::accepted(icecast.addr(), LIVE, Method::Put)
            .await
            .expect("a source");
        let port = source.local_addr().expect("a connection").port();
        let mut frames = icecast_ext_tests::chance::Frames::new(1);
        let source = source.stream(RATE, move |_, len| frames.take(len));
        icecast.wait_mount(LIVE).await;
        let mut scene = Self {
            faults,
            icecast,
            source,
            port,
            bystanders: Vec::new(),
            idle: 0,
        };
        scene.idle = scene.settled().await;
        let fields: [&[(&str, &str)]; 3] = [
            &[],
            &[("Icy-MetaData", "1")],
            &[("Resume-Offset", "live"), ("Icy-MetaData", "1")],
        ];
        for fields in fields {
            let tap = Tap::open(scene.addr(), LIVE, fields)
                .await
                .expect("an answer");
            assert_eq!(tap.head.status, 200);
            scene.bystanders.push(tap);
        }
        scene
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.icecast.addr()
    }

    /// Of the server.
    pub(crate) fn descriptors(&self) -> usize {
        let id = self.icecast.id().expect("it runs");
        std::fs::read_dir(format!("/proc/{id}/fd")).map_or(0, Iterator::count)
    }

    /// The number of descriptors once those of answered requests are closed.
    async fn settled(&self) -> usize {
        let mut last = (0, 0);
        wait_for("no connection is being closed", SOON, || {
            let now = self.descriptors();
            last = (now, if now == last.0 { last.1 + 1 } else { 0 });
            last.1 > 20
        })
        .await;
        last.0
    }

    /// What a listener heard is what the source sent, from the byte on that it was told.
    pub(crate) fn check(&self, tap: &Tap) -> Result<u64> {
        exact(tap, &self.source.sent())
    }

    /// An aware listener joins, is cut, and goes on with the next byte, however often it has to ask.
    pub(crate) async fn resumes(&self) {
        let first = self.asks("live").await;
        first.wait_len(RATE / 8, SOON).await;
        let next = self.check(&first).expect("what was sent");
        let place = first.head.place().expect("checked");
        drop(first);
        let further = self.asks(&place.resume(next - place.offset)).await;
        assert_eq!(further.head.place().map(|place| place.offset), Some(next));
        further.wait_len(RATE / 8, SOON).await;
        self.check(&further).expect("what was sent");
    }

    /// Asks until there is an answer with a place, on connections that end with a reset.
    async fn asks(&self, resume: &str) -> Tap {
        wait_until("an answer", SOON, async || {
            let socket = TcpStream::connect(self.addr()).await.ok()?;
            SockRef::from(&socket)
                .set_linger(Some(Duration::ZERO))
                .ok()?;
            let request = request("GET", LIVE, self.addr(), &[("Resume-Offset", resume)]);
            let tap = Tap::on(socket, &request).await.ok()?;
            tap.head.place().is_some().then_some(tap)
        })
        .await
    }

    /// So many of those, at once.
    pub(crate) async fn all_resume(&self, count: usize) {
        futures_util::future::join_all((0..count).map(|_| self.resumes())).await;
    }

    /// Those who were there before have lost nothing, and listen.
    pub(crate) async fn undisturbed(&self) {
        for tap in &self.bystanders {
            tap.wait_more(RATE / 4, SOON).await;
            assert_eq!(tap.ended(), None);
            self.check(tap).expect("what was sent");
        }
    }

    /// The same; and once they have gone, nothing is left of anybody.
    pub(crate) async fn unharmed(mut self) {
        self.undisturbed().await;
        self.bystanders.clear();
        self.has_let_go().await;
        assert!(self.icecast.runs());
        let log = self.icecast.read("module.log");
        assert!(!log.contains("ERROR") && !log.contains("panicked"), "{log}");
        let output = self.icecast.output();
        assert!(!output.contains("panicked"), "{output}");
    }

    /// No connection of a listener's is left.
    async fn has_let_go(&self) {
        let what = format!("{} descriptors", self.idle);
        wait_for(&what, SOON, || self.descriptors() == self.idle).await;
    }
}

/// The offset after what a listener heard, which is all in `sent`.
pub(crate) fn exact(tap: &Tap, sent: &[u8]) -> Result<u64> {
    let place = tap.head.place().context("no place")?;
    let audio = tap.audio();
    let heard = sent
        .get(place.offset as usize..)
        .and_then(|sent| sent.get(..audio.len()));
    ensure!(heard == Some(&audio), "something else from {place:?} on");
    Ok(place.offset + audio.len() as u64)
}

/// Another source of the same kind.
pub(crate) async fn another(addr: SocketAddr, mount: &str, seed: u64) -> Streaming {
    wait_until("the source is let in", SOON, async || {
        noise(addr, mount, seed).await.ok()
    })
    .await
}
