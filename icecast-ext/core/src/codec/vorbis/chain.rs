//! The audio of one chain: which packets follow each other, where each ends, and so in which cell it belongs.

use super::super::page::{BEGINS, ENDS, Page};
use super::headers::{Blocks, Headers, Whole};
use super::pages::Pages;

/// Samples in a cell: a page has the packets that end in one.
pub const CELL: i64 = 8192;

/// A packet with more bytes is none.
const PACKET_MAX: usize = 1 << 20;

/// The last packet that is known to be followed by the next one.
#[derive(Clone, Copy, Debug)]
struct Last {
    /// The sample at which it ends.
    granule: i64,
    block: Option<u32>,
}

/// A chain from its headers on.
#[derive(Debug)]
pub(super) struct Chain {
    serial: u32,
    blocks: Blocks,
    /// The source's next page.
    next: u32,
    /// No page of audio has come.
    fresh: bool,
    /// A page was missing, and no packet has ended since.
    broken: bool,
    /// The beginning of a packet.
    open: Option<Vec<u8>>,
    last: Option<Last>,
    /// The source's granule positions went back: they count for nothing any more.
    own_count: bool,
    ended: bool,
    pages: Pages,
    cell: i64,
    /// Not to be written: it began before what is known.
    cut_cell: Option<i64>,
    /// The sequence number of the first page of cell 0; more if cells before took more than one page.
    base: u32,
    holes: u64,
}

impl Chain {
    /// Writes the headers.
    pub(super) fn begin(headers: &Headers, whole: Whole, serial: u32, out: &mut Vec<u8>) -> Self {
        let [identification, comment, setup] = &whole.packets;
        let mut pages = Pages::new(serial);
        pages.packet(identification, 0, out);
        pages.flush(BEGINS, out);
        pages.packet(comment, 0, out);
        pages.packet(setup, 0, out);
        pages.flush(0, out);
        Self {
            serial: headers.serial,
            blocks: whole.blocks,
            next: headers.next,
            fresh: true,
            broken: false,
            open: None,
            last: None,
            own_count: false,
            ended: false,
            base: pages.sequence,
            pages,
            cell: 0,
            cut_cell: None,
            holes: 0,
        }
    }

    /// Places where packets were missing.
    pub(super) fn holes(&self) -> u64 {
        self.holes
    }

    /// The next page that begins no chain.
    pub(super) fn page(&mut self, page: &Page<'_>, out: &mut Vec<u8>) {
        if page.serial != self.serial || self.ended {
            return;
        }
        self.broken |= page.sequence != self.next;
        self.next = page.sequence.wrapping_add(1);
        let (first, packets) = self.packets(page);
        let packets = first.as_deref().into_iter().chain(packets);
        let packets: Vec<&[u8]> = packets.collect();
        self.place(page, &packets, out);
        if page.ends_stream() {
            self.end(true, out);
        }
    }

    /// No more comes. `declared`: the source said so.
    pub(super) fn end(&mut self, declared: bool, out: &mut Vec<u8>) {
        self.pages.flush(if declared { ENDS } else { 0 }, out);
        self.ended = true;
    }

    /// The packets that end here, the first of them apart if it began on another page.
    fn packets<'p>(&mut self, page: &Page<'p>) -> (Option<Vec<u8>>, Vec<&'p [u8]>) {
        let mut begun = self.open.take();
        if page.continued() != begun.is_some() || self.broken {
            // Where a page is missing, so is the end of this packet.
            self.broken = true;
            begun = None;
        }
        let mut headless = page.continued() && begun.is_none();
        let (mut first, mut packets) = (None, Vec::new());
        for (piece, ends) in page.pieces() {
            if let Some(packet) = &mut begun {
                packet.extend_from_slice(piece);
            }
            match (ends, begun.take()) {
                (true, Some(packet)) => first = Some(packet),
                (true, None) if headless => headless = false,
                (true, None) => packets.push(piece),
                (false, None) if headless => {}
                (false, None) => self.open = Some(piece.to_vec()),
                (false, Some(packet)) => self.open = Some(packet),
            }
        }
        if self.open.as_ref().is_some_and(|p| p.len() > PACKET_MAX) {
            self.open = None;
            self.broken = true;
        }
        (first, packets)
    }

    /// Finds out where the packets of a page end.
    fn place(&mut self, page: &Page<'_>, packets: &[&[u8]], out: &mut Vec<u8>) {
        if packets.is_empty() {
            return;
        }
        let blocks: Vec<_> = packets.iter().map(|p| self.blocks.size(p)).collect();
        let mut block = self.last.and_then(|last| last.block);
        let mut samples = Vec::with_capacity(blocks.len());
        let mut sum = 0_i64;
        for size in &blocks {
            if let Some(size) = *size {
                sum += block.map_or(0, |before| i64::from(before / 4 + size / 4));
                block = Some(size);
            }
            samples.push(sum);
        }
        let said = Some(page.granule).filter(|granule| *granule >= 0);
        let fresh = std::mem::replace(&mut self.fresh, false);
        let broken = std::mem::replace(&mut self.broken, false);
        let counted = self.last.map(|last| last.granule.saturating_add(sum));
        // Nothing can be missing between samples that follow each other, whatever the pages are numbered.
        if broken && (counted != said || counted.is_none() || page.continued()) {
            self.last = self.hole(fresh, said);
        }
        let before = match (self.last, said) {
            (Some(last), Some(said)) => {
                let jumps = said.saturating_sub(last.granule.saturating_add(sum));
                self.own_count |= jumps < 0 && !page.ends_stream();
                let jumps = if self.own_count { 0 } else { jumps.max(0) };
                last.granule.saturating_add(jumps)
            }
            (Some(last), None) => last.granule,
            // A chain that is short may end on its first page, and not with the last sample of that.
            (None, Some(_)) if fresh && !broken && page.ends_stream() => 0,
            (None, Some(said)) => said.saturating_sub(sum),
            (None, None) => return,
        };
        if self.last.is_none() && (broken || !fresh) {
            self.cut_cell = Some(cell(before).max(self.cell));
        }
        let trimmed = said.filter(|_| page.ends_stream() && !self.own_count);
        let count = packets.len();
        for (n, (packet, samples)) in packets.iter().zip(samples).enumerate() {
            let ends = before.saturating_add(samples);
            let ends = trimmed.filter(|_| n + 1 == count).unwrap_or(ends);
            self.put(packet, ends, out);
            self.last = Some(Last {
                granule: ends,
                block,
            });
        }
    }

    /// Puts a packet that ends at this sample into its cell.
    fn put(&mut self, packet: &[u8], ends: i64, out: &mut Vec<u8>) {
        let of = cell(ends).max(self.cell);
        if self.cut_cell.is_some_and(|cut| of <= cut) {
            return;
        }
        self.cut_cell = None;
        if of != self.cell {
            self.pages.flush(0, out);
            self.turn(of);
        }
        self.pages.packet(packet, ends.max(0), out);
    }

    /// Another cell begins: its first page has the number that is its own.
    fn turn(&mut self, cell: i64) {
        let own = |base: u32, cell: i64| base.wrapping_add(cell as u32);
        let more = self.pages.sequence.wrapping_sub(own(self.base, self.cell));
        self.base = self.base.wrapping_add(more.saturating_sub(1));
        self.cell = cell;
        self.pages.sequence = own(self.base, cell);
    }

    /// Packets are missing, if only those before a joiner's first: what there is of the cell is not written. Returns what is
    /// known of the last packet.
    fn hole(&mut self, joins: bool, said: Option<i64>) -> Option<Last> {
        self.holes += u64::from(!joins);
        self.pages.forget();
        let last = self
            .last
            .filter(|last| said.is_some_and(|said| said < last.granule))?;
        // Who begins anew without a new chain would be silent until the count is where it was.
        self.own_count = true;
        self.cut_cell = Some(self.cell);
        Some(last)
    }
}

fn cell(granule: i64) -> i64 {
    granule.max(0) / CELL
}
