//! What went through the wire, connection by connection.

use std::sync::{Arc, Mutex};

use super::How;
use crate::http::Head;

/// Heads longer than this are cut off.
const HEAD: usize = 16 << 10;
/// A player that never stops to come back must not fill the memory.
const MOST: usize = 10_000;

/// How a passage ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The client closed, or was gone.
    Client,
    /// The server closed.
    Server(How),
    /// The wire was cut.
    Cut(How),
}

/// One connection.
#[derive(Debug, Clone, Default)]
pub struct Passage {
    /// The front it came to.
    pub front: usize,
    /// What the client sent first, as text.
    pub request: String,
    /// The answer's head; empty while it is incomplete.
    pub answer: String,
    /// The answer's status; 0 while its head is incomplete.
    pub status: u16,
    /// Body bytes that were sent to the client.
    pub body: u64,
    /// The first of them, as many as the wire was told to keep.
    pub kept: Vec<u8>,
    /// Of the body bytes, those that the client cannot have received, at most.
    pub unsent: u64,
    /// How it ended, once it has.
    pub ending: Option<Ending>,
}

impl Passage {
    /// The request's target.
    #[must_use]
    pub fn target(&self) -> &str {
        self.request.split(' ').nth(1).unwrap_or_default()
    }

    /// The first field of that name in the request.
    #[must_use]
    pub fn asked(&self, name: &str) -> Option<&str> {
        field(&self.request, name)
    }

    /// The first field of that name in the answer.
    #[must_use]
    pub fn told(&self, name: &str) -> Option<&str> {
        field(&self.answer, name)
    }

    /// N of `Range: bytes=N-`; 0 without one.
    #[must_use]
    pub fn from(&self) -> u64 {
        let range = self.asked("Range").and_then(|range| {
            let (from, _) = range.strip_prefix("bytes=")?.split_once('-')?;
            from.parse().ok()
        });
        range.unwrap_or(0)
    }

    /// Whether stream bytes came.
    #[must_use]
    pub fn plays(&self) -> bool {
        matches!(self.status, 200 | 206) && self.body > 0
    }
}

fn field<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (field, value) = line.split_once(':')?;
        field.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

#[derive(Debug, Default)]
struct Open {
    passage: Passage,
    /// The answer's head, while it comes.
    head: Vec<u8>,
    keep: usize,
}

/// All passages of a wire.
#[derive(Debug, Default)]
pub(super) struct Ledger(Mutex<Vec<Arc<Mutex<Open>>>>);

/// The one that a connection writes.
#[derive(Debug)]
pub(super) struct Entry(Arc<Mutex<Open>>);

impl Ledger {
    pub(super) fn open(&self, front: usize, keep: usize) -> Entry {
        let mut open = Open::default();
        open.passage.front = front;
        open.keep = keep;
        let open = Arc::new(Mutex::new(open));
        let mut all = self.0.lock().expect("no panic while held");
        if all.len() < MOST {
            all.push(Arc::clone(&open));
        }
        Entry(open)
    }

    pub(super) fn passages(&self) -> Vec<Passage> {
        let all = self.0.lock().expect("no panic while held");
        let passages = all
            .iter()
            .map(|open| open.lock().expect("no panic while held").passage.clone());
        passages.collect()
    }
}

impl Entry {
    fn with(&self, write: impl FnOnce(&mut Open)) {
        write(&mut self.0.lock().expect("no panic while held"));
    }

    /// Bytes from the client.
    pub(super) fn asked(&self, bytes: &[u8]) {
        self.with(|open| {
            let request = &mut open.passage.request;
            if request.len() < HEAD && !request.contains("\r\n\r\n") {
                request.push_str(&String::from_utf8_lossy(bytes));
            }
        });
    }

    /// Bytes to the client.
    pub(super) fn answered(&self, bytes: &[u8]) {
        self.with(|open| {
            if open.passage.status != 0 {
                return open.body(bytes);
            }
            open.head.extend_from_slice(bytes);
            if let Ok(Some(head)) = Head::parse(&open.head) {
                let bytes = std::mem::take(&mut open.head);
                open.passage.answer = String::from_utf8_lossy(&bytes[..head.len]).into_owned();
                open.passage.status = head.status;
                open.body(&bytes[head.len..]);
            }
            open.head.truncate(HEAD);
        });
    }

    /// The end, and how many bytes the client has not taken.
    pub(super) fn ended(&self, ending: Ending, unsent: u64) {
        self.with(|open| {
            open.passage.ending = Some(ending);
            open.passage.unsent = unsent.min(open.passage.body);
        });
    }
}

impl Open {
    fn body(&mut self, bytes: &[u8]) {
        self.passage.body += bytes.len() as u64;
        let room = self.keep.saturating_sub(self.passage.kept.len());
        let kept = &bytes[..room.min(bytes.len())];
        self.passage.kept.extend_from_slice(kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_passage_is_recorded_in_any_split() {
        let answer = b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 7-9/10\r\n\r\nabc";
        for step in 1..answer.len() {
            let ledger = Ledger::default();
            let entry = ledger.open(0, 2);
            entry.asked(b"GET /x?y HTTP/1.1\r\nrange: bytes=7-\r\n\r\n");
            for bytes in answer.chunks(step) {
                entry.answered(bytes);
            }
            entry.ended(Ending::Client, 0);
            let [passage] = &ledger.passages()[..] else {
                panic!("one passage");
            };
            assert_eq!((passage.target(), passage.from()), ("/x?y", 7));
            assert_eq!((passage.status, passage.body), (206, 3));
            assert_eq!(passage.told("content-range"), Some("bytes 7-9/10"));
            assert_eq!(passage.kept, b"ab");
            assert!(passage.plays() && passage.ending == Some(Ending::Client));
        }
    }
}
