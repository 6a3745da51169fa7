//! Ogg Vorbis in a form that depends on its packets alone. A server that knows nothing makes the pages anew, with a serial
//! number of its own, so that two servers of one source have the same packets and no page in common (R-VORBIS-1).

mod chain;
mod headers;
mod pages;

use sha2::{Digest as _, Sha256};

use super::PIECE;
use super::page::{Page, Read};
use chain::Chain;
use headers::Headers;

pub use chain::CELL;

#[derive(Debug)]
enum State {
    /// Nothing has come.
    Start,
    /// The headers of a chain are going by.
    Headers(Headers),
    Chain(Box<Chain>),
    /// Not Vorbis, or not alone: up to the end of the stream.
    AsIs,
}

/// Makes the pages of Ogg Vorbis canonical, and leaves all else as it is.
///
/// What comes out depends on the packets and their places, not on the pages they came in, nor on how the bytes were split.
/// It comes as soon as the next cell has begun: up to [`CELL`] samples late. Who begins in the middle of a chain writes the
/// headers, and then the first whole cell. Never fails; memory: a page (64 KiB) that came, one that is being filled, and a
/// packet or the headers, each of at most 1 MiB.
///
/// ```
/// use icecast_ext_core::codec::Canonical;
///
/// let mut canonical = Canonical::default();
/// let mut out = Vec::new();
/// canonical.feed(b"ID3 is no Ogg", &mut out);
/// assert_eq!(out, b"ID3 is no Ogg");
/// ```
#[derive(Debug)]
pub struct Canonical {
    state: State,
    /// The beginning of a page.
    held: Vec<u8>,
    /// Of the chain before: the next one has to have another.
    serial: Option<u32>,
    /// Of the chains before.
    holes: u64,
}

impl Default for Canonical {
    fn default() -> Self {
        Self {
            state: State::Start,
            held: Vec::new(),
            serial: None,
            holes: 0,
        }
    }
}

impl Canonical {
    /// Takes the bytes that follow, and appends what they give.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<u8>) {
        for piece in bytes.chunks(PIECE) {
            if matches!(self.state, State::AsIs) {
                out.extend_from_slice(piece);
                continue;
            }
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(piece);
            let done = self.pages(&held, out);
            held.drain(..done);
            self.held = held;
        }
    }

    /// The stream has ended: appends what was kept for what would have come. It is not to be fed after that.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        match &mut self.state {
            State::Chain(chain) => chain.end(false, out),
            State::Start => out.append(&mut self.held),
            // Nobody can use a part of the headers.
            State::Headers(_) | State::AsIs => {}
        }
    }

    /// Places so far where the stream lacked packets. What there was of those cells has been left out.
    #[must_use]
    pub fn holes(&self) -> u64 {
        match &self.state {
            State::Chain(chain) => self.holes + chain.holes(),
            _ => self.holes,
        }
    }

    /// Reads pages; how many bytes are done with.
    fn pages(&mut self, held: &[u8], out: &mut Vec<u8>) -> usize {
        let mut done = 0;
        loop {
            let rest = held.get(done..).unwrap_or_default();
            if matches!(self.state, State::AsIs) {
                out.extend_from_slice(rest);
                return held.len();
            }
            match Page::read(rest) {
                Read::Page(page) => {
                    done += page.raw.len();
                    self.page(&page, out);
                }
                Read::More => return done,
                // Between pages of a chain it is nothing that a decoder would use.
                Read::Not(n) if matches!(self.state, State::Chain(_)) => done += n,
                Read::Not(_) => self.as_is(out),
            }
        }
    }

    fn page(&mut self, page: &Page<'_>, out: &mut Vec<u8>) {
        if let State::Headers(headers) = &mut self.state {
            match headers.page(page) {
                Ok(None) => {}
                Ok(Some(whole)) => {
                    let serial = serial(&whole.packets, self.serial);
                    self.serial = Some(serial);
                    let chain = Chain::begin(headers, whole, serial, out);
                    self.state = State::Chain(Box::new(chain));
                }
                Err(headers::AsIs) => self.as_is(out),
            }
            return;
        }
        if let State::Chain(chain) = &mut self.state {
            if !page.begins_stream() {
                return chain.page(page, out);
            }
            chain.end(false, out);
            self.holes += chain.holes();
        }
        self.state = match Headers::begin(page).filter(|_| page.begins_stream()) {
            Some(headers) => State::Headers(headers),
            None => {
                out.extend_from_slice(page.raw);
                State::AsIs
            }
        };
    }

    /// From here on, and from the headers on that were kept.
    fn as_is(&mut self, out: &mut Vec<u8>) {
        if let State::Headers(headers) = std::mem::replace(&mut self.state, State::AsIs) {
            out.extend_from_slice(&headers.raw);
        }
    }
}

/// Of a chain with these headers, after one with that serial number.
fn serial(headers: &[Vec<u8>; 3], before: Option<u32>) -> u32 {
    let mut sum = Sha256::new();
    for packet in headers {
        sum.update(packet);
    }
    let sum = sum.finalize();
    let first = sum
        .first_chunk()
        .map_or(0, |first| u32::from_le_bytes(*first));
    // To a decoder, a chain with the serial number of the one before is none.
    first.wrapping_add(u32::from(before == Some(first)))
}
