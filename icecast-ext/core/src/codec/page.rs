//! One Ogg page (RFC 3533 section 6).

use std::ops::Range;

/// The bytes before the segment table.
const FIXED: usize = 27;
/// Where the checksum is among them.
const CHECKSUM: Range<usize> = 22..26;

/// The first page of a logical stream.
pub(super) const BEGINS: u8 = 2;
/// The last one.
pub(super) const ENDS: u8 = 4;

/// A page whose checksum is right.
#[derive(Debug)]
pub(super) struct Page<'a> {
    /// All of it.
    pub(super) raw: &'a [u8],
    flags: u8,
    /// -1: no packet ends here.
    pub(super) granule: i64,
    pub(super) serial: u32,
    pub(super) sequence: u32,
    lacing: &'a [u8],
    pub(super) body: &'a [u8],
}

/// What is at the start of some bytes.
#[derive(Debug)]
pub(super) enum Read<'a> {
    Page(Page<'a>),
    /// Perhaps the beginning of one.
    More,
    /// The next page is not before this index.
    Not(usize),
}

impl<'a> Page<'a> {
    /// Looks for a page at the start of `buf`.
    pub(super) fn read(buf: &'a [u8]) -> Read<'a> {
        const MAGIC: &[u8] = b"OggS\0";
        let have = buf.len().min(MAGIC.len());
        if buf.get(..have) != MAGIC.get(..have) {
            return Read::Not(next_capture(buf));
        }
        Self::parse(buf).map_or(Read::More, |page| {
            page.map_or_else(|| Read::Not(next_capture(buf)), Read::Page)
        })
    }

    /// Outer `None`: not all there. Inner: the checksum is wrong.
    fn parse(buf: &'a [u8]) -> Option<Option<Self>> {
        let segments = usize::from(*buf.get(FIXED - 1)?);
        let lacing = buf.get(FIXED..FIXED + segments)?;
        let start = FIXED + segments;
        let len = start + lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
        let raw = buf.get(..len)?;
        let word = |at: usize| raw.get(at..)?.first_chunk().map(|b| u32::from_le_bytes(*b));
        let granule = i64::from_le_bytes(*raw.get(6..)?.first_chunk()?);
        let page = Self {
            raw,
            flags: *raw.get(5)?,
            granule,
            serial: word(14)?,
            sequence: word(18)?,
            lacing,
            body: raw.get(start..)?,
        };
        Some((word(CHECKSUM.start)? == checksum(raw)).then_some(page))
    }

    /// Begins with the rest of a packet.
    pub(super) fn continued(&self) -> bool {
        self.flags & 1 != 0
    }

    /// The first page of a logical stream.
    pub(super) fn begins_stream(&self) -> bool {
        self.flags & BEGINS != 0
    }

    /// The last page of a logical stream.
    pub(super) fn ends_stream(&self) -> bool {
        self.flags & ENDS != 0
    }

    /// How many packets end here.
    pub(super) fn packets_ended(&self) -> usize {
        self.lacing.iter().filter(|&&n| n < 255).count()
    }

    /// Whether the last packet goes on in the stream's next page; `None` if the page has no packet.
    pub(super) fn leaves_open(&self) -> Option<bool> {
        self.lacing.last().map(|&n| n == 255)
    }

    /// The packets, or parts of them, that begin here.
    pub(super) fn packets(&self) -> impl Iterator<Item = &'a [u8]> {
        let pieces = self.pieces().skip(usize::from(self.continued()));
        pieces.map(|(piece, _)| piece)
    }

    /// The packets, or parts of them, and whether each ends here.
    pub(super) fn pieces(&self) -> impl Iterator<Item = (&'a [u8], bool)> {
        let body = self.body;
        let mut at = 0;
        self.lacing
            .split_inclusive(|&n| n < 255)
            .filter_map(move |lacing| {
                let from = at;
                at += lacing.iter().map(|&n| usize::from(n)).sum::<usize>();
                let ends = lacing.last().is_some_and(|&n| n < 255);
                body.get(from..at).map(|piece| (piece, ends))
            })
    }
}

/// What a page says before its segments.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head {
    pub(super) flags: u8,
    pub(super) granule: i64,
    pub(super) serial: u32,
    pub(super) sequence: u32,
}

/// Appends a page. There are at most 255 segments, and as many bytes as they say.
pub(super) fn write(head: Head, lacing: &[u8], body: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(b"OggS\0");
    out.push(head.flags);
    out.extend_from_slice(&head.granule.to_le_bytes());
    out.extend_from_slice(&head.serial.to_le_bytes());
    out.extend_from_slice(&head.sequence.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(lacing.len() as u8);
    out.extend_from_slice(lacing);
    out.extend_from_slice(body);
    let page = out.get_mut(start..).unwrap_or_default();
    let sum = checksum(page);
    if let Some(field) = page.get_mut(CHECKSUM) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}

/// The next place after the first byte where a page may begin: at the end, if only its first letters are there.
fn next_capture(buf: &[u8]) -> usize {
    let rest = buf.get(1..).unwrap_or_default();
    match memchr::memmem::find(rest, b"OggS") {
        Some(n) => n + 1,
        None => {
            let open = (1..4)
                .rev()
                .find(|&n| rest.ends_with(b"OggS".get(..n).unwrap_or_default()));
            buf.len() - open.unwrap_or(0)
        }
    }
}

/// What a byte adds to the checksum if so many bytes come after it.
const TABLES: [[u32; 256]; 8] = {
    let mut tables = [[0; 256]; 8];
    let mut n = 0;
    while n < 256 {
        let mut crc = (n as u32) << 24;
        let mut after = 0;
        while after < 8 {
            let mut bit = 0;
            while bit < 8 {
                crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
                bit += 1;
            }
            tables[after][n] = crc;
            after += 1;
        }
        n += 1;
    }
    tables
};

/// CRC-32 with polynomial 0x04c11db7, neither reflected nor inverted, over the page with its checksum field zero. Eight bytes at
/// once: byte by byte, each waits for the one before.
pub(super) fn checksum(page: &[u8]) -> u32 {
    let (head, rest) = page.split_at(page.len().min(CHECKSUM.end));
    let head = head.iter().enumerate();
    let zeroed = head.map(|(at, &byte)| if CHECKSUM.contains(&at) { 0 } else { byte });
    let crc = bytewise(0, zeroed);
    let (eights, rest) = rest.as_chunks::<8>();
    let crc = eights.iter().fold(crc, |crc, eight| {
        let word = u64::from_be_bytes(*eight) ^ u64::from(crc) << 32;
        let bytes = word.to_le_bytes();
        let sums = TABLES.iter().zip(bytes);
        sums.fold(0, |crc, (table, byte)| crc ^ table[usize::from(byte)])
    });
    bytewise(crc, rest.iter().copied())
}

fn bytewise(crc: u32, bytes: impl Iterator<Item = u8>) -> u32 {
    bytes.fold(crc, |crc, byte| {
        crc << 8 ^ TABLES[0][usize::from((crc >> 24) as u8 ^ byte)]
    })
}
