//! Ogg pages of Opus packets: a page says by its serial number which stream it is of, by its number where it stands, and the
//! rest of it follows from these two.

use super::Piece;

/// Header pages of a stream.
pub const HEADERS: u64 = 2;
const PACKETS: usize = 8;
const PACKET: usize = 250;
/// Of 20 ms.
const SAMPLES: u64 = 960;

/// Page `number` of a stream.
#[must_use]
pub fn page(stream: u8, number: u64) -> Vec<u8> {
    match number {
        0 => {
            let mut head = b"OpusHead\x01\x02".to_vec();
            head.extend(312u16.to_le_bytes());
            head.extend(48_000u32.to_le_bytes());
            head.extend([0, 0, 0]);
            frame(stream, number, 2, 0, &[head])
        }
        1 => {
            let tags = [&b"OpusTags\x04\0\0\0test"[..], &[0; 4]].concat();
            frame(stream, number, 0, 0, &[tags])
        }
        _ => {
            let granule = (number - HEADERS + 1) * PACKETS as u64 * SAMPLES;
            let packet = |i: usize| {
                let at = number as usize * PACKETS * PACKET + i * PACKET;
                // The first byte says that a packet is one stereo frame of 20 ms.
                [vec![0xfc], super::bytes(stream, at, PACKET - 1)].concat()
            };
            let packets: Vec<_> = (0..PACKETS).map(packet).collect();
            frame(stream, number, 0, granule, &packets)
        }
    }
}

/// Packets shorter than 255 bytes, so that each has one lacing value.
fn frame(stream: u8, number: u64, flags: u8, granule: u64, packets: &[Vec<u8>]) -> Vec<u8> {
    let mut out = b"OggS\0".to_vec();
    out.push(flags);
    out.extend(granule.to_le_bytes());
    out.extend(u32::from(stream).to_le_bytes());
    out.extend((number as u32).to_le_bytes());
    out.extend([0; 4]);
    out.push(packets.len() as u8);
    out.extend(packets.iter().map(|packet| packet.len() as u8));
    out.extend(packets.concat());
    let sum = checksum(&out);
    out[22..26].copy_from_slice(&sum.to_le_bytes());
    out
}

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ (u32::from(*byte) << 24), |sum, _| {
            (sum << 1) ^ if sum >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// What a recording is made of, counted in pages. A page that is not whole ends it; a wrong one is of no stream.
#[must_use]
pub fn pieces(recording: &[u8]) -> Vec<Piece> {
    let mut out: Vec<Piece> = Vec::new();
    let mut rest = recording;
    while let Some(len) = length(rest) {
        let (page, after) = rest.split_at(len);
        rest = after;
        let number = u64::from(u32::from_le_bytes([page[18], page[19], page[20], page[21]]));
        let right = page == self::page(page[14], number);
        let stream = if right { page[14] } else { 0 };
        match out.last_mut() {
            Some(last) if last.stream == stream && last.to == number => last.to += 1,
            _ => out.push(Piece {
                stream,
                from: number,
                to: number + 1,
            }),
        }
    }
    out
}

/// Of the page at the start, if it is whole.
fn length(bytes: &[u8]) -> Option<usize> {
    let segments = usize::from(*bytes.get(26)?);
    let lacing = bytes.get(27..27 + segments)?;
    let body: usize = lacing.iter().map(|each| usize::from(*each)).sum();
    let len = 27 + segments + body;
    (bytes.starts_with(b"OggS") && bytes.len() >= len).then_some(len)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_joiner_has_headers_and_pages_in_a_row() {
        let pages = [page(3, 0), page(3, 1), page(3, 17), page(3, 18)].concat();
        let piece = |from, to| Piece {
            stream: 3,
            from,
            to,
        };
        assert_eq!(pieces(&pages), [piece(0, 2), piece(17, 19)]);
        assert_eq!(
            pieces(&pages[..pages.len() - 1]),
            [piece(0, 2), piece(17, 18)]
        );
    }

    #[test]
    fn a_wrong_page_is_of_no_stream() {
        let mut pages = [page(3, 16), page(3, 17)].concat();
        let last = pages.len() - 1;
        pages[last] ^= 1;
        assert_eq!(pieces(&pages)[1].stream, 0);
    }
}
