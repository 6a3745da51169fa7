//! What stock players that resume by `Range` are answered (the chapter "Stock players", level `ranges`).

use std::io;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;

use super::ask::Ask;
use super::bodies::{begun_lately, held, join, resumed};
use super::decide::Start;
use super::families::{Carrier, Player, anchors, latest};
use super::head::{Refused, RequestHead};
use super::listener::{self, Answer, METAINT};
use super::mount::Mount;
use super::place::{Anchor, Place};
use super::scan;
use super::serve::{Client, House, finish, reason, refuse, say};

/// How long a live stream is said to be.
pub(crate) const TOTAL: u64 = 1_000_000_000_000;
/// The end of a file that there is not (R-STOCK-18).
const TAIL: u64 = 1 << 20;

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
            vec![(
                "Set-Cookie",
                format!("icx-{}={}; Path={path}", anchor.name(), anchor.encode()),
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
        if carrier == Carrier::Url && url.is_none() {
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
                let further =
                    is("byte-n-is-one-further") && carrier == Carrier::Cookie && at.icy.is_none();
                (anchor, place) = (
                    found,
                    Place {
                        at: at.at + u64::from(further),
                        ..at
                    },
                );
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
    let whole = first == 0 && last.is_none();
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
