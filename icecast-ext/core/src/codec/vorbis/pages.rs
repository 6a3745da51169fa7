//! Packets into pages, in one way only.

use super::super::page::{self, Head};

/// Segments that a page has room for.
const SEGMENTS: usize = 255;

/// The pages of one chain.
#[derive(Debug)]
pub(super) struct Pages {
    serial: u32,
    /// Of the page that is being filled.
    pub(super) sequence: u32,
    lacing: Vec<u8>,
    body: Vec<u8>,
    /// Where the last packet that ends on it ends.
    granule: i64,
    continued: bool,
}

impl Pages {
    pub(super) fn new(serial: u32) -> Self {
        Self {
            serial,
            sequence: 0,
            lacing: Vec::new(),
            body: Vec::new(),
            granule: -1,
            continued: false,
        }
    }

    /// Puts a packet on the page; writes the page first if it is full.
    pub(super) fn packet(&mut self, bytes: &[u8], granule: i64, out: &mut Vec<u8>) {
        let (whole, rest) = bytes.as_chunks::<255>();
        for segment in whole.iter().map(<[u8; 255]>::as_slice).chain([rest]) {
            if self.lacing.len() == SEGMENTS {
                self.write(0, out);
            }
            // At most 255.
            self.lacing.push(segment.len() as u8);
            self.body.extend_from_slice(segment);
        }
        self.granule = granule;
    }

    /// Writes the page if there is anything on it.
    pub(super) fn flush(&mut self, flags: u8, out: &mut Vec<u8>) {
        if !self.lacing.is_empty() {
            self.write(flags, out);
        }
    }

    /// Forgets what is on the page.
    pub(super) fn forget(&mut self) {
        self.lacing.clear();
        self.body.clear();
        self.granule = -1;
        self.continued = false;
    }

    fn write(&mut self, flags: u8, out: &mut Vec<u8>) {
        let goes_on = self.lacing.last() == Some(&255);
        let head = Head {
            flags: flags | u8::from(self.continued),
            granule: self.granule,
            serial: self.serial,
            sequence: self.sequence,
        };
        page::write(head, &self.lacing, &self.body, out);
        self.sequence = self.sequence.wrapping_add(1);
        self.forget();
        self.continued = goes_on;
    }
}
