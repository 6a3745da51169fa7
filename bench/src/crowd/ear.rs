//! One listener: its connection, its place in the stream, and the check of each byte.

use std::io::{self, Read as _, Write as _};
use std::time::Instant;

use mio::net::TcpStream;
use rustls::ClientConnection;

use super::Pace;
use crate::content;

/// A connection, plain or TLS.
#[derive(Debug)]
pub(super) struct Wire {
    pub(super) stream: TcpStream,
    tls: Option<Box<ClientConnection>>,
}

impl Wire {
    pub(super) fn new(stream: TcpStream, tls: Option<ClientConnection>) -> Self {
        let tls = tls.map(Box::new);
        Self { stream, tls }
    }

    /// Writes what there is to write; true once `bytes` are all on their way.
    pub(super) fn write(&mut self, bytes: &[u8]) -> io::Result<bool> {
        let Some(tls) = &mut self.tls else {
            // A request fits into an empty socket.
            return Ok(self.stream.write(bytes)? == bytes.len());
        };
        tls.writer().write_all(bytes)?;
        self.flush()?;
        Ok(true)
    }

    /// What TLS has to say.
    fn flush(&mut self) -> io::Result<()> {
        if let Some(tls) = &mut self.tls {
            while tls.wants_write() {
                match tls.write_tls(&mut self.stream) {
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// `Ok(0)`: the end. Blocks never.
    pub(super) fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let Some(tls) = &mut self.tls else {
            return self.stream.read(out);
        };
        loop {
            match tls.reader().read(out) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                read => return read,
            }
            if tls.read_tls(&mut self.stream)? == 0 {
                return Ok(0);
            }
            tls.process_new_packets().map_err(io::Error::other)?;
            while tls.wants_write() && tls.write_tls(&mut self.stream)? > 0 {}
        }
    }
}

/// What a listener waits for.
#[derive(Debug)]
pub(super) enum State {
    Connecting,
    /// The end of the answer's head; what of it has come.
    Head(Vec<u8>),
    /// Enough audio to know its place; what of it has come.
    Audio(Vec<u8>),
    Hearing,
    /// Stuck, and answered.
    Deaf,
    Gone,
}

/// Something went wrong for good.
#[derive(Debug)]
pub(super) enum Fault {
    Refused(String),
    Dropped(String),
    Wrong(String),
}

/// What reading has brought.
#[derive(Debug, Default)]
pub(super) struct Heard {
    pub(super) bytes: u64,
    /// The first byte of the body is among them.
    pub(super) first: bool,
    /// Positions of the oldest and of the newest byte.
    pub(super) span: Option<(u64, u64)>,
}

/// A listener.
#[derive(Debug)]
pub(super) struct Ear {
    pub(super) wire: Option<Wire>,
    pub(super) state: State,
    /// Index of its group.
    pub(super) group: u32,
    /// Its number within it.
    pub(super) index: u32,
    pub(super) pace: Pace,
    /// When its connection was begun.
    pub(super) since: Instant,
    /// The position of the byte that comes next.
    pub(super) next: Option<u64>,
    /// The epoch, and what to take from a position to have its offset.
    pub(super) address: Option<(Box<str>, i128)>,
    /// As the head says, until the place is known.
    offset: Option<(Box<str>, u64)>,
    metaint: usize,
    /// Audio bytes until the next block.
    until: usize,
    /// Bytes of a block that are still to come.
    block: usize,
}

impl Ear {
    pub(super) fn new(group: u32, index: u32, pace: Pace) -> Self {
        Self {
            wire: None,
            state: State::Gone,
            group,
            index,
            pace,
            since: Instant::now(),
            next: None,
            address: None,
            offset: None,
            metaint: 0,
            until: 0,
            block: 0,
        }
    }

    /// Its connection has been begun.
    pub(super) fn begin(&mut self, wire: Wire, now: Instant) {
        self.wire = Some(wire);
        self.state = State::Connecting;
        self.since = now;
        if self.address.is_none() {
            self.next = None;
        }
        self.offset = None;
        (self.metaint, self.until, self.block) = (0, 0, 0);
    }

    /// The field of a request that goes on where this was cut, or begins live.
    pub(super) fn resume(&self) -> String {
        match (&self.address, self.next) {
            (Some((epoch, shift)), Some(next)) => {
                let offset = i128::from(next) - shift;
                format!("Resume-Offset: {offset};epoch=\"{epoch}\";miss=fail\r\n")
            }
            _ => "Resume-Offset: live\r\n".to_owned(),
        }
    }

    /// Bytes of the connection.
    pub(super) fn take(&mut self, bytes: &[u8], heard: &mut Heard) -> Result<(), Fault> {
        match &mut self.state {
            State::Head(head) => {
                head.extend_from_slice(bytes);
                let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                    return match head.len() < 16_384 {
                        true => Ok(()),
                        false => Err(Fault::Refused("an answer's head without an end".to_owned())),
                    };
                };
                let rest = head.split_off(end + 4);
                let text = String::from_utf8_lossy(head).into_owned();
                self.answered(&text)?;
                if self.pace == Pace::Stuck {
                    self.state = State::Deaf;
                    return Ok(());
                }
                self.state = State::Audio(Vec::new());
                if rest.is_empty() {
                    return Ok(());
                }
                self.take(&rest, heard)
            }
            State::Audio(_) | State::Hearing => self.body(bytes, heard),
            State::Connecting | State::Deaf | State::Gone => Ok(()),
        }
    }

    fn answered(&mut self, head: &str) -> Result<(), Fault> {
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap_or_default();
        if !status.contains(" 200 ") && !status.ends_with(" 200") {
            return Err(Fault::Refused(status.to_owned()));
        }
        for line in lines {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            let value = value.trim();
            if name.eq_ignore_ascii_case("icy-metaint") {
                self.metaint = value.parse().unwrap_or(0);
                self.until = self.metaint;
            } else if name.eq_ignore_ascii_case("stream-offset") {
                let mut parts = value.split(';');
                let offset = parts.next().and_then(|number| number.parse().ok());
                let epoch = parts.find_map(|part| part.strip_prefix("epoch="));
                self.offset = epoch
                    .map(|epoch| Box::from(epoch.trim_matches('"')))
                    .zip(offset);
            }
        }
        Ok(())
    }

    /// Bytes of the body: audio, with ICY blocks in it if there is a metaint.
    fn body(&mut self, mut bytes: &[u8], heard: &mut Heard) -> Result<(), Fault> {
        if self.metaint == 0 {
            return self.audio(bytes, heard);
        }
        while !bytes.is_empty() {
            if self.block > 0 {
                let skip = self.block.min(bytes.len());
                self.block -= skip;
                bytes = &bytes[skip..];
            } else if self.until == 0 {
                self.block = usize::from(bytes[0]) * 16;
                self.until = self.metaint;
                bytes = &bytes[1..];
            } else {
                let (now, later) = bytes.split_at(self.until.min(bytes.len()));
                self.until -= now.len();
                self.audio(now, heard)?;
                bytes = later;
            }
        }
        Ok(())
    }

    fn audio(&mut self, bytes: &[u8], heard: &mut Heard) -> Result<(), Fault> {
        if let State::Audio(held) = &mut self.state {
            heard.first |= held.is_empty();
            held.extend_from_slice(bytes);
            // Who came back knows what comes next; who is new finds out.
            if self.next.is_none() && held.len() < content::ENOUGH {
                return Ok(());
            }
            let held = std::mem::take(held);
            self.state = State::Hearing;
            let first = match self.next {
                Some(next) => next,
                None => content::locate(&held).ok_or_else(|| {
                    Fault::Wrong("what came first is no part of the stream".to_owned())
                })?,
            };
            if let Some((epoch, offset)) = self.offset.take() {
                self.address = Some((epoch, i128::from(first) - i128::from(offset)));
            }
            self.next = Some(first);
            return self.check(&held, heard);
        }
        self.check(bytes, heard)
    }

    fn check(&mut self, bytes: &[u8], heard: &mut Heard) -> Result<(), Fault> {
        let Some(first) = self.next else {
            return Ok(());
        };
        if !content::agree(first, bytes) {
            let found = content::locate(bytes);
            return Err(Fault::Wrong(format!(
                "byte {first} was next, and what came is {}",
                found.map_or("no part of the stream".to_owned(), |at| format!(
                    "byte {at}"
                ))
            )));
        }
        let end = first + bytes.len() as u64;
        self.next = Some(end);
        heard.bytes += bytes.len() as u64;
        if end > first {
            let oldest = heard.span.map_or(first, |(oldest, _)| oldest);
            heard.span = Some((oldest, end - 1));
        }
        Ok(())
    }
}
