//! Who serves: two trees of relays, which share nothing but the source.

use std::net::SocketAddr;

use icecast_ext_tests::cutter::Cutter;
use icecast_ext_tests::proxy::{Proxy, Setup};

/// All of it comes from one address.
const CONFIG: &str = "[limits]\njoins-per-second = 0\nresumes-per-second = 0\n";

/// A mount that another Icecast relays, for its configuration.
pub(crate) fn relay(from: SocketAddr, mount: &str) -> String {
    format!(
        "<relay><server>127.0.0.1</server><port>{}</port><mount>{mount}</mount><local-mount>{mount}</local-mount>\
         <on-demand>0</on-demand></relay>",
        from.port(),
    )
}

/// Minter, its relay, the other minter, its relay; and the link over which each gets its streams.
pub(crate) struct Field {
    pub(crate) proxies: Vec<Proxy>,
    pub(crate) links: Vec<Cutter>,
}

impl Field {
    /// A tree in front of each server.
    pub(crate) async fn before(servers: [SocketAddr; 2]) -> Self {
        let (mut proxies, mut links): (Vec<Proxy>, Vec<Cutter>) = Default::default();
        for (n, server) in servers.into_iter().enumerate() {
            let minter = proxies.len();
            for depth in 0..2 {
                let upstream = match depth {
                    0 => server,
                    _ => proxies[minter].addr(),
                };
                let link = Cutter::to(upstream).await.unwrap();
                let setup = Setup {
                    // The epochs of one minter outlive it, those of the other end with it.
                    state: n == 0 && depth == 0,
                    config: CONFIG.to_owned(),
                    ..Setup::before(link.front(0))
                };
                proxies.push(Proxy::with(setup).await.unwrap());
                links.push(link);
            }
        }
        Self { proxies, links }
    }

    /// Where they listen.
    pub(crate) fn places(&self) -> Vec<SocketAddr> {
        self.proxies.iter().map(Proxy::addr).collect()
    }
}
