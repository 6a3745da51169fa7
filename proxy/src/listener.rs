//! A listener: where its answer starts, the answer's head, and over to the delivery loops.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::Position;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Resume, StreamOffset, encode_duplicates};
use icecast_ext_core::frame::MEDIA_TYPE;
use icecast_ext_core::head::{Method, Request, encode_path};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{HOLD, Kind as Began, Refusal, Start};
use icecast_ext_delivery::{Admission, Kind};
use tokio::time::Instant;

use crate::admission::Permit;
use crate::answer::{Answer, CORS, date, version};
use crate::audience::{Joining, Places};
use crate::caller::Caller;
use crate::connection::Connection;
use crate::figures::Limit;
use crate::limits::{Limited, Seat};
use crate::overlay;
use crate::server::Server;
use crate::station::{Station, Supply};

/// Bytes between two ICY blocks, as Icecast has it.
const METAINT: NonZeroU32 = NonZeroU32::new(16_000).expect("not zero");
/// A mount whose upstream has been gone for longer takes no new listeners (R-HTTP-6).
const FRESHLY_LOST: Duration = Duration::from_secs(5);
/// How long a new mount may take to get its first bytes.
const FIRST_BYTES: Duration = Duration::from_secs(10);

/// Requests ahead of the edge that wait at once.
pub(crate) const MAX_HELD: usize = 20_000;

/// How a listener is served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tier {
    /// Sends no field of ours.
    Stock,
    /// Sends `Resume-Offset` (R-RESUME-1).
    Aware,
    /// Asks for the relay feed.
    Feed,
}

impl Station {
    /// What this request is to be told of the supply: `Live` if it is to be served.
    pub(crate) async fn admits(&self, asked: Option<&Resume>) -> Supply {
        let settled = tokio::time::timeout(FIRST_BYTES, self.settled())
            .await
            .unwrap_or(Supply::Starting);
        // Whoever has heard this epoch is served from what is held, come what may.
        let known =
            matches!(asked.map(|asked| asked.from), Some(From::At(at)) if self.knows(at.epoch));
        match settled {
            Supply::Lost(since)
                if known || (since.elapsed() < FRESHLY_LOST && self.mount.window().is_some()) =>
            {
                Supply::Live
            }
            Supply::NoSource | Supply::Starting if known => Supply::Live,
            other => other,
        }
    }
}

/// Answers GET, HEAD and OPTIONS on a live mount.
pub(crate) async fn serve(
    server: &Arc<Server>,
    station: &Arc<Station>,
    connection: Connection,
    request: &Request<'_>,
    caller: &Caller,
    asked: Option<Resume>,
    permit: Permit,
) {
    let resume = asked.unwrap_or(Resume::LIVE);
    if request.method == Method::Options {
        return server
            .reply(connection, request, caller, &preflight())
            .await;
    }
    let tier = if accepts_feed(request) {
        Tier::Feed
    } else if request.field("Resume-Offset").is_some() || matches!(resume.from, From::At(_)) {
        Tier::Aware
    } else {
        Tier::Stock
    };
    let mut seat = None;
    if request.method == Method::Get
        && let Some(session) = resume.session
    {
        seat = server.audience.take_seat(&station.path, session);
    }
    let start = match decide(server, station, tier, asked).await {
        Ok(start) => start,
        Err(refusal) => {
            station.figures.refused.one();
            tracing::info!(peer = %connection.peer, mount = station.path, from = ?resume.from, %refusal, "refused");
            let answer = match refusal {
                Refusal::Empty => Answer::unavailable("nothing can be given on this mount yet"),
                refusal => Answer::precondition(refusal, station.mount.window()),
            };
            return server.reply(connection, request, caller, &answer).await;
        }
    };
    if request.method == Method::Get
        && !permit.is_kin()
        && let Err(limited) = take_room(server, station, caller, start.at, &mut seat)
    {
        server.say(&limited, caller.address);
        let answer = Answer::limited(&limited);
        return server.reply(connection, request, caller, &answer).await;
    }
    let session = match tier {
        Tier::Aware if request.method != Method::Head => crate::random_session().ok(),
        _ => None,
    };
    let (format, lines) = station.run_at(start.at);
    let icy = tier != Tier::Feed
        && has_icy(format)
        && request
            .field("Icy-MetaData")
            .is_some_and(|value| value.trim_ascii() == b"1");
    let mut offset = start.field();
    offset.session = session;
    let metaint = icy.then_some(METAINT);
    let mut bytes = head(server, station, request, tier, &offset, metaint, &lines);
    if request.method == Method::Head {
        let mut stream = connection.stream;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
        return;
    }
    bytes.extend_from_slice(&start.prelude);
    let aware = tier == Tier::Aware;
    let continues = format.continues_across_splice();
    let cursor = match tier {
        Tier::Feed => Cursor::feed(start.at),
        _ if icy => Cursor::icy(start.at, METAINT, aware, continues),
        _ => Cursor::plain(start.at, aware, continues),
    };
    // Listeners are handed over all at once: either this one is among them, or its request is.
    let hold = server.gate.hold().await;
    let connection = match hold {
        Some(_) => connection,
        None => match server.pass_on(connection) {
            Some(connection) => connection,
            None => return,
        },
    };
    let (began, lost) = began(start.kind);
    tracing::info!(address = %caller.address, mount = station.path, agent = caller.agent, client = ?tier, began, at = %start.at, lost, "listener");
    let socket = match connection.stream.into_socket() {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%error, "a listener's socket was lost"),
    };
    let kind = match tier {
        Tier::Feed => Kind::Feed,
        _ if icy => Kind::Icy,
        _ => Kind::Plain,
    };
    station.figures.admitted(caller, kind, aware, &start);
    let id = server.audience.admitted(Joining {
        caller,
        mount: &station.path,
        kind,
        session,
        previous: resume.session,
        keep: station.mount.config().window,
        places: Places {
            connection: Some(connection.place),
            seat,
        },
    });
    let admission = Admission {
        socket,
        mount: station.mount.clone(),
        head: Bytes::from(bytes),
        cursor,
        session,
        kind,
        id,
    };
    let counted = permit.is_ours_alone();
    let admit = || server.engine.admit(admission);
    if let Err(error) = permit.served(station, id, session, admit) {
        server.audience.forget(id);
        return tracing::warn!(peer = %connection.peer, mount = station.path, %error, "a listener could not be admitted");
    }
    if counted && let Some(upstream) = &server.upstream {
        let listeners = overlay::listeners(server, station);
        upstream.ledger().joined(&station.path, listeners);
    }
}

/// Room for one more, unless it has it already; and for what it has to catch up with.
fn take_room(
    server: &Server,
    station: &Station,
    caller: &Caller,
    at: Position,
    seat: &mut Option<Seat>,
) -> Result<(), Limited> {
    let now = std::time::Instant::now();
    if seat.is_none() {
        *seat = Some(server.limits.listener(now)?);
    }
    if caller.limited {
        let bytes = station.behind_live(at);
        server.limits.window(caller.address, bytes, now)?;
    }
    Ok(())
}

/// How an answer began, and the bytes that it has lost, for the log.
fn began(kind: Began) -> (&'static str, Option<u64>) {
    match kind {
        Began::Join => ("join", None),
        Began::Exact => ("resume", None),
        Began::Spliced => ("resume over a splice", None),
        Began::Miss { lost } => ("miss", lost),
    }
}

/// Where the answer starts; a position that is nearly there is waited for (R-AHEAD-1), by no more than [`MAX_HELD`]
/// requests at a time (R-SEC-2).
async fn decide(
    server: &Server,
    station: &Station,
    tier: Tier,
    asked: Option<Resume>,
) -> Result<Start, Refusal> {
    let decision = || match tier {
        Tier::Feed => station.mount.start_feed(asked.as_ref()),
        _ => station.mount.start(&asked.unwrap_or(Resume::LIVE)),
    };
    let first = decision();
    if !matches!(first, Err(Refusal::Soon { .. } | Refusal::Empty)) {
        return first;
    }
    let Ok(_place) = server.held.try_acquire() else {
        server.figures.limited(Limit::Held);
        return Err(Refusal::Empty);
    };
    let deadline = Instant::now() + HOLD;
    loop {
        tokio::time::sleep(station.mount.config().tick / 2).await;
        match decision() {
            Err(Refusal::Soon { .. } | Refusal::Empty) if Instant::now() < deadline => {}
            decided => return decided,
        }
    }
}

fn accepts_feed(request: &Request<'_>) -> bool {
    let accept = request.field("Accept").unwrap_or_default();
    String::from_utf8_lossy(&accept).split(',').any(|member| {
        member
            .split(';')
            .next()
            .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(MEDIA_TYPE))
    })
}

/// The head of a 200: the upstream's fields, and ours.
fn head(
    server: &Server,
    station: &Station,
    request: &Request<'_>,
    tier: Tier,
    offset: &StreamOffset,
    metaint: Option<NonZeroU32>,
    lines: &[u8],
) -> Vec<u8> {
    let mut head = format!(
        "{} 200 OK\r\nDate: {}\r\nConnection: close\r\nCache-Control: no-cache, no-store\r\n",
        version(request.version),
        date()
    )
    .into_bytes();
    if tier == Tier::Feed {
        head.extend_from_slice(format!("Content-Type: {MEDIA_TYPE}\r\n").as_bytes());
    } else {
        head.extend_from_slice(lines);
    }
    let mut field =
        |name: &str, value: &str| head.extend_from_slice(format!("{name}: {value}\r\n").as_bytes());
    for (name, value) in CORS {
        field(name, value);
    }
    if let Some(metaint) = metaint {
        field("icy-metaint", &metaint.to_string());
    }
    field("Stream-Offset", &offset.encode());
    if let Some(window) = station.mount.window() {
        field("Stream-Window", &window.encode());
    }
    let config = server.config();
    if !config.relays.is_empty() {
        let path = encode_path(&station.path);
        let links: Vec<String> = config
            .relays
            .iter()
            .map(|base| format!("{base}{path}"))
            .collect();
        field("Link", &encode_duplicates(links.iter().map(String::as_str)));
    }
    head.extend_from_slice(b"\r\n");
    head
}

/// Formats whose servers offer metadata in blocks: those that have no place for it themselves.
fn has_icy(format: Format) -> bool {
    !matches!(format, Format::Ogg | Format::Webm)
}

/// OPTIONS on a mount: what a page on another origin may send (R-HTTP-4).
fn preflight() -> Answer {
    let mut answer = Answer::new(204, "")
        .field("Allow", "GET, HEAD, OPTIONS")
        .field("Access-Control-Allow-Methods", "GET, HEAD")
        .field(
            "Access-Control-Allow-Headers",
            "Resume-Offset, Icy-MetaData, Range",
        )
        .field("Access-Control-Max-Age", "86400");
    for (name, value) in CORS {
        answer = answer.field(name, value);
    }
    answer
}
