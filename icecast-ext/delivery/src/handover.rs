//! A mount and its listeners, taken out of this process so that another one goes on with them.
//!
//! The order that loses nothing: nobody appends any more; [`Mount::export`] and, there, [`Mount::restore`];
//! [`crate::Engine::detach`] and, there, [`crate::Engine::resume`]; then somebody appends there, from
//! [`Mount::received`] on. Until listeners have been detached they are sent what this process holds.

mod piece;

use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::Session;
use icecast_ext_core::buffer::{Buffer, Ring, Writing};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::timeline::{Parts, Timeline};

use crate::engine::Kind;
use crate::error::Error;
use crate::mount::{Mount, lock};
use piece::{Head, Piece};

/// A listener that is in no loop.
#[derive(Debug)]
pub struct Detached {
    /// Its connection. What the kernel has of it already is not counted again.
    pub socket: TcpStream,
    /// Whose bytes.
    pub mount: Arc<Mount>,
    /// Exactly where it is.
    pub cursor: Cursor,
    /// What was begun and must be sent before anything else; mostly empty.
    pub rest: Bytes,
    /// For the counts.
    pub kind: Kind,
    /// As its answer's head says.
    pub session: Option<Session>,
    /// The caller's, for [`crate::Ended`].
    pub id: u64,
    /// What it has had so far.
    pub progress: Progress,
}

/// What a listener has had in the process before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Progress {
    /// Bytes that its socket took.
    pub sent_bytes: u64,
    /// Canonical bytes among them.
    pub audio_bytes: u64,
    /// Whole seconds since it was admitted.
    pub secs: u64,
}

impl Mount {
    /// Everything that the mount is, piece by piece: timeline and bytes, and what has been received and is not published yet.
    /// Publishes what is whole first. The pieces are true as long as nobody appends.
    pub fn export(&self) -> impl Iterator<Item = Bytes> + use<> {
        self.flush();
        let writing = lock(&self.writing);
        let buffer = self.read();
        let parts = buffer.timeline.parts();
        let head = Head {
            ids: parts.ids,
            floor: buffer.ring.floor(),
            closed: buffer.closed,
        };
        let past = parts.past.into_iter().map(Piece::Past);
        let runs = parts.runs.into_iter().map(|run| Piece::Run(Box::new(run)));
        let chunks: Vec<_> = buffer.ring.chunks().collect();
        let chunks = chunks
            .into_iter()
            .map(|(ms, bytes)| Piece::Chunk { ms, bytes });
        let pending = writing.as_ref().map(Writing::pending).map(Piece::Pending);
        [Piece::Head(head)]
            .into_iter()
            .chain(past)
            .chain(runs)
            .chain(chunks)
            .chain(pending)
            .chain([Piece::End])
            .map(|piece| piece.encode())
    }

    /// Fills the mount, which nobody has used yet, with what [`Mount::export`] gave. Its tick is that one's, which relays were
    /// told: [`Mount::reconfigure`] makes it another once they have been resumed.
    ///
    /// # Errors
    /// The pieces are not those of a whole mount, or of another version. The mount is as it was.
    pub fn restore(&self, pieces: impl IntoIterator<Item = Bytes>) -> Result<(), Error> {
        let foreign = |why| Error::Handover {
            mount: self.name().to_owned(),
            why,
        };
        let mut pieces = pieces.into_iter().map(|bytes| Piece::decode(&bytes));
        let Some(Some(Piece::Head(head))) = pieces.next() else {
            return Err(foreign("its version is another"));
        };
        let mut parts = Parts {
            ids: head.ids,
            ..Parts::default()
        };
        let (mut chunks, mut pending) = (Vec::new(), None);
        loop {
            match pieces.next().flatten() {
                Some(Piece::Past(span)) => parts.past.push(span),
                Some(Piece::Run(run)) => parts.runs.push(*run),
                Some(Piece::Chunk { ms, bytes }) => chunks.push((ms, bytes)),
                Some(Piece::Pending(found)) => pending = Some(found),
                Some(Piece::End) => break,
                Some(Piece::Head(_)) | None => {
                    return Err(foreign("a piece is damaged or missing"));
                }
            }
        }
        let mut config = self.config();
        if let Some(run) = parts.runs.last() {
            config.tick = Duration::from_millis(run.tick_ms.into());
        }
        let runs = parts.runs.iter().map(|run| (run.id, run.window));
        let ring = Ring::restore(head.floor, runs, chunks)
            .ok_or_else(|| foreign("its bytes are not those of its timeline"))?;
        let timeline = Timeline::from_parts(self.config().burst, parts)
            .ok_or_else(|| foreign("its timeline is out of order"))?;
        let buffer = Buffer::restore(timeline, ring, config.tick, head.closed);
        let mut resumed = Writing::resume(&buffer);
        match (&mut resumed, pending) {
            (Some(writing), Some(pending)) => writing.take_up(pending),
            (None, None) => {}
            _ => return Err(foreign("its last run is not what its writer says")),
        }
        let mut writing = lock(&self.writing);
        self.put_config(config);
        *self.write() = buffer;
        *writing = resumed;
        drop(writing);
        self.note_rate();
        Ok(())
    }
}
