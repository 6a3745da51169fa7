//! Sources: how they are let in, and their bytes on the way into the server.
//!
//! What a source sends is read by the server, into its own buffers; nothing is held back. For most formats these are the bytes that
//! listeners get. Ogg Vorbis alone is rebuilt by Icecast: there the pages that libogg makes are the stream ([`crate::pages`]).

use std::cell::Cell;
use std::os::fd::RawFd;
use std::sync::Arc;

use bytes::Bytes;
use icecast_ext_core::codec::Format;
use icecast_ext_core::head::{Request, Response, Target, source_lines, upstream_lines};
use icecast_ext_delivery::clock;

use crate::client::{Client, Done, Stage};
use crate::module::Module;
use crate::phase::{Part, Phase};
use crate::shadow;
use crate::station::{Origin, Station};
use crate::wire::Wire;

/// Icecast queues what is no container in blocks of so many bytes, and sends nothing of one that is not full.
const BLOCK: usize = 1400;
/// No head of a source is longer.
const MAX_HEAD: usize = 16 << 10;
/// Ogg headers until it is known what is in them.
const MAX_HEADERS: usize = 256 << 10;

/// Who is it?
#[derive(Debug)]
pub(crate) struct Knocking {
    seen: Vec<u8>,
    who: Who,
}

#[derive(Debug, PartialEq, Eq)]
enum Who {
    /// Whoever connects to the server.
    Caller,
    /// A Shoutcast source that has said the password.
    Shoutcast,
    /// A relay's upstream, which the server has called. What it asked for.
    Upstream(String),
}

impl Knocking {
    /// Somebody whose request begins like this.
    pub(crate) fn of(seen: &[u8]) -> Self {
        Self {
            seen: seen.to_vec(),
            who: Who::Caller,
        }
    }

    /// What the server sends on a connection that it has made: `None` if it does not relay there.
    pub(crate) fn relay(request: &[u8]) -> Option<Self> {
        if !request.starts_with(b"GET ") {
            return None;
        }
        let (request, _) = Request::parse(request).ok()??;
        // Icecast's relays ask for titles; nobody else does from within it.
        if !request.asks_icy() {
            return None;
        }
        let host = request.field("Host").unwrap_or_default();
        let upstream = format!("{}{}", String::from_utf8_lossy(&host), request.target);
        Some(Self {
            seen: Vec::new(),
            who: Who::Upstream(upstream),
        })
    }

    fn is_source(&self) -> bool {
        self.seen.starts_with(b"SOURCE ") || self.seen.starts_with(b"PUT ")
    }
}

/// Where a head ends: after an empty line, however lenient the server is.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    let ends = [&b"\r\n\r\n"[..], b"\n\n", b"\r\r\n\r\r\n"];
    let found = ends
        .iter()
        .filter_map(|end| Some(memchr::memmem::find(bytes, end)? + end.len()));
    found.min()
}

/// The server reads from whoever it is.
pub(crate) fn knock(client: &mut Client, module: &Module, buffer: &mut [u8]) -> Done {
    let wire = client.wire;
    let Stage::Knocking(knocking) = &mut client.stage else {
        return wire.recv(buffer);
    };
    let whole = end_of_head(&knocking.seen);
    // Whoever reads on after the head is a source's thread.
    if let Some(len) = whole.filter(|_| knocking.is_source()) {
        return match admit(client, module, len) {
            Some(mut source) => {
                let done = source.receive(wire, module, buffer);
                client.stage = Stage::Source(source);
                done
            }
            None => wire.recv(buffer),
        };
    }
    let read = wire.recv(buffer)?;
    if knocking.seen.len() + read > MAX_HEAD {
        client.stage = Stage::Left;
        return Ok(read);
    }
    knocking.seen.extend_from_slice(&buffer[..read]);
    if let Who::Upstream(_) | Who::Shoutcast = knocking.who
        && let Some(len) = end_of_head(&knocking.seen)
        && let Some(source) = admit(client, module, len)
    {
        client.stage = Stage::Source(source);
    }
    Ok(read)
}

/// The server answers.
pub(crate) fn answered(client: &mut Client, module: &Module, bytes: &[u8]) -> Done {
    let wire = client.wire;
    let sent = wire.send(bytes)?;
    let Stage::Knocking(knocking) = &mut client.stage else {
        return Ok(sent);
    };
    if bytes.starts_with(b"OK2") && knocking.who == Who::Caller {
        knocking.who = Who::Shoutcast;
        let line = memchr::memchr(b'\n', &knocking.seen).map_or(knocking.seen.len(), |at| at + 1);
        knocking.seen.drain(..line);
        return Ok(sent);
    }
    let welcome = [
        &b"HTTP/1.0 200"[..],
        b"HTTP/1.1 200",
        b"HTTP/1.1 100",
        b"HTTP/1.0 100",
    ];
    if knocking.is_source() && welcome.iter().any(|start| bytes.starts_with(start)) {
        if let Some(len) = end_of_head(&knocking.seen)
            && let Some(source) = admit(client, module, len)
        {
            client.stage = Stage::Source(source);
        }
    } else if knocking.who == Who::Caller {
        client.stage = Stage::Left;
    }
    Ok(sent)
}

/// What its head says of a source.
struct Told {
    origin: Origin,
    format: Format,
    lines: Bytes,
    blocks: Option<Phase>,
}

fn told(client: &Client, knocking: &Knocking, head: &[u8]) -> Option<Told> {
    const MP3: &[u8] = b"audio/mpeg";
    let server = concat!("icecast-ext/", env!("CARGO_PKG_VERSION"));
    match &knocking.who {
        Who::Upstream(upstream) => {
            let (answer, _) = Response::parse(head).ok()??;
            if answer.status != 200 {
                return None;
            }
            let kind = answer.field("Content-Type").unwrap_or(MP3.into());
            Some(Told {
                origin: Origin::Relay(upstream.clone()),
                format: Format::from_content_type(&kind),
                lines: upstream_lines(&answer),
                blocks: answer.metaint().map(Phase::new),
            })
        }
        Who::Shoutcast => {
            let mut request = b"SOURCE / ICE/1.0\r\n".to_vec();
            request.extend_from_slice(head);
            let (request, _) = Request::parse(&request).ok()??;
            let kind = request.field("Content-Type").unwrap_or(MP3.into());
            Some(Told {
                origin: Origin::Shoutcast(client.wire.local_port()?),
                format: Format::from_content_type(&kind),
                lines: source_lines(&request, &kind, server),
                blocks: None,
            })
        }
        Who::Caller => {
            let (request, _) = Request::parse(head).ok()??;
            let kind = request.field("Content-Type").unwrap_or(MP3.into());
            let path = Target::parse(request.target).map(|target| target.path);
            Some(Told {
                origin: Origin::Mount(path.unwrap_or_else(|_| request.target.to_owned())),
                format: Format::from_content_type(&kind),
                lines: source_lines(&request, &kind, server),
                blocks: None,
            })
        }
    }
}

/// A source whose head is the first `len` bytes that were seen.
fn admit(client: &mut Client, module: &Module, len: usize) -> Option<Box<Source>> {
    let Stage::Knocking(knocking) = std::mem::replace(&mut client.stage, Stage::Left) else {
        return None;
    };
    let (head, body) = knocking.seen.split_at(len);
    let Some(told) = told(client, &knocking, head) else {
        tracing::warn!(
            peer = client.peer,
            "a source whose head cannot be read: its stream is the server's alone"
        );
        return None;
    };
    let name = told.origin.name();
    let station = module.station(told.origin);
    let epoch = station.begin(told.format, told.lines)?;
    tracing::info!(peer = client.peer, stream = name, %epoch, format = ?told.format, "source");
    let mut source = Source {
        station,
        blocks: told.blocks,
        how: match told.format {
            Format::Ogg => How::Undecided(Vec::new()),
            Format::Webm => How::AsItComes,
            _ => How::Blocks(Vec::with_capacity(BLOCK)),
        },
    };
    source.take(module, body, None);
    CURRENT.set(Some(client.wire.fd));
    Some(Box::new(source))
}

thread_local! {
    /// The source that this thread of the server's reads.
    static CURRENT: Cell<Option<RawFd>> = const { Cell::new(None) };
}

/// The descriptor of the source that this thread reads.
pub(crate) fn current() -> Option<RawFd> {
    CURRENT.get()
}

/// A source that was let in.
#[derive(Debug)]
pub(crate) struct Source {
    station: Arc<Station>,
    /// Of a relay whose upstream sends titles between the audio.
    blocks: Option<Phase>,
    how: How,
}

/// How what comes in becomes what listeners get.
#[derive(Debug)]
enum How {
    /// Block by block; what has come of the next one.
    Blocks(Vec<u8>),
    /// As it comes.
    AsItComes,
    /// What has come of Ogg headers.
    Undecided(Vec<u8>),
    /// Listeners get the pages that the server makes of it.
    Rebuilt,
}

impl Source {
    /// The server reads.
    pub(crate) fn receive(&mut self, wire: Wire, module: &Module, buffer: &mut [u8]) -> Done {
        shadow::forget_seen();
        CURRENT.set(Some(wire.fd));
        let read = wire.recv(buffer)?;
        let address = buffer.as_ptr().addr();
        self.take(module, &buffer[..read], Some(address));
        Ok(read)
    }

    /// Bytes that follow, and where the server has put them.
    fn take(&mut self, module: &Module, mut bytes: &[u8], mut address: Option<usize>) {
        let now = clock::now_ms();
        let station = &self.station;
        let append = |bytes: &[u8]| station.mount.append(bytes, Some(now));
        match &mut self.how {
            How::AsItComes => append(bytes),
            How::Rebuilt => {}
            How::Blocks(block) => {
                while !bytes.is_empty() {
                    let (here, rest) = bytes.split_at(bytes.len().min(BLOCK - block.len()));
                    let begins = address.and_then(|address| address.checked_sub(block.len()));
                    block.extend_from_slice(here);
                    bytes = rest;
                    if block.len() < BLOCK {
                        break;
                    }
                    let block = std::mem::replace(block, Vec::with_capacity(BLOCK));
                    if let Some((begins, at)) = begins.zip(station.mount.edge_with_pending()) {
                        module.stations.addresses.read(begins, station, at);
                    }
                    // The server reads no block but into its own buffer.
                    address = None;
                    match &mut self.blocks {
                        None => append(&block),
                        Some(blocks) => blocks.feed(&block, |part| match part {
                            Part::Audio(audio, _) => append(audio),
                            Part::Title(text) => station.retitle(text.into()),
                        }),
                    }
                }
            }
            How::Undecided(headers) => {
                headers.extend_from_slice(bytes);
                let rebuilt = match is_vorbis_alone(headers) {
                    None if headers.len() < MAX_HEADERS => return,
                    decided => decided.unwrap_or(false) && crate::real::real().ogg.is_some(),
                };
                if rebuilt {
                    self.how = How::Rebuilt;
                } else {
                    append(headers);
                    self.how = How::AsItComes;
                }
            }
        }
    }

    /// A page that the server has made.
    pub(crate) fn page(&self, header: &[u8], body: &[u8]) {
        if matches!(self.how, How::Rebuilt) {
            let now = clock::now_ms();
            self.station
                .mount
                .append(&[header, body].concat(), Some(now));
        }
    }

    /// It has gone.
    pub(crate) fn close(self) {
        tracing::info!(stream = self.station.mount.name(), "the source has gone");
        self.station.end();
    }
}

/// Whether an Ogg stream has one logical stream, of Vorbis. `None` while more bytes are needed.
fn is_vorbis_alone(bytes: &[u8]) -> Option<bool> {
    let page = |bytes: &[u8]| -> Option<(bool, usize, usize)> {
        let segments = usize::from(*bytes.get(26)?);
        let lacing = bytes.get(27..27 + segments)?;
        let body: usize = lacing.iter().map(|&len| usize::from(len)).sum();
        let begins = bytes.starts_with(b"OggS") && bytes[5] & 2 != 0;
        Some((begins, 27 + segments, 27 + segments + body))
    };
    let (begins, body, len) = page(bytes)?;
    if !begins || !bytes.get(body..)?.starts_with(b"\x01vorbis") {
        return (bytes.len() >= body + 7).then_some(false);
    }
    let (another, ..) = page(bytes.get(len..)?)?;
    Some(!another)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(begins: bool, body: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0".to_vec();
        page.push(if begins { 2 } else { 0 });
        page.resize(26, 0);
        page.extend_from_slice(&[1, body.len() as u8]);
        page.extend_from_slice(body);
        page
    }

    #[test]
    fn vorbis_alone_is_told_from_others_by_its_first_two_pages() {
        let vorbis = [page(true, b"\x01vorbis...."), page(false, b"\x03vorbis")].concat();
        for cut in 0..vorbis.len() {
            assert!(is_vorbis_alone(&vorbis[..cut]) != Some(false), "{cut}");
        }
        assert_eq!(is_vorbis_alone(&vorbis), Some(true));
        let two = [page(true, b"\x01vorbis...."), page(true, b"\x80theora")].concat();
        assert_eq!(is_vorbis_alone(&two), Some(false));
        assert_eq!(is_vorbis_alone(&page(true, b"OpusHead....")), Some(false));
    }

    #[test]
    fn a_relay_is_told_from_other_calls_of_the_server() {
        let relay = b"GET /live.mp3 HTTP/1.0\r\nUser-Agent: Icecast 2.4.4\r\nHost: up:8000\r\nIcy-MetaData: 1\r\n\r\n";
        let knocking = Knocking::relay(relay).unwrap();
        assert_eq!(knocking.who, Who::Upstream("up:8000/live.mp3".to_owned()));
        assert!(Knocking::relay(b"GET /auth HTTP/1.1\r\nHost: a\r\n\r\n").is_none());
        assert!(Knocking::relay(b"POST /auth HTTP/1.1\r\n\r\n").is_none());
    }

    #[test]
    fn heads_end_where_the_server_thinks_so() {
        assert_eq!(end_of_head(b"SOURCE / ICE/1.0\r\n\r\nx"), Some(20));
        assert_eq!(end_of_head(b"SOURCE /\n\nx"), Some(10));
        assert_eq!(end_of_head(b"SOURCE /\r\n"), None);
    }
}
