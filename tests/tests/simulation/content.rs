//! What a source sends.

use icecast_ext_core::codec::Format;
use icecast_ext_tests::chance::Chance;
use icecast_ext_tests::marked::ogg;

use crate::net::Ms;

/// Bytes a second: little, so that many seeds can be run.
pub(crate) const RATE: u64 = 4000;
/// Of an MPEG frame: 128 kbit/s at 44.1 kHz, whatever the rate is.
const FRAME: usize = 417;

/// What is on air.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// MPEG frames that never come again.
    Live,
    /// MPEG frames of songs that come again, jingles between them, a loop, and silence.
    Rotation,
    /// Ogg pages.
    Ogg,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Live, Self::Rotation, Self::Ogg];

    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Live | Self::Rotation => "audio/mpeg",
            Self::Ogg => "application/ogg",
        }
    }
}

/// All that a source will have sent.
#[derive(Debug)]
pub(crate) struct Content {
    pub(crate) kind: Kind,
    pub(crate) bytes: Vec<u8>,
    /// Every connection to a server begins with so many of the first.
    pub(crate) headers: u64,
    /// Where frames or pages begin.
    units: Vec<u64>,
}

impl Content {
    /// Of so many seconds.
    pub(crate) fn new(kind: Kind, seconds: u64, chance: &mut Chance) -> Self {
        let len = (seconds * RATE) as usize;
        let mut content = Self {
            kind,
            bytes: Vec::with_capacity(len + 70_000),
            headers: 0,
            units: Vec::new(),
        };
        match kind {
            Kind::Live => {
                while content.bytes.len() < len {
                    content.frame(&chance.bytes(FRAME - 4));
                }
            }
            Kind::Rotation => content.rotate(len, chance),
            Kind::Ogg => {
                let stream = chance.range(1, 200) as u8;
                for number in 0.. {
                    content.units.push(content.bytes.len() as u64);
                    content.bytes.extend(ogg::page(stream, number));
                    if number + 1 == ogg::HEADERS {
                        content.headers = content.bytes.len() as u64;
                    }
                    if content.bytes.len() >= len {
                        break;
                    }
                }
            }
        }
        content
    }

    /// What the source has sent by then.
    pub(crate) fn sent(&self, at: Ms) -> u64 {
        (self.headers + at * RATE / 1000).min(self.bytes.len() as u64)
    }

    /// The first unit that begins at or after `at`.
    pub(crate) fn unit(&self, at: u64) -> u64 {
        let next = self.units.partition_point(|unit| *unit < at);
        self.units
            .get(next)
            .copied()
            .unwrap_or(self.bytes.len() as u64)
    }

    fn frame(&mut self, payload: &[u8]) {
        self.units.push(self.bytes.len() as u64);
        self.bytes.extend_from_slice(&[0xff, 0xfb, 0x90, 0x64]);
        self.bytes.extend_from_slice(payload);
    }

    fn rotate(&mut self, len: usize, chance: &mut Chance) {
        let piece = |chance: &mut Chance, from: u64, to: u64| -> Vec<Vec<u8>> {
            let frames = chance.range(from, to) * RATE / FRAME as u64;
            (0..frames).map(|_| chance.bytes(FRAME - 4)).collect()
        };
        let songs: Vec<_> = (0..4).map(|_| piece(chance, 12, 40)).collect();
        let jingles: Vec<_> = (0..2).map(|_| piece(chance, 2, 8)).collect();
        let silence = vec![vec![0; FRAME - 4]; 60];
        while self.bytes.len() < len {
            let mut play = vec![match chance.range(0, 8) {
                0 => &silence,
                // The song that was just on, perhaps.
                n => &songs[n as usize % songs.len()],
            }];
            let jingle = &jingles[chance.range(0, 2) as usize];
            play.extend(std::iter::repeat_n(jingle, chance.range(0, 4) as usize));
            for frames in play {
                frames.iter().for_each(|frame| self.frame(frame));
            }
        }
    }

    pub(crate) fn format(&self) -> Format {
        Format::from_content_type(self.kind.content_type().as_bytes())
    }
}
