//! What a player's passages say: where it came back, and whether that was the byte it needed.

use crate::cutter::{Ending, Passage};

/// ffmpeg looks for an ID3 tag at the end of what it takes for a file; nobody plays from there.
const PROBE: u64 = 1 << 39;

/// A player's passages, put together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stitched {
    /// Every byte that it was sent, at the place that it asked for.
    pub bytes: Vec<u8>,
    /// Passages that began somewhere else than at the first byte.
    pub resumes: usize,
    /// Ranges that do not follow from what came before.
    pub astray: Vec<String>,
    /// Bytes that came twice and differed, or that were never sent but skipped.
    pub faults: Vec<String>,
}

/// Passages with bytes of the stream.
fn playing(passages: &[Passage]) -> impl Iterator<Item = &Passage> {
    let real = |passage: &&Passage| passage.plays() && passage.from() < PROBE;
    passages.iter().filter(real)
}

/// The byte after the last that a player was sent.
#[must_use]
pub fn reached(passages: &[Passage]) -> u64 {
    let ends = playing(passages).map(|passage| passage.from() + passage.body);
    ends.max().unwrap_or(0)
}

/// Puts the passages together. A player that was cut has to ask for the next byte; one that has closed by itself may
/// ask for any byte that it was sent.
#[must_use]
pub fn stitch(passages: &[Passage]) -> Stitched {
    let mut out = Stitched::default();
    let mut cut: Option<(u64, u64)> = None;
    for passage in passages.iter().filter(|passage| passage.plays()) {
        let from = passage.from();
        if from >= PROBE {
            // Then it begins anew.
            cut = None;
            continue;
        }
        if let Some((least, most)) = cut
            && !(least..=most).contains(&from)
        {
            out.astray
                .push(format!("bytes={from}- after a cut at {least} to {most}"));
        }
        out.resumes += usize::from(from > 0);
        if from == 0 {
            // It begins anew, and may do so elsewhere.
            out.bytes.clear();
        }
        let at = from as usize;
        if at > out.bytes.len() {
            out.faults
                .push(format!("bytes={from}- of {} sent", out.bytes.len()));
            return out;
        }
        let known = &out.bytes[at..];
        let again = known.len().min(passage.kept.len());
        if known[..again] != passage.kept[..again] {
            out.faults
                .push(format!("other bytes than before, from {from} on"));
        }
        out.bytes.extend(&passage.kept[again..]);
        let end = from + passage.body;
        cut = match passage.ending {
            Some(Ending::Cut(_) | Ending::Server(_)) => Some((end - passage.unsent, end)),
            _ => None,
        };
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cutter::How;

    fn passage(from: u64, bytes: &[u8], ending: Ending) -> Passage {
        Passage {
            request: format!("GET / HTTP/1.1\r\nRange: bytes={from}-\r\n\r\n"),
            status: if from == 0 { 200 } else { 206 },
            body: bytes.len() as u64,
            kept: bytes.to_vec(),
            ending: Some(ending),
            ..Passage::default()
        }
    }

    #[test]
    fn a_resume_elsewhere_is_a_fault() {
        let cut = Ending::Cut(How::Reset);
        let first = passage(0, b"abcd", cut);
        let good = stitch(&[first.clone(), passage(4, b"ef", cut)]);
        assert_eq!(good.bytes, b"abcdef");
        assert!(good.astray.is_empty() && good.faults.is_empty());
        let back = stitch(&[first.clone(), passage(2, b"cd", cut)]);
        assert_eq!((back.astray.len(), back.faults.len()), (1, 0));
        let own = passage(0, b"abcd", Ending::Client);
        assert!(
            stitch(&[own.clone(), passage(2, b"cdef", cut)])
                .faults
                .is_empty()
        );
        assert_eq!(stitch(&[own, passage(2, b"xxef", cut)]).faults.len(), 1);
    }
}
