//! TLS on a loop's socket: rustls driven without blocking.
//!
//! A turn's bytes are taken when they are encrypted; what the kernel does not take of a record stays pending, so that a record
//! is never cut and nothing is planned or ended before it is gone.

use icecast_ext_core::buffer::MAX_PIECES;

use std::io::{self, IoSlice, Read as _, Write as _};

use bytes::Bytes;
use mio::net::TcpStream;
use rustls::ServerConnection;

use super::{Peer, Sent, raw_receive, raw_send_all, raw_send_one};

/// At most so many encrypted bytes wait for room in a socket (and what the records add).
const PENDING: usize = 64 << 10;
/// Reads in one go, of 4 KiB at most.
const READS: usize = 16;

/// In a box, so that sealed listeners stay small.
#[derive(Debug)]
pub(super) struct Tls(Box<ServerConnection>);

impl Tls {
    pub(super) fn new(mut connection: ServerConnection) -> Self {
        connection.set_buffer_limit(Some(PENDING));
        Self(Box::new(connection))
    }

    pub(super) fn is_pending(&self) -> bool {
        self.0.wants_write()
    }

    pub(super) fn send(&mut self, stream: &TcpStream, pieces: &[Bytes]) -> io::Result<Sent> {
        let mut sent = Sent::default();
        let mut slices = [IoSlice::new(&[]); MAX_PIECES];
        let count = pieces.len().min(MAX_PIECES);
        for (slice, piece) in slices.iter_mut().zip(pieces) {
            *slice = IoSlice::new(piece);
        }
        let mut left = &mut slices[..count];
        loop {
            sent.moved |= self.flush(stream)?;
            if self.is_pending() {
                sent.pending = true;
                return Ok(sent);
            }
            if left.is_empty() {
                return Ok(sent);
            }
            // One call for all of them: small pieces share a record.
            let taken = self.0.writer().write_vectored(left)?;
            if taken == 0 {
                // After 2^24 records the keys of a TLS 1.2 connection are used up.
                return Err(io::Error::other("the TLS connection takes no more bytes"));
            }
            sent.taken += taken;
            IoSlice::advance_slices(&mut left, taken);
        }
    }

    /// Moves what is pending into the socket, until one of them is out of it. True if anything moved.
    fn flush(&mut self, stream: &TcpStream) -> io::Result<bool> {
        let mut moved = false;
        while self.0.wants_write() {
            match self.0.write_tls(&mut Raw(stream)) {
                Ok(0) => break,
                Ok(_) => moved = true,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        Ok(moved)
    }

    /// Reads and forgets. A close_notify is a FIN, and what is not TLS ends it.
    pub(super) fn discard(&mut self, stream: &TcpStream) -> Peer {
        let mut scrap = [0; 4096];
        for _ in 0..READS {
            // First of all what was read before the loop had it.
            let Ok(state) = self.0.process_new_packets() else {
                // The alert that says why, if there is room.
                let _ = self.flush(stream);
                return Peer::Gone;
            };
            while let Ok(1..) = self.0.reader().read(&mut scrap) {}
            if state.peer_has_closed() {
                return Peer::Gone;
            }
            match self.0.read_tls(&mut Raw(stream)) {
                Ok(0) => return Peer::Gone,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Peer::There,
                Err(error) => return Peer::from(&error),
            }
        }
        Peer::There
    }

    /// Says close_notify, once. True if nothing is pending any more, or nothing ever will go.
    pub(super) fn close(&mut self, stream: &TcpStream) -> bool {
        self.0.send_close_notify();
        self.flush(stream).is_err() || !self.is_pending()
    }
}

/// The transport.
struct Raw<'a>(&'a TcpStream);

impl io::Read for Raw<'_> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        raw_receive(self.0, bytes)
    }
}

impl io::Write for Raw<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        raw_send_one(self.0, bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        raw_send_all(self.0, slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
