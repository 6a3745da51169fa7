//! A listener's answer, and over to a loop.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use icecast_ext_core::address::{Position, Session};
use icecast_ext_core::answer::Head;
use icecast_ext_core::field::Proof;
use icecast_ext_core::plan::Cursor;
use icecast_ext_core::resume::{Kind as Began, Start};
use icecast_ext_core::stock::Ask;
use icecast_ext_core::wanted::Tier;
use icecast_ext_delivery::{Admission, Kind, Next, Reason};

use crate::answer::{Body, Pending, format_at};
use crate::client::{Client, Stage};
use crate::module::Module;
use crate::random;
use crate::station::Station;

/// The head, and over to a loop.
pub(crate) fn stream(client: &mut Client, module: &Module, pending: &Pending, body: Body) {
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
        proof: body.proof,
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
        Began::Exact if body.proof == Some(Proof::Anchor) => ("resume by content", None),
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
    // Of a stream that has ended it gets the rest, and asks again for what the server goes on with.
    if !Arc::ptr_eq(&body.station, &pending.station)
        && let Some(end) = body.station.mount.received()
    {
        let next = Next::End(Reason::Moved);
        module.engine.part(client.id(), end, next);
    }
}

/// A listener whose request only the server can read is sent what the server sends.
pub(crate) fn as_it_is(client: &mut Client, module: &Module, pending: &Pending, mut head: Vec<u8>) {
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
pub(crate) fn after_intro(
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
    let Stage::Shadow(shadow) = &mut client.stage else {
        return;
    };
    shadow.served(in_phase);
    // The server says where it goes on.
    let cursor = match shadow.run() {
        Some(run) => cursor.led(run),
        None => cursor,
    };
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
    if let Err(error) = module.engine.admit(admission) {
        tracing::warn!(peer = client.peer, %error, "a listener could not be admitted");
        client.loop_has = false;
        client.stage = Stage::Over;
    }
}
