//! What an administrator does to listeners. The upstream judges the credentials first: nothing is done without its 200.

use std::sync::Arc;
use std::time::Duration;

use icecast_ext_core::field::Resume;
use icecast_ext_core::head::Method;

use super::query::{Query, Twice};
use super::{Ask, Outcome, Subject, fetch, fetch_and_change, station};
use crate::answer::Answer;
use crate::audience::FIRST_ID;
use crate::station::{Station, Supply};

/// A mount that listeners are to go on at has to have bytes by then.
const DESTINATION: Duration = Duration::from_secs(5);

impl From<Twice> for Outcome {
    fn from(_: Twice) -> Self {
        Self::Refused(Answer::new(
            400,
            "a parameter is there twice: say it once\n",
        ))
    }
}

fn path<'a>(ask: &Ask<'a>) -> &'a str {
    ask.request.target.split('?').next().unwrap_or_default()
}

/// `killclient`: the upstream's own listeners by their ids, ours by theirs.
pub(super) async fn kill(ask: &Ask<'_>) -> Outcome {
    let query = Query::new(ask.target.query);
    let asked = query.get("id").and_then(|id| Ok((id, query.get("mount")?)));
    let (id, mount) = match asked {
        Ok((Some(id), Some(mount))) => (id, mount),
        Ok(_) => return fetch_and_change(ask, Subject::Counts, ask.request.target).await,
        Err(twice) => return twice.into(),
    };
    let ours = id.trim().parse::<u64>().ok().filter(|id| *id >= FIRST_ID);
    let Some(id) = ours.filter(|_| ask.request.method == Method::Get) else {
        return match fetch::ask(ask.upstream, ask.request, ask.request.target, ask.caller).await {
            Ok(reply) => Outcome::AsIs(reply),
            Err(error) => error.into(),
        };
    };
    // Icecast reads an id into 32 bits, and ours could become one of its own there. Nobody has this one.
    let target = format!("{}?{}", path(ask), query.with("id", Some("-1")));
    let mut reply = match fetch::ask(ask.upstream, ask.request, &target, ask.caller).await {
        Ok(reply) => reply,
        Err(error) => return error.into(),
    };
    if reply.head.status() != Some(200) {
        return Outcome::AsIs(reply);
    }
    let Some(document) = reply.document().await else {
        return Outcome::AsIs(reply);
    };
    let station = station(ask.server, &mount);
    let listens = station.filter(|station| {
        let visits = ask.server.audience.of(&station.path);
        visits.iter().any(|visit| visit.id == id)
    });
    if let Some(station) = &listens {
        tracing::info!(address = %ask.caller.address, mount = station.path, id, "a listener is told to go");
        ask.server.engine.kick(&station.mount, id);
    }
    Outcome::Changed(reply.head, Some(verdict(&document, id, listens.is_some())))
}

/// The upstream has not found its client -1: what it says of ours.
fn verdict(document: &[u8], id: u64, removed: bool) -> Vec<u8> {
    let Ok(text) = std::str::from_utf8(document) else {
        return document.to_vec();
    };
    let Some((before, rest)) = text.split_once("Client ") else {
        return document.to_vec();
    };
    let Some((_, after)) = rest.split_once(" not found") else {
        return document.to_vec();
    };
    let (done, after) = if removed {
        let after = after.replacen("<return>0<", "<return>1<", 1).replacen(
            "Return Code: 0<",
            "Return Code: 1<",
            1,
        );
        ("removed", after)
    } else {
        ("not found", after.to_owned())
    };
    format!("{before}Client {id} {done}{after}").into_bytes()
}

/// `moveclients`: the upstream moves its listeners, and we ours. Our pull is a listener there, too: it is closed before, or
/// it would be sent the other mount's bytes in the middle of an epoch of this one.
pub(super) async fn carry(ask: &Ask<'_>) -> Outcome {
    if ask.request.method != Method::Get {
        return Outcome::Refused(Answer::new(405, "say it with GET\n").field("Allow", "GET"));
    }
    let query = Query::new(ask.target.query);
    let asked = query
        .get("mount")
        .and_then(|mount| Ok((mount, query.get("destination")?)));
    let (mount, destination) = match asked {
        Ok((Some(mount), Some(destination))) => (mount, destination),
        // A list of where to.
        Ok((_, None)) => return fetch_and_change(ask, Subject::Counts, ask.request.target).await,
        Ok((None, Some(_))) => {
            return Outcome::Refused(Answer::new(
                400,
                "name the mount whose listeners are to move\n",
            ));
        }
        Err(twice) => return twice.into(),
    };
    let whole = || fetch::ask(ask.upstream, ask.request, ask.request.target, ask.caller);
    // To itself, the upstream moves nobody.
    let from = station(ask.server, &mount).filter(|_| mount != destination);
    let Some(from) = from else {
        return match whole().await {
            Ok(reply) => Outcome::AsIs(reply),
            Err(error) => error.into(),
        };
    };
    // Without a destination it is a list, and needs the same credentials.
    let proof = format!("{}?{}", path(ask), query.with("destination", None));
    match fetch::ask(ask.upstream, ask.request, &proof, ask.caller).await {
        Ok(reply) if reply.head.status() == Some(200) => {}
        Ok(reply) => return Outcome::AsIs(reply),
        Err(error) => return error.into(),
    }
    let to = live(ask, &destination).await;
    let (reply, body) = {
        let _closed = from.gate.close().await;
        match whole().await {
            Err(error) => return error.into(),
            Ok(mut reply) => {
                let body = reply.document().await;
                (reply, body)
            }
        }
    };
    let moved = |body: &[u8]| {
        let text = String::from_utf8_lossy(body);
        text.contains("Clients moved") || text.contains("<return>1<")
    };
    let Some(body) = body else {
        return Outcome::AsIs(reply);
    };
    if reply.head.status() == Some(200) && moved(&body) {
        let listeners = from.mount.listeners().total();
        match &to {
            Some(to) => {
                tracing::info!(address = %ask.caller.address, mount = from.path, to = to.path, listeners, "listeners go on at another mount");
                let audience = ask.server.audience.clone();
                let path: Arc<str> = to.path.as_str().into();
                let (door, to) = (ask.server.door.clone(), to.clone());
                let (mount, left) = (to.mount.clone(), from.clone());
                ask.server.engine.carry(&from.mount, &mount, move |id| {
                    if let Some(join) = audience.moved(id, &path) {
                        left.anchors().set(join, None);
                    }
                    door.moved(id, &to);
                });
            }
            None if listeners > 0 => {
                tracing::warn!(
                    mount = from.path,
                    to = destination,
                    listeners,
                    "the upstream has moved its listeners; ours stay: the destination is not fanned out"
                );
            }
            None => {}
        }
    }
    Outcome::Changed(reply.head, Some(body))
}

/// The station of a mount that listeners could go on at.
async fn live(ask: &Ask<'_>, mount: &str) -> Option<Arc<Station>> {
    let (station, _) = ask.server.find(mount).await.ok()??;
    let ready = async {
        // Bytes alone are not enough: who is moved starts where a new listener could.
        while station.settled().await != Supply::Live || station.mount.start(&Resume::LIVE).is_err()
        {
            if matches!(station.supply(), Supply::NoSource | Supply::Refused) {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    };
    let ready = tokio::time::timeout(DESTINATION, ready)
        .await
        .unwrap_or(false);
    ready.then_some(station)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_reads_as_icecasts_own() {
        let xml = b"<?xml version=\"1.0\"?>\n<iceresponse><message>Client -1 not found</message><return>0</return></iceresponse>\n";
        let text = |removed| String::from_utf8(verdict(xml, 1_000_000_007, removed)).unwrap();
        assert_eq!(
            text(true),
            "<?xml version=\"1.0\"?>\n<iceresponse><message>Client 1000000007 removed</message><return>1</return></iceresponse>\n"
        );
        assert_eq!(
            text(false),
            "<?xml version=\"1.0\"?>\n<iceresponse><message>Client 1000000007 not found</message><return>0</return></iceresponse>\n"
        );
        let page = verdict(
            b"<p>Message: Client -1 not found</p>\n<p>Return Code: 0</p>",
            1_000_000_007,
            true,
        );
        assert_eq!(
            page,
            b"<p>Message: Client 1000000007 removed</p>\n<p>Return Code: 1</p>"
        );
        assert_eq!(verdict(b"\xff", 1, true), b"\xff");
    }
}
