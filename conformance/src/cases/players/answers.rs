//! Losses, holds, and how answers end.

use std::time::{Duration, Instant};

use super::player::{anchor, cookies, ffmpeg, joined};
use crate::case::{Case, Stop, Verdict, expect};
use crate::cases::relay::above::Above;
use crate::connection::End;
use crate::content::Format;
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "players/held",
        requirement: "R-STOCK-12",
        does: "asks for a byte with less than a second of audio behind it",
        run: |s| Box::pin(held(s)),
    },
    Case {
        id: "players/held-in-vain",
        requirement: "R-STOCK-25",
        does: "asks again and again for a byte of a source that pauses",
        run: |s| Box::pin(in_vain(s)),
    },
    Case {
        id: "players/loss",
        requirement: "R-STOCK-13",
        does: "asks for bytes that are unknown, gone, or far ahead",
        run: |s| Box::pin(loss(s)),
    },
    Case {
        id: "players/phase",
        requirement: "R-STOCK-16",
        does: "resumes with ICY in audio and in the midst of a block",
        run: |s| Box::pin(phase(s)),
    },
    Case {
        id: "players/undeclared",
        requirement: "R-STOCK-19",
        does: "listens below as ffmpeg while the upstream makes a splice that is not declared",
        run: |s| Box::pin(undeclared(s)),
    },
    Case {
        id: "players/reset",
        requirement: "R-STOCK-21",
        does: "listens below as wget while the upstream makes a splice that is not declared",
        run: |s| Box::pin(reset(s)),
    },
];

async fn held(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    let (mut first, cookie, _) = joined(&s, &fed.mount, false).await?;
    // All that there is, until the edge is reached.
    let what = "have a rate";
    s.window_when(&fed.mount, what, |window| window.rate.is_some())
        .await?;
    let (body, _) = first.read_for(Duration::from_millis(400), 10_000_000).await;
    let n = body.len() as u64;
    let began = Instant::now();
    let mut answer = s
        .ask(ffmpeg(&fed.mount, n, false, &[cookie]))
        .await?
        .only_if(206, "R-STOCK-14")?;
    let waited = began.elapsed();
    let at_once =
        answer.read(30_000).await.is_ok() && began.elapsed() < waited + Duration::from_millis(600);
    let observed = format!("an answer after {} ms", waited.as_millis());
    expect(
        waited >= Duration::from_millis(200) && at_once,
        "an answer once there is a second of audio",
        observed,
    )
}

async fn in_vain(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    let (mut first, cookie, _) = joined(&s, &fed.mount, false).await?;
    s.window_when(&fed.mount, "have a rate", |window| window.rate.is_some())
        .await?;
    fed.source.pause(true);
    let (body, _) = first.read_for(Duration::from_millis(900), 10_000_000).await;
    let n = body.len() as u64 - 2_000;
    let mut times = Vec::new();
    for _ in 0..3 {
        let request = ffmpeg(&fed.mount, n, false, std::slice::from_ref(&cookie));
        s.ask(request).await?.only_if(206, "R-STOCK-14")?;
        times.push(Instant::now());
    }
    let apart = times
        .windows(2)
        .map(|two| two[1] - two[0])
        .min()
        .unwrap_or_default();
    let observed = format!("{} ms", apart.as_millis());
    expect(
        apart >= Duration::from_millis(900),
        "a second between two answers",
        observed,
    )
}

async fn loss(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let window = s.evicting(&mount).await?;
    let (_, cookie, found) = joined(&s, &mount, false).await?;
    // The same join, as if its first byte had been the first of the epoch, which has gone.
    let gone = super::player::cookie(&crate::reference::place::Anchor { offset: 0, ..found });
    for (what, n, cookies_of) in [
        ("without an anchor", 50_000, Vec::new()),
        ("of an anchor whose byte has gone", 1_000, vec![gone]),
        (
            "ten minutes ahead",
            600 * window.rate.unwrap_or(40_000),
            vec![cookie],
        ),
    ] {
        let mut answer = s.ask(ffmpeg(&mount, n, false, &cookies_of)).await?;
        expect(
            answer.status() == 206,
            format!("206 for byte {n} {what}"),
            answer.status().to_string(),
        )?;
        let range = answer.field("Content-Range").unwrap_or_default();
        if !range.starts_with(&format!("bytes {n}-")) {
            return Err(Stop::blocked(
                "R-STOCK-14",
                format!("Content-Range: {range}"),
            ));
        }
        let new = cookies(&answer)
            .iter()
            .filter_map(|cookie| anchor(cookie))
            .find(|anchor| anchor.body >= n);
        let observed = format!("{:?}", cookies(&answer));
        expect(
            new.is_some(),
            format!("a new anchor from byte {n} on"),
            observed,
        )?;
        answer.read(4_000).await?;
    }
    Ok(())
}

async fn phase(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    s.title(&fed.mount, "One").await?;
    s.holding(&fed.mount, 100_000).await?;
    let (mut first, cookie, found) = joined(&s, &fed.mount, true).await?;
    let metaint = usize::try_from(found.metaint).unwrap_or(0);
    if metaint == 0 {
        return Err(Stop::Skip("no ICY metadata here".to_owned()));
    }
    let body = first.read(metaint + 5_000).await?;
    if fed.content().find(&body[..metaint]).is_none()
        || fed
            .content()
            .find(&crate::icy::split(&body, metaint).audio)
            .is_none()
    {
        return Err(Stop::blocked("R-ICY-1", "the first block stands elsewhere"));
    }
    let length = usize::from(body[metaint]) * 16;
    if length == 0 {
        return Err(Stop::Skip("the title has not got here".to_owned()));
    }
    let ask = |n: usize| ffmpeg(&fed.mount, n as u64, true, std::slice::from_ref(&cookie));
    // In the midst of the block: it goes on, and nothing begins anew.
    let inside = metaint + 1 + length / 2;
    let mut answer = s.ask(ask(inside)).await?.only_if(206, "R-STOCK-14")?;
    let begins = answer.field("icy-metaint");
    expect(
        begins.is_none(),
        "no icy-metaint in the midst of a block",
        begins.unwrap_or_default(),
    )?;
    let rest = answer.read(1_000).await?;
    let observed = crate::content::difference(&body[inside..], &rest);
    expect(
        observed.is_none(),
        "the rest of the block",
        observed.unwrap_or_default(),
    )?;
    // In audio: the count begins anew.
    let audio = metaint + 1 + length + 1_000;
    let mut answer = s.ask(ask(audio)).await?.only_if(206, "R-STOCK-14")?;
    let begins = answer
        .field("icy-metaint")
        .and_then(|value| value.parse::<usize>().ok());
    expect(begins.is_some(), "icy-metaint at a byte of audio", "none")?;
    let metaint = begins.unwrap_or(metaint);
    let heard = answer.read(metaint).await?;
    expect(
        fed.content().find(&heard).is_some(),
        format!("{metaint} bytes of audio first"),
        "something else between",
    )
}

/// Lets the upstream make an undeclared splice under a player below: what it hears, and how that ends.
async fn spliced(s: &Session, request: Request) -> Result<(Vec<u8>, End, Above), Stop> {
    let mut above = Above::new(s).await?;
    above.join().await?;
    let ask = |mount: &str| request.clone().at(mount);
    let mut answer = above.ask(ask).await?;
    if answer.status() == 302 {
        let location = answer.field("Location").unwrap_or_default();
        let own = format!("http://{}", above.below);
        let target = location.strip_prefix(&own).unwrap_or(&location).to_owned();
        answer = above.ask(|_| request.clone().at(&target)).await?;
    }
    let mut aware = above.join().await?;
    let mut answer = answer.only_if(200, "R-STOCK-14")?;
    if answer.field("ETag").is_none() && answer.field("Accept-Ranges").is_none() {
        return Err(Stop::Skip(
            "the server below has no stock players".to_owned(),
        ));
    }
    let mut heard = answer.read(20_000).await?;
    let spliced = above.splice(false)?;
    let (rest, end) = answer.read_for(Duration::from_secs(5), 4_000_000).await;
    heard.extend(rest);
    // A server that calls it declared goes on to aware listeners as well, or says so at the end of the old epoch: that byte
    // may have been too late to be fed.
    let (_, told) = aware.read_for(Duration::from_secs(1), 4_000_000).await;
    let resumed = above
        .ask(|mount| Request::get(mount).resume(spliced.ask()))
        .await?;
    if told == End::Open || resumed.place()?.spliced {
        return Err(Stop::blocked(
            "R-SPLICE-1",
            "the server below calls it declared",
        ));
    }
    Ok((heard, end, above))
}

async fn undeclared(s: Session) -> Verdict {
    let (_, end, _above) = spliced(&s, ffmpeg("/", 0, false, &[])).await?;
    expect(
        end != End::Open,
        "the end of the answer with the epoch",
        "it goes on over the splice",
    )
}

async fn reset(s: Session) -> Verdict {
    let wget = Request::get("/")
        .field("User-Agent", "Wget/1.21.3")
        .field("Accept", "*/*");
    let (_, end, _above) = spliced(&s, wget).await?;
    if end == End::Open {
        return Err(Stop::blocked("R-STOCK-19", "it goes on over the splice"));
    }
    expect(
        end == End::Closed("RST".to_owned()),
        "RST, as wget takes FIN for the end",
        format!("{end:?}"),
    )
}
