//! Bytes that cannot be given.

use crate::case::{Case, Stop, Verdict, expect};
use crate::connection::Answer;
use crate::field::{Position, StreamWindow};
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/miss-absent",
        requirement: "R-MISS-1",
        does: "asks for a byte that is gone, without miss",
        run: |s| Box::pin(absent(s)),
    },
    Case {
        id: "resume/miss-oldest",
        requirement: "R-MISS-2",
        does: "asks for a byte that is gone, with miss=oldest",
        run: |s| Box::pin(oldest(s)),
    },
    Case {
        id: "resume/miss-live",
        requirement: "R-MISS-3",
        does: "asks for a byte that is gone, with miss=live, and compares with a join",
        run: |s| Box::pin(live(s)),
    },
    Case {
        id: "resume/miss-fail",
        requirement: "R-MISS-4",
        does: "asks for a byte that is gone, with miss=fail",
        run: |s| Box::pin(fail(s)),
    },
    Case {
        id: "resume/unknown-epoch",
        requirement: "R-MISS-5",
        does: "asks for positions of an epoch that nobody knows",
        run: |s| Box::pin(unknown(s)),
    },
    Case {
        id: "resume/lost",
        requirement: "R-MISS-6",
        does: "asks for a byte that is gone, and reckons what is lost",
        run: |s| Box::pin(lost(s)),
    },
    Case {
        id: "resume/lost-of-nothing",
        requirement: "R-MISS-7",
        does: "asks for a position of an unknown epoch, and looks for lost",
        run: |s| Box::pin(lost_of_nothing(s)),
    },
];

/// Asks for a byte 2,000 before the oldest.
async fn gone(s: &Session, parameters: &str) -> Result<(Position, Answer), Stop> {
    let mount = s.mount().await?;
    let window = s.evicting(&mount).await?;
    let at = window.at(window.first - 2_000);
    let answer = s
        .ask(Request::get(&mount).resume(format!("{}{parameters}", at.ask())))
        .await?;
    Ok((at, answer))
}

/// The answer's start and window, both of one epoch.
fn start(answer: &Answer) -> Result<(u64, StreamWindow), Stop> {
    let (place, window) = (answer.place()?, answer.window()?);
    match place.at.epoch == window.epoch {
        true => Ok((place.at.offset, window)),
        false => Err(Stop::Skip("the epoch has ended meanwhile".to_owned())),
    }
}

async fn absent(s: Session) -> Verdict {
    let (_, answer) = gone(&s, "").await?;
    expect(
        answer.status() == 200,
        "200, as for miss=oldest",
        answer.status().to_string(),
    )?;
    let (at, window) = start(&answer)?;
    let observed = format!("{} bytes after it", at.saturating_sub(window.first));
    expect(
        at < window.first + 12_000,
        "a start near the oldest byte, as for miss=oldest",
        observed,
    )
}

async fn oldest(s: Session) -> Verdict {
    // The window may move between the decision and the head.
    let mut observed = 0;
    for _ in 0..5 {
        let (_, answer) = gone(&s, ";miss=oldest").await?;
        expect(answer.status() == 200, "200", answer.status().to_string())?;
        let (at, window) = start(&answer)?;
        observed = at.abs_diff(window.first);
        if observed <= 1_500 {
            return Ok(());
        }
    }
    Err(Stop::fail(
        "the first frame held",
        format!("a start {observed} bytes from the oldest byte"),
    ))
}

async fn live(s: Session) -> Verdict {
    let (_, answer) = gone(&s, ";miss=live").await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let join = s.join().await?;
    let (at, as_join) = (answer.place()?.at, join.place()?.at);
    // A second and a half of audio may have come between the two.
    let near = at.epoch == as_join.epoch && at.offset.abs_diff(as_join.offset) <= 60_000;
    expect(
        near,
        format!("a start as that of a join, {as_join}"),
        at.to_string(),
    )
}

async fn fail(s: Session) -> Verdict {
    let (_, answer) = gone(&s, ";miss=fail").await?;
    expect(answer.status() == 412, "412", answer.status().to_string())?;
    let value = answer.field("Stream-Window").unwrap_or_default();
    expect(
        StreamWindow::parse(&value).is_some(),
        "Stream-Window with the 412",
        format!("Stream-Window: {value}"),
    )
}

/// An epoch that is as likely as any other, and nobody's.
pub(super) fn nobodys() -> Position {
    Position::new(
        &crate::reference::names::encode(&crate::reference::names::random::<16>()),
        5_000,
    )
}

async fn unknown(s: Session) -> Verdict {
    let mount = s.mount().await?;
    // So much that the oldest byte is not where a join starts.
    s.holding(&mount, 140_000).await?;
    for miss in ["oldest", "live"] {
        let ask = format!("{};miss={miss}", nobodys().ask());
        let answer = s.ask(Request::get(&mount).resume(ask)).await?;
        expect(
            answer.status() == 200,
            format!("200 for miss={miss}"),
            answer.status().to_string(),
        )?;
        let (at, as_join) = (answer.place()?.at, s.join().await?.place()?.at);
        let near = at.epoch == as_join.epoch && at.offset.abs_diff(as_join.offset) <= 60_000;
        expect(
            near,
            format!("a start as that of a join, {as_join}, for miss={miss}"),
            at.to_string(),
        )?;
    }
    let ask = format!("{};miss=fail", nobodys().ask());
    let answer = s.ask(Request::get(&mount).resume(ask)).await?;
    expect(
        answer.status() == 412,
        "412 for miss=fail",
        answer.status().to_string(),
    )
}

async fn lost(s: Session) -> Verdict {
    for miss in ["oldest", "live"] {
        let (asked, answer) = gone(&s, &format!(";miss={miss}")).await?;
        let place = answer.only_if(200, "R-MISS-1")?.place()?;
        if place.at.epoch != asked.epoch {
            return Err(Stop::Skip("the epoch has ended meanwhile".to_owned()));
        }
        let expected = place.at.offset.saturating_sub(asked.offset);
        expect(
            place.lost == Some(expected),
            format!("lost={expected} for miss={miss}"),
            format!("{:?}", place.lost),
        )?;
    }
    Ok(())
}

async fn lost_of_nothing(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let place = s
        .resume(&mount, &nobodys())
        .await?
        .only_if(200, "R-MISS-5")?
        .place()?;
    expect(
        place.lost.is_none() && !place.spliced,
        "neither lost nor spliced",
        format!("{place:?}"),
    )
}
