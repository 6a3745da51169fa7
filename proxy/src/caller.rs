//! Who asks.

use std::net::{IpAddr, SocketAddr};

use icecast_ext_core::head::{Method, Request};

use crate::config::Config;

/// Longest agent, referer or user that is kept, bytes.
const MAX_TEXT: usize = 250;
/// Longest request line that is kept, bytes.
const MAX_LINE: usize = 1000;

/// A client, as its connection and its head have it. Its texts are bounded and have no control characters; whoever shows them
/// escapes what is special there.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
    /// The peer's forwarded addresses are believed.
    pub(crate) trusted: bool,
    /// The client's: the peer's, or the one that a trusted proxy names.
    pub(crate) address: IpAddr,
    /// The bounds of one address apply: it is no proxy of ours.
    pub(crate) limited: bool,
    /// Empty if unknown.
    pub(crate) agent: String,
    /// Empty if unknown.
    pub(crate) referer: String,
    /// Of Basic authentication, not proven by us; of somebody who wants to listen.
    pub(crate) user: Option<String>,
    /// Method, target without query, version.
    pub(crate) line: String,
}

impl Caller {
    pub(crate) fn new(config: &Config, peer: SocketAddr, request: &Request<'_>) -> Self {
        let text = |name: &'static str| {
            let value = request.field(name).unwrap_or_default();
            shown(&value, MAX_TEXT)
        };
        let trusted = config.trusts(peer.ip().to_canonical());
        let address = if trusted {
            let lines = request.lines("X-Forwarded-For");
            forwarded(lines, peer.ip(), |address| config.trusts(address))
        } else {
            peer.ip().to_canonical()
        };
        // Icecast names those who listen, neither sources nor administrators.
        let listens = matches!(request.method, Method::Get | Method::Head)
            && !request.target.starts_with("/admin/");
        let line = format!(
            "{} {} {}",
            request.method.as_str(),
            request.target.split('?').next().unwrap_or_default(),
            request.version.as_str()
        );
        Self {
            peer,
            trusted,
            address,
            limited: !config.trusts(address),
            agent: text("User-Agent"),
            referer: text("Referer"),
            user: request
                .basic_auth()
                .filter(|_| listens)
                .map(|(user, _)| shown(&user, MAX_TEXT))
                .filter(|user| !user.is_empty()),
            line: shown(line.as_bytes(), MAX_LINE),
        }
    }
}

/// The first `most` bytes as text, a dot for each control character.
fn shown(text: &[u8], most: usize) -> String {
    let text = String::from_utf8_lossy(&text[..text.len().min(most)]);
    let dotted = |c: char| if c.is_control() { '.' } else { c };
    text.chars().map(dotted).collect()
}

/// The address that the outermost trusted proxy was asked from: of the lines, read from the right, the first that is no proxy
/// itself. What is left of it anybody could have written.
fn forwarded<'a>(
    lines: impl Iterator<Item = &'a [u8]>,
    peer: IpAddr,
    trusts: impl Fn(IpAddr) -> bool,
) -> IpAddr {
    let lines: Vec<_> = lines.map(String::from_utf8_lossy).collect();
    let mut client = peer.to_canonical();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Some(address) = address(entry.trim()) else {
            break;
        };
        client = address;
        if !trusts(address) {
            break;
        }
    }
    client
}

/// With or without brackets and port, as proxies write it.
fn address(entry: &str) -> Option<IpAddr> {
    let bare = || {
        let inner = entry.strip_prefix('[')?.strip_suffix(']')?;
        inner.parse().ok()
    };
    let parsed: Option<IpAddr> = entry.parse().ok();
    let parsed = parsed.or_else(|| entry.parse().ok().map(|with: SocketAddr| with.ip()));
    parsed.or_else(bare).map(|address| address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(lines: &[&str]) -> String {
        let trusted = |address: IpAddr| address.to_string().starts_with("10.");
        let lines = lines.iter().map(|line| line.as_bytes());
        forwarded(lines, [10, 0, 0, 1].into(), trusted).to_string()
    }

    #[test]
    fn the_rightmost_forwarded_address_that_is_no_proxy_is_the_clients() {
        assert_eq!(client(&[]), "10.0.0.1");
        assert_eq!(client(&["192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["6.6.6.6, 192.0.2.1, 10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["6.6.6.6", "192.0.2.1,10.0.0.2"]), "192.0.2.1");
        assert_eq!(client(&["192.0.2.1:1234"]), "192.0.2.1");
        assert_eq!(client(&["[2001:db8::1]:80"]), "2001:db8::1");
        assert_eq!(client(&["::ffff:192.0.2.1"]), "192.0.2.1");
        assert_eq!(client(&["10.0.0.3, 10.0.0.2"]), "10.0.0.3");
        assert_eq!(client(&["192.0.2.1, unknown"]), "10.0.0.1", "not further");
        assert_eq!(client(&["192.0.2.1, _x, 10.0.0.2"]), "10.0.0.2");
        assert_eq!(client(&[""]), "10.0.0.1");
    }

    #[test]
    fn texts_are_bounded_and_have_no_control_characters() {
        assert_eq!(
            shown(b"a\r\nb\x00\t\x7f\xc2\x85\xc3\xa4\xff", 100),
            "a..b....ä\u{fffd}"
        );
        assert_eq!(shown(&[b'x'; 5000], MAX_TEXT).len(), MAX_TEXT);
    }
}
