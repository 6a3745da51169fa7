//! Without an upstream: takes sources itself, by PUT and SOURCE, and their titles.

mod live;

use std::sync::Arc;

use icecast_ext_core::address::Offset;
use icecast_ext_core::buffer::RunStart;
use icecast_ext_core::chunked;
use icecast_ext_core::codec::Format;
use icecast_ext_core::head::{Method, Request, Target, encode_path, source_lines};
use icecast_ext_core::icy;
use tokio::time::Instant;

use crate::answer::{Answer, version};
use crate::caller::Caller;
use crate::connection::Connection;
use crate::figures::{Limit, Pulled};
use crate::server::Server;
use crate::station::{Station, Supply};
use crate::upstream::STATS;
use live::Live;
pub(crate) use live::resume;

/// True for what an origin answers besides listeners.
pub(crate) fn is_for(request: &Request<'_>, path: &str) -> bool {
    matches!(request.method, Method::Put | Method::Source)
        || path == STATS
        || path == "/admin/metadata"
}

pub(crate) async fn serve(
    server: &Arc<Server>,
    connection: Connection,
    request: &Request<'_>,
    caller: &Caller,
    head_length: usize,
    target: &Target<'_>,
) {
    if matches!(request.method, Method::Put | Method::Source) {
        return source(
            server,
            connection,
            request,
            caller,
            head_length,
            &target.path,
        )
        .await;
    }
    // A title belongs where the source is.
    let hold = server.gate.hold().await;
    let connection = match hold {
        Some(_) => connection,
        None => match server.pass_on(connection) {
            Some(connection) => connection,
            None => return,
        },
    };
    let answer = match target.path.as_str() {
        STATS => status(server, request),
        _ => metadata(server, request, target.query.unwrap_or_default()),
    };
    if answer.status() == 200 {
        tracing::debug!(peer = %connection.peer, path = target.path, "answered");
    } else {
        tracing::warn!(peer = %connection.peer, path = target.path, status = answer.status(), "refused");
    }
    server.reply(connection, request, caller, &answer).await;
}

fn authorized(server: &Server, request: &Request<'_>) -> bool {
    let config = server.config();
    let password = config.source_password.as_deref().unwrap_or_default();
    request
        .basic_auth()
        .is_some_and(|(_, given)| !password.is_empty() && same(&given, password.as_bytes()))
}

/// Compares in a time that does not tell where they differ.
fn same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len()
        && a.iter()
            .zip(b)
            .fold(0, |different, (a, b)| different | (a ^ b))
            == 0
}

/// One source, from its head to its end.
async fn source(
    server: &Arc<Server>,
    mut connection: Connection,
    request: &Request<'_>,
    caller: &Caller,
    head_length: usize,
    path: &str,
) {
    let peer = connection.peer;
    let refusal = if !authorized(server, request) {
        Some(Answer::unauthorized())
    } else if !path.starts_with('/') || path.len() < 2 || path.starts_with("/admin") {
        Some(Answer::new(400, "name a mount, such as /live.mp3\n"))
    } else if request.method == Method::Put && request.field("Content-Type").is_none() {
        Some(Answer::new(403, "No Content-type given\n"))
    } else {
        None
    };
    if let Some(answer) = refusal {
        tracing::warn!(%peer, path, status = answer.status(), "refused a source");
        return server.reply(connection, request, caller, &answer).await;
    }
    if server.stations.get(path).is_none() && server.stations.len() >= server.max_mounts() {
        server.figures.limited(Limit::Mounts);
        tracing::error!(%peer, path, "too many mounts (limits.mounts): a source is refused");
        let answer = Answer::unavailable("too many mounts");
        return server.reply(connection, request, caller, &answer).await;
    }
    if server.stations.get(path).is_none() && !server.limits.has_room_for_a_mount() {
        server.figures.limited(Limit::OpenFiles);
        tracing::error!(%peer, path, "no open files are left (LimitNOFILE): a source is refused");
        let answer = Answer::unavailable("this server is full");
        return server.reply(connection, request, caller, &answer).await;
    }
    // Sources are handed over all at once: either this one is among them, or its request is.
    let Some(hold) = server.gate.hold().await else {
        // One that speaks TLS comes again, to the process that has taken over.
        drop(server.pass_on(connection));
        return;
    };
    let station = server.station(path);
    let Some(seat) = station.take_seat() else {
        tracing::warn!(%peer, path, "refused a second source");
        let answer = Answer::new(403, "Mountpoint in use\n");
        return server.reply(connection, request, caller, &answer).await;
    };
    let greeting = match (request.method, request.expects_continue()) {
        (Method::Put, true) => format!("{} 100 Continue\r\n\r\n", version(request.version)),
        (Method::Put, false) => String::new(),
        _ => "HTTP/1.0 200 OK\r\n\r\n".to_owned(),
    };
    if connection.stream.send(greeting.as_bytes()).await.is_err() {
        return lost(server, &station);
    }
    let epoch = match crate::random_epoch() {
        Ok(epoch) => epoch,
        Err(error) => {
            tracing::error!(%error, "no randomness for an epoch");
            return lost(server, &station);
        }
    };
    let content_type = request
        .field("Content-Type")
        .unwrap_or(std::borrow::Cow::Borrowed(b"audio/mpeg"));
    station.figures.pulled(Pulled::Connected);
    station.figures.pulled(Pulled::Minted);
    station.mount.begin(RunStart {
        epoch,
        first: Offset::ZERO,
        declared: station.end_is_known(),
        format: Format::from_content_type(&content_type),
        fields: source_lines(request, &content_type, crate::USER_AGENT),
        prelude: None,
    });
    station.set(Supply::Live);
    tracing::info!(%peer, path, %epoch, "source");
    let live = Live {
        caller: caller.clone(),
        since: connection.since,
        said: greeting.len() as u64,
        stream: connection.stream,
        read: connection.buffer.split_off(head_length),
        put: (request.method == Method::Put).then_some(request.version),
        left: request.content_length(),
        chunks: request.is_chunked().then(chunked::Decoder::default),
    };
    live.serve(server, &station, seat, hold).await;
}

/// The mount has no source now: listeners wait for one.
pub(crate) fn lost(server: &Arc<Server>, station: &Arc<Station>) {
    let since = Instant::now();
    station.set(Supply::Lost(since));
    let expiry = expire(server.clone(), station.clone(), since);
    server.tasks.spawn(expiry);
}

/// Listeners wait for another source; when that does not come in time, the mount ends.
async fn expire(server: Arc<Server>, station: Arc<Station>, since: Instant) {
    tokio::select! {
        () = server.stop.cancelled() => {}
        () = server.gate.left() => {}
        () = tokio::time::sleep(server.config().patience) => {
            // The seat is kept: a source that comes this moment is refused and comes again, to a new station.
            if station.supply() == Supply::Lost(since) && let Some(seat) = station.take_seat() {
                std::mem::forget(seat);
                tracing::info!(mount = station.path, "no source came back: the mount ends");
                server.stations.remove(&station);
                server.close(&station);
            }
        }
    }
}

/// `/admin/metadata?mode=updinfo&mount=…&song=…`
fn metadata(server: &Server, request: &Request<'_>, query: &str) -> Answer {
    if !authorized(server, request) {
        return Answer::unauthorized();
    }
    let value = |name: &str| {
        url::form_urlencoded::parse(query.as_bytes())
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.into_owned())
    };
    if value("mode").as_deref() != Some("updinfo") {
        return Answer::new(400, "mode must be updinfo\n");
    }
    let Some(station) = value("mount").and_then(|path| server.stations.get(&path)) else {
        return Answer::new(400, "Source does not exist\n");
    };
    let title = match (value("song"), value("artist"), value("title")) {
        (Some(song), _, _) => song,
        (None, Some(artist), Some(title)) => format!("{artist} - {title}"),
        (None, _, Some(title)) => title,
        _ => return Answer::new(400, "no song was given\n"),
    };
    station.mount.title(None, icy::title_text(title.as_bytes()));
    let body = "<?xml version=\"1.0\"?>\n<iceresponse><message>Metadata update successful</message><return>1</return></iceresponse>\n";
    Answer::new(200, body).content_type("text/xml; charset=utf-8")
}

/// `/status-json.xsl`, as far as relays and players read it.
fn status(server: &Server, request: &Request<'_>) -> Answer {
    let host = request.field("Host").map_or_else(
        || "localhost".to_owned(),
        |host| String::from_utf8_lossy(&host).into_owned(),
    );
    let sources: Vec<serde_json::Value> = server
        .stations
        .all()
        .iter()
        .filter(|station| station.supply() == Supply::Live)
        .map(|station| {
            serde_json::json!({
                "listeners": station.mount.listeners().total(),
                "listenurl": format!("http://{host}{}", encode_path(&station.path)),
            })
        })
        .collect();
    let body = serde_json::json!({"icestats": {"server_id": crate::USER_AGENT, "source": sources}})
        .to_string();
    Answer::new(200, body).content_type("text/json; charset=utf-8")
}
