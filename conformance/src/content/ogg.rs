//! Opus in Ogg (RFC 3533, RFC 7845).

use super::unit::{fill, label, read_label};

const PACKET: usize = 925;
/// What stands before the packet in a page of one packet of that length.
const BEFORE: usize = 27 + PACKET / 255 + 1;

/// `OpusHead` and `OpusTags`, a page each.
pub(super) fn head(seed: u16) -> Vec<u8> {
    let mut first = b"OpusHead\x01\x02\x00\x00\x80\xbb\x00\x00\x00\x00\x00".to_vec();
    let mut tags = b"OpusTags\x0b\x00\x00\x00conformance\x00\x00\x00\x00".to_vec();
    // Players ignore what follows the comments; it makes the headers of two streams differ.
    label(seed, 0, &mut tags);
    first.truncate(19);
    [page(seed, 2, 0, 0, &first), page(seed, 0, 0, 1, &tags)].concat()
}

/// A page of one packet of 20 ms.
pub(super) fn unit(seed: u16, number: u64) -> Vec<u8> {
    // Configuration 31, stereo, one frame.
    let mut packet = vec![0xfc];
    label(seed, number, &mut packet);
    fill(seed, number, PACKET, &mut packet);
    let sequence = u32::try_from((number + 2) & 0xffff_ffff).unwrap_or(0);
    page(seed, 0, (number + 1) * 960, sequence, &packet)
}

/// The number of the page of audio with which a slice begins.
pub(super) fn number(slice: &[u8]) -> Option<u64> {
    slice.strip_prefix(b"OggS")?;
    let packet = slice.get(BEFORE..)?;
    read_label(packet.strip_prefix(b"\xfc")?)
}

fn page(serial: u16, flags: u8, granule: u64, sequence: u32, packet: &[u8]) -> Vec<u8> {
    let mut out = b"OggS\0".to_vec();
    out.push(flags);
    out.extend_from_slice(&granule.to_le_bytes());
    out.extend_from_slice(&(0x636f_0000 | u32::from(serial)).to_le_bytes());
    out.extend_from_slice(&sequence.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    let full = packet.len() / 255;
    out.push(u8::try_from(full + 1).unwrap_or(u8::MAX));
    out.resize(out.len() + full, 255);
    out.push(u8::try_from(packet.len() % 255).unwrap_or(0));
    out.extend_from_slice(packet);
    let sum = checksum(&out);
    out[22..26].copy_from_slice(&sum.to_le_bytes());
    out
}

/// CRC-32 of Ogg: polynomial 0x04c11db7, not reflected, from 0.
fn checksum(page: &[u8]) -> u32 {
    let mut sum = 0_u32;
    for octet in page {
        sum ^= u32::from(*octet) << 24;
        for _ in 0..8 {
            sum = if sum & 0x8000_0000 == 0 {
                sum << 1
            } else {
                sum << 1 ^ 0x04c1_1db7
            };
        }
    }
    sum
}

/// A page of an Ogg stream.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Page {
    /// Where it begins, in the bytes that were read.
    pub at: usize,
    /// Its octets.
    pub length: usize,
    /// Bit 0: it begins with the rest of a packet. Bit 1: a chain begins. Bit 2: it ends.
    pub flags: u8,
    /// Whether its first packet is a codec header.
    pub header: bool,
}

/// The whole pages with which octets begin; they end where no page is.
#[must_use]
pub fn pages(octets: &[u8]) -> Vec<Page> {
    let mut out = Vec::new();
    let mut at = 0;
    while let Some(page) = octets.get(at..).and_then(|rest| first(rest, at)) {
        at += page.length;
        out.push(page);
    }
    out
}

fn first(octets: &[u8], at: usize) -> Option<Page> {
    octets.strip_prefix(b"OggS\0")?;
    let segments = usize::from(*octets.get(26)?);
    let table = octets.get(27..27 + segments)?;
    let body: usize = table.iter().map(|length| usize::from(*length)).sum();
    let length = 27 + segments + body;
    octets.get(..length)?;
    let packet = &octets[27 + segments..length];
    // Opus, Vorbis, FLAC, Speex, Theora: the headers of all begin with a name.
    let names: [&[u8]; 9] = [
        b"OpusHead",
        b"OpusTags",
        b"\x01vorbis",
        b"\x03vorbis",
        b"\x05vorbis",
        b"\x7fFLAC",
        b"Speex  ",
        b"\x80theora",
        b"fLaC",
    ];
    Some(Page {
        at,
        length,
        flags: octets[5],
        header: octets[5] & 2 != 0 || names.iter().any(|name| packet.starts_with(name)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_pages() {
        let stream = [head(3), unit(3, 0), unit(3, 1)].concat();
        let pages = pages(&stream);
        let kinds: Vec<_> = pages.iter().map(|page| (page.flags, page.header)).collect();
        assert_eq!(kinds, [(2, true), (0, true), (0, false), (0, false)]);
        assert_eq!(
            pages.iter().map(|page| page.length).sum::<usize>(),
            stream.len()
        );
        assert_eq!(number(&unit(3, 9)), Some(9));
    }

    #[test]
    fn the_checksum_is_that_of_ogg() {
        // A page of libogg: `oggz dump` of an empty Opus header.
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
    }
}
