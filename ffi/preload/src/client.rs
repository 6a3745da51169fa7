//! A connection that the server has accepted, or made to a relay's upstream: what it is at, and what the server's calls mean.

use std::io;

use crate::asked::Asked;
use crate::gather::Gathering;
use crate::module::Module;
use crate::reading::Reading;
use crate::shadow::{Parting, Shadow};
use crate::source::{Knocking, Source};
use crate::title::Retitling;
use crate::wire::Wire;

/// A connection.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) wire: Wire,
    /// The address, for the log.
    pub(crate) peer: String,
    /// Tells it from others that had the number.
    pub(crate) generation: u32,
    /// A loop has a share in the descriptor.
    pub(crate) loop_has: bool,
    /// The server has closed it.
    pub(crate) closed: bool,
    pub(crate) stage: Stage,
}

/// What it is at. A shadow is not in a box of its own: it is what thousands are at, for every send of the server's.
#[derive(Debug)]
pub(crate) enum Stage {
    /// Its request's head comes in, and is not the server's yet.
    Reading(Reading),
    /// Somebody who is no listener, as far as it is known: a source, perhaps.
    Knocking(Knocking),
    /// A source that was let in.
    Source(Box<Source>),
    /// A title is being set.
    Retitling(Box<Retitling>),
    /// A listener's request is the server's: its answer is waited for.
    Asked(Box<Asked>),
    /// The server has said yes; what it sends is looked for in the streams.
    Gathering(Box<Gathering>),
    /// A loop sends what the server seems to send.
    Shadow(Shadow),
    /// The loop gives it back.
    Parting(Box<Parting>),
    /// All has been said, by us.
    Over,
    /// The server's alone.
    Left,
}

/// What became of a call of the server's.
pub(crate) type Done = io::Result<usize>;

/// Nothing now.
pub(crate) fn later() -> io::Error {
    io::Error::from_raw_os_error(libc::EAGAIN)
}

/// Never again.
pub(crate) fn gone() -> io::Error {
    io::Error::from_raw_os_error(libc::EPIPE)
}

impl Client {
    /// `id` of its listener, for the loops.
    pub(crate) fn id(&self) -> u64 {
        let fd = u64::from(self.wire.fd.unsigned_abs());
        u64::from(self.generation) << 32 | fd
    }

    /// The server reads into `buffer`.
    pub(crate) fn receive(&mut self, module: &Module, buffer: &mut [u8]) -> Done {
        match &mut self.stage {
            Stage::Reading(_) => crate::reading::receive(self, module, buffer),
            Stage::Knocking(_) => crate::source::knock(self, module, buffer),
            Stage::Source(source) => source.receive(self.wire, module, buffer),
            Stage::Over => Ok(0),
            _ => self.wire.recv(buffer),
        }
    }

    /// The server sends.
    pub(crate) fn send(&mut self, module: &Module, bytes: &[u8]) -> Done {
        match &mut self.stage {
            Stage::Shadow(_) => crate::shadow::send(self, module, bytes),
            Stage::Gathering(_) => crate::gather::send(self, module, bytes),
            Stage::Asked(_) => crate::asked::send(self, module, bytes),
            Stage::Parting(_) => crate::shadow::after_parting(self, bytes),
            Stage::Retitling(_) => crate::title::send(self, module, bytes),
            Stage::Knocking(_) => crate::source::answered(self, module, bytes),
            Stage::Over => Err(gone()),
            Stage::Reading(_) => {
                // An answer before the request: a time limit.
                self.stage = Stage::Left;
                self.wire.send(bytes)
            }
            Stage::Source(_) | Stage::Left => self.wire.send(bytes),
        }
    }

    /// The server closes it.
    pub(crate) fn close(&mut self, module: &Module) {
        self.closed = true;
        match std::mem::replace(&mut self.stage, Stage::Left) {
            Stage::Shadow(shadow) => shadow.close(self.id(), module),
            Stage::Gathering(gathering) => gathering.close(self.wire),
            Stage::Asked(asked) => asked.close(self.wire),
            Stage::Source(source) => source.close(),
            Stage::Parting(parting) => parting.close(),
            _ => {}
        }
    }
}
