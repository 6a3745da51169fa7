//! Icecast with a mount for each level, and the proxy in front of it.

use std::net::SocketAddr;

use icecast_ext_tests::encoder::{Encoder, Format, Setup};
use icecast_ext_tests::icecast::Icecast;
use icecast_ext_tests::metadata::Titles;
use icecast_ext_tests::proxy::{self, Proxy};

use crate::case::Level;

/// Bytes between titles: blocks are 16 000 bytes apart, and no title is to be overtaken.
const APART: usize = 40_000;

/// A station.
pub(crate) struct Radio {
    pub(crate) icecast: Icecast,
    /// With a state directory.
    pub(crate) proxy: Proxy,
    encoders: Vec<(Level, Encoder)>,
    _titles: Titles,
}

impl Radio {
    pub(crate) async fn start() -> Self {
        let icecast = Icecast::start().await.expect("icecast starts");
        let mut encoders = Vec::new();
        for (seed, level) in (70..).zip(Level::ALL) {
            let setup = Setup {
                seed,
                ..Setup::new(Format::Mp3)
            };
            let encoder = Encoder::start(icecast.addr(), level.mount(), setup);
            encoders.push((level, encoder.expect("ffmpeg starts")));
            icecast.wait_mount(level.mount()).await;
        }
        let proxy = Proxy::with(proxy::Setup {
            state: true,
            ..setup(icecast.addr())
        });
        let proxy = proxy.await.expect("the proxy starts");
        let titles = Titles::start(icecast.addr(), Level::ALL.map(Level::mount), APART).await;
        Self {
            icecast,
            proxy,
            encoders,
            _titles: titles,
        }
    }

    /// Everything that a mount has carried by now.
    pub(crate) async fn sent(&self, level: Level) -> Vec<u8> {
        let mut encoders = self.encoders.iter();
        let (_, encoder) = encoders.find(|(of, _)| *of == level).expect("a mount");
        encoder.sent_by_now().await.expect("a file")
    }
}

/// A proxy with a mount for each level.
pub(crate) fn setup(upstream: SocketAddr) -> proxy::Setup {
    let levels = Level::ALL.map(|level| {
        format!(
            "[mount.\"{}\"]\nstock-players = \"{}\"\n",
            level.mount(),
            level.name()
        )
    });
    proxy::Setup {
        config: levels.concat(),
        ..proxy::Setup::before(upstream)
    }
}
