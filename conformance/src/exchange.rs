//! What was said on a connection, as far as a report wants to know.

use std::time::Instant;

use serde::{Deserialize, Serialize};

/// Octets of each direction that are kept: the head and some of the body.
const KEPT: usize = 2048;
/// Connections of one case that are kept, the latest.
pub const MOST: usize = 12;

/// One connection.
#[derive(Clone, Debug)]
pub struct Exchange {
    peer: String,
    began: Instant,
    sent: Vec<u8>,
    sent_total: u64,
    received: Vec<u8>,
    received_total: u64,
    first_byte_ms: Option<u64>,
    end: Option<String>,
}

impl Exchange {
    /// A connection that begins now.
    #[must_use]
    pub fn new(peer: String) -> Self {
        Self {
            peer,
            began: Instant::now(),
            sent: Vec::new(),
            sent_total: 0,
            received: Vec::new(),
            received_total: 0,
            first_byte_ms: None,
            end: None,
        }
    }

    /// Octets have gone out.
    pub fn sent(&mut self, octets: &[u8]) {
        self.sent_total += octets.len() as u64;
        keep(&mut self.sent, octets);
    }

    /// Octets have come in.
    pub fn received(&mut self, octets: &[u8]) {
        if self.first_byte_ms.is_none() {
            self.first_byte_ms = Some(self.ms());
        }
        self.received_total += octets.len() as u64;
        keep(&mut self.received, octets);
    }

    /// It has ended, and how.
    pub fn ended(&mut self, how: &str) {
        let at = self.ms();
        self.end
            .get_or_insert_with(|| format!("{how} after {at} ms"));
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// As reports have it.
    #[must_use]
    pub fn record(&self) -> Record {
        Record {
            peer: self.peer.clone(),
            sent: readable(&self.sent, self.sent_total),
            received: readable(&self.received, self.received_total),
            first_byte_ms: self.first_byte_ms,
            end: self.end.clone(),
        }
    }
}

/// One connection, readable.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Record {
    /// To whom.
    pub peer: String,
    /// What went out: text as it is, other octets as `\xHH`.
    pub sent: String,
    /// What came in, the same.
    pub received: String,
    /// When the first octet came, in milliseconds since the connect.
    pub first_byte_ms: Option<u64>,
    /// How it ended, if it has.
    pub end: Option<String>,
}

impl Record {
    /// What was said, the request first: `>` before what the suite has sent, `<` before what it has received.
    #[must_use]
    pub fn said(&self) -> [(&'static str, &str); 2] {
        let both = [(">", &self.sent[..]), ("<", &self.received[..])];
        // A client is judged by a server.
        match self.sent.starts_with("HTTP/") {
            true => [both[1], both[0]],
            false => both,
        }
    }
}

fn keep(kept: &mut Vec<u8>, octets: &[u8]) {
    let room = KEPT.saturating_sub(kept.len()).min(octets.len());
    kept.extend_from_slice(&octets[..room]);
}

/// Text with its line ends; whatever is not printable is escaped.
fn readable(octets: &[u8], total: u64) -> String {
    let mut out = String::new();
    for octet in octets {
        match octet {
            b'\n' => out.push('\n'),
            b'\r' => {}
            b' '..=b'~' => out.push(char::from(*octet)),
            other => out.push_str(&format!("\\x{other:02x}")),
        }
    }
    let left = total - octets.len() as u64;
    if left > 0 {
        out.push_str(&format!("… and {left} octets"));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_beginning_and_counts_the_rest() {
        let mut exchange = Exchange::new("x".to_owned());
        exchange.sent(b"GET / HTTP/1.1\r\n\r\n");
        exchange.received(&[0; KEPT]);
        exchange.received(&[1; 10]);
        let record = exchange.record();
        assert_eq!(record.sent, "GET / HTTP/1.1\n\n");
        assert!(record.received.ends_with("\\x00… and 10 octets"));
    }
}
