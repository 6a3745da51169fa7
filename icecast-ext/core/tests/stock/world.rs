//! A minter and its relay, which holds less.

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::codec::Format;
use icecast_ext_core::timeline::{Begin, Timeline};

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Happens {
    /// Bytes come.
    Grow(u64),
    /// A title with so many characters.
    Title(usize),
    /// A new epoch, declared or not.
    Begin(bool),
    /// The relay drops its oldest bytes.
    Evict,
    /// The player reads.
    Read(usize),
    /// It is cut, and comes back at the minter or the relay.
    Cut(bool),
}

/// Two servers of one stream.
pub(crate) struct World {
    pub(crate) servers: [Timeline; 2],
    ogg: bool,
    epochs: u8,
    titles: usize,
}

impl World {
    pub(crate) fn new(ogg: bool) -> Self {
        let mut world = Self {
            servers: [Timeline::new(500), Timeline::new(500)],
            ogg,
            epochs: 0,
            titles: 0,
        };
        world.begin(true);
        world
    }

    fn begin(&mut self, declared: bool) {
        self.epochs += 1;
        let begin = Begin {
            epoch: Epoch::from_bytes([self.epochs; 16]),
            first: Offset::ZERO,
            declared,
            format: if self.ogg { Format::Ogg } else { Format::Mpeg },
            tick_ms: 250,
            fields: Bytes::new(),
        };
        for server in &mut self.servers {
            server.begin(begin.clone());
        }
    }

    fn edge(&self) -> Position {
        self.servers[0].edge().expect("a run")
    }

    pub(crate) fn happen(&mut self, what: &Happens) {
        let edge = self.edge();
        match what {
            Happens::Grow(bytes) => {
                let prelude = Bytes::from(vec![self.epochs; 37 + usize::from(self.epochs)]);
                for server in &mut self.servers {
                    if self.ogg {
                        server.prelude(edge.offset, prelude.clone());
                    }
                    server.sync(edge.offset);
                    server.grow(*bytes);
                }
            }
            Happens::Title(len) => {
                self.titles += 1;
                let text = Bytes::from(format!("{}-{}", self.titles, "x".repeat(*len)));
                for server in &mut self.servers {
                    server.title(edge.offset, text.clone());
                }
            }
            // An epoch that has no byte yet gives nobody anything.
            Happens::Begin(declared) => {
                self.begin(*declared);
                self.happen(&Happens::Grow(90));
            }
            Happens::Evict => {
                let held = self.servers[1].held();
                self.servers[1].evict(held.saturating_sub(1200));
            }
            Happens::Read(_) | Happens::Cut(_) => {}
        }
    }
}
