//! Endless streams of three formats, with content that never repeats.

use icecast_ext_tests::chance::{Chance, Frames};

/// Bytes of a block of the server's queue.
const BLOCK: usize = 1400;
/// Bytes of a frame.
const ADTS: usize = 407;

/// What a source sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Mp3,
    Aac,
    Opus,
}

impl Format {
    pub(crate) const fn content_type(self) -> &'static str {
        match self {
            Self::Mp3 => "audio/mpeg",
            Self::Aac => "audio/aac",
            Self::Opus => "application/ogg",
        }
    }

    /// How much of what was sent is heard when its source is gone: whole blocks, whole pages.
    pub(crate) fn whole(self, sent: &[u8]) -> usize {
        match self {
            // Icecast queues blocks, and nothing of one that is not full.
            Self::Mp3 | Self::Aac => return sent.len() / BLOCK * BLOCK,
            Self::Opus => {}
        }
        let Some(last) = memchr::memmem::rfind(sent, b"OggS") else {
            return 0;
        };
        let lacing = sent.get(last + 26).map_or(0, |count| usize::from(*count));
        let lacing = sent.get(last + 27..last + 27 + lacing).unwrap_or_default();
        let body: usize = lacing.iter().map(|len| usize::from(*len)).sum();
        let end = last + 27 + lacing.len() + body;
        if lacing.is_empty() || end > sent.len() {
            last
        } else {
            end
        }
    }

    /// The next bytes each time, so many.
    pub(crate) fn bytes(self, seed: u64) -> Box<dyn FnMut(usize) -> Vec<u8> + Send> {
        match self {
            Self::Mp3 => {
                let mut frames = Frames::new(seed);
                Box::new(move |len| frames.take(len))
            }
            Self::Aac => in_pieces(Chance::new(seed), Vec::new(), |chance, _| adts(chance)),
            Self::Opus => {
                let serial = seed as u32;
                let mut packet = Packet {
                    serial,
                    number: 0,
                    granule: 0,
                    flags: 2,
                };
                let mut head = packet.page(b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0");
                packet.flags = 0;
                head.extend(packet.page(b"OpusTags\x04\0\0\0soak\0\0\0\0"));
                in_pieces(Chance::new(seed), head, move |chance, _| {
                    packet.granule += 960;
                    let len = chance.range(500, 3000) as usize;
                    packet.page(&chance.bytes(len))
                })
            }
        }
    }
}

fn in_pieces(
    mut chance: Chance,
    mut ready: Vec<u8>,
    mut next: impl FnMut(&mut Chance, usize) -> Vec<u8> + Send + 'static,
) -> Box<dyn FnMut(usize) -> Vec<u8> + Send> {
    Box::new(move |len| {
        while ready.len() < len {
            ready.extend(next(&mut chance, len));
        }
        ready.drain(..len).collect()
    })
}

/// A frame of AAC, 44.1 kHz, two channels.
fn adts(chance: &mut Chance) -> Vec<u8> {
    let mut frame = vec![0xff, 0xf1, 0x50];
    frame.push(0x80 | (ADTS >> 11) as u8);
    frame.push((ADTS >> 3) as u8);
    frame.push((ADTS << 5) as u8 | 0x1f);
    frame.push(0xfc);
    frame.extend(chance.bytes(ADTS - 7));
    frame
}

/// Ogg: a packet in a page of its own.
struct Packet {
    serial: u32,
    number: u32,
    granule: u64,
    /// 2: the first.
    flags: u8,
}

impl Packet {
    fn page(&mut self, packet: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0".to_vec();
        page.push(self.flags);
        page.extend_from_slice(&self.granule.to_le_bytes());
        page.extend_from_slice(&self.serial.to_le_bytes());
        page.extend_from_slice(&self.number.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        let whole = packet.len() / 255;
        page.push(whole as u8 + 1);
        page.resize(page.len() + whole, 255);
        page.push((packet.len() % 255) as u8);
        page.extend_from_slice(packet);
        let sum = checksum(&page);
        page[22..26].copy_from_slice(&sum.to_le_bytes());
        self.number += 1;
        page
    }
}

/// Ogg's: the polynomial 0x04c11db7, highest bit first.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum: u32, &byte| {
        let mut sum = sum ^ u32::from(byte) << 24;
        for _ in 0..8 {
            let carry = sum >> 31;
            sum = sum << 1 ^ (carry * 0x04c1_1db7);
        }
        sum
    })
}
