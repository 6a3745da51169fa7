//! Without an upstream: takes sources itself, by PUT and SOURCE, and their titles.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use icecast_ext_core::address::Offset;
use icecast_ext_core::chunked;
use icecast_ext_core::codec::Format;
use icecast_ext_core::head::{Method, Request, Target, encode_path};
use icecast_ext_core::icy;
use icecast_ext_delivery::RunStart;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::Instant;

use crate::answer::{Answer, version};
use crate::caller::Caller;
use crate::connection::Connection;
use crate::figures::{Limit, Pulled};
use crate::server::Server;
use crate::station::{Station, Supply};
use crate::upstream::STATS;

/// A source that sends nothing for so long has gone (Icecast's `source-timeout`).
const SILENCE: std::time::Duration = std::time::Duration::from_secs(10);

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
    let station = server.station(path);
    let Some(_seat) = station.take_seat() else {
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
        fields: fields(request, &content_type),
        prelude: None,
    });
    station.set(Supply::Live);
    tracing::info!(%peer, path, %epoch, "source");
    let early = connection.buffer.split_off(head_length);
    let why = read(&station, &mut connection, early, request).await;
    tracing::info!(%peer, path, why, "the source has gone");
    station.figures.pulled(Pulled::Lost);
    station.figures.upstream_lost(why);
    let mut said = greeting.len() as u64;
    if request.method == Method::Put {
        let farewell = Answer::new(200, "").encode(request.version, false);
        let _ = connection.stream.write_all(&farewell).await;
        let _ = connection.stream.shutdown().await;
        said += farewell.len() as u64;
    }
    server.note(caller, connection.since, Some(200), said);
    station.mount.end();
    lost(server, &station);
}

/// The mount has no source now: listeners wait for one.
pub(crate) fn lost(server: &Arc<Server>, station: &Arc<Station>) {
    let since = Instant::now();
    station.set(Supply::Lost(since));
    let expiry = expire(server.clone(), station.clone(), since);
    server.tasks.spawn(expiry);
}

/// Reads the source's body into the mount; says why it ended.
async fn read(
    station: &Station,
    connection: &mut Connection,
    early: BytesMut,
    request: &Request<'_>,
) -> &'static str {
    let mut chunks = request.is_chunked().then(chunked::Decoder::default);
    let mut left = request.content_length();
    let mut buffer = early;
    let mut payload = Vec::new();
    loop {
        let mut done = false;
        match &mut chunks {
            Some(decoder) => {
                payload.clear();
                match decoder.feed(&buffer, &mut payload) {
                    Ok(end) => done = end,
                    Err(error) => {
                        tracing::warn!(peer = %connection.peer, mount = station.path, %error, "the source's chunks cannot be read");
                        return "malformed chunks";
                    }
                }
                station.append(&payload);
            }
            None => {
                let take = left.map_or(buffer.len(), |left| {
                    buffer
                        .len()
                        .min(usize::try_from(left).unwrap_or(usize::MAX))
                });
                station.append(&buffer[..take]);
                if let Some(left) = &mut left {
                    *left -= take as u64;
                    done = *left == 0;
                }
            }
        }
        if done {
            return "its body is complete";
        }
        buffer.clear();
        buffer.reserve(64 << 10);
        match tokio::time::timeout(SILENCE, connection.stream.read_buf(&mut buffer)).await {
            Err(_) => return "it was silent for 10 s",
            Ok(Err(_)) => return "its connection broke",
            Ok(Ok(0)) => return "it closed",
            Ok(Ok(_)) => {}
        }
    }
}

/// Listeners wait for another source; when that does not come in time, the mount ends.
async fn expire(server: Arc<Server>, station: Arc<Station>, since: Instant) {
    tokio::select! {
        () = server.stop.cancelled() => {}
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

/// What listeners are told of the stream, as Icecast does: `ice-*` becomes `icy-*`.
fn fields(request: &Request<'_>, content_type: &[u8]) -> Bytes {
    let mut lines = format!("Server: {}\r\nContent-Type: ", crate::USER_AGENT).into_bytes();
    lines.extend_from_slice(content_type);
    lines.extend_from_slice(b"\r\nExpires: Mon, 26 Jul 1997 05:00:00 GMT\r\nPragma: no-cache\r\n");
    for field in &request.fields {
        let name = field.name.to_ascii_lowercase();
        let Some(rest) = name
            .strip_prefix("ice-")
            .or_else(|| name.strip_prefix("icy-"))
        else {
            continue;
        };
        if matches!(rest, "metaint" | "metadata") {
            continue;
        }
        let rest = if rest == "bitrate" { "br" } else { rest };
        lines.extend_from_slice(format!("icy-{rest}: ").as_bytes());
        lines.extend_from_slice(field.value);
        lines.extend_from_slice(b"\r\n");
    }
    lines.into()
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
