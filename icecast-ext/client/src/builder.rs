//! Relays and options.

use std::path::PathBuf;
use std::time::Duration;

use icecast_ext_core::client::{Client, Options, Start};
use icecast_ext_core::field::Miss;

use crate::http::{self, Http};
use crate::listener::Listener;
use crate::{Error, Position};

/// Sets a [`Listener`] up.
#[derive(Debug, Clone)]
#[must_use]
pub struct Builder {
    relays: Vec<String>,
    options: Options,
    http: http::Options,
}

impl Builder {
    pub(crate) fn new(relays: Vec<String>) -> Self {
        Self {
            relays,
            options: Options {
                // Elsewhere there is no clock for it.
                evidence: cfg!(target_os = "linux"),
                ..Options::default()
            },
            http: http::Options::default(),
        }
    }

    /// Starts exactly here instead of live; the caller has what comes before.
    pub fn start_at(mut self, position: Position) -> Self {
        self.options.start = Start::At(position);
        self
    }

    /// What to do about a position that is gone. Default: [`Miss::Oldest`].
    pub fn miss(mut self, miss: Miss) -> Self {
        self.options.miss = miss;
        self
    }

    /// Rather lose audio than be so far behind live.
    pub fn max_lag(mut self, lag: Duration) -> Self {
        self.options.max_lag = Some(lag);
        self
    }

    /// Asks for titles. Default: no.
    pub fn icy(mut self, icy: bool) -> Self {
        self.options.icy = icy;
        self
    }

    /// An answer has begun and no byte has come for so long: the relay is left. Default: 5 s.
    pub fn silence(mut self, silence: Duration) -> Self {
        self.options.silence = silence;
        self
    }

    /// So long is an answer's beginning awaited, if no other relay's comes before. Default: 12 s.
    pub fn answer_within(mut self, limit: Duration) -> Self {
        self.options.answer_within = limit;
        self
    }

    /// No answer has begun after so long: another relay is asked besides, and the first exact answer counts. `None`: there is
    /// never more than one connection, and a move is a cut. Default: 300 ms.
    pub fn race(mut self, after: Option<Duration>) -> Self {
        self.options.race = after;
        self
    }

    /// So long without audio from anywhere, and the listener ends. `None`: never. Default: 60 s.
    pub fn give_up_after(mut self, limit: Option<Duration>) -> Self {
        self.options.give_up_after = limit;
        self
    }

    /// Bytes remembered to stitch by content at servers that have no offsets; 0: never. Default: 512 KiB.
    pub fn history(mut self, bytes: usize) -> Self {
        self.options.history = bytes;
        self
    }

    /// Says what was heard last to relays that share no epoch with the one before, so that they can prove where it goes on
    /// (R-ANCHOR-9). Costs up to 12 KB. Default: yes where the system has a clock that goes on during sleep, as Linux has.
    pub fn evidence(mut self, send: bool) -> Self {
        self.options.evidence = send;
        self
    }

    /// The longest prelude that is accepted, in bytes. Default: 1 MiB.
    pub fn max_prelude(mut self, bytes: usize) -> Self {
        self.options.max_prelude = bytes;
        self
    }

    /// So long for a TCP connection (and TLS) to come about. Default: 3 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.http.connect_timeout = limit;
        self
    }

    /// Obeys `HTTP_PROXY` and its like. Default: no.
    pub fn proxies_from_environment(mut self, obey: bool) -> Self {
        self.http.proxies = obey;
        self
    }

    /// Trusts the authorities in this file (PEM) besides the machine's, and its certificates as servers' own.
    pub fn trust(mut self, ca: impl Into<PathBuf>) -> Self {
        self.http.ca = Some(ca.into());
        self
    }

    /// Makes the listener. Connections are made as its events are awaited, within a tokio runtime.
    pub fn open(self) -> Result<Listener, Error> {
        let seed = getrandom::u64().map_err(Error::Random)?;
        let client = Client::new(self.relays, self.options, seed)?;
        Ok(Listener::new(client, Http::new(&self.http)?))
    }
}
