//! What the process that goes says to the one that comes, and back.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::audience::Passenger;

/// Both must be of one version; another is refused, and the old process goes on.
pub(super) const VERSION: u32 = 1;

/// From the one that comes.
#[derive(Debug, Serialize, Deserialize, PartialEq, Eq)]
pub(super) enum Reply {
    /// Its configuration is good.
    Hello {
        version: u32,
        name: String,
        pid: u32,
    },
    /// It has the sockets and the state directory, and could serve.
    Ready,
    /// It has read everything.
    Took,
    /// It serves.
    Serving,
}

/// From the one that goes.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// A descriptor for each door, then one for the lock of `state`, then one for standard input, if it must stop when that ends.
    Doors {
        doors: Vec<Door>,
        state: Option<PathBuf>,
        until_stdin_closes: bool,
        /// Listeners' numbers go on here.
        next_id: u64,
    },
    /// A mount; its pieces follow.
    Mount(Mount),
    /// A piece of the mount, raw.
    Piece,
    /// A source's connection, as a descriptor; raw: what was read of it and not used.
    Source(Source),
    /// Listeners, a descriptor each; raw: cursor and rest of each.
    Listeners(Vec<Listener>),
    /// That was all. The old process does nothing until it hears that everything was taken.
    All {
        /// Of the next listener. More may have come since [`Word::Doors`].
        next_id: u64,
    },
    /// From here on everything is the new process's.
    Commit,
    /// A connection that the old process had accepted; raw: what was read of it.
    Straggler { peer: SocketAddr, kin: bool },
}

/// What a listening socket is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Way {
    Plain,
    Tls,
    Admin,
}

/// A listening socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Door {
    /// As configured; the port may be 0.
    pub(crate) address: SocketAddr,
    pub(crate) way: Way,
    /// systemd opened it.
    pub(crate) given: bool,
}

/// A mount and how its bytes come.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Mount {
    /// Decoded.
    pub(super) path: String,
    /// What is held was read from a journal, and nothing has come since.
    pub(super) recalled: bool,
    pub(super) supply: Supply,
    pub(super) pull: Option<Pull>,
}

/// How a mount was being supplied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Supply {
    Starting,
    Live,
    /// Milliseconds ago.
    Lost(u64),
    NoSource,
    Refused,
}

/// What a pull knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pull {
    /// When the last byte came, milliseconds since 1970.
    pub(crate) last_byte: Option<u64>,
    /// The epoch was minted by a parent.
    pub(crate) adopted: bool,
    /// Connections in a row that proved nothing.
    pub(crate) unproven: u32,
}

/// Who a source is, for the access log.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Caller {
    pub(crate) peer: SocketAddr,
    pub(crate) address: IpAddr,
    pub(crate) agent: String,
    pub(crate) referer: String,
    pub(crate) user: Option<String>,
    pub(crate) line: String,
}

/// A source in the middle of its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Source {
    pub(crate) path: String,
    pub(crate) caller: Caller,
    /// When it came, milliseconds since 1970.
    pub(crate) since: u64,
    /// It waits for an answer at its end, by this version of HTTP.
    pub(crate) put: Option<u8>,
    /// Bytes left of its body, if it said how many.
    pub(crate) left: Option<u64>,
    /// Its body is chunked, and this is where.
    pub(crate) chunks: Option<Vec<u8>>,
}

/// A listener.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Listener {
    pub(super) path: String,
    /// Bytes of `raw` that are its cursor, and then its rest.
    pub(super) cursor: usize,
    pub(super) rest: usize,
    /// As [`icecast_ext_delivery::Kind`].
    pub(super) kind: u8,
    pub(super) session: Option<String>,
    pub(super) id: u64,
    pub(super) sent_bytes: u64,
    pub(super) audio_bytes: u64,
    pub(super) secs: u64,
    /// As the audience knows it.
    pub(super) passenger: Option<Passenger>,
    /// How long ago its client began, and how long it may still listen.
    pub(super) term: Option<(Duration, Duration)>,
}
