//! The three header packets of Vorbis, and what has to be known of them: how many samples each packet makes.

use super::super::PRELUDE_MAX;
use super::super::page::Page;

/// Bytes of an identification header (Vorbis I, section 4.2.2).
const IDENTIFICATION: usize = 30;
/// Bits of one mode: its block's size, two types that are zero, a mapping.
const MODE: usize = 1 + 16 + 16 + 8;
/// No stream has more modes.
const MODES: usize = 64;

/// The pages of a chain's headers while they go by.
#[derive(Debug)]
pub(super) struct Headers {
    /// The pages as they came.
    pub(super) raw: Vec<u8>,
    pub(super) serial: u32,
    /// The sequence number of the next page.
    pub(super) next: u32,
    packets: Vec<Vec<u8>>,
    /// The last packet goes on.
    open: bool,
}

/// What a chain begins with.
#[derive(Debug)]
pub(super) struct Whole {
    /// Identification, comment, setup.
    pub(super) packets: [Vec<u8>; 3],
    pub(super) blocks: Blocks,
}

/// It cannot be made canonical: other streams stand beside it, or its headers are not what they should be.
#[derive(Debug)]
pub(super) struct AsIs;

impl Headers {
    /// From the page that begins a chain; `None` if that is not of Vorbis.
    pub(super) fn begin(page: &Page<'_>) -> Option<Self> {
        let mut headers = Self {
            raw: Vec::new(),
            serial: page.serial,
            next: page.sequence,
            packets: Vec::new(),
            open: false,
        };
        headers.take(page).ok()?;
        let alone = headers.packets.len() == 1 && !headers.open;
        let first = headers.packets.first().filter(|_| alone)?;
        first.starts_with(b"\x01vorbis").then_some(headers)
    }

    /// The next page, which is kept in any case; the headers, once all are there. Audio begins on a page of its own (Vorbis I,
    /// section A.2).
    pub(super) fn page(&mut self, page: &Page<'_>) -> Result<Option<Whole>, AsIs> {
        self.take(page)?;
        if page.begins_stream() || page.ends_stream() || page.serial != self.serial {
            return Err(AsIs);
        }
        if self.packets.len() < 3 || self.open {
            return Ok(None);
        }
        let packets = std::mem::take(&mut self.packets);
        let packets: [Vec<u8>; 3] = packets.try_into().map_err(|_| AsIs)?;
        let blocks = Blocks::of(&packets).ok_or(AsIs)?;
        Ok(Some(Whole { packets, blocks }))
    }

    fn take(&mut self, page: &Page<'_>) -> Result<(), AsIs> {
        self.raw.extend_from_slice(page.raw);
        let fits = self.raw.len() <= PRELUDE_MAX;
        if page.sequence != self.next || page.continued() != self.open || !fits {
            return Err(AsIs);
        }
        self.next = self.next.wrapping_add(1);
        for (piece, ends) in page.pieces() {
            match self.packets.last_mut().filter(|_| self.open) {
                Some(packet) => packet.extend_from_slice(piece),
                None => self.packets.push(piece.to_vec()),
            }
            self.open = !ends;
        }
        Ok(())
    }
}

/// The sizes of blocks: two, and which of them each mode has.
#[derive(Debug)]
pub(super) struct Blocks {
    sizes: [u32; 2],
    /// By number: whether it is the large one.
    modes: Vec<bool>,
}

impl Blocks {
    fn of([identification, comment, setup]: &[Vec<u8>; 3]) -> Option<Self> {
        let named = comment.starts_with(b"\x03vorbis") && setup.starts_with(b"\x05vorbis");
        if !named || identification.len() < IDENTIFICATION {
            return None;
        }
        let sizes = *identification.get(28)?;
        let (small, large) = (sizes & 15, sizes >> 4);
        if !(6..=13).contains(&small) || !(small..=13).contains(&large) {
            return None;
        }
        Some(Self {
            sizes: [1 << small, 1 << large],
            modes: modes(setup)?,
        })
    }

    /// Samples that the packet's block has; `None` if it is not audio.
    pub(super) fn size(&self, packet: &[u8]) -> Option<u32> {
        let first = usize::from(*packet.first()?);
        if first & 1 == 1 {
            return None;
        }
        let bits = usize::BITS - (self.modes.len() - 1).leading_zeros();
        let mode = first >> 1 & ((1 << bits) - 1);
        let large = *self.modes.get(mode)?;
        Some(self.sizes[usize::from(large)])
    }
}

/// Whether each mode has the large block. The modes end the setup header, so that they can be read from there without its
/// codebooks: as many of them as the number before them says. The largest number that fits counts, as in ffmpeg's parser.
fn modes(setup: &[u8]) -> Option<Vec<bool>> {
    let used = setup.iter().rposition(|&byte| byte != 0)?;
    let last = setup.get(used)?.ilog2() as usize;
    // The framing bit is the last that is set.
    let mut end = used * 8 + last;
    let (mut large, mut found) = (Vec::new(), 0);
    while large.len() < MODES {
        let Some(start) = end.checked_sub(MODE) else {
            break;
        };
        let types = field(setup, start + 1, 16)? | field(setup, start + 17, 16)?;
        if types != 0 || field(setup, start + 33, 8)? > 63 {
            break;
        }
        large.push(field(setup, start, 1)? == 1);
        let Some(before) = start.checked_sub(6) else {
            break;
        };
        if field(setup, before, 6)? + 1 == large.len() {
            found = large.len();
        }
        end = start;
    }
    large.truncate(found);
    large.reverse();
    (found > 0).then_some(large)
}

/// So many bits from bit `start` on, the lowest first.
fn field(bytes: &[u8], start: usize, bits: usize) -> Option<usize> {
    (start..start + bits)
        .rev()
        .try_fold(0, |value: usize, bit| {
            let byte = usize::from(*bytes.get(bit / 8)?);
            Some(value << 1 | byte >> (bit % 8) & 1)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Writes fields, the lowest bit first.
    fn bits(fields: &[(usize, usize)]) -> Vec<u8> {
        let bits: Vec<usize> = fields
            .iter()
            .flat_map(|&(value, bits)| (0..bits).map(move |bit| value >> bit & 1))
            .collect();
        bits.chunks(8)
            .map(|byte| {
                let bits = byte.iter().enumerate();
                bits.fold(0, |byte, (n, bit)| byte | (*bit as u8) << n)
            })
            .collect()
    }

    fn setup(codebooks: usize, large: &[bool]) -> Vec<u8> {
        let mut fields: Vec<_> = b"\x05vorbis".iter().map(|&b| (usize::from(b), 8)).collect();
        fields.push(((1 << codebooks) - 1, codebooks));
        fields.push((large.len() - 1, 6));
        for (n, large) in large.iter().enumerate() {
            fields.extend([(usize::from(*large), 1), (0, 32), (n % 2, 8)]);
        }
        fields.push((1, 1));
        bits(&fields)
    }

    #[test]
    fn modes_are_read_from_the_end_at_any_bit() {
        for codebooks in 40..60 {
            for large in [&[false, true][..], &[true], &[true, false, true, true]] {
                let mut bytes = setup(codebooks, large);
                assert_eq!(modes(&bytes).as_deref(), Some(large), "{codebooks}");
                bytes.extend([0; 3]);
                assert_eq!(modes(&bytes).as_deref(), Some(large), "padded");
            }
        }
    }

    #[test]
    fn what_is_no_setup_has_no_modes() {
        assert_eq!(modes(b""), None);
        assert_eq!(modes(&[0; 100]), None);
        assert_eq!(modes(&[0xff; 100]), None);
        let whole = setup(48, &[false, true]);
        for len in 0..7 {
            assert_eq!(modes(&whole[..len]), None);
        }
    }
}
