//! What a client wants, and what it asks for.

use std::time::Duration;

use super::link;
use super::relays::MAX_RELAYS;
use crate::address::Position;
use crate::field::Miss;

/// Where the first request starts.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Start {
    /// As a new listener: the burst, then live.
    #[default]
    Live,
    /// Exactly here; the decoder already has what comes before.
    At(Position),
}

/// How a client behaves. [`Options::default`] suits a desktop; a radio sets `history` to 0 and `max_prelude` to what it can
/// hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Options {
    /// Where the first request starts.
    pub start: Start,
    /// What to ask for when a position is gone everywhere (R-MISS-1). With [`Miss::Fail`] the client ends with an error
    /// instead of losing a byte.
    pub miss: Miss,
    /// Sent as `max-lag`.
    pub max_lag: Option<Duration>,
    /// Ask for titles (`Icy-MetaData: 1`).
    pub icy: bool,
    /// So long without a byte, and the relay is left. 5 s.
    pub silence: Duration,
    /// So long without audio from anywhere, and the client ends. 60 s; `None`: never.
    pub give_up_after: Option<Duration>,
    /// Bytes remembered to stitch by content at servers that have no offsets; 0: never stitch. 512 KiB. It should hold 8 s.
    pub history: usize,
    /// Keep evidence of what was heard, and send it when resuming (`Resume-Anchor`): so a relay that shares no epoch with
    /// the one before can go on at the next byte. Costs up to 12 KB of memory. Off: it wants a clock that goes on while the device
    /// sleeps (R-ANCHOR-7), and callers that know it.
    pub evidence: bool,
    /// The longest prelude that is accepted, in bytes: it is held until it is complete. 1 MiB.
    pub max_prelude: usize,
    /// Relays known at once, those given and those learned: at most [`MAX_RELAYS`], which it is by default. At least 1.
    pub max_relays: usize,
    /// The longest URL, in bytes: given ones are refused beyond it, and those that a relay names are not learned. 2048
    pub max_url: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            start: Start::Live,
            miss: Miss::Oldest,
            max_lag: None,
            icy: false,
            silence: Duration::from_secs(5),
            give_up_after: Some(Duration::from_secs(60)),
            history: 512 * 1024,
            evidence: false,
            max_prelude: 1024 * 1024,
            max_relays: MAX_RELAYS,
            max_url: link::MAX_URL,
        }
    }
}

impl Options {
    /// Can a client be made with these relays?
    pub(super) fn check(&self, relays: &[String]) -> Result<(), ClientError> {
        let most = self.max_relays.min(MAX_RELAYS);
        if relays.is_empty() {
            return Err(ClientError::NoRelay);
        }
        if relays.len() > most {
            return Err(ClientError::Relays(relays.len(), most));
        }
        if let Some(long) = relays.iter().find(|url| url.len() > self.max_url) {
            return Err(ClientError::LongUrl(long.len(), self.max_url));
        }
        match relays.iter().find(|url| !link::valid(url)) {
            Some(bad) => Err(ClientError::Url(link::shown(bad))),
            None => Ok(()),
        }
    }
}

/// No client can be made of this.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The list is empty.
    #[error("no relay is given")]
    NoRelay,
    /// More than [`Options::max_relays`].
    #[error("{0} relays are given, and {1} may be known")]
    Relays(usize, usize),
    /// Longer than [`Options::max_url`].
    #[error("a URL of {0} bytes is given, and {1} may be known")]
    LongUrl(usize, usize),
    /// Neither http nor https, or not a URL.
    #[error("{0:?} is not an http or https URL")]
    Url(String),
}

/// A GET that the caller sends on a new connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// As it was given, credentials included, or as a relay's `Link` named it.
    pub url: String,
    /// To be sent besides what the transport needs (`Host`).
    pub fields: Vec<(&'static str, String)>,
}

/// What the caller does next.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Drop the connection, if there is one, and send this.
    Connect(Request),
    /// Read from the connection; call [`super::Client::poll`] again at this time at the latest.
    Read {
        /// In the caller's time.
        until: Duration,
    },
    /// Drop the connection, if there is one, and call [`super::Client::poll`] again at this time.
    Wait {
        /// In the caller's time.
        until: Duration,
    },
    /// It is over: [`super::Client::gave_up`] says why.
    Ended,
}
