//! The server has said yes, and sends: what it sends is looked for in the streams. What is in none (an intro, a list, a page)
//! is forwarded as it is.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::answer;
use crate::asked::Asked;
use crate::client::{Client, Done, Stage, later};
use crate::heard::Heard;
use crate::locate::{self, Verdict};
use crate::module::Module;
use crate::phase::Phase;
use crate::wire::Wire;

/// A stock listener of a stream in which nothing comes is sent its head after so long.
pub(crate) const PATIENCE: Duration = Duration::from_millis(300);

/// A listener whose place is not known yet.
#[derive(Debug)]
pub(crate) struct Gathering {
    pub(crate) asked: Asked,
    /// The server's head, as long as it has not been sent.
    pub(crate) head: Option<Vec<u8>>,
    since: Instant,
    /// What it says of the stream.
    pub(crate) lines: Bytes,
    pub(crate) metaint: Option<NonZeroU32>,
    pub(crate) phase: Option<Phase>,
    pub(crate) heard: Heard,
    /// Forwarded, and not taken yet.
    owed: Vec<u8>,
    /// It may still become a listener.
    watches: bool,
}

impl Gathering {
    pub(crate) fn new(
        asked: Asked,
        head: Vec<u8>,
        lines: Bytes,
        metaint: Option<NonZeroU32>,
    ) -> Self {
        Self {
            asked,
            head: Some(head),
            since: Instant::now(),
            lines,
            metaint,
            phase: metaint.map(Phase::new),
            heard: Heard::default(),
            owed: Vec::new(),
            watches: true,
        }
    }

    /// An answer that is none of ours; `bytes` of it have been taken from the server.
    pub(crate) fn forwarding(bytes: Vec<u8>) -> Self {
        Self {
            owed: bytes,
            watches: false,
            ..Self::new(Asked::default(), Vec::new(), Bytes::new(), None)
        }
    }

    /// What was gathered belongs to nothing of ours.
    fn forward(&mut self) {
        if let Some(head) = self.head.take() {
            self.owed.extend_from_slice(&head);
        }
        self.owed.append(&mut self.heard.raw);
        self.heard = Heard::default();
    }

    /// Sends what is owed. True if nothing is any more.
    fn pay(&mut self, wire: Wire) -> std::io::Result<bool> {
        while !self.owed.is_empty() {
            match wire.send(&self.owed) {
                Ok(0) => return Ok(false),
                Ok(sent) => drop(self.owed.drain(..sent.min(self.owed.len()))),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Time passes. True if that is worth another look.
    pub(crate) fn wait(&mut self, wire: Wire) -> bool {
        let nothing = self.heard.raw.is_empty();
        let stock = !self.asked.is_aware() && !self.asked.resumes() && !self.asked.head_only;
        if self.head.is_none() || !nothing || !stock {
            return false;
        }
        if self.since.elapsed() < PATIENCE {
            return true;
        }
        // As the server has it: where the stream begins is not known.
        self.forward();
        // What is not taken now is owed.
        let _ = self.pay(wire);
        false
    }

    /// The server closes: what it has said goes out.
    pub(crate) fn close(mut self, wire: Wire) {
        if self.asked.head_only {
            self.heard = Heard::default();
        }
        self.forward();
        // Whoever takes nothing gets nothing.
        let _ = self.pay(wire);
    }
}

/// The server sends a piece of the body.
pub(crate) fn send(client: &mut Client, module: &Module, bytes: &[u8]) -> Done {
    let wire = client.wire;
    let Stage::Gathering(gathering) = &mut client.stage else {
        return wire.send(bytes);
    };
    if !gathering.pay(wire)? {
        return Err(later());
    }
    if !gathering.watches {
        client.stage = Stage::Left;
        return wire.send(bytes);
    }
    gathering.heard.take(gathering.phase.as_mut(), bytes);
    let near = module.stations.at(&gathering.asked.path);
    let near = near.filter(|station| station.is_live());
    let verdict = locate::find(
        &module.stations,
        near.as_ref(),
        &gathering.heard.audio,
        gathering.heard.address,
    );
    match verdict {
        Verdict::More => {}
        Verdict::Found(found) => {
            let gathering = std::mem::replace(&mut client.stage, Stage::Over);
            if let Stage::Gathering(gathering) = gathering {
                answer::begin(client, module, *gathering, found);
            }
        }
        Verdict::Unknown
            if gathering.head.is_some()
                && (gathering.asked.is_aware() || gathering.asked.resumes()) =>
        {
            // An intro has no address: whoever counts does not hear it.
            gathering.heard = Heard::default();
        }
        Verdict::Unknown => {
            gathering.forward();
            gathering.pay(wire)?;
        }
    }
    Ok(bytes.len())
}
