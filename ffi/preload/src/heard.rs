//! What the server has sent and nobody has got yet: as it came, and without blocks.

use crate::phase::{Part, Phase};

/// Bytes whose place is looked for.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// As they came.
    pub(crate) raw: Vec<u8>,
    pub(crate) audio: Vec<u8>,
    /// Where the server has the first byte of audio.
    pub(crate) address: usize,
    /// Audio that stands before the next block, where the first byte stands.
    pub(crate) left: Option<u32>,
    /// Titles, each with the number of bytes of `audio` before it.
    pub(crate) titles: Vec<(usize, Vec<u8>)>,
}

impl Heard {
    /// More of them.
    pub(crate) fn take(&mut self, phase: Option<&mut Phase>, bytes: &[u8]) {
        self.raw.extend_from_slice(bytes);
        let Some(phase) = phase else {
            return self.add(bytes, None);
        };
        phase.feed(bytes, |part| match part {
            Part::Audio(slice, left) => self.add(slice, Some(left)),
            Part::Title(text) => self.titles.push((self.audio.len(), text)),
        });
    }

    fn add(&mut self, audio: &[u8], left: Option<u32>) {
        if self.audio.is_empty() {
            self.address = audio.as_ptr().addr();
            self.left = left;
        }
        self.audio.extend_from_slice(audio);
    }
}
