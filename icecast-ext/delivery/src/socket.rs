//! A listener's system calls. Raw ones: where this crate runs inside a server whose libc calls are hooked, it must not hook itself.

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use socket2::SockRef;

use crate::turn::MAX_PIECES;

/// Readies a socket for a loop. `buffer`: the most that the kernel may hold unsent; `timeout`: how long it may stay unacknowledged.
pub(crate) fn prepare(
    socket: &std::net::TcpStream,
    buffer: usize,
    timeout: Duration,
) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let socket = SockRef::from(socket);
    socket.set_tcp_nodelay(true)?;
    socket.set_tcp_user_timeout(Some(timeout))?;
    socket.set_send_buffer_size(buffer)
}

/// Sends pieces in order, at once. `Ok(0)` means that the socket takes nothing now.
pub(crate) fn send(socket: &TcpStream, pieces: &[Bytes]) -> io::Result<usize> {
    let flags = SendFlags::NOSIGNAL | SendFlags::DONTWAIT;
    loop {
        let sent = match pieces {
            [] => Ok(0),
            [one] => rustix::net::send(socket, one, flags),
            many => {
                let mut slices = [IoSlice::new(&[]); MAX_PIECES];
                let count = many.len().min(MAX_PIECES);
                for (slice, piece) in slices.iter_mut().zip(many) {
                    *slice = IoSlice::new(piece);
                }
                let mut none = SendAncillaryBuffer::default();
                rustix::net::sendmsg(socket, &slices[..count], &mut none, flags)
            }
        };
        match sent {
            Ok(n) => return Ok(n),
            Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
    }
}

/// What a peer is found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// Connected, as far as the kernel knows.
    There,
    /// It closed, or reset.
    Gone,
    /// It acknowledged nothing for too long.
    Silent,
}

impl From<&io::Error> for Peer {
    fn from(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::TimedOut => Self::Silent,
            _ => Self::Gone,
        }
    }
}

/// Reads and forgets what the peer said, up to a bound. A FIN means that it has hung up: no player closes one half.
pub(crate) fn discard(socket: &TcpStream) -> Peer {
    let mut scrap = [0; 4096];
    for _ in 0..16 {
        match rustix::net::recv(socket, &mut scrap[..], RecvFlags::DONTWAIT) {
            Ok((0, _)) => return Peer::Gone,
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(rustix::io::Errno::AGAIN) => return Peer::There,
            Err(error) => return Peer::from(&error.into()),
        }
    }
    Peer::There
}

/// FIN after what is queued.
pub(crate) fn finish(socket: &TcpStream) {
    let _ = discard(socket);
    // A peer that is gone already needs no FIN.
    let _ = socket.shutdown(Shutdown::Write);
}

/// RST on close: what is queued is of no use any more.
pub(crate) fn abort(socket: &TcpStream) {
    let _ = SockRef::from(socket).set_linger(Some(Duration::ZERO));
}
