//! Who encrypts: rustls, or whoever made the connection.

use std::io;

use bytes::Bytes;
use mio::net::TcpStream;

use super::seal::Sealed;
use super::tls::Tls;
use super::{Peer, Sent};

#[derive(Debug)]
pub(super) enum Crypt {
    Tls(Tls),
    Sealed(Sealed),
}

impl Crypt {
    pub(super) fn is_pending(&self) -> bool {
        match self {
            Self::Tls(tls) => tls.is_pending(),
            Self::Sealed(sealed) => sealed.is_pending(),
        }
    }

    pub(super) fn send(&mut self, stream: &TcpStream, pieces: &[Bytes]) -> io::Result<Sent> {
        match self {
            Self::Tls(tls) => tls.send(stream, pieces),
            Self::Sealed(sealed) => sealed.send(pieces),
        }
    }

    /// Reads and forgets. A close_notify is a FIN.
    pub(super) fn discard(&mut self, stream: &TcpStream) -> Peer {
        match self {
            Self::Tls(tls) => tls.discard(stream),
            Self::Sealed(sealed) => sealed.discard(),
        }
    }

    /// Says close_notify, once. True if nothing is pending any more, or nothing ever will go.
    pub(super) fn close(&mut self, stream: &TcpStream) -> bool {
        match self {
            Self::Tls(tls) => tls.close(stream),
            Self::Sealed(sealed) => sealed.close(),
        }
    }
}
