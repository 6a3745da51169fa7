//! Ogg: pages with a right checksum, the header pages of each chain, and where a late joiner may start.

use super::page::{Page, Read};
use super::{Mark, PRELUDE_MAX, SPACING};

/// Logical streams that are followed in one chain.
const STREAMS: usize = 64;

/// So many bytes after a sync point is due, a second-best one is taken.
const LAST_RESORT: u64 = 64 * 1024;

/// What else of a stream's pages are headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Headers {
    /// So many packets.
    Packets(usize),
    /// Pages until granule positions count.
    UntilData,
    /// Pages until the stream's end (Skeleton).
    UntilEnd,
}

/// Which packets a decoder can start with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Keys {
    All,
    Theora,
    Vp8,
}

impl Keys {
    fn is_key(self, packet: &[u8]) -> bool {
        match (self, packet.first()) {
            (Self::All, _) => true,
            (Self::Theora, Some(byte)) => byte & 0xc0 == 0,
            (Self::Vp8, Some(byte)) => byte & 1 == 0,
            (_, None) => false,
        }
    }
}

#[derive(Debug)]
struct Stream {
    serial: u32,
    headers: Headers,
    keys: Keys,
    /// The sequence number of its next page.
    next: u32,
    /// Its last page left a packet unfinished.
    open: bool,
}

impl Stream {
    /// From the page that begins it, whose one packet names the codec.
    fn begin(page: &Page<'_>) -> Self {
        let packet = page.body;
        let byte = |at: usize| packet.get(at).map_or(0, |&b| usize::from(b));
        let mut keys = Keys::All;
        let headers = if packet.starts_with(b"\x01vorbis") {
            Headers::Packets(3)
        } else if packet.starts_with(b"OpusHead") {
            Headers::Packets(2)
        } else if packet.starts_with(b"\x7fFLAC") {
            match byte(7) << 8 | byte(8) {
                0 => Headers::UntilData,
                more => Headers::Packets(1 + more),
            }
        } else if packet.starts_with(b"\x80theora") {
            keys = Keys::Theora;
            Headers::Packets(3)
        } else if packet.starts_with(b"OVP80") {
            keys = Keys::Vp8;
            Headers::UntilData
        } else if packet.starts_with(b"Speex   ") {
            Headers::Packets(2 + (byte(69) << 8 | byte(68)))
        } else if packet.starts_with(b"\x80kate\0\0\0") {
            Headers::Packets(byte(11).max(1))
        } else if packet.starts_with(b"fishead\0") {
            Headers::UntilEnd
        } else {
            Headers::UntilData
        };
        Self {
            serial: page.serial,
            headers,
            keys,
            next: page.sequence,
            open: false,
        }
    }

    /// Whether `page`, its next one, is still of the headers.
    fn is_header(&self, page: &Page<'_>) -> bool {
        match self.headers {
            Headers::Packets(0) => false,
            Headers::Packets(_) => page.granule <= 0 && page.sequence == self.next,
            Headers::UntilData => page.granule <= 0,
            Headers::UntilEnd => true,
        }
    }

    fn take_header(&mut self, page: &Page<'_>) {
        self.headers = match self.headers {
            Headers::Packets(left) => Headers::Packets(left.saturating_sub(page.packets_ended())),
            Headers::UntilEnd if page.ends_stream() => Headers::Packets(0),
            same => same,
        };
        self.next = page.sequence.wrapping_add(1);
        self.open = page.leaves_open().unwrap_or(self.open);
    }
}

#[derive(Debug)]
enum Phase {
    /// The headers are not known: nobody can start here.
    Lost,
    /// They are going by.
    Headers {
        start: u64,
        pages: Vec<u8>,
        /// A page came that begins no stream: the next one that does begins a chain.
        begun: bool,
    },
    Body,
}

/// Follows the pages.
#[derive(Debug)]
pub(super) struct Ogg {
    in_step: bool,
    phase: Phase,
    streams: Vec<Stream>,
    /// The next sync point is not before this.
    due: u64,
    /// Places where a page should have begun, or had a wrong checksum.
    pub(super) damaged: u64,
}

impl Ogg {
    /// `prelude`: the header pages in force at `at`, or nothing.
    pub(super) fn new(at: u64, prelude: &[u8]) -> Self {
        let mut ogg = Self {
            in_step: false,
            phase: Phase::Lost,
            streams: Vec::new(),
            damaged: 0,
            due: 0,
        };
        let (mut done, mut marks) = (0, Vec::new());
        while let Some(n) = ogg.step(
            prelude.get(done..).unwrap_or_default(),
            done as u64,
            &mut marks,
        ) {
            done += n;
        }
        if ogg.headers_counted() && matches!(ogg.phase, Phase::Headers { .. }) {
            ogg.phase = Phase::Body;
        }
        ogg.in_step = false;
        ogg.due = at;
        ogg
    }

    pub(super) fn in_step(&self) -> bool {
        self.in_step
    }

    /// Where the headers began that are going by.
    pub(super) fn collects_from(&self) -> Option<u64> {
        match self.phase {
            Phase::Headers { start, .. } => Some(start),
            _ => None,
        }
    }

    pub(super) fn step(&mut self, buf: &[u8], at: u64, out: &mut Vec<Mark>) -> Option<usize> {
        if buf.is_empty() {
            return None;
        }
        match Page::read(buf) {
            Read::Page(page) => {
                self.in_step = true;
                self.page(&page, at, out);
                Some(page.raw.len())
            }
            Read::More => None,
            Read::Not(n) => {
                self.damaged += u64::from(self.in_step);
                self.in_step = false;
                Some(n)
            }
        }
    }

    fn page(&mut self, page: &Page<'_>, at: u64, out: &mut Vec<Mark>) {
        if page.begins_stream() {
            self.begin(page, at, out);
            return;
        }
        let Some(index) = self.streams.iter().position(|s| s.serial == page.serial) else {
            return;
        };
        if let Phase::Headers { begun, .. } = &mut self.phase {
            *begun = true;
            let headers_end = at + page.raw.len() as u64;
            if self.streams[index].is_header(page) {
                self.header(index, page);
                if self
                    .streams
                    .iter()
                    .all(|s| s.headers == Headers::Packets(0))
                {
                    self.finish(headers_end, out);
                }
                return;
            }
            if self.headers_counted() {
                self.finish(at, out);
            } else if self.streams[index].headers != Headers::Packets(0) {
                // A header page is missing.
                self.phase = Phase::Lost;
            }
        }
        if matches!(self.phase, Phase::Body) {
            self.sync(index, page, at, out);
        }
        let stream = &mut self.streams[index];
        stream.open = page.leaves_open().unwrap_or(stream.open);
    }

    /// A page that begins a logical stream, and perhaps a chain.
    fn begin(&mut self, page: &Page<'_>, at: u64, out: &mut Vec<Mark>) {
        let same_chain = matches!(self.phase, Phase::Headers { begun: false, .. })
            && self.streams.iter().all(|s| s.serial != page.serial);
        if !same_chain {
            self.streams.clear();
            self.phase = Phase::Headers {
                start: at,
                pages: Vec::new(),
                begun: false,
            };
            out.push(Mark::prelude(at, Vec::new()));
            out.push(Mark::sync(at));
        }
        if self.streams.len() == STREAMS {
            self.phase = Phase::Lost;
            return;
        }
        self.streams.push(Stream::begin(page));
        self.header(self.streams.len() - 1, page);
    }

    fn header(&mut self, index: usize, page: &Page<'_>) {
        self.streams[index].take_header(page);
        if let Phase::Headers { pages, .. } = &mut self.phase {
            pages.extend_from_slice(page.raw);
            if pages.len() > PRELUDE_MAX {
                self.phase = Phase::Lost;
            }
        }
    }

    /// No stream waits for a known number of header packets.
    fn headers_counted(&self) -> bool {
        !self
            .streams
            .iter()
            .any(|s| matches!(s.headers, Headers::Packets(left) if left > 0))
    }

    fn finish(&mut self, at: u64, out: &mut Vec<Mark>) {
        if let Phase::Headers { pages, .. } = std::mem::replace(&mut self.phase, Phase::Body) {
            for stream in &mut self.streams {
                stream.headers = Headers::Packets(0);
            }
            // The first page of the body is worth a sync point however short the headers were.
            self.due = at;
            out.push(Mark::prelude(at, pages));
        }
    }

    /// A joiner may start with `page` if it begins with a packet, a key frame if there is video, and cuts no packet of
    /// another stream; of streams whose packets always overlap, the second best must do.
    fn sync(&mut self, index: usize, page: &Page<'_>, at: u64, out: &mut Vec<Mark>) {
        if at < self.due || page.continued() {
            return;
        }
        let stream = &self.streams[index];
        let video = self.streams.iter().any(|s| s.keys != Keys::All);
        if video && stream.keys == Keys::All {
            return;
        }
        let last_resort = at >= self.due + LAST_RESORT;
        let mut packets = page.packets();
        let starts = if last_resort {
            packets.any(|packet| stream.keys.is_key(packet))
        } else {
            packets
                .next()
                .is_some_and(|packet| stream.keys.is_key(packet))
        };
        let mut others = self.streams.iter().filter(|s| s.serial != page.serial);
        if starts && (last_resort || !others.any(|s| s.open)) {
            self.due = at + SPACING;
            out.push(Mark::sync(at));
        }
    }
}
