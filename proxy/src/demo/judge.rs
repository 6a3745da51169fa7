//! The judge: what a listener received, byte by byte against what the source sent. It sees bytes alone, and takes nobody's
//! word for where they belong.

use sha2::{Digest as _, Sha256};

use super::content::{self, Source};

/// So many bytes are looked at before it is said what happened to them: several frames.
const DOUBT: usize = 4096;
/// A number that is read is believed if so many bytes from its frame's start are right.
const BELIEF: usize = 256;
/// Faults that are told in words.
const TOLD: usize = 5;

/// Compares, and counts what differs.
#[derive(Debug, Default)]
pub(super) struct Judge {
    source: Source,
    /// The place of the first byte.
    start: Option<u64>,
    /// The place that the next byte must come from; unknown until the first frame number.
    place: Option<u64>,
    /// Bytes that are not explained yet.
    doubt: Vec<u8>,
    hash: Sha256,
    score: Score,
}

/// The counts, in bytes.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Score {
    /// The right byte at the right place.
    pub(super) verified: u64,
    /// Never came.
    pub(super) lost: u64,
    /// Came again.
    pub(super) repeated: u64,
    /// Not what the source sent there, or nothing that it ever sent.
    pub(super) wrong: u64,
    /// The first faults, in words.
    pub(super) faults: Vec<String>,
}

/// What remains to be said at the end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) score: Score,
    /// SHA-256 of what was received.
    pub(super) received: String,
    /// SHA-256 of the source from the first byte received to its end.
    pub(super) sent: String,
}

impl Score {
    fn tell(&mut self, place: u64, what: std::fmt::Arguments<'_>) {
        if self.faults.len() < TOLD {
            self.faults.push(format!(
                "at byte {place} of the source (frame {}): {what}",
                content::frame_at(place)
            ));
        }
    }
}

impl Judge {
    /// The next bytes that the listener received.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.hash.update(bytes);
        self.doubt.extend_from_slice(bytes);
        self.settle(DOUBT);
    }

    pub(super) fn score(&self) -> &Score {
        &self.score
    }

    /// The place in the source that the next byte must come from; 0 before anything is known.
    pub(super) fn place(&self) -> u64 {
        self.place.unwrap_or(0)
    }

    /// The listener has received its last byte, and the source sent `end` bytes in all.
    pub(super) fn finish(mut self, end: u64) -> Verdict {
        self.settle(1);
        let start = self.start.unwrap_or(0);
        let place = self.place.unwrap_or(start);
        if place < end {
            self.score.lost += end - place;
            self.score.tell(
                place,
                format_args!("the last {} bytes never came", end - place),
            );
        }
        let mut sent = Sha256::new();
        content::pieces(start..end).for_each(|piece| sent.update(&piece));
        Verdict {
            score: self.score,
            received: hex(&self.hash.finalize()),
            sent: hex(&sent.finalize()),
        }
    }

    /// Explains what is held, as far as that can be done; fewer than `enough` bytes that differ wait for more.
    fn settle(&mut self, enough: usize) {
        let mut done = 0;
        while done < self.doubt.len() {
            if let Some(place) = &mut self.place {
                let right = self.source.agreement(*place, &self.doubt[done..]);
                self.score.verified += right as u64;
                *place += right as u64;
                done += right;
            }
            let left = self.doubt.len() - done;
            if left == 0 || left < enough {
                break;
            }
            done += self.explain(done);
        }
        self.doubt.drain(..done);
    }

    /// The byte at `from` is not what belongs here: finds what came instead. Returns how many bytes that explains.
    fn explain(&mut self, from: usize) -> usize {
        let doubt = &self.doubt[from..];
        let Some((index, frame)) = believable(&mut self.source, doubt) else {
            let length = doubt.len();
            let right = self
                .place
                .map_or(0, |place| matches(&mut self.source, place, doubt));
            self.score.verified += right;
            self.score.wrong += length as u64 - right;
            let place = self.place();
            self.score.tell(
                place,
                format_args!("{} of {length} bytes wrong", length as u64 - right),
            );
            self.place = self.place.map(|place| place + length as u64);
            return length;
        };
        // Backwards from the number that could be read, as far as the bytes are right.
        let mut first = index;
        let mut stands = frame;
        while first > 0 && stands > 0 && self.source.from(stands - 1)[0] == doubt[first - 1] {
            first -= 1;
            stands -= 1;
        }
        let bad = first as u64;
        let Some(place) = self.place else {
            let start = stands.saturating_sub(bad);
            let right = matches(&mut self.source, start, &doubt[..first]);
            self.start = Some(start);
            self.place = Some(stands);
            self.score.verified += right;
            if right < bad {
                self.score.wrong += bad - right;
                self.score.tell(
                    start,
                    format_args!("{} of the first bytes wrong", bad - right),
                );
            }
            return first;
        };
        let expected = place + bad;
        if stands == expected {
            let right = matches(&mut self.source, place, &doubt[..first]);
            self.score.verified += right;
            self.score.wrong += bad - right;
            self.score
                .tell(place, format_args!("{} wrong", bad - right));
        } else {
            self.score.wrong += bad;
            if bad > 0 {
                self.score
                    .tell(place, format_args!("{bad} that the source never sent"));
            }
            // Foreign bytes between two right ones have displaced nothing.
            let from = if stands == place { place } else { expected };
            if stands > from {
                self.score.lost += stands - from;
                self.score
                    .tell(place, format_args!("{} lost", stands - from));
            } else if stands < from {
                self.score.repeated += from - stands;
                self.score
                    .tell(place, format_args!("{} repeated", from - stands));
            }
        }
        self.place = Some(stands);
        first
    }
}

/// How many of `bytes` are what the source sent from `place` on.
fn matches(source: &mut Source, place: u64, bytes: &[u8]) -> u64 {
    let right = (place..)
        .zip(bytes)
        .filter(|(place, byte)| source.from(*place)[0] == **byte);
    right.count() as u64
}

/// The first frame in `bytes` that can be read and is right as far as it is there: its index, and its place.
fn believable(source: &mut Source, bytes: &[u8]) -> Option<(usize, u64)> {
    let mut from = 0;
    while let Some((index, number)) = content::find(&bytes[from..]) {
        let index = from + index;
        let place = content::start_of(number);
        let there = &bytes[index..bytes.len().min(index + BELIEF)];
        if source.agreement(place, there) == there.len() {
            return Some((index, place));
        }
        from = index + 1;
    }
    None
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const END: u64 = 60_000;

    fn clean(score: &Score) -> bool {
        score.verified > 0 && score.lost == 0 && score.repeated == 0 && score.wrong == 0
    }

    fn source(range: std::ops::Range<u64>) -> Vec<u8> {
        content::pieces(range).flatten().collect()
    }

    /// Judges in pieces of all sizes.
    fn judged(bytes: &[u8], end: u64) -> Verdict {
        let mut judge = Judge::default();
        let mut rest = bytes;
        let mut size = 1;
        while !rest.is_empty() {
            let (piece, more) = rest.split_at(rest.len().min(size));
            judge.push(piece);
            rest = more;
            size = size * 7 % 3001 + 1;
        }
        judge.finish(end)
    }

    #[test]
    fn every_byte_in_its_place_is_verified() {
        for start in [0, content::start_of(7), 10_000] {
            let verdict = judged(&source(start..END), END);
            assert_eq!(
                verdict.score,
                Score {
                    verified: END - start,
                    ..Score::default()
                }
            );
            assert_eq!(verdict.received, verdict.sent);
            assert!(clean(&verdict.score));
        }
    }

    #[test]
    fn one_flipped_bit_is_wrong_wherever_it_is() {
        let right = source(0..END);
        // In a header, in the silence, in a number, in the noise; the first byte of all and the last.
        for at in [0, 1, 2, 10_448, 10_460, 10_490, 11_000, 59_999] {
            let mut bytes = right.clone();
            bytes[at] ^= 0x10;
            let verdict = judged(&bytes, END);
            assert_eq!(
                (
                    verdict.score.wrong,
                    verdict.score.lost,
                    verdict.score.repeated
                ),
                (1, 0, 0),
                "{at}: {verdict:?}"
            );
            assert_ne!(verdict.received, verdict.sent);
            assert!(!clean(&verdict.score));
        }
    }

    #[test]
    fn skipped_bytes_are_lost_and_counted() {
        let right = source(0..END);
        for (at, count) in [
            (20_000, 1),
            (20_001, 17),
            (10_450, 5),
            (20_000, 1045),
            (33_333, 20_000),
        ] {
            let bytes = [&right[..at], &right[at + count..]].concat();
            let verdict = judged(&bytes, END);
            assert_eq!(
                verdict.score,
                Score {
                    verified: (right.len() - count) as u64,
                    lost: count as u64,
                    faults: verdict.score.faults.clone(),
                    ..Score::default()
                },
                "{at}"
            );
            assert_eq!(verdict.score.faults.len(), 1);
            assert_ne!(verdict.received, verdict.sent);
        }
    }

    #[test]
    fn repeated_bytes_are_counted() {
        let right = source(0..END);
        for (at, count) in [
            (20_000, 1),
            (20_001, 17),
            (10_450, 5),
            (30_000, 1045),
            (33_333, 20_000),
        ] {
            let bytes = [&right[..at], &right[at - count..]].concat();
            let score = judged(&bytes, END).score;
            assert_eq!(
                (score.repeated, score.lost, score.wrong),
                (count as u64, 0, 0),
                "{at}: {score:?}"
            );
        }
    }

    #[test]
    fn foreign_bytes_are_wrong() {
        let right = source(0..END);
        let put_between = [&right[..20_000], &[b'x'; 300], &right[20_000..]].concat();
        let score = judged(&put_between, END).score;
        assert_eq!(
            (score.wrong, score.lost, score.repeated),
            (300, 0, 0),
            "{score:?}"
        );
        let put_over = [&right[..20_000], &[b'x'; 9_000], &right[29_000..]].concat();
        let score = judged(&put_over, END).score;
        assert!(
            score.wrong > 8_900 && score.lost == 0 && score.repeated == 0,
            "{score:?}"
        );
        let score = judged(&vec![b'x'; 10_000], 0).score;
        assert_eq!((score.wrong, clean(&score)), (10_000, false));
    }

    #[test]
    fn a_fault_names_its_place() {
        let right = source(0..END);
        let bytes = [&right[..20_000], &right[20_005..]].concat();
        let fault = judged(&bytes, END).score.faults.remove(0);
        assert!(fault.ends_with("(frame 19): 5 lost"), "{fault}");
    }

    #[test]
    fn an_end_that_never_came_is_lost() {
        let verdict = judged(&source(0..50_000), END);
        assert_eq!(verdict.score.lost, 10_000);
        assert_ne!(verdict.received, verdict.sent);
    }

    #[test]
    fn nothing_received_is_not_clean() {
        assert!(!clean(&judged(&[], 0).score));
        assert_eq!(judged(&[], END).score.lost, END);
    }
}
