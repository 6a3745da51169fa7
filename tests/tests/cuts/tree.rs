//! Who serves: an Icecast, and relays of its streams.

use std::net::SocketAddr;

use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::module::Module;
use icecast_ext_tests::proxy::Proxy;

/// Servers of the same streams.
pub(crate) struct Tree {
    pub(crate) icecast: Icecast,
    proxies: Vec<Proxy>,
}

/// Where they are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Places {
    /// Where sources are, and what they sent can be heard.
    pub(crate) icecast: SocketAddr,
    /// Where epochs begin.
    pub(crate) minter: SocketAddr,
    /// Between which a client that is cut moves.
    pub(crate) relays: [SocketAddr; 2],
}

impl Tree {
    /// A stock Icecast, a proxy before it, and two relays behind the proxy.
    pub(crate) async fn of_proxies() -> Self {
        let icecast = Icecast::start().await.expect("icecast starts");
        let minter = Proxy::start(icecast.addr())
            .await
            .expect("the proxy starts");
        let one = Proxy::start(minter.addr()).await.expect("a relay starts");
        let two = Proxy::start(minter.addr()).await.expect("a relay starts");
        Self {
            icecast,
            proxies: vec![minter, one, two],
        }
    }

    /// A stock Icecast with the module, and a relay of it.
    pub(crate) async fn of_module() -> Self {
        let setup = icecast::Setup {
            module: Some(Module {
                config: "log = \"{dir}/module.log\"\n".to_owned(),
            }),
            ..icecast::Setup::default()
        };
        let icecast = Icecast::with(setup).await.expect("icecast starts");
        let relay = Proxy::start(icecast.addr()).await.expect("a relay starts");
        Self {
            icecast,
            proxies: vec![relay],
        }
    }

    pub(crate) fn places(&self) -> Places {
        let icecast = self.icecast.addr();
        let at = |index: usize| self.proxies.get(index).map_or(icecast, Proxy::addr);
        match self.proxies.len() {
            1 => Places {
                icecast,
                minter: icecast,
                relays: [icecast, at(0)],
            },
            _ => Places {
                icecast,
                minter: at(0),
                relays: [at(1), at(2)],
            },
        }
    }
}
