//! Which byte is byte N.

use super::player::{anchor, cookie, cookies, ffmpeg, joined, redirected, token, vlc};
use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Format, difference};
use crate::http::Request;
use crate::reference::names;
use crate::reference::place::Anchor;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "players/byte-n",
        requirement: "R-STOCK-11",
        does: "joins as ffmpeg and as VLC, with and without ICY, and resumes at byte N",
        run: |s| Box::pin(byte_n(s)),
    },
    Case {
        id: "players/wrong-anchors",
        requirement: "R-STOCK-7",
        does: "resumes with anchors whose version, length, checksum or name is wrong",
        run: |s| Box::pin(wrong(s)),
    },
    Case {
        id: "players/anchor-of-another-mount",
        requirement: "R-STOCK-8",
        does: "resumes with the anchor of another mount",
        run: |s| Box::pin(another_mount(s)),
    },
    Case {
        id: "players/anchors-that-disagree",
        requirement: "R-STOCK-10",
        does: "resumes with the cookies of two joins that name different bytes",
        run: |s| Box::pin(disagree(s)),
    },
    Case {
        id: "players/anchors-of-the-url",
        requirement: "R-STOCK-24",
        does: "resumes at a redirected URL with another join's cookie beside",
        run: |s| Box::pin(of_the_url(s)),
    },
    Case {
        id: "players/old-titles",
        requirement: "R-STOCK-23",
        does: "resumes with ICY over titles whose bytes have gone",
        run: |s| Box::pin(old_titles(s)),
    },
];

/// The bytes that follow `n` of a body, asked for with a cookie; `None` if the answer begins anew.
async fn after(
    s: &Session,
    mount: &str,
    n: u64,
    cookies_of: &[String],
    count: usize,
) -> Result<Option<Vec<u8>>, Stop> {
    let mut answer = s
        .ask(ffmpeg(mount, n, false, cookies_of))
        .await?
        .only_if(206, "R-STOCK-14")?;
    // A loss has a new anchor, of which byte N is the first.
    let anew = cookies(&answer)
        .iter()
        .filter_map(|cookie| anchor(cookie))
        .any(|anchor| anchor.body >= n);
    if anew {
        return Ok(None);
    }
    answer.read(count).await.map(Some)
}

async fn byte_n(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let (mut first, cookie, _) = joined(&s, &mount, false).await?;
    let body = first.read(30_000).await?;
    for n in [1_usize, 4_321, 9_000] {
        let again = after(&s, &mount, n as u64, std::slice::from_ref(&cookie), 15_000).await?;
        let again = again.ok_or_else(|| Stop::fail(format!("byte {n} of the body"), "a loss"))?;
        if let Some(observed) = difference(&body[n..], &again) {
            return Err(Stop::fail(format!("byte {n} of the body"), observed));
        }
    }
    // With blocks: N counts them.
    let (mut first, cookie, anchor) = joined(&s, &mount, true).await?;
    let metaint = usize::try_from(anchor.metaint).unwrap_or(0);
    if metaint == 0 {
        return Err(Stop::Skip("no ICY metadata here".to_owned()));
    }
    let body = first.read(2 * metaint + 9_000).await?;
    let audio = crate::icy::split(&body, metaint).audio;
    let length = usize::from(body[metaint]) * 16;
    let n = metaint + 1 + length + 700;
    let request = ffmpeg(&mount, n as u64, true, &[cookie]);
    let mut answer = s.ask(request).await?.only_if(206, "R-STOCK-14")?;
    let again = answer.read(6_000).await?;
    if let Some(observed) = difference(&audio[metaint + 700..], &again) {
        return Err(Stop::fail(
            format!("byte {n} of the body with blocks"),
            observed,
        ));
    }
    // And by a URL.
    let target = redirected(&s, &mount).await?;
    let mut first = s.ask(vlc(&target, 0)).await?.only_if(200, "R-STOCK-14")?;
    let body = first.read(20_000).await?;
    let mut again = s
        .ask(vlc(&target, 5_005))
        .await?
        .only_if(206, "R-STOCK-14")?;
    match difference(&body[5_005..], &again.read(10_000).await?) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail("byte 5005 of the body, by the URL", observed)),
    }
}

async fn wrong(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let (mut first, right, found) = joined(&s, &mount, false).await?;
    let body = first.read(20_000).await?;
    let (name, value) = right.split_once('=').unwrap_or_default();
    let mut octets = names::octets(value).unwrap_or_default();
    let last = octets.len() - 1;
    octets[last] ^= 1;
    let sum = format!("{name}={}", names::encode(&octets));
    octets[last] ^= 1;
    octets[0] = 2;
    let check = crc32fast::hash(&octets[..39]).to_be_bytes();
    octets[39..].copy_from_slice(&check);
    let version = format!("{name}={}", names::encode(&octets));
    let short = format!("{name}={}", &value[..56]);
    let other = Anchor {
        join: names::random(),
        ..found
    };
    let renamed = format!("{name}={}", other.encode());
    for (what, cookie) in [
        ("checksum", sum),
        ("version", version),
        ("length", short),
        ("name", renamed),
    ] {
        let again = after(&s, &mount, 6_000, &[cookie], 8_000).await?;
        let believed = again.is_some_and(|again| difference(&body[6_000..], &again).is_none());
        expect(
            !believed,
            format!("an anchor with a wrong {what} is ignored"),
            "it is believed",
        )?;
    }
    Ok(())
}

async fn another_mount(s: Session) -> Verdict {
    let (mount, other) = (s.mount().await?, s.own(Format::Mpeg).await?);
    let (mut first, right, _) = joined(&s, &other.mount, false).await?;
    let body = first.read(20_000).await?;
    let again = after(&s, &mount, 6_000, &[right], 8_000).await?;
    let found = again.is_some_and(|again| difference(&body[6_000..], &again).is_none());
    expect(!found, "a loss", "the bytes of another mount")
}

async fn disagree(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let (mut first, one, found) = joined(&s, &mount, false).await?;
    let body = first.read(30_000).await?;
    let other = cookie(&Anchor {
        join: names::random(),
        offset: found.offset + 1_000,
        ..found
    });
    if after(&s, &mount, 6_000, std::slice::from_ref(&one), 1_000)
        .await?
        .is_none()
    {
        return Err(Stop::blocked("R-STOCK-11", "one anchor alone is not found"));
    }
    for cookies in [[one.clone(), other.clone()], [other, one]] {
        let again = after(&s, &mount, 6_000, &cookies, 8_000).await?;
        let either = again.is_some_and(|again| {
            difference(&body[6_000..], &again).is_none()
                || difference(&body[7_000..], &again).is_none()
        });
        expect(
            !either,
            "byte N unknown, and a loss",
            "one of two anchors is believed",
        )?;
    }
    Ok(())
}

async fn of_the_url(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let target = redirected(&s, &mount).await?;
    let found = token(&target).ok_or_else(|| {
        Stop::blocked(
            "R-STOCK-7",
            format!("an anchor that cannot be read: {target}"),
        )
    })?;
    let mut first = s.ask(vlc(&target, 0)).await?.only_if(200, "R-STOCK-14")?;
    let body = first.read(30_000).await?;
    let other = cookie(&Anchor {
        join: names::random(),
        offset: found.offset + 1_000,
        ..found
    });
    let request: Request = vlc(&target, 6_000).field("Cookie", other);
    let mut again = s.ask(request).await?.only_if(206, "R-STOCK-14")?;
    match difference(&body[6_000..], &again.read(8_000).await?) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail("byte 6000, as the URL's join says", observed)),
    }
}

async fn old_titles(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    s.title(&fed.mount, "One").await?;
    let (mut first, cookie, found) = joined(&s, &fed.mount, true).await?;
    let metaint = usize::try_from(found.metaint).unwrap_or(0);
    if metaint == 0 {
        return Err(Stop::Skip("no ICY metadata here".to_owned()));
    }
    let mut body = first.read(3 * metaint).await?;
    s.title(&fed.mount, "Two").await?;
    body.extend(first.read(3 * metaint).await?);
    let end = tokio::time::Instant::now() + s.target().patience;
    while s.join_at(&fed.mount).await?.window()?.first < found.offset + 6 * found.metaint {
        if tokio::time::Instant::now() > end {
            return Err(Stop::Skip(
                "the bytes do not leave the window: start the server with one of some seconds"
                    .to_owned(),
            ));
        }
        body.extend(first.read(metaint).await?);
    }
    body.extend(first.read(metaint).await?);
    let n = body.len() - 5_000;
    let mut answer = s
        .ask(ffmpeg(&fed.mount, n as u64, true, &[cookie]))
        .await?
        .only_if(206, "R-STOCK-14")?;
    let again = answer.read(4_000).await?;
    let audio = crate::icy::split(&body, metaint).audio;
    let right = audio
        .windows(4_000)
        .rev()
        .take(20_000)
        .any(|window| window == again);
    expect(
        right,
        format!("byte {n} of the body with blocks"),
        "another one",
    )
}
