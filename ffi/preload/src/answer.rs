//! A listener's answer: the server's own tells whether there is one, what it sends tells where, and then it is ours.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use icecast_ext_core::address::{Position, Session};
use icecast_ext_core::answer::{Answer, Head};
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Resume};
use icecast_ext_core::head::{MAX_HEAD, Response, Version, upstream_lines};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{HOLD, Kind as Began, Refusal, Start};
use icecast_ext_core::stock::{Ask, Join, Stream, Terms};
use icecast_ext_core::wanted::{Tier, Wanted};
use icecast_ext_delivery::{Admission, Kind};

use crate::client::{Client, Done, Stage};
use crate::gather::Gathering;
use crate::locate::Found;
use crate::module::Module;
use crate::random;
use crate::shadow::Shadow;
use crate::station::Station;

/// What Icecast tells Flash players and MSIE of a stream, which has no length.
const NO_LENGTH: u64 = 221_183_499;
/// Bytes between two ICY blocks, where the server says nothing.
const METAINT: NonZeroU32 = NonZeroU32::new(16_000).expect("not zero");

/// A GET that the server has.
#[derive(Debug)]
pub(crate) struct Asked {
    /// Decoded; empty if only the server can read the request.
    pub(crate) path: String,
    pub(crate) version: Version,
    /// It was a HEAD.
    pub(crate) head_only: bool,
    pub(crate) agent: String,
    /// `None`: only the server can read the request.
    pub(crate) wanted: Option<Wanted>,
    /// What has come of the answer's head.
    pub(crate) answer: Vec<u8>,
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            path: String::new(),
            version: Version::Http10,
            head_only: false,
            agent: String::new(),
            wanted: None,
            answer: Vec::new(),
        }
    }
}

impl Asked {
    /// It has bytes already.
    pub(crate) fn resumes(&self) -> bool {
        self.wanted.as_ref().is_some_and(Wanted::resumes)
    }

    /// What it asks for by field or by query.
    fn position(&self) -> Option<From> {
        let asked = self.wanted.as_ref()?.asked?;
        Some(asked.from)
    }

    pub(crate) fn is_aware(&self) -> bool {
        let tier = self.wanted.as_ref().map(|wanted| wanted.tier);
        matches!(tier, Some(Tier::Aware | Tier::Feed))
    }

    /// The server closes before its head is whole: as it is.
    pub(crate) fn close(self, wire: crate::wire::Wire) {
        if !self.answer.is_empty() {
            // Whoever takes nothing gets nothing.
            let _ = wire.send(&self.answer);
        }
    }
}

/// The server sends its answer's head.
pub(crate) fn send(client: &mut Client, module: &Module, bytes: &[u8]) -> Done {
    let Stage::Asked(asked) = &mut client.stage else {
        return client.wire.send(bytes);
    };
    asked.answer.extend_from_slice(bytes);
    let (len, next) = match Response::parse(&asked.answer) {
        Ok(None) if asked.answer.len() < MAX_HEAD => return Ok(bytes.len()),
        Ok(Some((answer, len))) if may_stream(&answer) => {
            (len, Some((upstream_lines(&answer), answer.metaint())))
        }
        Ok(Some((_, len))) => (len, None),
        Ok(None) | Err(_) => (asked.answer.len(), None),
    };
    let mut head = std::mem::take(&mut asked.answer);
    let Some((lines, metaint)) = next else {
        if asked.head_only {
            head.truncate(len);
            client.wire.say(&head);
            client.stage = Stage::Over;
            return Ok(bytes.len());
        }
        let taken = bytes.len();
        client.stage = Stage::Gathering(Box::new(Gathering::forwarding(head)));
        // What it does not take now is owed.
        return match crate::gather::send(client, module, &[]) {
            Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(taken),
        };
    };
    let body = head.split_off(len);
    let asked = std::mem::take(&mut **asked);
    let gathering = Gathering::new(asked, head, lines, metaint);
    client.stage = Stage::Gathering(Box::new(gathering));
    if body.is_empty() {
        module.wait(client.wire.fd, client.generation);
    } else {
        crate::gather::send(client, module, &body)?;
    }
    Ok(bytes.len())
}

fn may_stream(answer: &Response<'_>) -> bool {
    let text = answer.field("Content-Type").is_some_and(|kind| {
        kind.get(..5)
            .is_some_and(|start| start.eq_ignore_ascii_case(b"text/"))
    });
    answer.status == 200 && !text && matches!(answer.content_length(), None | Some(NO_LENGTH))
}

/// What is needed to answer, until it is answered.
#[derive(Debug)]
pub(crate) struct Pending {
    asked: Asked,
    lines: Bytes,
    metaint: Option<NonZeroU32>,
    station: Arc<Station>,
    /// Where the server starts.
    start: Start,
    until: Instant,
}

impl Pending {
    /// The server starts elsewhere now.
    pub(crate) fn move_to(&mut self, station: &Arc<Station>, at: Position, prelude: Bytes) {
        self.station = station.clone();
        self.start = Start {
            at,
            prelude,
            kind: Began::Join,
        };
    }
}

/// What a listener is sent.
struct Body {
    station: Arc<Station>,
    start: Start,
    cursor: Cursor,
    kind: Kind,
    metaint: Option<NonZeroU32>,
    stream: Option<Stream>,
}

/// What it comes to.
enum Decided {
    Body(Box<Body>),
    Answer(Answer),
    /// What is asked for is nearly there (R-AHEAD-1).
    Wait,
}

/// The listener's place in the server's stream is found.
pub(crate) fn begin(client: &mut Client, module: &Module, gathering: Gathering, found: Found) {
    let Gathering {
        asked,
        head,
        lines,
        metaint,
        phase,
        heard,
        intro,
        ..
    } = gathering;
    let Found {
        station,
        at,
        prelude,
    } = found;
    if !asked.path.is_empty() {
        module.stations.found(&asked.path, &station);
    }
    let place = |bytes: usize| {
        let bytes = bytes.saturating_sub(prelude.len()) as u64;
        Position::new(at.epoch, at.offset.saturating_add(bytes))
    };
    let oracle = place(heard.audio.len());
    for (before, text) in heard.titles {
        station.titled(place(before), text.into());
    }
    client.stage = Stage::Shadow(Shadow::new(station.clone(), oracle, phase));
    let Some(icecasts) = head else {
        return after_intro(
            client,
            module,
            &station,
            at,
            prelude,
            metaint.zip(heard.left),
        );
    };
    let mut before = intro;
    before.extend_from_slice(&prelude);
    let pending = Pending {
        start: Start {
            at,
            prelude: before.into(),
            kind: Began::Join,
        },
        asked,
        lines,
        metaint,
        station,
        until: Instant::now() + HOLD,
    };
    if pending.asked.wanted.is_none() {
        return as_it_is(client, module, &pending, icecasts);
    }
    settle(client, module, pending);
}

/// Decides, or waits for what is nearly there.
pub(crate) fn settle(client: &mut Client, module: &Module, pending: Pending) {
    pending.station.publish(pending.start.at);
    if let Some(From::At(at)) = pending.asked.position() {
        pending.station.publish(at);
    }
    let late = Instant::now() >= pending.until;
    match decide(module, &pending, late) {
        Decided::Body(body) => stream(client, module, &pending, *body),
        Decided::Wait => {
            if let Stage::Shadow(shadow) = &mut client.stage {
                shadow.pending = Some(Box::new(pending));
            }
            module.wait(client.wire.fd, client.generation);
        }
        Decided::Answer(answer) => {
            let date = httpdate::fmt_http_date(SystemTime::now());
            let asked = &pending.asked;
            client
                .wire
                .say(&answer.encode(asked.version, asked.head_only, &date));
            client.stage = Stage::Over;
        }
    }
}

fn decide(module: &Module, pending: &Pending, late: bool) -> Decided {
    let Pending {
        asked,
        station,
        metaint,
        ..
    } = pending;
    let Some(wanted) = &asked.wanted else {
        return Decided::Wait;
    };
    let ours = metaint.unwrap_or(METAINT);
    let refusal = match &wanted.stock {
        Some(ask) => match of_player(station, ask, ours, late) {
            Ok(decided) => return decided,
            Err(refusal) => refusal,
        },
        None => match start(module, pending, wanted) {
            Ok((station, start)) => {
                let format = format_at(&station, start.at);
                let metaint = metaint.and_then(|ours| wanted.metaint(format, ours));
                return Decided::Body(Box::new(Body {
                    cursor: wanted.cursor(start.at, format, metaint),
                    kind: match (wanted.tier, metaint) {
                        (Tier::Feed, _) => Kind::Feed,
                        (_, Some(_)) => Kind::Icy,
                        (_, None) => Kind::Plain,
                    },
                    station,
                    start,
                    metaint,
                    stream: None,
                }));
            }
            Err(refusal) => refusal,
        },
    };
    match refusal {
        Refusal::Soon { .. } | Refusal::Empty if !late => Decided::Wait,
        refusal => {
            tracing::info!(path = asked.path, agent = asked.agent, %refusal, "refused");
            Decided::Answer(Answer::of_refusal(refusal, station.mount.window()))
        }
    }
}

/// A player that may resume.
fn of_player(
    station: &Arc<Station>,
    ask: &Ask,
    metaint: NonZeroU32,
    late: bool,
) -> Result<Decided, Refusal> {
    let fresh = random().map(Join::from_bytes).ok_or(Refusal::Empty)?;
    let mut anchors = station
        .anchors
        .lock()
        .unwrap_or_else(PoisonError::into_inner);
    let terms = Terms {
        fresh,
        metaint,
        late,
    };
    let ask = anchors.mend(ask);
    let reply = station
        .mount
        .with(|timeline| ask.decide(timeline, &terms))?;
    anchors.note(&ask, &reply);
    Ok(match Answer::of_reply(reply, || content_type(station)) {
        Err(answer) => Decided::Answer(answer),
        Ok(stream) => Decided::Body(Box::new(Body {
            station: station.clone(),
            start: stream.start.clone(),
            cursor: stream.cursor,
            kind: match stream.anchor.metaint {
                Some(_) => Kind::Icy,
                None => Kind::Plain,
            },
            metaint: stream.metaint,
            stream: Some(stream),
        })),
    })
}

fn content_type(station: &Station) -> Vec<u8> {
    let lines = station.mount.fields();
    let fields = icecast_ext_core::head::field_lines(&lines).unwrap_or_default();
    let field = fields.iter().find(|field| field.is("Content-Type"));
    field.map(|field| field.value.to_vec()).unwrap_or_default()
}

/// Where the answer starts, and in which stream: where the server starts, unless a place is asked for.
fn start(
    module: &Module,
    pending: &Pending,
    wanted: &Wanted,
) -> Result<(Arc<Station>, Start), Refusal> {
    let here = &pending.station;
    let asked = wanted.asked.unwrap_or(Resume::LIVE);
    let timelines = |station: &Arc<Station>| {
        let start = station.mount.with(|timeline| wanted.start(timeline))?;
        Ok((station.clone(), start))
    };
    let at = match asked.from {
        From::Live if wanted.tier != Tier::Feed => {
            return Ok((here.clone(), pending.start.clone()));
        }
        From::Live | From::Shift(_) => return timelines(here),
        From::At(at) => at,
    };
    let knows = |station: &Station| station.mount.with(|timeline| timeline.knows(at.epoch));
    if knows(here) {
        return timelines(here);
    }
    // The stream whose listener it was has ended, and the server goes on with another one. What it has not heard of the first
    // comes first, if that is the one which it asks for.
    let home = module.stations.at(&pending.asked.path);
    if let Some(home) = home.filter(|home| !home.is_live() && knows(home)) {
        let (home, start) = timelines(&home)?;
        let end = home.mount.with(|timeline| timeline.edge());
        if end != Some(start.at) {
            return Ok((home, start));
        }
    }
    let Some(entry) = here.entry(at.epoch).filter(|entry| held(here, *entry)) else {
        return timelines(here);
    };
    let prelude = here.mount.with(|timeline| {
        let run = timeline.run_at(entry);
        run.map(|run| run.prelude_at(entry.offset))
            .unwrap_or_default()
    });
    let start = Start {
        at: entry,
        prelude,
        kind: Began::Spliced,
    };
    Ok((here.clone(), start))
}

fn held(station: &Station, at: Position) -> bool {
    station.mount.with(|timeline| {
        timeline
            .run_at(at)
            .is_some_and(|run| run.window.reaches(at.offset))
    })
}

fn format_at(station: &Station, at: Position) -> Format {
    let look = station
        .mount
        .with(|timeline| timeline.run_at(at).map(|run| run.format));
    look.or_else(|| station.format()).unwrap_or(Format::Opaque)
}

/// The head, and over to a loop.
fn stream(client: &mut Client, module: &Module, pending: &Pending, body: Body) {
    let asked = &pending.asked;
    let Some(wanted) = &asked.wanted else { return };
    let session = match wanted.tier {
        Tier::Aware if !asked.head_only => random().map(Session::from_bytes),
        _ => None,
    };
    let mut offset = body.start.field();
    offset.session = session;
    let head = Head {
        offset,
        window: body.station.mount.window(),
        metaint: body.metaint,
        lines: (wanted.tier != Tier::Feed).then_some(&pending.lines),
        player: wanted.stock.as_ref().zip(body.stream.as_ref()),
        path: &asked.path,
        relays: &module.config.relays,
    };
    let date = httpdate::fmt_http_date(SystemTime::now());
    let mut bytes = head.encode(asked.version, &date);
    if asked.head_only {
        client.wire.say(&bytes);
        client.stage = Stage::Over;
        return;
    }
    bytes.extend_from_slice(&body.start.prelude);
    let (began, lost) = match body.start.kind {
        Began::Join => ("join", None),
        Began::Exact => ("resume", None),
        Began::Spliced => ("resume over a splice", None),
        Began::Miss { lost } => ("miss", lost),
    };
    let player = wanted.stock.as_ref().map(Ask::family);
    tracing::info!(peer = client.peer, path = asked.path, agent = asked.agent, client = ?wanted.tier, player, began, at = %body.start.at, lost, "listener");
    if let Some(session) = session {
        module.admitted(session, client.wire.fd, client.generation);
    }
    // What the server would have sent goes on in the same phase as what we send.
    let in_phase = body.start.kind == Began::Join && body.start.at == pending.start.at;
    admit(
        client,
        module,
        &body.station,
        Bytes::from(bytes),
        body.cursor,
        (body.kind, session),
        in_phase,
    );
}

/// A listener whose request only the server can read is sent what the server sends.
fn as_it_is(client: &mut Client, module: &Module, pending: &Pending, mut head: Vec<u8>) {
    let Start { at, prelude, .. } = &pending.start;
    let continues = format_at(&pending.station, *at).continues_across_splice();
    let (kind, cursor) = match pending.metaint {
        Some(metaint) => (Kind::Icy, Cursor::icy(*at, metaint, false, continues)),
        None => (Kind::Plain, Cursor::plain(*at, false, continues)),
    };
    head.extend_from_slice(prelude);
    admit(
        client,
        module,
        &pending.station,
        head.into(),
        cursor,
        (kind, None),
        true,
    );
}

/// After an intro the stream follows, where the server has it. `icy`: the interval, and the audio before the next block.
fn after_intro(
    client: &mut Client,
    module: &Module,
    station: &Arc<Station>,
    at: Position,
    prelude: Bytes,
    icy: Option<(NonZeroU32, u32)>,
) {
    let continues = format_at(station, at).continues_across_splice();
    let (kind, cursor) = match icy {
        Some((metaint, left)) => {
            let cursor = Cursor::icy(at, metaint, false, continues);
            (Kind::Icy, cursor.within_icy(left, None))
        }
        None => (Kind::Plain, Cursor::plain(at, false, continues)),
    };
    tracing::info!(peer = client.peer, at = %at, "listener, after an intro");
    admit(client, module, station, prelude, cursor, (kind, None), true);
}

fn admit(
    client: &mut Client,
    module: &Module,
    station: &Arc<Station>,
    head: Bytes,
    cursor: Cursor,
    (kind, session): (Kind, Option<Session>),
    in_phase: bool,
) {
    let admission = Admission {
        socket: client.wire.socket(),
        mount: station.mount.clone(),
        head,
        cursor,
        kind,
        session,
        id: client.id(),
    };
    client.loop_has = true;
    if let Stage::Shadow(shadow) = &mut client.stage {
        shadow.served(in_phase);
    }
    if let Err(error) = module.engine.admit(admission) {
        tracing::warn!(peer = client.peer, %error, "a listener could not be admitted");
        client.loop_has = false;
        client.stage = Stage::Over;
    }
}

/// Whoever waits looks again after so long.
pub(crate) const TURN: Duration = Duration::from_millis(100);
