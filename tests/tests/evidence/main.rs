//! Evidence that no honest client sends: malformed, contradicting itself, costly. Each gets a clear answer for little work, and
//! nobody else misses a byte.
#![expect(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod contradicting;
mod costly;
mod malformed;
mod witness;

use std::time::Duration;

use icecast_ext_tests::http::{Head, exchange, request};
use icecast_ext_tests::proxy;

const SOON: Duration = Duration::from_secs(20);
/// Nothing is proven before twice the clock's bound has been heard, and some chunks.
const HEARD: Duration = Duration::from_secs(38);
/// Of nobody's.
const UNKNOWN: &str = "5;epoch=\"AAECAwQFBgcICQoLDA0ODw\"";
/// All of it comes from one address.
const CONFIG: &str =
    "[limits]\njoins-per-second = 0\nresumes-per-second = 0\nconnections-per-address = 0\n";

fn unlimited(upstream: std::net::SocketAddr) -> proxy::Setup {
    proxy::Setup {
        config: CONFIG.to_owned(),
        ..proxy::Setup::before(upstream)
    }
}

/// The head of the answer, and what came after it at once.
async fn answer(
    addr: std::net::SocketAddr,
    mount: &str,
    fields: &[(&str, &str)],
) -> (Head, String) {
    let request = request("GET", mount, addr, fields);
    let bytes = exchange(addr, &request, SOON).await.unwrap();
    let head = Head::parse(&bytes).unwrap().unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes[head.len..]).into_owned();
    (head, text)
}
