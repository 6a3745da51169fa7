//! TLS that somebody else drives: the server that this crate runs in, which made the connection with its own library.

use std::fmt::Debug;
use std::io;

use bytes::Bytes;

use super::{Peer, Sent};

/// Plaintext given at once: a TLS record's.
const PLAIN: usize = 16 << 10;
/// Reads in one go, of 4 KiB at most.
const READS: usize = 16;

/// A TLS connection, its handshake done, over the socket that it is admitted with ([`super::Socket::sealed`]). Called on a
/// loop's thread: nothing of it may block. What it holds is dropped with the socket.
pub trait Seal: Send + Debug {
    /// Encrypts and sends; how many of `bytes`, at least one. [`io::ErrorKind::WouldBlock`]: the socket has no room. Then the next
    /// call has the same bytes at the same address, as OpenSSL wants it. After any other error nothing but drop is called.
    ///
    /// # Errors
    /// As said.
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Receives and decrypts. Zero: the peer has closed. [`io::ErrorKind::WouldBlock`]: nothing has come. After any other error
    /// nothing but drop is called.
    ///
    /// # Errors
    /// As said.
    fn read(&mut self, scrap: &mut [u8]) -> io::Result<usize>;

    /// Says close_notify if there is room for it. Called once at most, when nothing has to be given again; after that only
    /// [`Seal::read`] is called.
    fn close(&mut self);
}

/// A seal, and what it has not taken yet.
#[derive(Debug)]
pub(super) struct Sealed {
    seal: Box<dyn Seal>,
    /// In the order of the turn; the seal has taken `gone` of it. Where it is it stays until all is taken.
    plain: Vec<u8>,
    gone: usize,
    /// Its library must not be called any more.
    failed: bool,
    /// It has said close_notify.
    closed: bool,
}

impl Sealed {
    pub(super) fn new(seal: Box<dyn Seal>) -> Self {
        Self {
            seal,
            plain: Vec::new(),
            gone: 0,
            failed: false,
            closed: false,
        }
    }

    pub(super) fn is_pending(&self) -> bool {
        !self.plain.is_empty()
    }

    pub(super) fn send(&mut self, pieces: &[Bytes]) -> io::Result<Sent> {
        let mut sent = Sent::default();
        loop {
            sent.moved |= self.flush()?;
            if self.is_pending() {
                sent.pending = true;
                return Ok(sent);
            }
            self.plain = gathered(pieces, sent.taken);
            if self.plain.is_empty() {
                return Ok(sent);
            }
            sent.taken += self.plain.len();
        }
    }

    /// Gives the seal what is pending, until one of them is out of it. True if it took anything.
    fn flush(&mut self) -> io::Result<bool> {
        let mut moved = false;
        while let Some(left @ [_, ..]) = self.plain.get(self.gone..) {
            if self.failed {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            match self.seal.write(left) {
                Ok(taken @ 1..) => {
                    moved = true;
                    self.gone += taken;
                }
                Ok(0) => {
                    self.failed = true;
                    return Err(io::ErrorKind::WriteZero.into());
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(moved),
                Err(error) => {
                    self.failed = true;
                    return Err(error);
                }
            }
        }
        // Most listeners have nothing pending, and need no memory for it.
        (self.plain, self.gone) = (Vec::new(), 0);
        Ok(moved)
    }

    /// Reads and forgets.
    pub(super) fn discard(&mut self) -> Peer {
        let mut scrap = [0; 4096];
        for _ in 0..READS {
            if self.failed {
                return Peer::Gone;
            }
            match self.seal.read(&mut scrap) {
                Ok(0) => return Peer::Gone,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Peer::There,
                Err(error) => {
                    self.failed = true;
                    return Peer::from(&error);
                }
            }
        }
        Peer::There
    }

    /// Says close_notify, once. True if nothing is pending any more, or nothing ever will go.
    pub(super) fn close(&mut self) -> bool {
        if self.flush().is_ok() && self.is_pending() {
            return false;
        }
        if !self.failed && !self.closed {
            self.closed = true;
            self.seal.close();
        }
        true
    }
}

/// What follows the first `skip` bytes of a turn, as much as is given at once.
fn gathered(pieces: &[Bytes], mut skip: usize) -> Vec<u8> {
    let all: usize = pieces.iter().map(Bytes::len).sum();
    let mut plain = Vec::with_capacity(all.saturating_sub(skip).min(PLAIN));
    for piece in pieces {
        let (_, rest) = piece.split_at(skip.min(piece.len()));
        skip -= piece.len() - rest.len();
        let room = PLAIN - plain.len();
        plain.extend_from_slice(&rest[..rest.len().min(room)]);
    }
    plain
}
