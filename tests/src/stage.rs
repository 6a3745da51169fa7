//! Icecast, the proxy in front of it, and somebody who listens all the while.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, ensure};

use crate::chance::Frames;
use crate::icecast::{self, Icecast};
use crate::proxy::{self, Proxy};
use crate::source::{Method, Source, Streaming};
use crate::tap::Tap;
use crate::truth::find;

/// Bytes a second of every mount here.
pub const RATE: usize = 32_000;

/// Two mounts, `/live.mp3` and `/other.mp3`, and a bystander who must not lose a byte.
#[derive(Debug)]
pub struct Stage {
    /// The stock server.
    pub icecast: Icecast,
    /// In front of it.
    pub proxy: Proxy,
    /// What `/live.mp3` carries.
    pub source: Streaming,
    /// An aware listener of `/live.mp3` at the proxy.
    pub bystander: Tap,
    _other: Streaming,
}

impl Stage {
    /// With an Icecast as usual.
    ///
    /// # Errors
    /// If anything of it does not start.
    pub async fn new() -> Result<Self> {
        Self::with(icecast::Setup::default()).await
    }

    /// With an Icecast of its own set-up.
    ///
    /// # Errors
    /// If anything of it does not start.
    pub async fn with(setup: icecast::Setup) -> Result<Self> {
        Self::proxied(setup, proxy::Setup::before).await
    }

    /// With an Icecast and a proxy of its own set-up.
    ///
    /// # Errors
    /// If anything of it does not start.
    pub async fn proxied(
        setup: icecast::Setup,
        proxy: impl FnOnce(SocketAddr) -> proxy::Setup,
    ) -> Result<Self> {
        let icecast = Icecast::with(setup).await?;
        let source = noise(icecast.addr(), "/live.mp3", 1).await?;
        let other = noise(icecast.addr(), "/other.mp3", 2).await?;
        icecast.wait_mount("/live.mp3").await;
        icecast.wait_mount("/other.mp3").await;
        let proxy = Proxy::with(proxy(icecast.addr())).await?;
        let bystander = Tap::aware(proxy.addr(), "/live.mp3").await?;
        ensure!(bystander.head.status == 200, "{:?}", bystander.head);
        bystander.wait_len(RATE, Duration::from_secs(15)).await;
        Ok(Self {
            icecast,
            proxy,
            source,
            bystander,
            _other: other,
        })
    }

    /// An aware request at the proxy.
    ///
    /// # Errors
    /// If there is no answer.
    pub async fn ask(&self, target: &str, resume: &str) -> Result<Tap> {
        Tap::open(self.proxy.addr(), target, &[("Resume-Offset", resume)]).await
    }

    /// The bystander still listens and has lost nothing, and the proxy is still the same process.
    ///
    /// # Panics
    /// If not.
    pub async fn unharmed(mut self) {
        self.bystander
            .wait_more(RATE, Duration::from_secs(15))
            .await;
        assert_eq!(self.bystander.ended(), None);
        let heard = self.bystander.audio();
        assert!(
            find(&self.source.sent(), &heard).is_some(),
            "the bystander heard something else"
        );
        let log = self.proxy.log();
        assert!(self.proxy.runs() && !log.contains("panicked"), "{log}");
    }
}

/// A source at [`RATE`] whose MP3 frames have random payloads: content that never repeats.
///
/// # Errors
/// If it is refused.
pub async fn noise(addr: SocketAddr, mount: &str, seed: u64) -> Result<Streaming> {
    let source = Source::accepted(addr, mount, Method::Put).await?;
    let mut frames = Frames::new(seed);
    Ok(source.stream(RATE, move |_, len| frames.take(len)))
}
