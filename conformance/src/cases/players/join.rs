//! How players join.

use super::player::{cookies, ffmpeg, firefox, joined, location, token, vlc};
use crate::case::{Case, Stop, Verdict, expect};
use crate::content::Format;
use crate::http::Request;
use crate::reference::names;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "players/others-see-nothing",
        requirement: "R-STOCK-2",
        does: "asks as players that gain nothing, and looks for what is of this chapter",
        run: |s| Box::pin(others(s)),
    },
    Case {
        id: "players/joins-are-random",
        requirement: "R-STOCK-4",
        does: "joins several times as ffmpeg, and compares the joins",
        run: |s| Box::pin(random(s)),
    },
    Case {
        id: "players/cookies",
        requirement: "R-STOCK-5",
        does: "joins as ffmpeg and as browsers, and looks who gets a cookie, of which name and path",
        run: |s| Box::pin(who_gets_cookies(s)),
    },
    Case {
        id: "players/redirect",
        requirement: "R-STOCK-6",
        does: "joins as VLC and as Firefox, and follows the redirect",
        run: |s| Box::pin(redirect(s)),
    },
    Case {
        id: "players/first-byte-again",
        requirement: "R-STOCK-22",
        does: "joins as ffmpeg, and asks for the first byte again with the cookie",
        run: |s| Box::pin(again(s)),
    },
    Case {
        id: "players/whole-and-part",
        requirement: "R-STOCK-14",
        does: "asks from the first byte on, and for parts, and reads status and Content-Range",
        run: |s| Box::pin(whole_and_part(s)),
    },
    Case {
        id: "players/no-icy-unasked",
        requirement: "R-STOCK-15",
        does: "joins as a player that does not ask for ICY, and looks for icy- fields",
        run: |s| Box::pin(no_icy(s)),
    },
    Case {
        id: "players/tag",
        requirement: "R-STOCK-17",
        does: "joins as ffmpeg, and reads Accept-Ranges and ETag",
        run: |s| Box::pin(tag(s)),
    },
    Case {
        id: "players/end-of-the-file",
        requirement: "R-STOCK-18",
        does: "asks for the last 128 bytes of what a file would have",
        run: |s| Box::pin(end_of_the_file(s)),
    },
];

async fn others(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for (who, request) in [
        ("a plain GET", Request::get(&mount)),
        (
            "a GET with ICY",
            Request::get(&mount).field("Icy-MetaData", "1"),
        ),
        (
            "iOS",
            Request::get(&mount)
                .field("Range", "bytes=0-1")
                .field("User-Agent", "AppleCoreMedia/1.0"),
        ),
    ] {
        let answer = s.ask_new(request).await?.only_if(200, "R-COMPAT-5");
        let answer = match answer {
            Err(Stop::Skip(_)) if who == "iOS" => {
                return Err(Stop::fail("200 for iOS", "another status"));
            }
            other => other?,
        };
        for name in ["Accept-Ranges", "Content-Range", "ETag", "Location"] {
            let value = answer.field(name);
            expect(
                value.is_none(),
                format!("no {name} for {who}"),
                value.unwrap_or_default(),
            )?;
        }
        expect(
            cookies(&answer).is_empty(),
            format!("no cookie for {who}"),
            "one",
        )?;
    }
    Ok(())
}

async fn random(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let mut joins = Vec::new();
    for _ in 0..4 {
        joins.push(joined(&s, &mount, false).await?.2.join);
    }
    let shown: Vec<_> = joins.iter().map(|join| names::encode(join)).collect();
    let apart = |one: &[u8; 6], other: &[u8; 6]| one[..3] != other[..3] && one[3..] != other[3..];
    let all = joins
        .iter()
        .enumerate()
        .all(|(index, one)| joins[..index].iter().all(|other| apart(one, other)));
    expect(all, "random joins", shown.join(", "))
}

async fn who_gets_cookies(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let answer = s
        .ask_new(ffmpeg(&mount, 0, true, &[]))
        .await?
        .only_if(200, "R-STOCK-14")?;
    let line = answer.field("Set-Cookie").unwrap_or_default();
    let cookie = cookies(&answer).into_iter().next().unwrap_or_default();
    let (name, value) = cookie.split_once('=').unwrap_or_default();
    let octets = names::octets(value).unwrap_or_default();
    let join = octets.get(1..7).map(names::encode).unwrap_or_default();
    let named = name
        .strip_prefix("icx-")
        .is_some_and(|named| named == join && named.len() == 8);
    expect(
        named,
        "a cookie named icx- and the join",
        format!("Set-Cookie: {line}"),
    )?;
    let path = line
        .split(';')
        .any(|part| part.trim().eq_ignore_ascii_case(&format!("Path={mount}")));
    expect(path, format!("Path={mount}"), format!("Set-Cookie: {line}"))?;
    for (who, request) in [("VLC", vlc(&mount, 0)), ("Firefox", firefox(&mount))] {
        let answer = s.ask(request).await?;
        expect(
            cookies(&answer).is_empty(),
            format!("no cookie for {who}"),
            format!("{:?}", cookies(&answer)),
        )?;
    }
    Ok(())
}

async fn redirect(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for (who, request) in [("VLC", vlc(&mount, 0)), ("Firefox", firefox(&mount))] {
        let answer = s.ask_new(request).await?;
        if !cookies(&answer).is_empty() {
            return Err(Stop::blocked("R-STOCK-5", format!("{who} gets a cookie")));
        }
        expect(
            answer.status() == 302,
            format!("302 for {who}"),
            answer.status().to_string(),
        )?;
        let target = location(&s, &answer)?;
        let right = target.starts_with(&mount) && target.contains("_anchor=");
        expect(right, format!("{mount} with _anchor"), target.clone())?;
        let stored = answer.field("Cache-Control").unwrap_or_default();
        expect(
            stored.contains("no-store"),
            "Cache-Control: no-store",
            format!("Cache-Control: {stored}"),
        )?;
        let there = s.ask(vlc(&target, 0)).await?;
        expect(
            there.status() == 200,
            "200 at the target",
            there.status().to_string(),
        )?;
        if let (Some(anchor), Ok(place)) = (token(&target), there.place()) {
            let observed = format!("{} instead of {}", place.at.offset, anchor.offset);
            expect(
                place.at.offset == anchor.offset,
                "a start at the anchor's byte",
                observed,
            )?;
        }
    }
    Ok(())
}

async fn again(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let (mut first, cookie, _) = joined(&s, &mount, false).await?;
    let body = first.read(6_000).await?;
    let mut second = s
        .ask(ffmpeg(&mount, 0, false, &[cookie]))
        .await?
        .only_if(200, "R-STOCK-14")?;
    let tags = [first.field("ETag"), second.field("ETag")];
    if tags[0].is_none() {
        return Err(Stop::blocked("R-STOCK-17", "there is no ETag"));
    }
    expect(
        tags[0] == tags[1],
        format!("the same join, {:?}", tags[0]),
        format!("{:?}", tags[1]),
    )?;
    expect(
        second.read(6_000).await? == body,
        "the same bytes",
        "others",
    )
}

async fn whole_and_part(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let (answer, cookie, anchor) = joined(&s, &mount, false).await?;
    expect(
        answer.field("Content-Range").is_none(),
        "no Content-Range with 200",
        "one",
    )?;
    let n = anchor.body + 5_000;
    for (range, last) in [
        (format!("bytes={n}-"), "999999999999"),
        (format!("bytes={n}-{}", n + 999), ""),
    ] {
        let request = Request::get(&mount)
            .field("User-Agent", "Lavf/59.27.100")
            .field("Range", range.clone())
            .field("Cookie", cookie.clone());
        let mut answer = s.ask(request).await?;
        expect(
            answer.status() == 206,
            format!("206 for Range: {range}"),
            answer.status().to_string(),
        )?;
        let last = if last.is_empty() {
            (n + 999).to_string()
        } else {
            last.to_owned()
        };
        let expected = format!("bytes {n}-{last}/1000000000000");
        let observed = answer.field("Content-Range").unwrap_or_default();
        expect(
            observed == expected,
            format!("Content-Range: {expected}"),
            format!("Content-Range: {observed}"),
        )?;
        if last != "999999999999" {
            let (body, _) = answer
                .read_for(std::time::Duration::from_secs(2), 4_000)
                .await;
            expect(
                body.len() == 1_000,
                "1,000 bytes of body",
                body.len().to_string(),
            )?;
        }
    }
    Ok(())
}

async fn no_icy(s: Session) -> Verdict {
    let fed = s.shared(Format::Mpeg).await?;
    let (answer, ..) = joined(&s, &fed.mount, false).await?;
    let found = answer
        .head
        .fields
        .iter()
        .find(|(name, _)| name.to_ascii_lowercase().starts_with("icy-"));
    expect(found.is_none(), "no icy- field", format!("{found:?}"))
}

async fn tag(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let (answer, _, anchor) = joined(&s, &mount, true).await?;
    let ranges = answer.field("Accept-Ranges").unwrap_or_default();
    expect(
        ranges == "bytes",
        "Accept-Ranges: bytes",
        format!("Accept-Ranges: {ranges}"),
    )?;
    let tag = answer.field("ETag").unwrap_or_default();
    let expected = format!("\"{}\"", anchor.name());
    expect(
        tag == expected,
        format!("ETag: {expected}"),
        format!("ETag: {tag}"),
    )
}

async fn end_of_the_file(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let (_, cookie, _) = joined(&s, &mount, false).await?;
    let mut answer = s
        .ask(ffmpeg(&mount, super::player::TOTAL - 128, false, &[cookie]))
        .await?;
    expect(answer.status() == 206, "206", answer.status().to_string())?;
    let (body, _) = answer
        .read_for(std::time::Duration::from_secs(2), 4_096)
        .await;
    let zeros = body.len() == 128 && body.iter().all(|octet| *octet == 0);
    expect(
        zeros,
        "128 octets 0",
        format!(
            "{} octets: {:02x?} …",
            body.len(),
            &body[..body.len().min(8)]
        ),
    )
}
