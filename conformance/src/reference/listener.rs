//! Answers to listeners: the head, and the body until the epoch, the connection or the patience ends.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::ask::Ask;
use super::head::{Refused, RequestHead};
use super::mount::{Mount, Seat, State};
use super::players::{self, Player};
use super::serve::{Client, House, finish, reason, refuse, say};
use super::timeline::{Decision, Run, Start, Then};
use super::{feed, names, pull, scan};
use crate::frame::MEDIA_TYPE;
use crate::http::basic;
use crate::icy;

/// A request ahead of the edge is held so long (R-AHEAD-1).
const HOLD: Duration = Duration::from_secs(10);
/// One for a mount that has nothing to start with, so long (R-JOIN-5).
const PATIENCE: Duration = Duration::from_secs(4);
/// Bytes of audio between two ICY blocks.
pub(crate) const METAINT: usize = 16_000;
/// Bytes that are sent at once.
const PIECE: usize = 16 * 1024;
/// Earlier titles that a first block names (R-ICY-5).
const EARLIER: usize = 7;

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
                "Resume-Offset, Icy-MetaData, Range".to_owned(),
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
    if is("needs-resume-offset")
        && !ask.aware
        && head.field("Range").is_none()
        && head.field("Icy-MetaData").is_none()
    {
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
    if is("416-without-range")
        && head.field("Range").is_none()
        && ask.aware
        && ask.max_lag == Some(416.0)
    {
        return refuse(&mut client, &version, Refused(416, "No.\n".to_owned())).await;
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
        } else if is("unknown-session-is-400") && !mount.lock().sessions.contains_key(session) {
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
        match players::read(house, mount, head) {
            Player::Stock => {}
            player => return players::answer(house, mount, head, player, client).await,
        }
    }
    let other = match &ask.from {
        super::ask::From::At(epoch, _) if is("positions-of-other-mounts") => house.anywhere(epoch),
        _ => None,
    };
    let mount = other.as_ref().unwrap_or(mount);
    let start = match decide(house, mount, &ask, feed).await {
        Ok(start) => start,
        Err(status) => {
            return refuse_with_window(house, mount, &mut client, &version, status).await;
        }
    };
    if feed {
        return feed::answer(house, mount, head, client, start).await;
    }
    let icy = head.field("Icy-MetaData") == Some("1");
    let metaint = (icy
        && (scan::takes_icy(&mount.lock().timeline.content_type) || is("icy-in-ogg")))
    .then_some(METAINT);
    let answer = Answer {
        status: 200,
        metaint,
        ..Answer::default()
    };
    send(house, mount, head, client, &ask, start, answer).await
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
struct Held<'a>(&'a House);

impl<'a> Held<'a> {
    fn take(house: &'a House) -> Option<Self> {
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

const EXPOSED: &str = "Stream-Offset, Stream-Window, Link, icy-name, icy-metaint, icy-genre, icy-description, icy-url, icy-pub, icy-public, icy-br";

/// `Stream-Window`; nothing while there is nothing.
pub(crate) fn window(house: &House, state: &State) -> Option<String> {
    let run = state.timeline.runs.back()?;
    let same = state
        .timeline
        .runs
        .iter()
        .filter(|one| one.epoch == run.epoch && one.first < one.next());
    let first = same.map(|one| one.first).next().unwrap_or(run.first);
    let rate = match run.rate() {
        None if house.config.is("always-a-rate") => Some(16_000),
        other => other,
    };
    let rate = rate
        .map(|rate| format!(", rate={rate}"))
        .unwrap_or_default();
    Some(format!(
        "first={first}, next={}{rate}, epoch=\"{}\"",
        run.next(),
        names::encode(&run.epoch)
    ))
}

async fn refuse_with_window(
    house: &House,
    mount: &Mount,
    client: &mut Client,
    version: &str,
    status: u16,
) -> io::Result<()> {
    let window = window(house, &mount.lock())
        .filter(|_| !(status == 412 && house.config.is("412-without-window")));
    let fields: Vec<_> = window
        .into_iter()
        .map(|window| ("Stream-Window", window))
        .collect();
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
            name[8..].copy_from_slice(&start.at.to_be_bytes());
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
    body.left = answer.limit.map(|limit| limit.saturating_sub(out));
    body.run(house, mount, &mut client, seat.as_ref()).await?;
    drop(seat);
    if is("reads-second-requests") {
        client.stream.write_all(b"HTTP/1.1 200 OK\r\n\r\n").await?;
    }
    if answer.reset {
        socket2::SockRef::from(&client.stream).set_linger(Some(Duration::ZERO))?;
        return Ok(());
    }
    client.stream.shutdown().await
}

fn write_head(
    house: &House,
    mount: &Mount,
    head: &RequestHead,
    ask: &Ask,
    start: &Start,
    answer: &Answer,
    session: Option<String>,
) -> String {
    let is = |bug: &str| house.config.is(bug);
    let state = mount.lock();
    let version = match &head.version[..] {
        _ if is("always-http-1.0") => "HTTP/1.0",
        version => version,
    };
    let mut out = format!("{version} {} {}\r\n", answer.status, reason(answer.status));
    let mut field = |name: &str, value: &str| out += &format!("{name}: {value}\r\n");
    field(
        "Connection",
        if is("keeps-alive") {
            "keep-alive"
        } else {
            "close"
        },
    );
    field("Content-Type", &state.timeline.content_type);
    if !is("may-be-stored") {
        field("Cache-Control", "no-cache, no-store");
    }
    let quiet = answer.anchored
        && answer.metaint.is_none()
        && answer.going_on.is_none()
        && !is("icy-fields-for-all");
    for (name, value) in state.fields.iter().filter(|_| !quiet) {
        field(name, value);
    }
    if let Some(metaint) = answer.metaint {
        field("icy-metaint", &metaint.to_string());
    }
    for (name, value) in &answer.fields {
        field(name, value);
    }
    if state.stock {
        return out + "\r\n";
    }
    field("Access-Control-Allow-Origin", "*");
    field("Access-Control-Expose-Headers", EXPOSED);
    let epoch = state
        .timeline
        .run(start.run)
        .map(|run| names::encode(&run.epoch))
        .unwrap_or_default();
    let prelude = start.prelude.len() + answer.owed.len();
    let prelude = if answer.owed.is_empty() {
        prelude
    } else {
        answer.owed.len()
    };
    let mut at = start.at;
    if is("joins-one-off")
        && ask.aware
        && ask.from == super::ask::From::Live
        && answer.metaint.is_none()
    {
        at += 1;
    }
    if is("counts-icy") && ask.aware && answer.metaint.is_some() {
        at += 1;
    }
    let mut place = format!("{at};epoch=\"{epoch}\";prelude={prelude}");
    if let Some(session) = session {
        place += &format!(";session=\"{session}\"");
    }
    if start.spliced {
        place += ";spliced";
    }
    if let Some(lost) = start.lost {
        place += &format!(";lost={lost}");
    }
    if !(is("no-offset-for-the-unaware") && !ask.aware && !answer.anchored) {
        field("Stream-Offset", &place);
    }
    if let Some(window) = window(house, &state)
        .filter(|_| !(is("no-window-for-the-aware") && ask.max_lag == Some(409.0)))
    {
        field("Stream-Window", &window);
    }
    if is("icy-offset") {
        field("icy-offset", &place);
    }
    if is("names-upstream") && house.config.upstream.is_some() {
        field("Stream-Offset", &place);
    }
    let mut links: Vec<String> = house
        .config
        .links
        .iter()
        .map(|link| format!("<{link}{}>; rel=duplicate", mount.path))
        .collect();
    if is("believes-links") {
        links.extend(head.field("Link").map(str::to_owned));
    }
    if !links.is_empty() {
        field("Link", &links.join(", "));
    }
    out + "\r\n"
}

/// A body on its way.
struct Body {
    run: u64,
    at: u64,
    aware: bool,
    anchored: bool,
    /// Octets of body that may still be sent.
    left: Option<u64>,
    icy: Option<Blocks>,
}

/// ICY blocks on their way.
struct Blocks {
    /// Audio before the next one.
    until: usize,
    /// The run and the offset of the latest title that was named.
    named: Option<(u64, u64)>,
    first: bool,
}

enum Step {
    Send(Vec<u8>),
    Wait,
    End,
}

impl Body {
    fn new(house: &House, ask: &Ask, start: &Start, answer: &Answer) -> Self {
        let fresh = answer.metaint.map(|metaint| Blocks {
            until: if house.config.is("phase-is-kept") {
                metaint - usize::try_from(start.at % metaint as u64).unwrap_or(0)
            } else {
                metaint
            },
            named: None,
            first: true,
        });
        let going_on = answer.going_on.map(|(until, named)| Blocks {
            until,
            named: named.map(|at| (start.run, at)),
            first: false,
        });
        Self {
            run: start.run,
            at: start.at,
            aware: ask.aware,
            anchored: answer.anchored,
            left: None,
            icy: fresh.or(going_on),
        }
    }

    async fn run(
        &mut self,
        house: &House,
        mount: &Mount,
        client: &mut Client,
        seat: Option<&Seat>,
    ) -> io::Result<()> {
        let mut changes = mount.watch();
        let mut cuts = mount.watch_cuts();
        let ended = seat.map(|seat| seat.ended.clone());
        let mut behind = [0; 512];
        loop {
            changes.mark_unchanged();
            let step = self.step(house, &mount.lock());
            let act = async {
                match step {
                    Step::End => Ok(false),
                    Step::Send(octets) => client.stream.write_all(&octets).await.map(|()| true),
                    // What a listener says is none of our business, but that it goes is.
                    Step::Wait => tokio::select! {
                        changed = changes.changed() => Ok(changed.is_ok()),
                        read = tokio::io::AsyncReadExt::read(&mut client.stream, &mut behind) => {
                            read.map(|read| read > 0)
                        }
                    },
                }
            };
            let over = async {
                match ended.clone() {
                    Some(mut ended) => {
                        let _ = ended.wait_for(|is| *is).await;
                    }
                    None => std::future::pending().await,
                }
            };
            let goes_on = tokio::select! {
                goes_on = act => goes_on?,
                _ = cuts.changed() => false,
                () = over => false,
            };
            if !goes_on {
                return Ok(());
            }
        }
    }

    fn step(&mut self, house: &House, state: &State) -> Step {
        let is = |bug: &str| house.config.is(bug);
        let Some(run) = state.timeline.run(self.run) else {
            return Step::End;
        };
        if self.left == Some(0) {
            return Step::End;
        }
        if self.at < run.first {
            return Step::End;
        }
        if is("max-lag-on-the-way")
            && self.aware
            && run.next() - self.at > 70_000
            && state.timeline.runs.len() == 1
        {
            self.at = run.next();
        }
        if self.at < run.next() {
            return Step::Send(self.audio(house, run));
        }
        if matches!(run.then, Then::Running | Then::Unknown) {
            return Step::Wait;
        }
        let undeclared = run.then == Then::Undeclared;
        let carried = !self.aware || is("carries-the-aware");
        let stays = undeclared && self.anchored && !is("carries-over-undeclared");
        if !carried || stays || !scan::goes_on(&state.timeline.content_type) || is("carries-nobody")
        {
            return Step::End;
        }
        let Some(next) = state.timeline.after(self.run) else {
            return Step::Wait;
        };
        let Some(entry) = run.target.or(next.entry()) else {
            return Step::Wait;
        };
        self.run = next.id;
        self.at = entry;
        Step::Send(next.scan.prelude(entry).to_vec())
    }

    fn audio(&mut self, house: &House, run: &Run) -> Vec<u8> {
        let held = usize::try_from(run.next() - self.at).unwrap_or(usize::MAX);
        let mut count = held.min(PIECE);
        if let Some(left) = self.left {
            count = count.min(usize::try_from(left).unwrap_or(usize::MAX));
        }
        if let Some(icy) = &mut self.icy {
            if icy.until == 0 {
                icy.until = METAINT;
                return self.block(house, run);
            }
            count = count.min(icy.until);
            icy.until -= count;
        }
        let skip = usize::try_from(self.at - run.first).unwrap_or(usize::MAX);
        let mut out: Vec<u8> = run.bytes.range(skip..).take(count).copied().collect();
        if house.config.is("another-byte-at-relays") && house.config.upstream.is_some() {
            // One byte in 10,000.
            for (index, byte) in out
                .iter_mut()
                .enumerate()
                .filter(|(index, _)| (self.at + *index as u64) % 10_000 == 77)
            {
                *byte ^= u8::try_from(index % 2).unwrap_or(0) | 1;
            }
        }
        self.at += count as u64;
        if let Some(left) = &mut self.left {
            *left = left.saturating_sub(count as u64);
        }
        if house.config.is("more-for-the-unaware")
            && !self.aware
            && self.icy.is_none()
            && !self.anchored
            && self.at.is_multiple_of(3)
        {
            out.push(0);
        }
        out
    }

    fn block(&mut self, house: &House, run: &Run) -> Vec<u8> {
        let Some(icy) = &mut self.icy else {
            return Vec::new();
        };
        let named = icy.named.filter(|(of, _)| *of == run.id).map(|(_, at)| at);
        let (text, latest) = if self.aware {
            aware(house, run, self.at, named, icy.first)
        } else {
            unaware(house, run, self.at, named)
        };
        icy.first = false;
        if let Some(latest) = latest {
            icy.named = Some((run.id, latest));
        }
        icy::block(&text)
    }
}

/// The text of a block for a client that is not aware (R-ICY-7), and the place of the title.
pub(crate) fn unaware(
    house: &House,
    run: &Run,
    at: u64,
    named: Option<u64>,
) -> (Vec<u8>, Option<u64>) {
    match run.title(at) {
        Some((from, text))
            if named.is_none_or(|named| named < *from) || house.config.is("repeats-titles") =>
        {
            (text.clone(), Some(*from))
        }
        _ => (Vec::new(), named),
    }
}

/// The text of a block for an aware client (R-ICY-4 to R-ICY-6), and the latest title in it.
fn aware(
    house: &House,
    run: &Run,
    at: u64,
    named: Option<u64>,
    first: bool,
) -> (Vec<u8>, Option<u64>) {
    let is = |bug: &str| house.config.is(bug);
    let known: Vec<_> = run.titles.iter().filter(|(from, _)| *from <= at).collect();
    let most = if is("only-the-title-in-force") {
        1
    } else {
        EARLIER + 1
    };
    let mut due: Vec<_> = if first {
        known.iter().rev().take(most).copied().collect()
    } else {
        known
            .iter()
            .rev()
            .take_while(|(from, _)| named.is_none_or(|named| *from > named))
            .copied()
            .collect()
    };
    if !first && is("later-blocks-name-one") {
        due.truncate(1);
    }
    let text = |titles: &[&(u64, Vec<u8>)]| -> Vec<u8> {
        let mut out = Vec::new();
        for (from, text) in titles {
            out.extend_from_slice(text);
            if !is("no-stream-at") {
                let from = if is("stream-at-of-the-block") {
                    at
                } else {
                    *from
                };
                out.extend_from_slice(format!("StreamAt='{from}';").as_bytes());
            }
        }
        out
    };
    // A first block leaves the oldest out, a later one the latest.
    while text(&due).len() > 4080 {
        if first {
            due.pop();
        } else {
            due.remove(0);
        }
    }
    let latest = due.first().map(|(from, _)| *from).or(named);
    (text(&due), latest)
}
