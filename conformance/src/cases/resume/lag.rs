//! `max-lag`, and time shift.

use std::time::Duration;

use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Format, RATE};
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/lag-is-time",
        requirement: "R-LAG-1",
        does: "sends 150,000 bytes at once, and resumes at the beginning with max-lag=2.5",
        run: |s| Box::pin(lag_is_time(s)),
    },
    Case {
        id: "resume/lag-exceeded",
        requirement: "R-LAG-2",
        does: "pauses the source for 3 seconds, and resumes before the pause with max-lag=2",
        run: |s| Box::pin(exceeded(s)),
    },
    Case {
        id: "resume/lag-later",
        requirement: "R-LAG-3",
        does: "resumes with max-lag=1, and reads nothing for 3 seconds",
        run: |s| Box::pin(later(s)),
    },
    Case {
        id: "resume/lag-within-the-burst",
        requirement: "R-LAG-4",
        does: "resumes at a byte of the last burst with max-lag=0",
        run: |s| Box::pin(within_the_burst(s)),
    },
    Case {
        id: "resume/shift",
        requirement: "R-SHIFT-1",
        does: "shifts by two seconds, and compares the start with the edge",
        run: |s| Box::pin(shift(s)),
    },
    Case {
        id: "resume/shift-beyond",
        requirement: "R-SHIFT-2",
        does: "shifts by a day",
        run: |s| Box::pin(shift_beyond(s)),
    },
];

async fn lag_is_time(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    let first = s.join_at(&fed.mount).await?.window()?;
    fed.source.jump(150_000).await?;
    let what = "grow so fast";
    let window = s
        .window_when(&fed.mount, what, |window| {
            window.next >= first.next + 140_000
        })
        .await?;
    let at = window.at(window.next - 130_000);
    let answer = s
        .ask(Request::get(&fed.mount).resume(format!("{};max-lag=2.5", at.ask())))
        .await?;
    let place = answer.only_if(200, "R-RESUME-3")?.place()?;
    expect(
        place.at == at,
        format!("{at}: it came less than 2.5 seconds before the edge"),
        place.at.to_string(),
    )
}

async fn exceeded(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    let window = s.holding(&fed.mount, 20_000).await?;
    let at = window.at(window.next - 10_000);
    fed.source.pause(true);
    // The pause itself is what is tried: nothing arrives for so long.
    tokio::time::sleep(Duration::from_millis(3_200)).await;
    let before = s.join_at(&fed.mount).await?.window()?.next;
    fed.source.pause(false);
    fed.source.jump(100_000).await?;
    s.window_when(&fed.mount, "go on", |window| window.next >= before + 90_000)
        .await?;
    let ask =
        |miss: &str| Request::get(&fed.mount).resume(format!("{};max-lag=2;miss={miss}", at.ask()));
    let place = s
        .ask(ask("oldest"))
        .await?
        .only_if(200, "R-MISS-1")?
        .place()?;
    let later = place.at.epoch == at.epoch && place.at.offset > at.offset + 20_000;
    expect(
        later,
        format!("a live start, {at} being 3 seconds old"),
        place.at.to_string(),
    )?;
    let answer = s.ask(ask("fail")).await?;
    expect(
        answer.status() != 200,
        "a refusal with miss=fail",
        answer.status().to_string(),
    )
}

async fn later(s: Session) -> Verdict {
    let fed = s.shared(Format::Mpeg).await?;
    let window = s.holding(&fed.mount, 60_000).await?;
    let at = window.at(window.next - 2_000);
    let authority = s.target().url.authority.clone();
    let connection = s.connect_to(&authority, Some(16 * 1024)).await?;
    let request = Request::get(&fed.mount).resume(format!("{};max-lag=1", at.ask()));
    let mut answer = connection.ask(&request).await?.only_if(200, "R-RESUME-3")?;
    let mut body = answer.read(1_000).await?;
    // Being slow is what is tried.
    tokio::time::sleep(Duration::from_millis(3_000)).await;
    let (rest, end) = answer.read_for(Duration::from_secs(4), 150_000).await;
    body.extend(rest);
    let whole = fed.content().find(&body).is_some();
    expect(
        whole,
        "the stream without a gap, late as it is",
        "bytes are missing",
    )?;
    match body.len() > 110_000 {
        true => Ok(()),
        // It may have fallen out of the window, on a slow machine.
        false => Err(Stop::Skip(format!(
            "only {} bytes came: {end:?}",
            body.len()
        ))),
    }
}

async fn within_the_burst(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let window = s.holding(&mount, 70_000).await?;
    let at = window.at(window.next - 20_000);
    let answer = s
        .ask(Request::get(&mount).resume(format!("{};max-lag=0", at.ask())))
        .await?;
    let place = answer.only_if(200, "R-RESUME-3")?.place()?;
    expect(
        place.at == at,
        format!("{at}: a live join would start before it"),
        place.at.to_string(),
    )
}

async fn shift(s: Session) -> Verdict {
    let fed = s.shared(Format::Mpeg).await?;
    let what = "hold 3 seconds";
    s.window_when(&fed.mount, what, |window| {
        window.rate.is_some() && window.next - window.first > 3 * RATE
    })
    .await?;
    let answer = s
        .ask(Request::get(&format!("{}?_shift=2", fed.mount)))
        .await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let (place, window) = (answer.place()?, answer.window()?);
    let back = window.next.saturating_sub(place.at.offset);
    let expected = 2 * RATE;
    // A tick of a second at most, and a frame.
    let near = back.abs_diff(expected) <= RATE + 1_000;
    expect(
        near,
        format!("a start about {expected} bytes before the edge"),
        format!("{back} bytes before it"),
    )
}

async fn shift_beyond(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.holding(&mount, 100_000).await?;
    let answer = s
        .ask(Request::get(&format!("{mount}?_shift=86400")))
        .await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let (place, window) = (answer.place()?, answer.window()?);
    if place.at.epoch != window.epoch {
        return Err(Stop::Skip("there are several epochs".to_owned()));
    }
    let observed = format!(
        "{} bytes after it",
        place.at.offset.saturating_sub(window.first)
    );
    expect(
        place.at.offset < window.first + 5_000,
        "a start at the oldest byte held",
        observed,
    )
}
