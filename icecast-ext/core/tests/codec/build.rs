//! Streams made by hand.

/// Bytes that look like nothing in particular.
pub(crate) fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2).wrapping_add(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as u8
        })
        .collect()
}

/// An MPEG-1 layer III frame of 128 kbit/s at 44.1 kHz: 417 bytes, 418 with padding.
pub(crate) fn mp3(seed: u64, padding: bool) -> Vec<u8> {
    let mut frame = vec![0xff, 0xfb, 0x90 | u8::from(padding) << 1, 0x64];
    frame.extend(noise(seed, 413 + usize::from(padding)));
    frame
}

/// An ADTS frame, AAC-LC at 44.1 kHz, stereo.
pub(crate) fn adts(seed: u64, len: usize) -> Vec<u8> {
    let n = len as u32;
    let mut frame = vec![
        0xff,
        0xf1,
        0x50,
        0x80 | (n >> 11) as u8,
        (n >> 3) as u8,
        (n << 5) as u8 | 0x1f,
        0xfc,
    ];
    frame.extend(noise(seed, len - 7));
    frame
}

pub(crate) const CONTINUED: u8 = 1;
pub(crate) const BOS: u8 = 2;
pub(crate) const EOS: u8 = 4;

/// One logical Ogg stream.
pub(crate) struct Logical {
    pub(crate) serial: u32,
    sequence: u32,
}

impl Logical {
    pub(crate) fn new(serial: u32) -> Self {
        Self {
            serial,
            sequence: 0,
        }
    }

    /// A page of these packets; the last one goes on in the next page if `open` (then its length is a multiple of 255).
    pub(crate) fn page(
        &mut self,
        flags: u8,
        granule: i64,
        packets: &[&[u8]],
        open: bool,
    ) -> Vec<u8> {
        let mut lacing = Vec::new();
        for packet in packets {
            lacing.extend(std::iter::repeat_n(255, packet.len() / 255));
            lacing.push((packet.len() % 255) as u8);
        }
        if open {
            assert_eq!(lacing.pop(), Some(0));
        }
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend(granule.to_le_bytes());
        page.extend(self.serial.to_le_bytes());
        page.extend(self.sequence.to_le_bytes());
        page.extend([0; 4]);
        page.push(u8::try_from(lacing.len()).expect("at most 255 segments"));
        page.extend(lacing);
        page.extend(packets.concat());
        let crc = checksum(&page);
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        self.sequence += 1;
        page
    }

    /// The header pages of an Opus stream: one, and one.
    pub(crate) fn opus_headers(&mut self) -> [Vec<u8>; 2] {
        [
            self.page(
                BOS,
                0,
                &[b"OpusHead\x01\x02\x38\x01\x80\xbb\0\0\0\0\0"],
                false,
            ),
            self.page(0, 0, &[b"OpusTags\0\0\0\0\0\0\0\0"], false),
        ]
    }

    /// The header pages of a Vorbis stream: one, and one with two packets.
    pub(crate) fn vorbis_headers(&mut self) -> [Vec<u8>; 2] {
        let setup = [b"\x05vorbis".as_slice(), &noise(5, 3000)].concat();
        [
            self.page(BOS, 0, &[b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0"], false),
            self.page(0, 0, &[b"\x03vorbis comment", &setup], false),
        ]
    }

    /// A page of one packet.
    pub(crate) fn data(&mut self, granule: i64, len: usize) -> Vec<u8> {
        let packet = noise(granule as u64, len);
        self.page(0, granule, &[&packet], false)
    }
}

fn checksum(page: &[u8]) -> u32 {
    page.iter().fold(0, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte) << 24, |crc: u32, _| {
            crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 }
        })
    })
}

/// An EBML element.
pub(crate) fn element(id: u32, payload: &[u8]) -> Vec<u8> {
    let size = (1_u64 << 56 | payload.len() as u64).to_be_bytes();
    [id_bytes(id).as_slice(), &size, payload].concat()
}

/// The same, of unknown size.
pub(crate) fn endless(id: u32, payload: &[u8]) -> Vec<u8> {
    [
        &id_bytes(id),
        [1, 255, 255, 255, 255, 255, 255, 255].as_slice(),
        payload,
    ]
    .concat()
}

fn id_bytes(id: u32) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    bytes[id.leading_zeros() as usize / 8..].to_vec()
}

/// EBML header, Segment, Info and Tracks, the tracks given by type (1 video, 2 audio).
pub(crate) fn webm_headers(tracks: &[u8]) -> Vec<u8> {
    let ebml = element(0x1a45_dfa3, &element(0x4286, &[1]));
    let entries: Vec<u8> = tracks
        .iter()
        .zip(1..)
        .flat_map(|(&kind, number)| {
            element(
                0xae,
                &[element(0xd7, &[number]), element(0x83, &[kind])].concat(),
            )
        })
        .collect();
    let segment = endless(
        0x1853_8067,
        &[
            element(0xec, &[0; 40]),
            element(0x1549_a966, &noise(1, 60)),
            element(0x1654_ae6b, &entries),
        ]
        .concat(),
    );
    [ebml, segment].concat()
}

/// A SimpleBlock.
pub(crate) fn block(track: u8, key: bool, len: usize) -> Vec<u8> {
    let mut payload = vec![0x80 | track, 0, 0, u8::from(key) << 7];
    payload.extend(noise(len as u64, len));
    element(0xa3, &payload)
}

/// What a Cluster holds.
pub(crate) fn cluster_of(blocks: &[Vec<u8>]) -> Vec<u8> {
    [element(0xe7, &[1, 2]), blocks.concat()].concat()
}

/// The id of a Cluster.
pub(crate) const CLUSTER: u32 = 0x1f43_b675;
