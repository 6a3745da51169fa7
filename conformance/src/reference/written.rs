//! Heads of answers to listeners, as they are written.

use super::ask::Ask;
use super::decide::Start;
use super::head::RequestHead;
use super::listener::Answer;
use super::mount::{Mount, State};
use super::names;
use super::serve::{House, reason};

/// What pages of other origins may read (R-HTTP-10).
pub(crate) const EXPOSED: &str = "Stream-Offset, Stream-Window, Stream-Proof, Link, icy-name, icy-metaint, icy-genre, icy-description, icy-url, icy-pub, icy-public, icy-br";

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

pub(crate) fn write_head(
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
    let always = is("always-mpeg").then_some("audio/mpeg");
    field(
        "Content-Type",
        always.unwrap_or(&state.timeline.content_type),
    );
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
    // At the mount of the target alone: others are joined to judge something else.
    let join = ask.aware && ask.from == super::ask::From::Live && answer.metaint.is_none();
    if is("joins-one-off") && join && !mount.path.contains('-') {
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
    if let Some(window) =
        window(house, &state).filter(|_| ask.aware || !is("no-window-for-the-unaware"))
    {
        field("Stream-Window", &window);
    }
    if let Some(proof) = &answer.proof {
        field("Stream-Proof", proof);
    }
    if is("icy-offset") && !answer.anchored {
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
