//! Who asks.

use std::net::{IpAddr, SocketAddr};

use icecast_ext_core::head::Request;

use crate::config::Config;

/// Longest agent or referer that is kept, bytes.
const MAX_TEXT: usize = 512;

/// A client, as its connection and its head have it.
#[derive(Debug, Clone)]
#[expect(dead_code, reason = "for the rooms that are being added")]
pub(crate) struct Caller {
    /// The other end of the connection.
    pub(crate) peer: SocketAddr,
    /// The peer's forwarded addresses are believed.
    pub(crate) trusted: bool,
    /// The client's: the peer's, or the one that a trusted proxy names.
    pub(crate) address: IpAddr,
    pub(crate) agent: String,
    pub(crate) referer: String,
    /// Of Basic authentication, not proven by us.
    pub(crate) user: Option<String>,
    /// Method, target without query, version.
    pub(crate) line: String,
}

impl Caller {
    pub(crate) fn new(config: &Config, peer: SocketAddr, request: &Request<'_>) -> Self {
        let text = |name: &'static str| {
            let value = request.field(name).unwrap_or_default();
            String::from_utf8_lossy(&value[..value.len().min(MAX_TEXT)]).into_owned()
        };
        let trusted = config.trusts(peer.ip());
        Self {
            peer,
            trusted,
            address: peer.ip(),
            agent: text("User-Agent"),
            referer: text("Referer"),
            user: request
                .basic_auth()
                .map(|(user, _)| String::from_utf8_lossy(&user).into_owned()),
            line: format!(
                "{} {} {}",
                request.method.as_str(),
                request.target.split('?').next().unwrap_or_default(),
                crate::answer::version(request.version)
            ),
        }
    }
}
