//! Vorbis made by hand: true headers as far as they are read, and packets of noise.

#[path = "../codec/build.rs"]
#[expect(dead_code, reason = "the codec tests' streams have more in them")]
mod ogg;

pub(crate) use ogg::{BOS, CONTINUED, EOS, Logical, noise};

/// Blocks of 256 and 2048 samples.
const SIZES: [i64; 2] = [256, 2048];

/// A packet, and the sample at which it ends.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Packet {
    pub(crate) bytes: Vec<u8>,
    pub(crate) ends: i64,
}

/// The three headers; another seed is another comment.
pub(crate) fn headers(seed: u64) -> [Vec<u8>; 3] {
    let mut identification = b"\x01vorbis\0\0\0\0\x02\x44\xac\0\0".to_vec();
    identification.resize(28, 0);
    identification.extend([0xb8, 1]);
    let comment = [b"\x03vorbis".as_slice(), &noise(seed, 60)].concat();
    // At its end: one less than the number of modes in 6 bits; two modes of 41, the second with large blocks; the framing bit.
    let modes: u128 = 1 | 1 << (6 + 41) | 1 << (6 + 41 + 33) | 1 << (6 + 82);
    let mut setup = [b"\x05vorbis".as_slice(), &noise(5, 1000)].concat();
    setup.push(0xff);
    setup.extend(&modes.to_le_bytes()[..12]);
    [identification, comment, setup]
}

/// Packets of noise, each with a small or a large block.
pub(crate) fn packets(seed: u64, kinds: &[(bool, usize)]) -> Vec<Packet> {
    let (mut ends, mut before) = (0, None);
    let mut out = Vec::new();
    for (n, &(large, len)) in kinds.iter().enumerate() {
        let size = SIZES[usize::from(large)];
        ends += before.map_or(0, |before| (before + size) / 4);
        before = Some(size);
        let mut bytes = noise(seed * 10_000 + n as u64, len.max(1));
        bytes[0] = bytes[0] & 0xfc | u8::from(large) << 1;
        out.push(Packet { bytes, ends });
    }
    out
}

/// The header pages: one, and as few as hold the rest.
pub(crate) fn header_pages(stream: &mut Logical, headers: &[Vec<u8>; 3]) -> Vec<Vec<u8>> {
    let [identification, comment, setup] = headers;
    vec![
        stream.page(BOS, 0, &[identification], false),
        stream.page(0, 0, &[comment, setup], false),
    ]
}

/// Pages of these packets, each with as many segments as `segments` says next.
pub(crate) fn pages(
    stream: &mut Logical,
    packets: &[Packet],
    mut segments: impl FnMut() -> usize,
) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let (mut page, mut room, mut granule) = (Vec::<Vec<u8>>::new(), 0, -1);
    let mut continued = 0;
    let mut left = packets.iter().peekable();
    let (mut at, mut open) = (0, false);
    while let Some(packet) = left.peek() {
        if room == 0 {
            room = segments().clamp(1, 255);
            (continued, granule) = (if open { CONTINUED } else { 0 }, -1);
        }
        let rest = &packet.bytes[at..];
        let whole = rest.len() / 255 + 1;
        let taken = whole.min(room);
        room -= taken;
        open = taken < whole;
        if open {
            page.push(rest[..taken * 255].to_vec());
            at += taken * 255;
        } else {
            page.push(rest.to_vec());
            granule = packet.ends;
            at = 0;
            left.next();
        }
        if room == 0 || left.peek().is_none() {
            let pieces: Vec<&[u8]> = page.iter().map(Vec::as_slice).collect();
            let last = if left.peek().is_none() { EOS } else { 0 };
            out.push(stream.page(continued | last, granule, &pieces, open));
            page.clear();
            room = 0;
        }
    }
    out
}

/// A page as it is read back.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Read {
    pub(crate) raw: Vec<u8>,
    pub(crate) flags: u8,
    pub(crate) granule: i64,
    pub(crate) serial: u32,
    pub(crate) sequence: u32,
    pub(crate) lacing: Vec<u8>,
    pub(crate) body: Vec<u8>,
}

/// The pages that the bytes are made of, and nothing else.
pub(crate) fn read(mut bytes: &[u8]) -> Vec<Read> {
    let mut out = Vec::new();
    while !bytes.is_empty() {
        assert_eq!(&bytes[..5], b"OggS\0");
        let start = 27 + usize::from(bytes[26]);
        let lacing = bytes[27..start].to_vec();
        let end = start + lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("4"));
        out.push(Read {
            raw: bytes[..end].to_vec(),
            flags: bytes[5],
            granule: i64::from_le_bytes(bytes[6..14].try_into().expect("8")),
            serial: word(14),
            sequence: word(18),
            lacing,
            body: bytes[start..end].to_vec(),
        });
        bytes = &bytes[end..];
    }
    out
}

/// The packets in pages of one chain.
pub(crate) fn unpack(pages: &[Read]) -> Vec<Vec<u8>> {
    let (mut out, mut packet) = (Vec::new(), Vec::new());
    for page in pages {
        assert_eq!(page.flags & CONTINUED != 0, !packet.is_empty());
        let mut at = 0;
        for &n in &page.lacing {
            packet.extend_from_slice(&page.body[at..at + usize::from(n)]);
            at += usize::from(n);
            if n < 255 {
                out.push(std::mem::take(&mut packet));
            }
        }
    }
    out
}
