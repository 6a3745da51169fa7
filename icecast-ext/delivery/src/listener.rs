//! A listener: its socket, its cursor, and where it stands in a loop. About a hundred bytes.

use bytes::Bytes;
use icecast_ext_core::address::Session;
use icecast_ext_core::plan::Cursor;

use crate::engine::{Kind, Parting};
use crate::socket::Socket;

/// One listener of a loop.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) socket: Socket,
    pub(crate) cursor: Cursor,
    /// To be sent before anything else: the answer's head, or the end of a block.
    pub(crate) rest: Option<Box<Bytes>>,
    pub(crate) session: Option<Box<Session>>,
    /// Where it parts from what it is sent.
    pub(crate) parting: Option<Box<Parting>>,
    pub(crate) id: u64,
    pub(crate) sent: u64,
    pub(crate) audio: u64,
    /// Tells this listener from earlier ones in the same place.
    pub(crate) seq: u32,
    /// Index of its mount's group.
    pub(crate) group: u32,
    /// Index into its group's members.
    pub(crate) member: u32,
    /// Loop clock, s: admitted. Before zero for one that another process admitted.
    pub(crate) joined: i64,
    /// Loop clock, ms: if `stalled`, since when the socket has taken nothing.
    pub(crate) since: u64,
    pub(crate) kind: Kind,
    pub(crate) state: State,
    /// In the ready queue.
    pub(crate) queued: bool,
    /// Bytes wait that the socket did not take.
    pub(crate) stalled: bool,
    /// Has a timer.
    pub(crate) timed: bool,
}

/// What a listener waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum State {
    /// Its turn.
    Ready,
    /// Its mount's next tick.
    Waiting,
    /// Room in its socket.
    Blocked,
    /// The peer's FIN, after ours.
    Lingering,
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_listener_is_small() {
        let size = size_of::<super::Listener>();
        assert!(size <= 208, "{size} bytes");
    }
}
