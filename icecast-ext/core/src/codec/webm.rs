//! WebM and Matroska: what comes before the first Cluster is the prelude, Clusters are sync points.

use memchr::memmem;

use super::ebml::{self, CLUSTER, EBML, Header, SEGMENT, SIMPLE_BLOCK, Unread};
use super::{Mark, PRELUDE_MAX};

/// No element that is passed over is larger; what says so is garbage.
const ELEMENT_MAX: u64 = 16 * 1024 * 1024;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    /// Out of step: looks for a document or a cluster.
    Search,
    /// At an element. Segment and Cluster are entered, all others are passed over.
    Element,
    /// So many bytes of an element are left.
    Payload(u64),
}

/// Goes from element to element.
#[derive(Debug)]
pub(super) struct Webm {
    state: State,
    /// The headers that are going by, and where they began.
    headers: Option<(u64, Vec<u8>)>,
    /// A prelude is in force.
    ready: bool,
    /// Track numbers.
    video: Vec<u64>,
    /// A cluster whose first video frame has not been seen yet.
    undecided: Option<u64>,
}

impl Webm {
    /// `prelude`: what is in force, or nothing.
    pub(super) fn new(prelude: &[u8]) -> Self {
        Self {
            state: State::Search,
            headers: None,
            ready: !prelude.is_empty(),
            video: ebml::video_tracks(prelude),
            undecided: None,
        }
    }

    /// Where the headers began that are going by.
    pub(super) fn collects_from(&self) -> Option<u64> {
        self.headers.as_ref().map(|(start, _)| *start)
    }

    pub(super) fn step(&mut self, buf: &[u8], at: u64, out: &mut Vec<Mark>) -> Option<usize> {
        let done = match self.state {
            State::Search => self.search(buf),
            State::Element => self.element(buf, at, out),
            State::Payload(left) => self.payload(buf, left),
        };
        let done = match done {
            Ok(done) => done,
            Err(Unread::More) => return None,
            Err(Unread::Not) => {
                let skip = usize::from(self.state != State::Search);
                self.state = State::Search;
                // An element that is none may still hold the beginning of one, but not as its first byte.
                skip.max(1)
            }
        };
        if let Some((_, headers)) = &mut self.headers {
            headers.extend_from_slice(buf.get(..done).unwrap_or_default());
            if headers.len() > PRELUDE_MAX {
                self.headers = None;
            }
        }
        Some(done)
    }

    fn search(&mut self, buf: &[u8]) -> Result<usize, Unread> {
        let document = memmem::find(buf, &EBML.to_be_bytes());
        let cluster = memmem::find(buf, &CLUSTER.to_be_bytes());
        match document.into_iter().chain(cluster).min() {
            Some(0) => {
                ebml::plausible(buf)?;
                self.state = State::Element;
                Ok(0)
            }
            Some(n) => Ok(n),
            None => some(buf.len().saturating_sub(3)),
        }
    }

    fn element(&mut self, buf: &[u8], at: u64, out: &mut Vec<Mark>) -> Result<usize, Unread> {
        let header = Header::read(buf)?;
        match header.id {
            EBML => {
                ebml::plausible(buf)?;
                self.headers = Some((at, Vec::new()));
                self.ready = false;
                self.undecided = None;
                out.push(Mark::prelude(at, Vec::new()));
                out.push(Mark::sync(at));
            }
            SEGMENT => return Ok(header.len),
            CLUSTER => {
                ebml::plausible(buf)?;
                self.cluster(at, out);
                return Ok(header.len);
            }
            SIMPLE_BLOCK if self.undecided.is_some() => self.block(buf, header.len, out)?,
            _ if header.is_passed() => {}
            _ => return Err(Unread::Not),
        }
        let size = header.size.filter(|&size| size <= ELEMENT_MAX);
        self.state = State::Payload(size.ok_or(Unread::Not)?);
        Ok(header.len)
    }

    fn cluster(&mut self, at: u64, out: &mut Vec<Mark>) {
        // The last one had no video frame that we can read: better than none.
        out.extend(self.undecided.take().map(Mark::sync));
        if let Some((_, headers)) = self.headers.take() {
            self.ready = true;
            self.video = ebml::video_tracks(&headers);
            out.push(Mark::prelude(at, headers));
        }
        if !self.ready {
            return;
        }
        if self.video.is_empty() {
            out.push(Mark::sync(at));
        } else {
            self.undecided = Some(at);
        }
    }

    /// The first video frame of a cluster decides whether a joiner may start there: track, two bytes of time, flags.
    fn block(&mut self, buf: &[u8], start: usize, out: &mut Vec<Mark>) -> Result<(), Unread> {
        let (track, len) = ebml::vint(buf.get(start..).unwrap_or_default())?;
        let flags = *buf.get(start + len + 2).ok_or(Unread::More)?;
        if self.video.contains(&track) {
            let cluster = self.undecided.take().filter(|_| flags & 0x80 != 0);
            out.extend(cluster.map(Mark::sync));
        }
        Ok(())
    }

    /// A new document may begin inside an element that its source left unfinished.
    fn payload(&mut self, buf: &[u8], left: u64) -> Result<usize, Unread> {
        let in_sight = usize::try_from(left).unwrap_or(usize::MAX);
        if left == 0 {
            self.state = State::Element;
            return Ok(0);
        }
        let done = match memmem::find(buf, &EBML.to_be_bytes()) {
            Some(0) => match ebml::plausible(buf) {
                Ok(()) => {
                    self.state = State::Element;
                    return Ok(0);
                }
                Err(Unread::More) => return Err(Unread::More),
                Err(Unread::Not) => 1,
            },
            Some(n) => n.min(in_sight),
            None => some(buf.len().saturating_sub(3).min(in_sight))?,
        };
        self.state = State::Payload(left - done as u64);
        Ok(done)
    }
}

/// So many bytes, unless none: then more are needed.
fn some(n: usize) -> Result<usize, Unread> {
    if n > 0 { Ok(n) } else { Err(Unread::More) }
}
