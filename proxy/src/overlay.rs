//! The upstream's documents of who listens, with our listeners in them: whoever asks us sees what is so.
//!
//! A document is fetched with the caller's own request, so that its credentials are judged where they always were. `places`
//! are found in it by `json`, `xml`, `page` or `playlist`; `books` fills them in with what the `ledger` knows; `clients` has
//! the rows of listeners, and `orders` what an administrator does to them.

mod books;
mod clients;
mod fetch;
mod json;
mod ledger;
mod orders;
mod page;
mod places;
mod playlist;
mod query;
mod xml;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::SystemTime;

use icecast_ext_core::head::{Method, Request, Target};
use tokio::io::AsyncWriteExt as _;

use crate::answer::{Answer, drain};
use crate::audience::Visit;
use crate::caller::Caller;
use crate::connection::Connection;
use crate::server::Server;
use crate::station::Station;
use crate::upstream::STATS;
use crate::upstreams::Upstreams;
use books::Books;
use clients::{Change, Row, Seen};
use fetch::{FetchError, Head, Reply};
pub(crate) use ledger::Ledger;
use ledger::Now;
use places::Places;

/// What a path is to us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Counts of mounts and of the server.
    Counts,
    /// The listeners of a mount.
    Clients,
    /// The address of a mount.
    Playlist,
    /// A listener is to go.
    Kill,
    /// A mount's listeners are to go on at another.
    Move,
}

impl Subject {
    /// `None`: not ours to touch. `path` is decoded.
    pub(crate) fn of(method: Method, path: &str) -> Option<Self> {
        let subject = match path.strip_prefix("/admin/") {
            Some(command) => match command.strip_suffix(".xsl").unwrap_or(command) {
                "" | "stats" | "stats.xml" | "listmounts" | "streamlist" => Self::Counts,
                "listclients" => Self::Clients,
                "buildm3u" => Self::Playlist,
                "killclient" => Self::Kill,
                "moveclients" => Self::Move,
                _ => return None,
            },
            None if path == "/" || path.ends_with(".xsl") => Self::Counts,
            None if [".m3u", ".xspf", ".vclt"]
                .iter()
                .any(|end| path.ends_with(end)) =>
            {
                Self::Playlist
            }
            None => return None,
        };
        // An order that we do not read would have the pull play another mount's bytes: it is refused in its room.
        let read = matches!(method, Method::Get | Method::Head) || subject == Self::Move;
        read.then_some(subject)
    }
}

/// A request for a document.
pub(crate) struct Ask<'a> {
    pub(crate) server: &'a Arc<Server>,
    pub(crate) upstream: &'a Upstreams,
    pub(crate) request: &'a Request<'a>,
    pub(crate) target: &'a Target<'a>,
    pub(crate) caller: &'a Caller,
    /// It came over TLS.
    pub(crate) secure: bool,
}

/// What the caller gets.
enum Outcome {
    /// The upstream's answer with another body; `None`: with none, to HEAD.
    Changed(Head, Option<Vec<u8>>),
    /// As the upstream has it.
    AsIs(Reply),
    Refused(Answer),
}

impl From<FetchError> for Outcome {
    fn from(error: FetchError) -> Self {
        let why = format!("{error}\n");
        Self::Refused(match error {
            FetchError::Upstream(error) => Answer::unavailable(error),
            FetchError::Head => Answer::new(431, why),
            FetchError::Silent => Answer::new(502, why),
            FetchError::Late => Answer::unavailable(why.trim_end()),
        })
    }
}

/// Answers with the upstream's document as it is to be.
pub(crate) async fn serve(ask: &Ask<'_>, subject: Subject, mut connection: Connection) {
    let Ask {
        request, caller, ..
    } = ask;
    let path = request.target.split('?').next().unwrap_or_default();
    let outcome = match subject {
        Subject::Kill => orders::kill(ask).await,
        Subject::Move => orders::carry(ask).await,
        Subject::Counts | Subject::Clients | Subject::Playlist => {
            fetch_and_change(ask, subject, request.target).await
        }
    };
    let client = &mut connection.stream;
    match outcome {
        Outcome::Refused(answer) => {
            tracing::info!(address = %caller.address, path, status = answer.status(), why = answer.body().trim_end(), "answered");
            return ask.server.reply(connection, request, caller, &answer).await;
        }
        Outcome::AsIs(reply) => {
            tracing::info!(address = %caller.address, path, status = reply.head.status(), "tunnelled");
            let status = reply.head.status();
            let bytes = reply.pass_on(client).await;
            ask.server.note(caller, connection.since, status, bytes);
        }
        Outcome::Changed(head, body) => {
            tracing::info!(address = %caller.address, path, status = head.status(), "overlaid");
            let mut bytes = head.with_length(body.as_ref().map(Vec::len));
            bytes.extend_from_slice(&body.unwrap_or_default());
            // The client may have left by now.
            let _ = client.send(&bytes).await;
            let sent = bytes.len() as u64;
            ask.server
                .note(caller, connection.since, head.status(), sent);
        }
    }
    let _ = client.shutdown().await;
    drain(client).await;
}

/// The document at `target` as it is to be.
async fn fetch_and_change(ask: &Ask<'_>, subject: Subject, target: &str) -> Outcome {
    const READABLE: [&str; 5] = ["json", "xml", "html", "audio/x-mpegurl", "audio/x-vclt"];
    let mut reply = match fetch::ask(ask.upstream, ask.request, target, ask.caller).await {
        Ok(reply) => reply,
        Err(error) => return error.into(),
    };
    let kind = reply.head.field("Content-Type").unwrap_or_default();
    if reply.head.status() != Some(200) || !READABLE.iter().any(|part| kind.contains(part)) {
        return Outcome::AsIs(reply);
    }
    if ask.request.method == Method::Head {
        return Outcome::Changed(reply.head, None);
    }
    let Some(document) = reply.document().await else {
        tracing::warn!(
            path = ask.target.path,
            "a document of the upstream is too long, cut or compressed: our listeners are not in it"
        );
        return Outcome::AsIs(reply);
    };
    let changed = match subject {
        Subject::Clients => list(ask, &document),
        Subject::Playlist if !ask.target.path.ends_with(".xspf") => {
            base(ask).map(|base| playlist::lines(&document, &base))
        }
        _ => counts(ask, &document),
    };
    if changed.is_none() {
        tracing::debug!(
            path = ask.target.path,
            "nothing of this document is known: it is passed on as it is"
        );
    }
    Outcome::Changed(reply.head, Some(changed.unwrap_or(document)))
}

/// `http://HOST[:PORT]` as the caller has asked for it, or as configured.
fn base(ask: &Ask<'_>) -> Option<String> {
    if let Some(url) = &ask.server.config().public_url {
        return Some(url.clone());
    }
    let field = ask.request.field("Host");
    let field = field
        .as_deref()
        .and_then(|host| std::str::from_utf8(host).ok());
    let host = ask.target.authority.or(field)?.trim();
    // What else a caller may write there is not to be read by whoever reads the document.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_:[]".contains(&byte);
    if host.is_empty() || host.len() > 255 || !host.bytes().all(plain) {
        return None;
    }
    let forwarded = || {
        let scheme = ask.request.field("X-Forwarded-Proto");
        ask.caller.trusted && scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"https"))
    };
    let scheme = if ask.secure || forwarded() {
        "https"
    } else {
        "http"
    };
    Some(format!("{scheme}://{host}"))
}

/// The station that serves what a document calls `mount`. Icecast does not encode its names there, others may.
fn station(server: &Server, mount: &str) -> Option<Arc<Station>> {
    server.stations.get(mount).or_else(|| {
        let decoded = percent_encoding::percent_decode_str(mount)
            .decode_utf8()
            .ok()?;
        server.stations.get(&decoded)
    })
}

/// What is ours on a mount.
fn now(server: &Server, station: &Station) -> Now {
    Now {
        listeners: listeners(server, station),
        passed: station.mount.tally().passed(),
    }
}

/// Those that the upstream does not count.
pub(crate) fn listeners(_server: &Server, station: &Station) -> u64 {
    let shadows = station.shadows.load(Ordering::Relaxed);
    station.mount.listeners().total().saturating_sub(shadows) as u64
}

/// A document of counts.
fn counts(ask: &Ask<'_>, document: &[u8]) -> Option<Vec<u8>> {
    let places = read(&ask.target.path, document)?;
    let Ask {
        server, upstream, ..
    } = ask;
    let of = |mount: &str| {
        station(server, mount)
            .map(|station| now(server, &station))
            .unwrap_or_default()
    };
    let all = ask.target.path == STATS && ask.target.query.is_none();
    upstream.ledger().saw(document, &places, all, of);
    let mounts = places.sources.iter().filter_map(|source| {
        let station = station(server, &source.mount)?;
        let share = upstream
            .ledger()
            .share(&source.mount, now(server, &station));
        Some((source.mount.clone(), share))
    });
    let mut total = Now::default();
    for station in server.stations.all() {
        total.listeners += now(server, &station).listeners;
    }
    let books = Books {
        base: base(ask),
        mounts: mounts.collect::<HashMap<_, _>>(),
        total: upstream.ledger().total(total),
    };
    Some(books::fill(document, &places, books))
}

/// The places of a document, whatever it is.
fn read(path: &str, document: &[u8]) -> Option<Places> {
    let start = &document[..document.len().min(1024)];
    let has = |word: &[u8]| {
        start
            .windows(word.len())
            .any(|part| part.eq_ignore_ascii_case(word))
    };
    let (what, places) = if start.trim_ascii_start().starts_with(b"{") {
        ("JSON", json::places(document))
    } else if path.ends_with(".xspf") {
        ("XSPF", playlist::xspf(document))
    } else if has(b"<html") {
        return page::places(document);
    } else {
        ("XML", xml::places(document))
    };
    if places.is_none() {
        tracing::warn!(
            path,
            "the upstream's {what} cannot be read: our listeners are not in it"
        );
    }
    places
}

/// A list of listeners.
fn list(ask: &Ask<'_>, document: &[u8]) -> Option<Vec<u8>> {
    let Ask {
        server, upstream, ..
    } = ask;
    let own = upstream.agent();
    // Who has a shadow is on the upstream's list already.
    let counted = server.door.shadows.counted();
    let visits = |mount: &str| {
        let station = station(server, mount);
        let visits = station.map(|station| server.audience.of(&station.path));
        let mut visits = visits.unwrap_or_default();
        visits.sort_by_key(|visit| visit.id);
        visits
    };
    let rows = |mount: &str| -> Vec<Row> {
        let visits = visits(mount).into_iter();
        let only_ours = visits.filter(|visit| !counted.contains_key(&visit.id));
        only_ours.map(|visit| row(&visit)).collect()
    };
    let shadows = |mount: &str| -> Vec<Seen> {
        let visits = visits(mount).into_iter();
        let seen = visits.filter_map(|visit| {
            let at = (*counted.get(&visit.id)?)?.to_string();
            let Row { address, agent, .. } = row(&visit);
            Some(Seen { at, agent, address })
        });
        seen.collect()
    };
    let change = Change {
        own: &|agent| agent == own,
        shadows: &shadows,
        rows: &rows,
    };
    let page = document
        .windows(5)
        .take(1024)
        .any(|part| part.eq_ignore_ascii_case(b"<html"));
    let changed = if page {
        page::clients(document, &change)
    } else {
        clients::overlay(document, &change)
    };
    if changed.is_none() {
        tracing::warn!(
            path = ask.target.path,
            "the upstream's list of listeners cannot be read: ours are not in it"
        );
    }
    changed
}

fn row(visit: &Visit) -> Row {
    let connected = SystemTime::now()
        .duration_since(visit.since)
        .unwrap_or_default();
    Row {
        id: visit.id,
        address: visit.address.to_canonical().to_string(),
        agent: visit.asked.agent.to_string(),
        connected: connected.as_secs(),
        ..Row::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_lists_listeners_is_changed() {
        for (path, subject) in [
            ("/", Some(Subject::Counts)),
            ("/status-json.xsl", Some(Subject::Counts)),
            ("/admin/stats", Some(Subject::Counts)),
            ("/admin/stats.xml", Some(Subject::Counts)),
            ("/admin/", Some(Subject::Counts)),
            ("/admin/listclients.xsl", Some(Subject::Clients)),
            ("/admin/killclient", Some(Subject::Kill)),
            ("/live.mp3.m3u", Some(Subject::Playlist)),
            ("/admin/metadata", None),
            ("/admin/killsource", None),
            ("/admin/manageauth.xsl", None),
            ("/live.mp3", None),
            ("/style.css", None),
        ] {
            assert_eq!(Subject::of(Method::Get, path), subject, "{path}");
        }
        assert_eq!(Subject::of(Method::Other("POST"), "/admin/stats"), None);
        assert_eq!(
            Subject::of(Method::Other("POST"), "/admin/moveclients"),
            Some(Subject::Move)
        );
    }
}
