//! Families of stock players (the table "Families"), and the anchors that they bring.

use super::head::RequestHead;
use super::names;
use super::place::Anchor;
use super::serve::House;

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
pub(crate) fn read(house: &House, head: &RequestHead) -> Player {
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
        _ if house.config.is("ranges-for-everybody") && head.query.is_none() => {
            (Carrier::Named, false, false)
        }
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
pub(crate) fn anchors(house: &House, head: &RequestHead) -> (Option<Anchor>, Vec<Anchor>) {
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
pub(crate) fn latest(
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
