//! A listener's socket, plain or TLS, and its system calls. Raw ones: where this crate runs inside a server whose libc calls are
//! hooked, it must not hook itself.

mod crypt;
mod seal;
mod tls;

use icecast_ext_core::buffer::MAX_PIECES;

use std::io::{self, IoSlice};
use std::net::Shutdown;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};
use rustls::ServerConnection;
use socket2::SockRef;

use crypt::Crypt;
pub use seal::Seal;
use seal::Sealed;
use tls::Tls;

/// A client's connection, as [`crate::Admission`] takes it.
#[derive(Debug)]
pub struct Socket {
    /// In a box, so that plain listeners stay small. Dropped while its descriptor is still this connection's.
    tls: Option<Box<Crypt>>,
    pub(crate) stream: TcpStream,
}

impl From<std::net::TcpStream> for Socket {
    fn from(stream: std::net::TcpStream) -> Self {
        Self {
            stream: TcpStream::from_std(stream),
            tls: None,
        }
    }
}

impl From<Socket> for std::net::TcpStream {
    /// Of a TLS connection this is the transport alone.
    fn from(socket: Socket) -> Self {
        std::os::fd::OwnedFd::from(socket.stream).into()
    }
}

/// What became of a turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Sent {
    /// Bytes of the turn that need not be sent again.
    pub(crate) taken: usize,
    /// The kernel took something.
    pub(crate) moved: bool,
    /// Some of what was taken waits for room: before anything else is sent, that is.
    pub(crate) pending: bool,
}

/// What a peer is found to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Peer {
    /// Connected, as far as the kernel knows.
    There,
    /// Its FIN has come.
    Finished,
    /// It closed TLS, or reset, or broke either.
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

impl Socket {
    /// A connection whose TLS handshake is done. Plaintext that was received already is ignored, as all that follows the
    /// request; what `connection` has still to send is sent first.
    #[must_use]
    pub fn tls(stream: std::net::TcpStream, connection: ServerConnection) -> Self {
        Self {
            stream: TcpStream::from_std(stream),
            tls: Some(Box::new(Crypt::Tls(Tls::new(connection)))),
        }
    }

    /// A TLS connection that somebody else's library made and drives, over `stream`.
    #[must_use]
    pub fn sealed(stream: std::net::TcpStream, seal: Box<dyn Seal>) -> Self {
        Self {
            stream: TcpStream::from_std(stream),
            tls: Some(Box::new(Crypt::Sealed(Sealed::new(seal)))),
        }
    }

    /// True if it speaks TLS.
    #[must_use]
    pub const fn is_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Some of what was taken has not been sent yet.
    pub(crate) fn is_pending(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_pending())
    }

    /// Readies it for a loop. `buffer`: the most that the kernel may hold unsent; `timeout`: how long it may stay
    /// unacknowledged.
    pub(crate) fn prepare(&self, buffer: usize, timeout: Duration) -> io::Result<()> {
        let socket = SockRef::from(&self.stream);
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        socket.set_tcp_user_timeout(Some(timeout))?;
        socket.set_send_buffer_size(buffer)
    }

    /// Sends pieces in order, at once, after what is pending. Nothing taken means that the socket takes nothing now, and that
    /// epoll says when it does.
    pub(crate) fn send(&mut self, pieces: &[Bytes]) -> io::Result<Sent> {
        let Some(tls) = &mut self.tls else {
            let taken = raw_send(&self.stream, pieces)?;
            return Ok(Sent {
                taken,
                moved: taken > 0,
                pending: false,
            });
        };
        tls.send(&self.stream, pieces)
    }

    /// Reads and forgets what the peer said, up to a bound.
    pub(crate) fn discard(&mut self) -> Peer {
        if let Some(tls) = &mut self.tls {
            return tls.discard(&self.stream);
        }
        let mut scrap = [0; 4096];
        for _ in 0..16 {
            match raw_receive(&self.stream, &mut scrap) {
                Ok(0) => return Peer::Finished,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Peer::There,
                Err(error) => return Peer::from(&error),
            }
        }
        Peer::There
    }

    /// The end, after what was taken: close_notify and FIN. What the socket has no room for now follows when
    /// [`Socket::finish_rest`] is called.
    pub(crate) fn finish(&mut self) {
        let _ = self.discard();
        if let Some(tls) = &mut self.tls
            && !tls.close(&self.stream)
        {
            return;
        }
        // A peer that is gone already needs no FIN.
        let _ = self.stream.shutdown(Shutdown::Write);
    }

    /// There is room again after [`Socket::finish`].
    pub(crate) fn finish_rest(&mut self) {
        if self.is_pending() {
            self.finish();
        }
    }

    /// RST on close, whoever closes it: what is queued is of no use any more, or will be asked for again.
    pub(crate) fn abort(&self) {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
    }

    /// FIN on close again.
    pub(crate) fn forgive(&self) {
        let _ = SockRef::from(&self.stream).set_linger(None);
    }
}

/// `Ok(0)` means that the socket takes nothing now.
fn raw_send(socket: &TcpStream, pieces: &[Bytes]) -> io::Result<usize> {
    match pieces {
        [] => Ok(0),
        [one] => nothing_is_no_error(raw_send_one(socket, one)),
        many => {
            let mut slices = [IoSlice::new(&[]); MAX_PIECES];
            let count = many.len().min(MAX_PIECES);
            for (slice, piece) in slices.iter_mut().zip(many) {
                *slice = IoSlice::new(piece);
            }
            nothing_is_no_error(raw_send_all(socket, &slices[..count]))
        }
    }
}

fn nothing_is_no_error(sent: io::Result<usize>) -> io::Result<usize> {
    match sent {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        sent => sent,
    }
}

const AT_ONCE: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);

fn raw_send_one(socket: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| {
        rustix::net::send(socket, bytes, AT_ONCE)
    })?)
}

fn raw_send_all(socket: &TcpStream, slices: &[IoSlice<'_>]) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| {
        let mut none = SendAncillaryBuffer::default();
        rustix::net::sendmsg(socket, slices, &mut none, AT_ONCE)
    })?)
}

fn raw_receive(socket: &TcpStream, scrap: &mut [u8]) -> io::Result<usize> {
    let (read, _) =
        rustix::io::retry_on_intr(|| rustix::net::recv(socket, &mut *scrap, RecvFlags::DONTWAIT))?;
    Ok(read)
}
