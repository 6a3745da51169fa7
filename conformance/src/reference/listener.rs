//! Answers to listeners: the head, and the body until the epoch, the connection or the patience ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::ask::Ask;
use super::body::Body;
use super::decide::{Decision, Start};
use super::families::{self, Player};
use super::head::{Refused, RequestHead};
use super::mount::{Mount, Seat};
use super::players;
use super::serve::{Client, House, finish, refuse, say};
use super::written::{EXPOSED, window, write_head};
use super::{feed, names, proof, pull, scan};
use crate::frame::MEDIA_TYPE;
use crate::http::basic;

/// A request ahead of the edge is held so long (R-AHEAD-1).
pub(crate) const HOLD: Duration = Duration::from_secs(10);
/// One for a mount that has nothing to start with, so long (R-JOIN-5).
const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes of audio between two ICY blocks.
pub(crate) const METAINT: usize = 16_000;

/// Sessions, for the bug that counts them.
static COUNTED: AtomicU64 = AtomicU64::new(1);

/// What is answered to a listener, besides where it starts.
#[derive(Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Fields of stock players.
    pub(crate) fields: Vec<(&'static str, String)>,
    /// Octets that stand before everything else: what is left of a block or a prelude.
    pub(crate) owed: Vec<u8>,
    /// Whether `icy-metaint` is sent, and blocks begin to be counted.
    pub(crate) metaint: Option<usize>,
    /// In the midst of a body with blocks: audio before the next one, and the title named last.
    pub(crate) going_on: Option<(usize, Option<u64>)>,
    /// Octets of body, at most.
    pub(crate) limit: Option<u64>,
    /// Whether it ends at an undeclared splice.
    pub(crate) anchored: bool,
    /// Whether it ends with RST.
    pub(crate) reset: bool,
    /// `Stream-Proof`
    pub(crate) proof: Option<String>,
}

/// Answers a request for a mount.
pub(crate) async fn answer(
    house: &Arc<House>,
    mount: &Arc<Mount>,
    head: &RequestHead,
    mut client: Client,
) -> io::Result<()> {
    let version = head.version.clone();
    let is = |bug: &str| house.config.is(bug);
    if head.method == "OPTIONS" {
        let fields = [
            (
                "Access-Control-Allow-Methods",
                "GET, HEAD, OPTIONS".to_owned(),
            ),
            (
                "Access-Control-Allow-Headers",
                "Resume-Offset, Resume-Anchor, Icy-MetaData, Range".to_owned(),
            ),
            ("Access-Control-Expose-Headers", EXPOSED.to_owned()),
            ("Access-Control-Max-Age", "86400".to_owned()),
        ];
        return say(&mut client, &version, 204, &fields, "", false).await;
    }
    let told = mount.lock().status;
    if let Some(status) = told {
        return refuse(
            &mut client,
            &version,
            Refused(status, "As the suite says.\n".to_owned()),
        )
        .await;
    }
    let ask = if mount.lock().stock {
        Ok(Ask::nothing())
    } else {
        Ask::read(head, house.config.bug)
    };
    let ask = match ask {
        Ok(ask) => ask,
        Err(refused) => return refuse(&mut client, &version, refused).await,
    };
    let evidence = match proof::read(head, &ask, house.config.bug) {
        Ok(evidence) => evidence,
        Err(refused) => return refuse(&mut client, &version, refused).await,
    };
    let plain = !ask.aware && head.field("Range").is_none() && head.field("Icy-MetaData").is_none();
    if is("needs-resume-offset") && plain && head.query.is_none() {
        return refuse(
            &mut client,
            &version,
            Refused(400, "Resume-Offset is missing.\n".to_owned()),
        )
        .await;
    }
    if let Some((path, who)) = &house.config.protected
        && *path == mount.path
        && head.field("Authorization") != Some(&basic(who))
        && !(is("positions-admit")
            && head
                .field("Resume-Offset")
                .is_some_and(|value| value.contains("epoch")))
    {
        let field = [("WWW-Authenticate", "Basic realm=\"listeners\"".to_owned())];
        return say(
            &mut client,
            &version,
            401,
            &field,
            "Not without a password.\n",
            true,
        )
        .await;
    }
    let feed = !mount.lock().stock && head.names("Accept", MEDIA_TYPE);
    // Without a position a feed begins with the oldest byte (R-FEED-8).
    let ask = if feed && ask == Ask::nothing() {
        pull::oldest()
    } else {
        ask
    };
    if let Some(session) = &ask.session {
        if is("closes-no-session") {
            // Both go on.
        } else if is("unknown-session-is-400") && is_strange(mount, &ask, session) {
            return refuse(
                &mut client,
                &version,
                Refused(400, "No such session.\n".to_owned()),
            )
            .await;
        } else {
            mount.succeed(session).await;
        }
    }
    let stock = mount.lock().stock;
    if !stock && !ask.aware && !feed {
        match families::read(house, head) {
            Player::Stock => {}
            player => return players::answer(house, mount, head, player, client).await,
        }
    }
    let other = match &ask.from {
        super::ask::From::At(epoch, _) if is("positions-of-other-mounts") => house.anywhere(epoch),
        _ => None,
    };
    let other = match &evidence {
        Some(evidence) if is("evidence-of-any-mount") => proof::anywhere(house, evidence).or(other),
        _ => other,
    };
    let mount = other.as_ref().unwrap_or(mount);
    let proved = match proof::prove(house, mount, ask, evidence.as_ref()).await {
        Ok(proved) => proved,
        Err((status, proof)) => {
            return refuse_with_window(house, mount, &mut client, &version, status, proof).await;
        }
    };
    let (ask, mut proof) = (proved.ask, proved.proof);
    let start = match decide(house, mount, &ask, feed).await {
        Ok(start) => start,
        Err(status) => {
            let status = match status {
                412 if is("416-without-range") && head.method == "HEAD" => 416,
                other => other,
            };
            return refuse_with_window(house, mount, &mut client, &version, status, proof).await;
        }
    };
    // The byte may have left the window since, or be older than `max-lag` allows.
    if start.lost.is_some() && proof.as_deref() == Some("anchor") {
        proof = proof::none(house, "unknown");
    }
    if feed {
        return feed::answer(house, mount, head, client, start, proof).await;
    }
    let icy = head.field("Icy-MetaData") == Some("1");
    let metaint = (icy
        && (scan::takes_icy(&mount.lock().timeline.content_type) || is("icy-in-ogg")))
    .then_some(METAINT);
    let answer = Answer {
        status: 200,
        metaint,
        proof,
        ..Answer::default()
    };
    send(house, mount, head, client, &ask, start, answer).await
}

/// Whether a session is unknown at a mount that knows the position: for the bug that minds.
fn is_strange(mount: &Mount, ask: &Ask, session: &str) -> bool {
    let state = mount.lock();
    let super::ask::From::At(epoch, _) = &ask.from else {
        return false;
    };
    let known = state.timeline.runs.iter().any(|run| run.epoch == *epoch);
    known && !state.sessions.contains_key(session)
}

/// Decides, and waits while that may help.
pub(crate) async fn decide(
    house: &House,
    mount: &Mount,
    ask: &Ask,
    feed: bool,
) -> Result<Start, u16> {
    let mut changes = mount.watch();
    let began = Instant::now();
    let mut held = None;
    loop {
        let decision = mount.lock().timeline.decide(ask, feed);
        let status = match decision {
            Decision::Start(start) => return Ok(start),
            Decision::Refuse(status) => return Err(status),
            Decision::Hold(status) => status,
        };
        if held.is_none() {
            held = Some(Held::take(house).ok_or(503_u16)?);
        }
        let patience = match status {
            503 => PATIENCE,
            _ if house.config.is("holds-for-3-seconds") => Duration::from_secs(3),
            _ => HOLD,
        };
        if timeout_at(began + patience, changes.changed())
            .await
            .is_err()
        {
            return Err(if status == 412 && house.config.is("held-is-503") {
                503
            } else {
                status
            });
        }
    }
}

/// A place among the requests that are held (R-SEC-2).
pub(crate) struct Held<'a>(&'a House);

impl<'a> Held<'a> {
    pub(crate) fn take(house: &'a House) -> Option<Self> {
        let before = house.held.fetch_add(1, Ordering::AcqRel);
        let held = Self(house);
        (before < house.config.held || house.config.is("holds-everybody")).then_some(held)
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.0.held.fetch_sub(1, Ordering::AcqRel);
    }
}

async fn refuse_with_window(
    house: &House,
    mount: &Mount,
    client: &mut Client,
    version: &str,
    status: u16,
    proof: Option<String>,
) -> io::Result<()> {
    let window = window(house, &mount.lock())
        .filter(|_| !(status == 412 && house.config.is("412-without-window")));
    let window = window.map(|window| ("Stream-Window", window));
    let proof = proof.map(|proof| ("Stream-Proof", proof));
    let fields: Vec<_> = window.into_iter().chain(proof).collect();
    say(
        client,
        version,
        status,
        &fields,
        "That byte cannot be given.\n",
        true,
    )
    .await
}

/// Writes the head and the body.
pub(crate) async fn send(
    house: &Arc<House>,
    mount: &Arc<Mount>,
    head: &RequestHead,
    mut client: Client,
    ask: &Ask,
    start: Start,
    answer: Answer,
) -> io::Result<()> {
    let is = |bug: &str| house.config.is(bug);
    let get = head.method == "GET";
    let named = if get {
        ask.aware || is("sessions-for-all")
    } else {
        is("session-on-head")
    };
    let session = named.then(|| match house.config.bug {
        Some("sessions-by-counter") => {
            let mut name = [0; 16];
            name[8..].copy_from_slice(&COUNTED.fetch_add(1, Ordering::Relaxed).to_be_bytes());
            names::encode(&name)
        }
        Some("session-with-unused-bits") => {
            let name = names::encode(&names::random::<16>());
            format!("{}B", &name[..21])
        }
        _ => names::encode(&names::random::<16>()),
    });
    let seat = match session.clone() {
        Some(session) if get => Some(Seat::take(mount, session)),
        _ => None,
    };
    let mut octets = write_head(
        house,
        mount,
        head,
        ask,
        &start,
        &answer,
        session.filter(|_| !is("no-session")),
    )
    .into_bytes();
    if !get {
        if is("bodies-for-head") {
            octets.extend_from_slice(b"body");
        }
        client.stream.write_all(&octets).await?;
        return finish(&mut client).await;
    }
    octets.extend_from_slice(&answer.owed);
    let mut out = answer.owed.len() as u64;
    if answer.going_on.is_none() || answer.owed.is_empty() {
        octets.extend_from_slice(&start.prelude);
        out += start.prelude.len() as u64;
    }
    client.stream.write_all(&octets).await?;
    let mut body = Body::new(house, ask, &start, &answer);
    body.limit(answer.limit.map(|limit| limit.saturating_sub(out)));
    if is("misses-one-off") && start.lost.is_some() {
        body.skip(1);
    }
    let second = !client.ahead.is_empty();
    body.run(house, mount, &mut client, seat.as_ref()).await?;
    drop(seat);
    if is("reads-second-requests") && second {
        client.stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    }
    if answer.reset {
        socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO))?;
        return Ok(());
    }
    client.stream.shutdown().await
}
