//! What was sent and what arrived.

use std::path::Path;
use std::process::Command;

use crate::encoder::Format;
use icecast_ext_core::codec;
use sha2::{Digest as _, Sha256};

/// SHA-256 in hexadecimal.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(64);
    for byte in Sha256::digest(bytes) {
        out.push_str(&format!("{byte:02x}"));
    }
    out
}

/// Where `part` stands in `whole`.
#[must_use]
pub fn find(whole: &[u8], part: &[u8]) -> Option<usize> {
    memchr::memmem::find(whole, part)
}

/// How many bytes of audio that begins with the first byte of a run are the codec's headers. There they stand in front of the burst
/// that the minter got from Icecast; others get another burst after the same headers.
#[must_use]
pub fn headers(format: Format, audio: &[u8]) -> usize {
    let codec = match format {
        Format::Mp3 | Format::Aac => return 0,
        Format::WebM => codec::Format::Webm,
        Format::Vorbis | Format::Opus | Format::Flac => codec::Format::Ogg,
    };
    codec::leading_headers(codec, audio).unwrap_or(0)
}

/// Index of the first byte that differs, or the shorter length.
#[must_use]
pub fn first_difference(a: &[u8], b: &[u8]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

/// How a recording compares with the truth, byte by byte. All zero: it is a slice of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Bytes that are missing.
    pub lost: u64,
    /// Bytes that came twice.
    pub repeated: u64,
    /// Bytes that are nowhere in the truth.
    pub wrong: u64,
}

impl Verdict {
    /// Whether not one byte is lost, repeated or wrong.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        *self == Self::default()
    }
}

/// Walks a recording along the truth from `start` on, and finds the place again after each deviation. The truth must
/// not repeat itself.
#[must_use]
pub fn judge(truth: &[u8], start: usize, got: &[u8]) -> Verdict {
    const PROBE: usize = 256;
    let mut verdict = Verdict::default();
    let (mut at, mut i) = (start, 0);
    while i < got.len() {
        let same = first_difference(&truth[at.min(truth.len())..], &got[i..]);
        at += same;
        i += same;
        if i == got.len() {
            break;
        }
        // Not as expected: the next bytes of the recording stand elsewhere in the truth, or nowhere.
        let probe = &got[i..(i + PROBE).min(got.len())];
        match find(truth, probe) {
            Some(place) if place >= at => {
                verdict.lost += (place - at) as u64;
                at = place;
            }
            Some(place) => {
                verdict.repeated += (at - place) as u64;
                at = place;
            }
            None => {
                verdict.wrong += 1;
                at += 1;
                i += 1;
            }
        }
    }
    verdict
}

/// The recording without the unit that it stops in the middle of. MP3 and AAC have to start with a frame, or with an
/// ID3 tag and a frame.
#[must_use]
pub fn whole_units(format: Format, bytes: &[u8]) -> &[u8] {
    match format {
        Format::Mp3 | Format::Aac => &bytes[..whole_frames(format, bytes)],
        Format::WebM => {
            let cluster = memchr::memmem::rfind(bytes, &[0x1f, 0x43, 0xb6, 0x75]);
            &bytes[..cluster.unwrap_or(bytes.len())]
        }
        // ffmpeg does not mind the start of a page.
        Format::Vorbis | Format::Opus | Format::Flac => bytes,
    }
}

fn whole_frames(format: Format, bytes: &[u8]) -> usize {
    let mut at = 0;
    if bytes.starts_with(b"ID3") && bytes.len() > 10 {
        at = bytes[6..10]
            .iter()
            .fold(0, |size, &byte| size << 7 | usize::from(byte))
            + 10;
    }
    while let Some(head) = bytes.get(at..at + 6) {
        let length = if format == Format::Mp3 {
            mp3_frame(head)
        } else {
            (usize::from(head[3]) & 3) << 11 | usize::from(head[4]) << 3 | usize::from(head[5]) >> 5
        };
        if length == 0 || at + length > bytes.len() {
            break;
        }
        at += length;
    }
    at.min(bytes.len())
}

/// Length of an MPEG 1 layer 3 frame; 0 if that is none.
fn mp3_frame(head: &[u8]) -> usize {
    const KBPS: [usize; 16] = [
        0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 0,
    ];
    const HERTZ: [usize; 4] = [44_100, 48_000, 32_000, usize::MAX];
    if head[0] != 0xff || head[1] & 0xfe != 0xfa {
        return 0;
    }
    let rate = 144_000 * KBPS[usize::from(head[2] >> 4)];
    rate / HERTZ[usize::from(head[2] >> 2 & 3)] + usize::from(head[2] >> 1 & 1)
}

/// What ffmpeg complains about when it decodes the file; empty if it does not.
///
/// # Panics
/// If ffmpeg cannot be started.
#[must_use]
pub fn decode_errors(file: &Path) -> String {
    let out = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(file)
        .args(["-f", "null", "-"])
        .output()
        .expect("ffmpeg starts");
    let mut text = String::from_utf8_lossy(&out.stderr).into_owned();
    if !out.status.success() {
        text.push_str(&format!("({})", out.status));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chance::Chance;

    #[test]
    fn counts_what_is_lost_repeated_and_wrong() {
        let truth = Chance::new(7).bytes(100_000);
        let exact = truth[500..90_000].to_vec();
        assert!(judge(&truth, 500, &exact).is_exact());
        let lost = [&truth[500..1000], &truth[1100..5000]].concat();
        assert_eq!(judge(&truth, 500, &lost).lost, 100);
        let repeated = [&truth[500..1000], &truth[900..5000]].concat();
        assert_eq!(judge(&truth, 500, &repeated).repeated, 100);
        let mut wrong = exact.clone();
        wrong[777] ^= 1;
        assert_eq!(judge(&truth, 500, &wrong).wrong, 1);
    }
}
