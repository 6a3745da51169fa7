//! A listener: where its answer starts, the answer's head, and over to the delivery loops.

pub(crate) mod older;
mod start;

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use icecast_ext_core::address::Position;
use icecast_ext_core::answer::Head;
use icecast_ext_core::field::{Proof, Resume};
use icecast_ext_core::head::{Method, Request};
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{Kind as Began, Refusal, Start};
use icecast_ext_core::stock::{self, Ask, Reply};
use icecast_ext_core::wanted::{Decided, Tier, Wanted};
use icecast_ext_delivery::{Admission, Kind};

use crate::admission::Permit;
use crate::answer::{self, Answer, date};
use crate::audience::{Joining, Places};
use crate::caller::Caller;
use crate::connection::Connection;
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

/// What a listener is sent.
struct Body {
    start: Start,
    cursor: Cursor,
    kind: Kind,
    /// The upstream's fields.
    lines: Bytes,
    metaint: Option<NonZeroU32>,
    /// Of a player that may resume.
    stock: Option<stock::Stream>,
    /// Of evidence.
    proof: Option<Proof>,
}

impl Station {
    /// What a request is to be told of the supply: `Live` if it is to be served. `known`: it has heard one of our epochs, and is
    /// served from what is held, come what may.
    pub(crate) async fn admits(&self, known: bool) -> Supply {
        let settled = tokio::time::timeout(FIRST_BYTES, self.settled())
            .await
            .unwrap_or(Supply::Starting);
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

    /// What the supply is once it is no longer lost, or has been for as long as a new mount may take.
    pub(crate) async fn comes_back(&self) -> Supply {
        let back = self.once(|supply| !matches!(supply, Supply::Lost(_)));
        tokio::time::timeout(FIRST_BYTES, back)
            .await
            .unwrap_or_else(|_| self.supply())
    }
}

/// Answers GET, HEAD and OPTIONS on a live mount.
pub(crate) async fn serve(
    server: &Arc<Server>,
    station: &Arc<Station>,
    connection: Connection,
    request: &Request<'_>,
    caller: &Caller,
    wanted: &Wanted,
    permit: Permit,
) {
    if request.method == Method::Options {
        return server
            .reply(connection, request, caller, &Answer::preflight())
            .await;
    }
    let mut seat = None;
    if request.method == Method::Get
        && let Some(session) = wanted.session()
    {
        seat = server.audience.take_seat(&station.path, session);
    }
    let passed = older::serve(
        server, station, connection, request, caller, wanted, &permit,
    );
    let Some(connection) = Box::pin(passed).await else {
        return;
    };
    let decided = match &wanted.stock {
        Some(ask) => for_player(server, station, caller, ask).await,
        None => for_listener(server, station, caller, wanted).await,
    };
    let Body {
        start,
        cursor,
        kind,
        lines,
        metaint,
        stock,
        proof,
    } = match decided {
        Ok(body) => body,
        Err(answer) => return server.reply(connection, request, caller, &answer).await,
    };
    if request.method == Method::Get
        && !permit.is_kin()
        && let Err(limited) = take_room(server, station, caller, start.at, &mut seat)
    {
        server.say(&limited, caller.address);
        let answer = answer::limited(&limited);
        return server.reply(connection, request, caller, &answer).await;
    }
    let session = match wanted.tier {
        Tier::Aware if request.method != Method::Head => crate::random_session().ok(),
        _ => None,
    };
    let mut offset = start.field();
    offset.session = session;
    let mut bytes = Head {
        offset,
        window: station.mount.window(),
        proof,
        metaint,
        lines: (wanted.tier != Tier::Feed).then_some(&lines),
        player: wanted.stock.as_ref().zip(stock.as_ref()),
        path: &station.path,
        relays: &server.config().relays,
    }
    .encode(request.version, &date());
    if request.method == Method::Head {
        let mut stream = connection.stream;
        let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, &bytes).await;
        let _ = tokio::io::AsyncWriteExt::shutdown(&mut stream).await;
        return;
    }
    bytes.extend_from_slice(&start.prelude);
    let (tier, aware) = (wanted.tier, wanted.tier == Tier::Aware);
    // Listeners are handed over all at once: either this one is among them, or its request is.
    let hold = server.gate.hold().await;
    let connection = match hold {
        Some(_) => connection,
        None => match server.pass_on(connection) {
            Some(connection) => connection,
            None => return,
        },
    };
    let (mut began, lost) = began(start.kind);
    match proof {
        Some(Proof::Anchor) => began = "resume by content",
        Some(Proof::Alias) => began = "resume by alias",
        _ => {}
    }
    let player = wanted.stock.as_ref().map(Ask::family);
    tracing::info!(address = %caller.address, mount = station.path, agent = caller.agent, client = ?tier, player, began, at = %start.at, lost, "listener");
    let socket = match connection.stream.into_socket() {
        Ok(socket) => socket,
        Err(error) => return tracing::warn!(%error, "a listener's socket was lost"),
    };
    station.figures.admitted(caller, kind, aware, &start);
    if proof == Some(Proof::Alias) {
        station.figures.aliased.one();
    }
    let id = server.audience.admitted(Joining {
        caller,
        mount: &station.path,
        kind,
        join: stock.as_ref().map(|stream| stream.anchor.join),
        session,
        previous: wanted.session(),
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

/// The body of a listener that says where it wants to start, or says nothing.
async fn for_listener(
    server: &Server,
    station: &Station,
    caller: &Caller,
    wanted: &Wanted,
) -> Result<Body, Answer> {
    let Decided { start, proof } = start::of_listener(server, station, wanted).await;
    let refused = |refusal| refuse(station, caller, wanted.asked, refusal).proof(proof);
    let start = start.map_err(refused)?;
    let (format, lines) = station.run_at(start.at);
    let metaint = wanted.metaint(format, METAINT);
    let kind = match (wanted.tier, metaint) {
        (Tier::Feed, _) => Kind::Feed,
        (_, Some(_)) => Kind::Icy,
        (_, None) => Kind::Plain,
    };
    Ok(Body {
        cursor: wanted.cursor(start.at, format, metaint),
        start,
        kind,
        lines,
        metaint,
        stock: None,
        proof,
    })
}

/// The body of a player that may resume; or whatever else it is answered.
async fn for_player(
    server: &Server,
    station: &Station,
    caller: &Caller,
    ask: &Ask,
) -> Result<Body, Answer> {
    let reply = start::of_player(server, station, caller.address, ask).await;
    let reply = reply.map_err(|refusal| refuse(station, caller, None, refusal))?;
    if let Reply::Redirect {
        lost: Some(start), ..
    } = &reply
    {
        let (_, lost) = began(start.kind);
        tracing::info!(address = %caller.address, mount = station.path, agent = caller.agent, player = ask.family(), at = %start.at, lost, "a player without a place that is known here begins live");
        station.figures.admitted(caller, Kind::Plain, false, start);
    }
    let stream = Answer::of_reply(reply, || station.says("Content-Type").unwrap_or_default())?;
    Ok(Body {
        start: stream.start.clone(),
        cursor: stream.cursor,
        kind: match stream.anchor.metaint {
            Some(_) => Kind::Icy,
            None => Kind::Plain,
        },
        lines: station.run_at(stream.start.at).1,
        metaint: stream.metaint,
        stock: Some(stream),
        proof: None,
    })
}

/// No start: what the listener is told.
fn refuse(station: &Station, caller: &Caller, asked: Option<Resume>, refusal: Refusal) -> Answer {
    station.figures.refused.one();
    let from = asked.unwrap_or(Resume::LIVE).from;
    tracing::info!(peer = %caller.peer, mount = station.path, ?from, %refusal, "refused");
    Answer::of_refusal(refusal, station.mount.window())
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
