//! The way to a client: its descriptor, or OpenSSL's connection on it. Neither ever blocks.

use std::ffi::c_void;
use std::io;
use std::os::fd::{BorrowedFd, FromRawFd as _, RawFd};

use icecast_ext_delivery::Socket;

use crate::real::real;
use crate::tls;

/// A client's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wire {
    pub(crate) fd: RawFd,
    /// `SSL *`, if it speaks TLS.
    pub(crate) ssl: Option<usize>,
}

impl Wire {
    pub(crate) fn recv(self, buffer: &mut [u8]) -> io::Result<usize> {
        if let Some(ssl) = self.ssl {
            return tls::read(ssl, buffer);
        }
        let libc = real().libc.ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: the buffer is ours for its length, and the descriptor is the server's, which is calling.
        let read = unsafe {
            (libc.recv)(
                self.fd,
                buffer.as_mut_ptr().cast::<c_void>(),
                buffer.len(),
                libc::MSG_DONTWAIT,
            )
        };
        usize::try_from(read).map_err(|_| io::Error::last_os_error())
    }

    pub(crate) fn send(self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(ssl) = self.ssl {
            return tls::write(ssl, bytes);
        }
        let libc = real().libc.ok_or(io::ErrorKind::Unsupported)?;
        // SAFETY: the bytes are borrowed for the call, and the descriptor is the server's, which is calling.
        let sent = unsafe {
            (libc.send)(
                self.fd,
                bytes.as_ptr().cast::<c_void>(),
                bytes.len(),
                libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL,
            )
        };
        usize::try_from(sent).map_err(|_| io::Error::last_os_error())
    }

    /// The port that a client came to.
    pub(crate) fn local_port(self) -> Option<u16> {
        // SAFETY: it is open until the server or a loop closes it, and both go through our table, whose lock is held.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        let name = rustix::net::getsockname(fd).ok()?;
        let address = std::net::SocketAddr::try_from(name).ok()?;
        Some(address.port())
    }

    /// Sends a short answer and ends what we say. What the socket does not take is lost, with a client that takes nothing.
    pub(crate) fn say(self, answer: &[u8]) {
        let mut left = answer;
        while !left.is_empty() {
            match self.send(left) {
                Ok(0) | Err(_) => break,
                Ok(sent) => left = left.get(sent..).unwrap_or_default(),
            }
        }
        if let Some(ssl) = self.ssl {
            tls::shutdown(ssl);
        }
        // SAFETY: it is open until the server or a loop closes it, and both go through our table, whose lock is held.
        let fd = unsafe { BorrowedFd::borrow_raw(self.fd) };
        // A peer that is gone already needs no FIN.
        let _ = rustix::net::shutdown(fd, rustix::net::Shutdown::Write);
    }

    /// The same for a loop, which closes it like the server does: whoever comes last really closes.
    pub(crate) fn socket(self) -> Socket {
        // SAFETY: closing is counted in the table ([`crate::hooks`]): the loop's close does not take the server's number away.
        let stream = unsafe { std::net::TcpStream::from_raw_fd(self.fd) };
        match self.ssl {
            None => stream.into(),
            Some(ssl) => Socket::sealed(stream, tls::seal(ssl)),
        }
    }
}
