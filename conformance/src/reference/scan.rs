//! Sync points and preludes, found in a stream as it comes (R-JOIN-6 to R-JOIN-9).

use crate::content::pages;

/// Where decoders can start, and what they need before.
#[derive(Debug)]
pub(crate) struct Scan {
    kind: Kind,
    /// What has come and is not decided yet, and where it stands.
    tail: Vec<u8>,
    at: u64,
    locked: bool,
    /// Header pages of the chain that has begun.
    headers: Vec<u8>,
    /// The first sync point that there was.
    pub(crate) first: Option<u64>,
    /// Sync points, oldest first.
    pub(crate) syncs: Vec<u64>,
    /// From an offset on, these octets; oldest first.
    pub(crate) preludes: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Mpeg,
    Ogg,
    Webm,
    Any,
}

impl Kind {
    fn of(content_type: &str) -> Self {
        match content_type.split(';').next().unwrap_or_default().trim() {
            "audio/mpeg" | "audio/aac" | "audio/aacp" => Self::Mpeg,
            "application/ogg" | "audio/ogg" | "video/ogg" => Self::Ogg,
            "audio/webm" | "video/webm" => Self::Webm,
            _ => Self::Any,
        }
    }
}

/// Whether titles may stand between the bytes of a format: not if it has preludes (R-ICY-2).
pub(crate) fn takes_icy(content_type: &str) -> bool {
    matches!(Kind::of(content_type), Kind::Mpeg | Kind::Any)
}

/// Whether decoders go on where another stream begins (R-SPLICE-6).
pub(crate) fn goes_on(content_type: &str) -> bool {
    matches!(Kind::of(content_type), Kind::Mpeg | Kind::Ogg)
}

impl Scan {
    /// For a run that begins at an offset.
    pub(crate) fn new(content_type: &str, begins: u64) -> Self {
        Self {
            kind: Kind::of(content_type),
            tail: Vec::new(),
            at: begins,
            locked: false,
            headers: Vec::new(),
            first: (Kind::of(content_type) == Kind::Any).then_some(begins),
            syncs: Vec::new(),
            preludes: Vec::new(),
        }
    }

    /// Whether every byte is a sync point, by the format.
    pub(crate) fn free(&self) -> bool {
        self.kind == Kind::Any
    }

    /// The next bytes.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        match self.kind {
            Kind::Any => {}
            Kind::Mpeg => {
                self.tail.extend_from_slice(bytes);
                self.frames();
            }
            Kind::Ogg => {
                self.tail.extend_from_slice(bytes);
                self.pages();
            }
            Kind::Webm => {
                self.tail.extend_from_slice(bytes);
                self.clusters();
            }
        }
    }

    /// Moves everything so many bytes down: for the bug that does not count headers.
    pub(crate) fn shift(&mut self, bytes: u64) {
        self.at = self.at.saturating_sub(bytes);
        for at in &mut self.syncs {
            *at = at.saturating_sub(bytes);
        }
        for (at, _) in &mut self.preludes {
            *at = at.saturating_sub(bytes);
        }
        self.first = self.first.map(|at| at.saturating_sub(bytes));
    }

    /// The prelude in force at an offset.
    pub(crate) fn prelude(&self, at: u64) -> &[u8] {
        let found = self.preludes.iter().rev().find(|(from, _)| *from <= at);
        found.map_or(&[], |(_, octets)| octets)
    }

    fn sync(&mut self, at: u64) {
        self.first.get_or_insert(at);
        self.syncs.push(at);
    }

    fn consume(&mut self, octets: usize) {
        self.tail.drain(..octets);
        self.at += octets as u64;
    }

    fn frames(&mut self) {
        let mut here = 0;
        while let Some(window) = self.tail.get(here..here + 7) {
            let Some(length) = frame_length(window) else {
                self.locked = false;
                here += 1;
                continue;
            };
            if !self.locked {
                match self.tail.get(here + length..here + length + 7) {
                    None => break,
                    Some(next) => self.locked = frame_length(next).is_some(),
                }
            }
            if self.locked {
                self.sync(self.at + here as u64);
                // The next one may still be cut short; it is looked at when it is whole.
                if self.tail.len() < here + length {
                    self.syncs.pop();
                    break;
                }
                here += length;
            } else {
                here += 1;
            }
        }
        self.consume(here);
    }

    fn pages(&mut self) {
        loop {
            let skip = self.tail.windows(4).position(|four| four == b"OggS");
            let skip = skip.unwrap_or(self.tail.len().saturating_sub(3));
            self.consume(skip);
            let Some(page) = pages(&self.tail).into_iter().next() else {
                return;
            };
            let octets: Vec<u8> = self.tail[..page.length].to_vec();
            if page.flags & 2 != 0 && self.headers.is_empty() {
                self.preludes.push((self.at, Vec::new()));
            }
            if page.header {
                self.headers.extend_from_slice(&octets);
            } else {
                if !self.headers.is_empty() {
                    let headers = std::mem::take(&mut self.headers);
                    self.preludes.push((self.at, headers));
                }
                if page.flags & 1 == 0 {
                    self.sync(self.at);
                }
            }
            self.consume(page.length);
        }
    }

    fn clusters(&mut self) {
        loop {
            let found = self
                .tail
                .windows(4)
                .position(|four| four == [0x1f, 0x43, 0xb6, 0x75]);
            let Some(found) = found else {
                if self.first.is_none() {
                    // The header is what stands before the first cluster: it is kept until that is found.
                    return;
                }
                let skip = self.tail.len().saturating_sub(3);
                return self.consume(skip);
            };
            if self.first.is_none() {
                let header = self.tail[..found].to_vec();
                self.preludes.push((self.at + found as u64, header));
            }
            self.consume(found);
            self.sync(self.at);
            self.consume(4);
        }
    }
}

/// The length of the frame with which octets begin: MPEG audio layer III, or ADTS.
#[must_use]
pub fn frame_length(octets: &[u8]) -> Option<usize> {
    let [0xff, second, third, fourth, fifth, sixth, ..] = *octets else {
        return None;
    };
    if second & 0xf6 == 0xf0 {
        let length =
            usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
        return (length > 7).then_some(length);
    }
    // Version 1 or 2 or 2.5, layer III.
    if second & 0xe6 != 0xe2 || second & 0x18 == 0x08 {
        return None;
    }
    let one = second & 0x18 == 0x18;
    let rates: [usize; 14] = match one {
        true => [
            32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
        ],
        false => [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    };
    let rate = *rates.get(usize::from(third >> 4).checked_sub(1)?)?;
    let base = [44_100, 48_000, 32_000].get(usize::from(third >> 2 & 3))?;
    let hertz = match second & 0x18 {
        0x18 => *base,
        0x10 => base / 2,
        _ => base / 4,
    };
    let samples = if one { 144 } else { 72 };
    Some(samples * rate * 1000 / hertz + usize::from(third >> 1 & 1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::content::{Content, Format};

    fn scan(format: Format, from: u64, piece: usize) -> Scan {
        let content = Content::new(format, 5);
        let mut scan = Scan::new(format.content_type(), from);
        let bytes = content.bytes(from, 10_000);
        bytes.chunks(piece).for_each(|chunk| scan.push(chunk));
        scan
    }

    #[test]
    fn sync_points_are_where_units_begin_however_the_bytes_come() {
        for format in [Format::Mpeg, Format::Opus, Format::Webm] {
            let content = Content::new(format, 5);
            for (from, piece) in [(0, 1), (0, 700), (5001, 7), (5001, 10_000)] {
                let found = scan(format, from, piece);
                let right = (from..from + 10_000).filter(|at| content.is_sync(*at));
                let right: Vec<_> = right.take(found.syncs.len()).collect();
                assert_eq!(found.syncs, right, "{format:?} from {from} by {piece}");
                assert!(found.syncs.len() >= 8, "{format:?}: {}", found.syncs.len());
            }
        }
    }

    #[test]
    fn preludes_are_the_headers() {
        for format in [Format::Opus, Format::Webm] {
            let head = Content::new(format, 5).head();
            let found = scan(format, 0, 13);
            assert_eq!(found.prelude(head.len() as u64), head, "{format:?}");
            assert_eq!(found.prelude(head.len() as u64 - 1), b"", "{format:?}");
        }
    }
}
