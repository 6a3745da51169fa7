//! Follows a response to the byte where it is to be cut.

use super::At;

/// Where a response stands, and where it is to be cut.
pub(super) struct Progress {
    at: Option<At>,
    head: Vec<u8>,
    in_body: bool,
    pub(super) body: u64,
    metaint: Option<u64>,
    /// Audio bytes until the next length byte.
    audio_left: u64,
    /// Bytes of the current block that are still to come.
    block_left: u64,
    /// Bytes of the current block before the cut.
    cut_in: Option<u64>,
}

impl Progress {
    pub(super) fn new(at: Option<At>) -> Self {
        Self {
            at,
            head: Vec::new(),
            in_body: false,
            body: 0,
            metaint: None,
            audio_left: 0,
            block_left: 0,
            cut_in: None,
        }
    }

    /// What is to be forwarded of the server's bytes, and whether the cut comes then.
    pub(super) fn feed(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let Some(at) = self.at else {
            return (bytes.to_vec(), false);
        };
        if self.in_body {
            let (n, cut) = self.feed_body(at, bytes);
            return (bytes[..n].to_vec(), cut);
        }
        // The head is held back until it is complete, so that it can be cut anywhere.
        self.head.extend_from_slice(bytes);
        let Some(end) = memchr::memmem::find(&self.head, b"\r\n\r\n") else {
            return (Vec::new(), false);
        };
        let mut head = std::mem::take(&mut self.head);
        if let At::Head(pick) = at {
            head.truncate(1 + (pick % (end as u64 + 2)) as usize);
            return (head, true);
        }
        self.in_body = true;
        self.metaint = metaint(&head[..end]);
        let at = match (at, self.metaint) {
            (At::Block(pick), None) => At::Body(pick % 40_000),
            _ => at,
        };
        self.at = Some(at);
        self.audio_left = self.metaint.unwrap_or(0);
        let (n, cut) = self.feed_body(at, &head[end + 4..]);
        head.truncate(end + 4 + n);
        (head, cut)
    }

    fn feed_body(&mut self, at: At, bytes: &[u8]) -> (usize, bool) {
        for (i, &byte) in bytes.iter().enumerate() {
            if self.cut_in == Some(0) || matches!(at, At::Body(n) if self.body >= n) {
                return (i, true);
            }
            self.body += 1;
            self.step(at, byte);
        }
        (bytes.len(), false)
    }

    fn step(&mut self, at: At, byte: u8) {
        let Some(metaint) = self.metaint else {
            return;
        };
        if self.block_left > 0 {
            self.block_left -= 1;
            self.cut_in = self.cut_in.map(|left| left - 1);
        } else if self.audio_left > 0 {
            self.audio_left -= 1;
        } else {
            self.block_left = u64::from(byte) * 16;
            self.audio_left = metaint;
            if let (At::Block(pick), true) = (at, byte > 0) {
                self.cut_in = Some(pick % self.block_left);
            }
        }
    }
}

fn metaint(head: &[u8]) -> Option<u64> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("icy-metaint:").map(str::to_owned))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::icy::block;

    fn response() -> Vec<u8> {
        let mut out = b"HTTP/1.1 200 OK\r\nicy-metaint: 4\r\n\r\nabcd\0efgh".to_vec();
        out.extend(block("StreamTitle='x';"));
        out.extend(b"ijkl\0");
        out
    }

    fn cut(at: At, step: usize) -> (Vec<u8>, bool) {
        let mut progress = Progress::new(Some(at));
        let mut out = Vec::new();
        for bytes in response().chunks(step) {
            let (part, cut) = progress.feed(bytes);
            out.extend(part);
            if cut {
                return (out, true);
            }
        }
        (out, false)
    }

    #[test]
    fn cuts_where_it_is_told_to_in_any_split() {
        let whole = response();
        let body = whole.len() - 32;
        for step in 1..whole.len() {
            let head = whole.len() - body;
            let (out, done) = cut(At::Head(7), step);
            assert!(done && out == whole[..8], "{step}");
            let (out, done) = cut(At::Body(3), step);
            let start = memchr::memmem::find(&whole, b"abcd").unwrap();
            assert!(done && out == whole[..start + 3], "{step} {head}");
            let (out, done) = cut(At::Block(5), step);
            let title = memchr::memmem::find(&whole, b"StreamT").unwrap();
            assert!(done && out == whole[..title + 5], "{step}");
        }
    }
}
