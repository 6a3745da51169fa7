//! The little of EBML (RFC 8794) and Matroska (RFC 9559) that is needed to go from element to element.

/// Starts a document.
pub(super) const EBML: u32 = 0x1a45_dfa3;
/// Holds everything else.
pub(super) const SEGMENT: u32 = 0x1853_8067;
/// Some seconds of all tracks.
pub(super) const CLUSTER: u32 = 0x1f43_b675;
/// A frame of a track.
pub(super) const SIMPLE_BLOCK: u32 = 0xa3;

const TRACKS: u32 = 0x1654_ae6b;
const TRACK_ENTRY: u32 = 0xae;
const TRACK_NUMBER: u32 = 0xd7;
const TRACK_TYPE: u32 = 0x83;
const TIMESTAMP: u32 = 0xe7;
const VOID: u32 = 0xec;
const CRC_32: u32 = 0xbf;
const POSITION: u32 = 0xa7;
const PREV_SIZE: u32 = 0xab;

/// Elements of a Segment or Cluster that are passed over by their size.
const PASSED: [u32; 16] = [
    0x114d_9b74, // SeekHead
    0x1549_a966, // Info
    TRACKS,
    0x1c53_bb6b, // Cues
    0x1941_a469, // Attachments
    0x1043_a770, // Chapters
    0x1254_c367, // Tags
    TIMESTAMP,
    0x5854, // SilentTracks
    POSITION,
    PREV_SIZE,
    SIMPLE_BLOCK,
    0xa0, // BlockGroup
    0xaf, // EncryptedBlock
    VOID,
    CRC_32,
];

/// Why there is nothing to read here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Unread {
    /// Not all there yet.
    More,
    /// Not an element.
    Not,
}

/// An element's id and size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Header {
    pub(super) id: u32,
    /// Bytes of payload; `None` if unknown.
    pub(super) size: Option<u64>,
    /// Bytes of this header, at most 12.
    pub(super) len: usize,
}

impl Header {
    pub(super) fn read(buf: &[u8]) -> Result<Self, Unread> {
        let id_len = buf.first().ok_or(Unread::More)?.leading_zeros() as usize + 1;
        if id_len > 4 {
            return Err(Unread::Not);
        }
        let id = buf.get(..id_len).ok_or(Unread::More)?;
        let id = id.iter().fold(0, |id, &byte| id << 8 | u32::from(byte));
        let (size, size_len) = vint(buf.get(id_len..).unwrap_or_default())?;
        let unknown = (1 << (7 * size_len)) - 1;
        Ok(Self {
            id,
            size: (size != unknown).then_some(size),
            len: id_len + size_len,
        })
    }

    /// May be passed over.
    pub(super) fn is_passed(&self) -> bool {
        PASSED.contains(&self.id)
    }
}

/// A variable-size integer and its length, 1 to 8.
pub(super) fn vint(buf: &[u8]) -> Result<(u64, usize), Unread> {
    let first = *buf.first().ok_or(Unread::More)?;
    let len = first.leading_zeros() as usize + 1;
    if len > 8 {
        return Err(Unread::Not);
    }
    let bytes = buf.get(..len).ok_or(Unread::More)?;
    let value = bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
    Ok((value & ((1 << (7 * len)) - 1), len))
}

/// Whether what begins like a document or a cluster goes on like one.
pub(super) fn plausible(buf: &[u8]) -> Result<(), Unread> {
    let outer = Header::read(buf)?;
    let inner = buf.get(outer.len..).unwrap_or_default();
    let fits = match outer.id {
        EBML => {
            // EBMLVersion, DocType and their like: 42 xx
            matches!(outer.size, Some(4..=4096))
                && match *inner.first().ok_or(Unread::More)? {
                    0x42 => true,
                    first => [VOID, CRC_32].contains(&u32::from(first)),
                }
        }
        CLUSTER => {
            outer.size.is_none_or(|size| size >= 3) && {
                let inner = Header::read(inner)?;
                match inner.id {
                    TIMESTAMP | POSITION | PREV_SIZE => matches!(inner.size, Some(1..=8)),
                    CRC_32 => inner.size == Some(4),
                    VOID => inner.size.is_some(),
                    _ => false,
                }
            }
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(Unread::Not) }
}

/// The elements of some bytes; stops at what is not one. An unknown size reaches to the end.
fn elements(mut buf: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let header = Header::read(buf).ok()?;
        let rest = buf.get(header.len..)?;
        let size = header.size.and_then(|size| usize::try_from(size).ok());
        let (payload, after) = rest.split_at_checked(size.unwrap_or(rest.len()).min(rest.len()))?;
        buf = after;
        Some((header.id, payload))
    })
}

/// The numbers of the video tracks that a document's headers announce.
pub(super) fn video_tracks(headers: &[u8]) -> Vec<u64> {
    let number = |bytes: &[u8]| bytes.iter().fold(0, |n: u64, &b| n << 8 | u64::from(b));
    elements(headers)
        .filter(|(id, _)| *id == SEGMENT)
        .flat_map(|(_, segment)| elements(segment))
        .filter(|(id, _)| *id == TRACKS)
        .flat_map(|(_, tracks)| elements(tracks))
        .filter(|(id, _)| *id == TRACK_ENTRY)
        .filter_map(|(_, entry)| {
            let field = |wanted| elements(entry).find(|(id, _)| *id == wanted);
            let (_, kind) = field(TRACK_TYPE)?;
            let (_, track) = field(TRACK_NUMBER)?;
            (number(kind) == 1).then(|| number(track))
        })
        .collect()
}
