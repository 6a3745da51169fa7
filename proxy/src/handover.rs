//! An upgrade without a disconnect (SIGUSR2): this process starts its own program again, and that one takes over.
//!
//! ```text
//! old                                             new
//!                                                 reads its configuration
//!          <- Hello (version)
//! Doors (listening sockets, journal lock) ->
//!                                                 opens what is not among them
//!          <- Ready
//! stands still: nothing is accepted, pulled,
//! admitted or recorded
//! Mount, Piece … ; Source … ; Listeners … ; All ->
//!          <- Took
//! Commit ->
//!                                                 serves
//!          <- Serving
//! Straggler …  ->
//! ```
//!
//! Until Commit the old process can go back to what it was, and does so whatever goes wrong. After it, it keeps what is
//! more than a descriptor: TLS connections, tunnels. Its TLS listeners hear what comes to the new process, as a relay of it.

mod doors;
mod gate;
mod new;
mod old;
mod program;
mod said;
mod wire;

use std::net::{Ipv4Addr, TcpListener};

use tokio::net::TcpStream;

use crate::connection::Connection;
use crate::server::Server;

pub(crate) use doors::Doors;
pub(crate) use gate::{Gate, Hold};
pub(crate) use new::{Inheritance, greet};
pub(crate) use old::hand_over;
pub(crate) use program::{Leash, Program};
pub(crate) use said::{Caller as SourceCaller, Door, Pull, Source, Way};

impl Server {
    /// A connection to which nothing was answered: given to the process that has taken over, if there is one and the
    /// connection is only a descriptor; given back if not.
    pub(crate) fn pass_on(&self, connection: Connection) -> Option<Connection> {
        if !self.gate.gone() {
            return Some(connection);
        }
        let Some(descriptor) = connection.stream.descriptor() else {
            return Some(connection);
        };
        let read = connection.buffer.clone().freeze();
        let passed = self.gate.pass(descriptor, connection.peer, read, false);
        (!passed).then_some(connection)
    }

    /// A connection of our own to the process that has taken over.
    pub(crate) fn kin(&self) -> std::io::Result<TcpStream> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let ours = std::net::TcpStream::connect(listener.local_addr()?)?;
        let here = ours.local_addr()?;
        let (theirs, peer) = listener.accept()?;
        if peer != here {
            return Err(std::io::Error::other("a stranger was quicker"));
        }
        theirs.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        if !self
            .gate
            .pass(theirs.into(), peer, bytes::Bytes::new(), true)
        {
            return Err(std::io::Error::other("it has gone"));
        }
        TcpStream::from_std(ours)
    }
}
