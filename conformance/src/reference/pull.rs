//! A relay's part: the feed of a parent, or the plain stream of a server that knows nothing, of which this is then the minter.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use super::ask::{Ask, From};
use super::heal::{Healed, heal};
use super::mount::{Mount, now};
use super::names;
use super::serve::House;
use super::timeline::Then;
use crate::field::StreamOffset;
use crate::frame::{Frame, MEDIA_TYPE};
use crate::http::{Head, Request};

/// A parent is dead after such a silence (R-FEED-12); one that has no feed later.
const SILENCE: Duration = Duration::from_millis(500);
const LEGACY_SILENCE: Duration = Duration::from_secs(5);
/// How long it takes until a dead parent is asked again.
const AGAIN: Duration = Duration::from_millis(100);

/// Begins to pull a path, if the upstream has a stream there.
pub(crate) async fn start(house: &Arc<House>, path: &str) -> bool {
    let Ok((head, stream, ahead)) = ask(house, path, None).await else {
        return false;
    };
    let kind = head.field("Content-Type").unwrap_or_default();
    let streams = kind == MEDIA_TYPE
        || kind.starts_with("audio/")
        || kind.starts_with("video/")
        || kind == "application/ogg";
    if head.status != 200 || !streams || head.field("Content-Length").is_some() {
        return false;
    }
    let known = house.find(path).is_some();
    let mount = house.open(path, "");
    if !known {
        let house = Arc::clone(house);
        tokio::spawn(async move { run(house, mount, head, stream, ahead).await });
    }
    true
}

type Connected = (Head, TcpStream, Vec<u8>);

/// Asks the upstream for a path, from a position on if there is one.
async fn ask(house: &House, path: &str, at: Option<String>) -> io::Result<Connected> {
    let upstream = house.config.upstream.clone().unwrap_or_default();
    let mut request = Request::get(path);
    if !house.config.is("never-asks-for-the-feed") {
        request = request.field("Accept", MEDIA_TYPE);
    }
    request = request
        .field("Icy-MetaData", "1")
        .field("Connection", "close");
    if !house.config.is("no-via") {
        request = request.field("Via", house.via.clone());
    }
    if let Some(at) = at {
        request = request.resume(at);
    }
    let octets = request.octets(&upstream);
    let connect = async {
        let mut stream = TcpStream::connect(&upstream).await?;
        stream.write_all(&octets).await?;
        let mut ahead = Vec::new();
        let mut piece = vec![0; 16 * 1024];
        loop {
            match Head::parse(&ahead).map_err(io::Error::other)? {
                Some((head, length)) => {
                    ahead.drain(..length);
                    return Ok((head, stream, ahead));
                }
                None => match stream.read(&mut piece).await? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    read => ahead.extend_from_slice(&piece[..read]),
                },
            }
        }
    };
    timeout(Duration::from_secs(12), connect)
        .await
        .map_err(io::Error::other)?
}

async fn run(house: Arc<House>, mount: Arc<Mount>, head: Head, stream: TcpStream, ahead: Vec<u8>) {
    let mut next = Some((head, stream, ahead));
    let mut cut = None;
    while !house.closed.load(Ordering::Acquire) {
        if let Some((head, stream, ahead)) = next.take()
            && head.status == 200
        {
            let fed = head.field("Content-Type").as_deref() == Some(MEDIA_TYPE);
            let ended = match fed {
                true => feed(&house, &mount, &head, stream, ahead).await,
                false => legacy(&house, &mount, &head, stream, ahead, cut).await,
            };
            if ended.is_err_and(|error| error.kind() == io::ErrorKind::Other)
                && house.config.is("forgets-on-errors")
            {
                mount.forget();
            }
            cut = Some(Instant::now());
        }
        tokio::time::sleep(AGAIN).await;
        let at = position(&mount);
        next = ask(&house, &mount.path, at).await.ok();
        if next.as_ref().is_some_and(|(head, ..)| head.status == 412) {
            // That byte will not come; what there is then is another run.
            next = ask(&house, &mount.path, Some("live".to_owned())).await.ok();
        }
    }
}

/// The next byte that is missing.
fn position(mount: &Mount) -> Option<String> {
    let (epoch, next) = mount.edge()?;
    Some(format!("{next};epoch=\"{epoch}\""))
}

/// Reads a feed until its end, or a fault.
async fn feed(
    house: &House,
    mount: &Mount,
    head: &Head,
    mut stream: TcpStream,
    mut ahead: Vec<u8>,
) -> io::Result<()> {
    let spliced = head
        .field("Stream-Offset")
        .and_then(|value| StreamOffset::parse(&value))
        .is_some_and(|at| at.spliced);
    let mut reader = Reader {
        house,
        mount,
        spliced,
        format: None,
        splice: None,
        data: false,
        latest: [0; 3],
    };
    let mut piece = vec![0; 64 * 1024];
    loop {
        loop {
            match Frame::parse(&ahead) {
                Ok(Some((frame, length))) => {
                    ahead.drain(..length);
                    reader.frame(frame)?;
                }
                Ok(None) => break,
                Err(_)
                    if house.config.is("skips-bad-values") && Frame::length(&ahead).is_some() =>
                {
                    ahead.drain(..Frame::length(&ahead).unwrap_or(0).min(ahead.len()));
                }
                Err(wrong)
                    if house.config.is("takes-long-values") && wrong.0.contains("R-FEED-3") =>
                {
                    let mut rest = vec![0; 1 << 16];
                    while stream.read(&mut rest).await? > 0 {}
                    return Ok(());
                }
                Err(wrong) => return Err(io::Error::other(wrong)),
            }
        }
        match timeout(SILENCE, stream.read(&mut piece))
            .await
            .map_err(io::Error::other)??
        {
            0 => return Ok(()),
            read => ahead.extend_from_slice(&piece[..read]),
        }
    }
}

/// A feed as it is read: the order of its frames (R-FEED-5).
struct Reader<'a> {
    house: &'a House,
    mount: &'a Mount,
    /// The answer said that it continues what was asked for.
    spliced: bool,
    format: Option<[u8; 16]>,
    splice: Option<(bool, [u8; 16], u64)>,
    /// Whether DATA has come since FORMAT.
    data: bool,
    /// The latest offset of PRELUDE, TITLE, TIME, since FORMAT.
    latest: [u64; 3],
}

impl Reader<'_> {
    fn frame(&mut self, frame: Frame) -> io::Result<()> {
        let is = |bug: &str| self.house.config.is(bug);
        let wrong = |why: &str| Err(io::Error::other(why.to_owned()));
        if let Frame::Unknown(..) = frame {
            return if is("ends-at-unknown-frames") {
                wrong("a type that is not known")
            } else {
                Ok(())
            };
        }
        let next = self.mount.edge().map_or(0, |(_, next)| next);
        if let Frame::Format {
            epoch, at, fields, ..
        } = frame
        {
            return self.format(epoch, at, &fields);
        }
        if self.format.is_none() || self.splice.is_some() {
            return wrong("FORMAT has to come first");
        }
        let event = |this: &mut Self, which: usize, at: u64| {
            let low = this.data && at < next || at < this.latest[which];
            this.latest[which] = at;
            if low {
                Err(io::Error::other("an event below what has come"))
            } else {
                Ok(())
            }
        };
        match frame {
            Frame::Prelude(at, octets) => {
                event(self, 0, at)?;
                self.mount.change(|state| {
                    if let Some(run) = state.timeline.runs.back_mut() {
                        run.scan.preludes.retain(|(from, _)| *from != at);
                        run.scan.preludes.push((at, octets));
                    }
                });
            }
            Frame::Data(at, octets) => {
                if octets.is_empty()
                    || octets.len() > 65_536
                    || at != next && !is("takes-data-anywhere")
                {
                    return wrong("DATA that may not stand here");
                }
                self.data = true;
                let window =
                    u64::try_from(self.house.config.window.as_millis()).unwrap_or(u64::MAX);
                self.mount.change(|state| {
                    let local = is("relays-own-times").then(now);
                    state.timeline.push(&octets, local);
                    state.timeline.forget(now().saturating_sub(window));
                });
            }
            Frame::Title(at, text) => {
                event(self, 1, at)?;
                let own = if is("relays-place-titles") {
                    None
                } else {
                    Some(at)
                };
                self.mount.change(|state| state.timeline.title(own, &text));
            }
            Frame::Time(at, ms) => {
                event(self, 2, at)?;
                self.mount.change(|state| {
                    if let Some(run) = state
                        .timeline
                        .runs
                        .back_mut()
                        .filter(|_| !is("relays-own-times"))
                    {
                        run.times.push_back((at, ms));
                    }
                });
            }
            Frame::Keepalive(at) => {
                if at != next {
                    return wrong("KEEPALIVE at another byte");
                }
            }
            Frame::Splice {
                declared,
                at,
                epoch,
                target,
            } => {
                if at != next {
                    return wrong("SPLICE at another byte");
                }
                self.splice = Some((declared || is("declares-everything"), epoch, target));
            }
            Frame::Format { .. } | Frame::Unknown(..) => {}
        }
        Ok(())
    }

    fn format(&mut self, epoch: [u8; 16], at: u64, fields: &str) -> io::Result<()> {
        let is = |bug: &str| self.house.config.is(bug);
        let splice = self.splice.take();
        let misplaced = match splice {
            Some((_, said, _)) => said != epoch,
            None => self.format.is_some(),
        };
        if misplaced {
            return Err(io::Error::other("a FORMAT that may not stand here"));
        }
        (self.data, self.latest, self.format) = (false, [0; 3], Some(epoch));
        let own = if is("relays-mint") {
            names::random()
        } else {
            epoch
        };
        self.mount.change(|state| {
            let lines = fields
                .split("\r\n")
                .filter_map(|line| line.split_once(": "));
            let lines: Vec<_> = lines
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            if let Some((_, kind)) = lines
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case("content-type"))
            {
                kind.clone_into(&mut state.timeline.content_type);
            }
            state.fields = lines
                .into_iter()
                .filter(|(name, _)| name.starts_with("icy-"))
                .collect();
            state.fed = true;
            let goes_on = state.timeline.runs.back().is_some_and(|run| {
                run.then == Then::Running
                    && run.epoch == own
                    && run.next() == at
                    && splice.is_none()
            });
            let goes_on = goes_on
                || is("continues-anything") && !state.timeline.runs.is_empty() && splice.is_none();
            match (goes_on, splice) {
                (true, _) => {}
                (false, Some((declared, _, target))) => {
                    state.timeline.begin(own, at, declared, Some(target))
                }
                (false, None) => {
                    let declared = self.spliced || is("declares-everything");
                    state.timeline.begin(own, at, declared, None);
                }
            }
        });
        Ok(())
    }
}

/// Reads a plain stream, as its minter (R-RELAY-5).
async fn legacy(
    house: &House,
    mount: &Mount,
    head: &Head,
    mut stream: TcpStream,
    ahead: Vec<u8>,
    cut: Option<Instant>,
) -> io::Result<()> {
    if house.config.is("no-feed-no-service") {
        return Err(io::Error::other("no feed"));
    }
    let kind = head.field("Content-Type").unwrap_or_default();
    mount.change(|state| {
        state.timeline.content_type = kind;
        state.fields = head
            .fields
            .iter()
            .filter(|(name, _)| {
                let lower = name.to_ascii_lowercase();
                lower.starts_with("icy-") && lower != "icy-metaint"
            })
            .cloned()
            .collect();
    });
    let metaint = head
        .field("icy-metaint")
        .and_then(|value| value.parse::<usize>().ok());
    let mut blocks = Blocks {
        metaint,
        until: metaint.unwrap_or(usize::MAX),
        pending: ahead,
    };
    let mut piece = vec![0; 64 * 1024];
    let mut trial = cut
        .filter(|_| mount.edge().is_some())
        .map(|cut| (cut, Vec::new(), Instant::now()));
    let bug = |id: &str| house.config.is(id);
    if trial.is_none() {
        mount.end();
    }
    loop {
        for part in blocks.take() {
            match (part, &mut trial) {
                (Part::Title(text), _) => mount.title(&text),
                (Part::Audio(audio), None) => mount.push(&audio),
                (Part::Audio(audio), Some((_, new, _))) => new.extend_from_slice(&audio),
            }
        }
        if let Some((cut, new, began)) = &trial
            && began.elapsed() > Duration::from_millis(600)
        {
            let healed = {
                let state = mount.lock();
                let run = state.timeline.runs.back();
                #[expect(clippy::cast_precision_loss, reason = "bytes a second")]
                let rate = run.and_then(super::timeline::Run::rate).unwrap_or(16_000) as f64;
                let since = cut.elapsed().as_secs_f64();
                run.map_or(Healed::No, |run| {
                    heal(run, new, since, rate, bug("trusts-content"))
                })
            };
            let new = new.clone();
            trial = None;
            match healed {
                Healed::At(from) if !bug("never-heals") => mount.push(&new[from..]),
                _ => {
                    mount.end();
                    mount.push(&new);
                }
            }
        }
        match timeout(LEGACY_SILENCE, stream.read(&mut piece))
            .await
            .map_err(io::Error::other)??
        {
            0 => return Ok(()),
            read => blocks.pending.extend_from_slice(&piece[..read]),
        }
    }
}

/// A plain body with ICY blocks, as it comes.
struct Blocks {
    metaint: Option<usize>,
    until: usize,
    pending: Vec<u8>,
}

enum Part {
    Audio(Vec<u8>),
    Title(Vec<u8>),
}

impl Blocks {
    fn take(&mut self) -> Vec<Part> {
        let mut out = Vec::new();
        while !self.pending.is_empty() {
            if self.until == 0 {
                let length = usize::from(self.pending[0]) * 16;
                if self.pending.len() < 1 + length {
                    break;
                }
                let block: Vec<u8> = self.pending.drain(..=length).skip(1).collect();
                let end = block
                    .iter()
                    .rposition(|octet| *octet != 0)
                    .map_or(0, |last| last + 1);
                if end > 0 {
                    out.push(Part::Title(block[..end].to_vec()));
                }
                self.until = self.metaint.unwrap_or(usize::MAX);
            }
            let count = self.pending.len().min(self.until);
            if count > 0 {
                out.push(Part::Audio(self.pending.drain(..count).collect()));
                self.until -= count;
            }
        }
        out
    }
}

/// What a feed without a position asks for.
pub(crate) fn oldest() -> Ask {
    Ask {
        from: From::Oldest,
        ..Ask::nothing()
    }
}
