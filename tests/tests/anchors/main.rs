//! The answers that stock players get, byte by byte: heads as those players send them, over real sockets, before a real Icecast.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: what cannot be had fails the test"
)]

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use icecast_ext_tests::http::{self, Head, basic};
use icecast_ext_tests::icecast::{self, Icecast};
use icecast_ext_tests::proxy::{self, Proxy};
use icecast_ext_tests::stage::{RATE, Stage, noise};
use icecast_ext_tests::tap::{End, Tap};
use icecast_ext_tests::truth::find;
use icecast_ext_tests::wait::wait_until;

mod answers;
mod formats;
mod holds;
mod losses;

const SOON: Duration = Duration::from_secs(20);
const TOTAL: &str = "1000000000000";

/// A player: what it sends besides the range.
#[derive(Clone, Copy)]
struct Player(&'static [(&'static str, &'static str)]);

const FFMPEG: Player = Player(&[
    ("User-Agent", "Lavf/59.27.100"),
    ("Accept", "*/*"),
    ("Icy-MetaData", "1"),
]);
const PLAIN: Player = Player(&[("User-Agent", "Lavf/59.27.100"), ("Accept", "*/*")]);
const VLC: Player = Player(&[
    ("User-Agent", "VLC/3.0.24 LibVLC/3.0.24"),
    ("Accept", "*/*"),
]);
const CHROMIUM: Player = Player(&[
    (
        "User-Agent",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36",
    ),
    ("Sec-Fetch-Dest", "audio"),
]);
const WGET: Player = Player(&[("User-Agent", "Wget/1.21.3"), ("Accept", "*/*")]);

impl Player {
    /// Asks for the bytes from `first` on; `None`: without a range.
    async fn ask(
        self,
        addr: SocketAddr,
        target: &str,
        range: Option<&str>,
        more: &[(&str, &str)],
    ) -> Tap {
        let mut fields = self.0.to_vec();
        fields.extend(range.map(|range| ("Range", range)));
        fields.extend(more);
        Tap::open(addr, target, &fields).await.unwrap()
    }
}

/// The cookie that an answer sets, as it comes back.
fn cookie(head: &Head) -> Option<String> {
    let set = head.get("Set-Cookie")?;
    Some(set.split(';').next()?.to_owned())
}

/// The bytes that an answer says it has.
fn range(head: &Head) -> Option<&str> {
    head.get("Content-Range")
}

async fn start(setup: icecast::Setup, config: &str) -> (Icecast, Proxy) {
    let icecast = Icecast::with(setup).await.unwrap();
    let setup = proxy::Setup {
        config: config.to_owned(),
        ..proxy::Setup::before(icecast.addr())
    };
    let proxy = Proxy::with(setup).await.unwrap();
    (icecast, proxy)
}

/// The sum of a metric over its labels.
fn metric(text: &str, name: &str) -> u64 {
    let lines = text.lines().filter(|line| line.starts_with(name));
    let values = lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    values.sum::<f64>() as u64
}
