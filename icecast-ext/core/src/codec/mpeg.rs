//! Frames of MPEG audio and of AAC in ADTS, whichever it turns out to be: sources mislabel them.

use super::{Mark, SPACING};

/// Bytes that both kinds of header fit in. No frame is shorter.
const HEADER: usize = 7;

/// Consecutive headers that must agree before the first of them is believed.
const AGREE: usize = 3;

/// What one header says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Frame {
    /// Bytes, header included; at least [`HEADER`], at most 8191.
    len: usize,
    /// What all frames of a stream share: version, layer or profile, sample rate.
    kind: [u8; 2],
}

impl Frame {
    fn read(buf: &[u8; HEADER]) -> Option<Self> {
        if buf[0] != 0xff || buf[1] & 0xe0 != 0xe0 {
            return None;
        }
        if buf[1] & 0x06 == 0 {
            Self::adts(buf)
        } else {
            Self::mpeg(buf)
        }
    }

    /// ISO/IEC 14496-3, 1.A.2.2: 12 bits of sync, version, layer 0.
    fn adts(buf: &[u8; HEADER]) -> Option<Self> {
        let rate = buf[2] >> 2 & 0x0f;
        let len =
            usize::from(buf[3] & 0x03) << 11 | usize::from(buf[4]) << 3 | usize::from(buf[5] >> 5);
        (buf[1] & 0x10 != 0 && rate < 13 && len > HEADER).then_some(Self {
            len,
            kind: [buf[1] & 0xfe, buf[2] & 0xfc],
        })
    }

    /// ISO/IEC 11172-3, 2.4.1.3, and its extensions to lower sample rates. Free format has no length: not read.
    fn mpeg(buf: &[u8; HEADER]) -> Option<Self> {
        const V1: [[usize; 14]; 3] = [
            [
                32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
            ],
            [
                32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
            ],
            [
                32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
            ],
        ];
        const V2: [[usize; 14]; 2] = [
            [
                32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
            ],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        const RATES: [usize; 3] = [44_100, 48_000, 32_000];

        let layer = 4 - usize::from(buf[1] >> 1 & 3);
        let halvings = match buf[1] >> 3 & 3 {
            3 => 0,
            2 => 1,
            0 => 2,
            _ => return None,
        };
        if buf[3] & 3 == 2 {
            return None;
        }
        let bitrate = usize::from(buf[2] >> 4).checked_sub(1)?;
        let table = if halvings == 0 {
            V1.get(layer - 1)?
        } else {
            V2.get((layer - 1).min(1))?
        };
        let bitrate = table.get(bitrate)? * 1000;
        let rate = RATES.get(usize::from(buf[2] >> 2 & 3))? >> halvings;
        let padding = usize::from(buf[2] >> 1 & 1);
        let len = match layer {
            1 => (12 * bitrate / rate + padding) * 4,
            3 if halvings > 0 => 72 * bitrate / rate + padding,
            _ => 144 * bitrate / rate + padding,
        };
        Some(Self {
            len,
            kind: [buf[1] & 0xfe, buf[2] & 0x0c],
        })
    }
}

/// A header at `at`; outer `None` while it is not all there.
fn frame_at(buf: &[u8], at: usize) -> Option<Option<Frame>> {
    let header = buf.get(at..)?.first_chunk()?;
    Some(Frame::read(header))
}

/// Goes from frame to frame; tags and garbage between them are passed over.
#[derive(Debug, Default)]
pub(super) struct Frames {
    /// While in step: what the frames have in common.
    kind: Option<[u8; 2]>,
    last_sync: Option<u64>,
}

impl Frames {
    pub(super) fn in_step(&self) -> bool {
        self.kind.is_some()
    }

    pub(super) fn step(&mut self, buf: &[u8], at: u64, out: &mut Vec<Mark>) -> Option<usize> {
        let Some(kind) = self.kind else {
            return self.search(buf);
        };
        let Some(frame) = frame_at(buf, 0)?.filter(|frame| frame.kind == kind) else {
            self.kind = None;
            return Some(0);
        };
        if buf.len() < frame.len {
            return None;
        }
        if self.last_sync.is_none_or(|last| at >= last + SPACING) {
            self.last_sync = Some(at);
            out.push(Mark::sync(at));
        }
        Some(frame.len)
    }

    fn search(&mut self, buf: &[u8]) -> Option<usize> {
        match memchr::memchr(0xff, buf) {
            Some(0) => {}
            Some(n) => return Some(n),
            None => return (!buf.is_empty()).then_some(buf.len()),
        }
        let mut next = 0;
        let mut kind = None;
        for _ in 0..AGREE {
            match frame_at(buf, next)? {
                Some(frame) if kind.is_none_or(|kind| kind == frame.kind) => {
                    kind = Some(frame.kind);
                    next += frame.len;
                }
                _ => return Some(1),
            }
        }
        self.kind = kind;
        Some(0)
    }
}
