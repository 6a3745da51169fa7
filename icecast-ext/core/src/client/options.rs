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
    /// An answer has begun and no byte has come for so long: the relay is left (R-CLIENT-2). 5 s.
    pub silence: Duration,
    /// So long is an answer's beginning awaited (R-CLIENT-12): longer than a server holds a request for bytes to come. A client that
    /// asks one relay at a time and knows others waits no longer than `silence`. 12 s.
    pub answer_within: Duration,
    /// No answer has begun after so long: another relay is asked besides (R-CLIENT-14), and a move reads on where it was
    /// meanwhile (R-CLIENT-18). `None`: there is never more than one connection. 300 ms: RFC 8305 allows a handshake 250 ms, and an
    /// answer needs one round trip more.
    pub race: Option<Duration>,
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
            answer_within: Duration::from_secs(12),
            race: Some(Duration::from_millis(300)),
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
    /// A move needs another relay.
    #[error("no other relay is known")]
    NoOther,
    /// The client has ended.
    #[error("the client has ended")]
    Ended,
}

/// Names a connection among all that one client has asked for.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Conn(pub(super) u64);

/// A GET that the caller sends on a new connection.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// By this name the caller tells what comes.
    pub conn: Conn,
    /// As it was given, credentials included, or as a relay's `Link` named it.
    pub url: String,
    /// To be sent besides what the transport needs (`Host`).
    pub fields: Vec<(&'static str, String)>,
}

/// What the caller does next, after it has closed each connection of which [`super::Client::uses`] says no.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    /// Send this. With [`Options::race`] there may be another connection besides.
    Connect(Request),
    /// Read from each connection; call [`super::Client::poll`] again after what came, and at this time at the latest.
    Read {
        /// In the caller's time.
        until: Duration,
    },
    /// There is nothing to read; call [`super::Client::poll`] again at this time.
    Wait {
        /// In the caller's time.
        until: Duration,
    },
    /// It is over: [`super::Client::gave_up`] says why.
    Ended,
}
