//! Stock players that resume by `Range`: who they are, and what they are answered (the chapter "Stock players", level `ranges`).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::time::{Instant, timeout_at};

use super::ask::Ask;
use super::decide::Start;
use super::head::{Refused, RequestHead};
use super::listener::{self, Answer, METAINT};
use super::mount::Mount;
use super::place::{Anchor, Place, find};
use super::serve::{Client, House, finish, reason, refuse, say};
use super::timeline::Then;
use super::{names, scan};

/// How long a live stream is said to be.
pub(crate) const TOTAL: u64 = 1_000_000_000_000;
/// The end of a file that there is not (R-STOCK-18).
const TAIL: u64 = 1 << 20;
/// Requests for what has not come are held so long (R-STOCK-12).
const HOLD: Duration = Duration::from_secs(10);

/// How an anchor travels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Carrier {
    Cookie,
    Url,
    Named,
}

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum Player {
    /// One of no family.
    Stock,
    /// One that resumes.
    Known {
        carrier: Carrier,
        reset: bool,
        first: u64,
        last: Option<u64>,
        icy: bool,
        counts_on: bool,
    },
}

/// `bytes=A-` or `bytes=A-B`.
fn range(head: &RequestHead) -> Option<(u64, Option<u64>)> {
    let (first, last) = head
        .field("Range")?
        .strip_prefix("bytes=")?
        .split_once('-')?;
    let number = |text: &str| {
        text.parse::<u64>()
            .ok()
            .filter(|_| text.bytes().all(|c| c.is_ascii_digit()))
    };
    let last = if last.is_empty() {
        None
    } else {
        Some(number(last)?)
    };
    let first = number(first)?;
    last.is_none_or(|last| last >= first)
        .then_some((first, last))
}

fn token(head: &RequestHead) -> Option<&str> {
    head.query
        .as_deref()?
        .split('&')
        .find_map(|part| part.strip_prefix("_anchor="))
}

/// Recognises a player (the table "Families").
pub(crate) fn read(house: &House, _: &Mount, head: &RequestHead) -> Player {
    let agent = head.field("User-Agent").unwrap_or_default();
    let range = range(head);
    let icy = head.field("Icy-MetaData") == Some("1");
    let named = |name: &str| agent.contains(name);
    let dest = head.field("Sec-Fetch-Dest");
    let accepts = |name: &str, start: &str| {
        head.field(name)
            .is_some_and(|value| value.starts_with(start))
    };
    let media = match dest {
        Some(dest) => matches!(dest, "audio" | "video"),
        None => {
            accepts("Accept-Encoding", "identity;q=1")
                || accepts("Accept", "audio/")
                || accepts("Accept", "video/")
        }
    };
    let (carrier, reset, counts_on) = match range {
        Some((0, Some(1))) => return Player::Stock,
        _ if named("GStreamer") => (Carrier::Url, true, true),
        _ if named("Wget/") => (Carrier::Url, true, false),
        Some(_) if icy || agent.starts_with("Lavf/") || named("libmpv") => {
            (Carrier::Cookie, false, false)
        }
        Some(_) if named("VLC/") => (Carrier::Url, false, false),
        Some(_) if media && named("Firefox/") => (Carrier::Url, false, false),
        Some(_) if media && named("Chrome/") => (Carrier::Url, true, false),
        Some(_) if named("curl/") => (Carrier::Named, false, false),
        _ if token(head).is_some() => (Carrier::Url, false, false),
        Some((first, _)) if first > 0 => (Carrier::Named, false, false),
        _ if house.config.is("ranges-for-everybody") => (Carrier::Named, false, false),
        _ => return Player::Stock,
    };
    let carrier = if house.config.is("cookies-for-all") {
        Carrier::Cookie
    } else {
        carrier
    };
    let (first, last) = range.unwrap_or((0, None));
    Player::Known {
        carrier,
        reset,
        first,
        last,
        icy,
        counts_on,
    }
}

/// The anchors that a request brings: that of the URL, then those of cookies.
fn anchors(house: &House, head: &RequestHead) -> (Option<Anchor>, Vec<Anchor>) {
    let decode = |token: &str| match house.config.is("any-checksum") {
        true => names::octets(token).and_then(|octets| Anchor::unchecked(&octets)),
        false => Anchor::decode(token),
    };
    let url = token(head).and_then(decode);
    let lines = head
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("cookie"));
    let cookies = lines
        .flat_map(|(_, line)| line.split(';'))
        .filter_map(|one| {
            let (name, token) = one.trim().split_once('=')?;
            let join = name.strip_prefix("icx-")?;
            decode(token).filter(|anchor| anchor.name() == join)
        });
    (url, cookies.take(8).collect())
}

/// The latest anchor of each join of which byte N is not before.
fn latest(
    url: Option<Anchor>,
    cookies: Vec<Anchor>,
    head: &RequestHead,
    n: u64,
    mixes: bool,
) -> Vec<Anchor> {
    let mut all = cookies;
    if let Some(url) = url {
        all.retain(|anchor| anchor.join == url.join || mixes);
        all.push(url);
    }
    for name in ["If-Range", "If-Match"] {
        if let Some(tag) = head.field(name) {
            all.retain(|anchor| tag.contains(&anchor.name()));
        }
    }
    let mut out: Vec<Anchor> = Vec::new();
    for anchor in all {
        let fits = anchor.body <= n || anchor.body < 70_000 && anchor.metaint == 0;
        match out.iter_mut().find(|one| one.join == anchor.join) {
            _ if !fits => {}
            Some(one) if one.body < anchor.body => *one = anchor,
            Some(_) => {}
            None => out.push(anchor),
        }
    }
    out
}

/// Answers a player.
pub(crate) async fn answer(
    house: &Arc<House>,
    mount: &Arc<Mount>,
    head: &RequestHead,
    player: Player,
    mut client: Client,
) -> io::Result<()> {
    let Player::Known {
        carrier,
        reset,
        first,
        last,
        icy,
        counts_on,
    } = player
    else {
        return Ok(());
    };
    let is = |bug: &str| house.config.is(bug);
    if first >= TOTAL {
        return refuse(
            &mut client,
            &head.version,
            Refused(416, "So far no stream goes.\n".to_owned()),
        )
        .await;
    }
    if first >= TOTAL - TAIL && !is("live-at-the-end") {
        return zeros(
            head,
            client,
            first,
            last.unwrap_or(TOTAL - 1).min(TOTAL - 1),
        )
        .await;
    }
    let elsewhere = match is("anchors-of-other-mounts") {
        true => anchors(house, head)
            .1
            .first()
            .and_then(|anchor| house.anywhere(&anchor.epoch)),
        false => None,
    };
    let mount = elsewhere.as_ref().unwrap_or(mount);
    let icy = icy && scan::takes_icy(&mount.lock().timeline.content_type);
    let metaint = if icy { METAINT as u64 } else { 0 };
    let (url, cookies) = anchors(house, head);
    let mut answer = Answer {
        anchored: true,
        reset: reset && !is("never-resets"),
        ..Answer::default()
    };
    let sends = |anchor: &Anchor| match carrier {
        Carrier::Cookie => {
            let path = if is("cookies-for-every-path") {
                "/"
            } else {
                &mount.path
            };
            let join = if is("one-cookie-for-all") {
                "AAAAAAAA".to_owned()
            } else {
                anchor.name()
            };
            vec![(
                "Set-Cookie",
                format!("icx-{join}={}; Path={path}", anchor.encode()),
            )]
        }
        Carrier::Named => vec![("Content-Location", link(head, anchor))],
        Carrier::Url => Vec::new(),
    };
    let place;
    let mut anchor;
    if first == 0 {
        let again = match carrier {
            Carrier::Url => url,
            _ if is("joins-anew-each-time") => None,
            _ => cookies
                .iter()
                .find(|anchor| begun_lately(mount, anchor))
                .copied(),
        };
        let known = again.and_then(|anchor| held(mount, &anchor, 0).map(|place| (anchor, place)));
        (anchor, place) = match known {
            Some(known) => known,
            None => match join(house, mount, metaint, None, 0).await {
                Ok(new) => new,
                Err(status) => {
                    return refuse(
                        &mut client,
                        &head.version,
                        Refused(status, "Nothing to start with.\n".to_owned()),
                    )
                    .await;
                }
            },
        };
        if carrier == Carrier::Url && url.is_none() && !is("no-redirect") {
            return redirect(house, head, client, &anchor).await;
        }
        answer.fields = sends(&anchor);
        answer.metaint = (anchor.metaint > 0).then_some(METAINT);
    } else {
        let anchors = latest(url, cookies, head, first, is("mixes-joins"));
        let found = match resumed(house, mount, &anchors, first).await {
            Some(found) => Some(found),
            None if carrier == Carrier::Url && url.is_none() => {
                match join(house, mount, metaint, None, first).await {
                    Ok((anchor, _)) => return redirect(house, head, client, &anchor).await,
                    Err(_) => None,
                }
            }
            None => None,
        };
        match found {
            Some((found, at)) => {
                (anchor, place) = (found, at);
                if let Some((until, named)) = place.icy {
                    if place.owed.is_empty() && !counts_on && !is("keeps-the-phase") {
                        answer.metaint = Some(METAINT);
                        anchor = Anchor {
                            body: first,
                            offset: place.at,
                            ..anchor
                        };
                    } else {
                        answer.going_on = Some((usize::try_from(until).unwrap_or(METAINT), named));
                    }
                }
                answer.fields = sends(&anchor);
            }
            None if is("416-for-what-is-gone") => {
                return refuse(
                    &mut client,
                    &head.version,
                    Refused(416, "It has gone.\n".to_owned()),
                )
                .await;
            }
            None => {
                let join_of = anchors.first().map(|anchor| anchor.join);
                (anchor, place) = match join(house, mount, metaint, join_of, first).await {
                    Ok(new) => new,
                    Err(status) => {
                        return refuse(
                            &mut client,
                            &head.version,
                            Refused(status, "Nothing.\n".to_owned()),
                        )
                        .await;
                    }
                };
                answer.metaint = (anchor.metaint > 0).then_some(METAINT);
                let cookie = format!(
                    "icx-{}={}; Path={}",
                    anchor.name(),
                    anchor.encode(),
                    mount.path
                );
                answer.fields = vec![("Set-Cookie", cookie)];
            }
        }
    }
    let whole = first == 0 && last.is_none() || is("always-200");
    answer.status = if whole { 200 } else { 206 };
    let last_byte = last.unwrap_or(TOTAL - 1).min(TOTAL - 1);
    if !whole {
        let total = if is("total-unknown") {
            "*".to_owned()
        } else {
            TOTAL.to_string()
        };
        answer.fields.push((
            "Content-Range",
            format!("bytes {first}-{last_byte}/{total}"),
        ));
        if last_byte < TOTAL - 1 {
            answer.limit = Some(last_byte - first + 1);
            answer
                .fields
                .push(("Content-Length", (last_byte - first + 1).to_string()));
        }
    }
    answer.fields.push(("Accept-Ranges", "bytes".to_owned()));
    if !is("no-etag") {
        answer
            .fields
            .push(("ETag", format!("\"{}\"", anchor.name())));
    }
    let start = Start {
        run: place.run,
        at: place.at,
        prelude: Vec::new(),
        spliced: false,
        lost: None,
    };
    answer.owed = place.owed;
    listener::send(house, mount, head, client, &Ask::nothing(), start, answer).await
}

fn link(head: &RequestHead, anchor: &Anchor) -> String {
    let rest = head.query.as_deref().and_then(super::ask::rest);
    let rest = rest.map(|rest| format!("{rest}&")).unwrap_or_default();
    format!("{}?{rest}_anchor={}", head.path, anchor.encode())
}

async fn redirect(
    house: &House,
    head: &RequestHead,
    mut client: Client,
    anchor: &Anchor,
) -> io::Result<()> {
    let mut fields = vec![("Location", link(head, anchor))];
    if !house.config.is("redirects-may-be-stored") {
        fields.push(("Cache-Control", "no-store".to_owned()));
    }
    say(&mut client, &head.version, 302, &fields, "", true).await
}

async fn zeros(head: &RequestHead, mut client: Client, first: u64, last: u64) -> io::Result<()> {
    let count = last - first + 1;
    let mut out = format!(
        "{} 206 {}\r\nConnection: close\r\n",
        head.version,
        reason(206)
    );
    out +=
        &format!("Content-Range: bytes {first}-{last}/{TOTAL}\r\nContent-Length: {count}\r\n\r\n");
    client.stream.write_all(out.as_bytes()).await?;
    client
        .stream
        .write_all(&vec![0; usize::try_from(count).unwrap_or(0)])
        .await?;
    finish(&mut client).await
}

/// A body that begins live: its anchor, and where it starts. Of a loss, byte `n` is the first of it.
async fn join(
    house: &House,
    mount: &Mount,
    metaint: u64,
    join: Option<[u8; 6]>,
    n: u64,
) -> Result<(Anchor, Place), u16> {
    let start = listener::decide(house, mount, &Ask::nothing(), false).await?;
    let state = mount.lock();
    let run = state.timeline.run(start.run).ok_or(503_u16)?;
    let mut id = names::random();
    if house.config.is("joins-by-counter") {
        id = [0, 0, 0, 0, 0, 1];
    }
    let anchor = Anchor {
        join: join.unwrap_or(id),
        epoch: run.epoch,
        body: n + start.prelude.len() as u64,
        offset: start.at,
        metaint,
    };
    Ok((
        anchor,
        Place {
            run: start.run,
            at: start.at,
            owed: start.prelude,
            icy: None,
        },
    ))
}

/// Whether a join began within the last twenty seconds of audio (R-STOCK-22).
fn begun_lately(mount: &Mount, anchor: &Anchor) -> bool {
    let state = mount.lock();
    let run = state
        .timeline
        .runs
        .back()
        .filter(|run| run.epoch == anchor.epoch);
    run.is_some_and(|run| anchor.offset + 20 * run.rate().unwrap_or(16_000) + 65_536 >= run.next())
}

fn held(mount: &Mount, anchor: &Anchor, n: u64) -> Option<Place> {
    let state = mount.lock();
    let place = find(&state.timeline, anchor, n)?;
    let run = state.timeline.run(place.run)?;
    (place.at >= run.first && place.at <= run.next()).then_some(place)
}

/// The byte on which all anchors agree, once there is a second of audio from it on.
async fn resumed(
    house: &House,
    mount: &Mount,
    anchors: &[Anchor],
    n: u64,
) -> Option<(Anchor, Place)> {
    let mut changes = mount.watch();
    let end = Instant::now() + HOLD;
    let anchors = if house.config.is("first-anchor-counts") {
        &anchors[..anchors.len().min(1)]
    } else {
        anchors
    };
    loop {
        let (found, enough) = {
            let state = mount.lock();
            let places: Option<Vec<_>> = anchors
                .iter()
                .map(|anchor| find(&state.timeline, anchor, n))
                .collect();
            let places = places.filter(|places| !places.is_empty())?;
            if places.iter().any(|place| place != &places[0]) {
                return None;
            }
            let place = places[0].clone();
            let place = match house.config.is("byte-n-is-one-further") {
                true => Place {
                    at: place.at + 1,
                    ..place
                },
                false => place,
            };
            let run = state.timeline.run(place.run)?;
            let rate = run.rate().unwrap_or(16_000);
            if place.at < run.first || place.at > run.next() + 30 * rate {
                return None;
            }
            let more = matches!(run.then, Then::Running | Then::Unknown);
            let enough = !more
                || place.at + rate <= run.next()
                || house.config.is("gives-what-there-is") && place.at <= run.next();
            (place, enough)
        };
        if enough {
            return Some((anchors[0], found));
        }
        if timeout_at(end, changes.changed()).await.is_err() {
            let state = mount.lock();
            let has = state
                .timeline
                .run(found.run)
                .is_some_and(|run| found.at < run.next());
            return has.then_some((anchors[0], found));
        }
    }
}
