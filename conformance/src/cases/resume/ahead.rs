//! Positions ahead of the edge.

use std::time::{Duration, Instant};

use crate::case::{Case, Stop, Verdict, expect};
use crate::content::Format;
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/a-little-ahead",
        requirement: "R-AHEAD-1",
        does: "asks for a byte that comes in a moment, and for one that does not come",
        run: |s| Box::pin(a_little(s)),
    },
    Case {
        id: "resume/far-ahead",
        requirement: "R-AHEAD-2",
        does: "asks for a byte of the next minute",
        run: |s| Box::pin(far(s)),
    },
    Case {
        id: "resume/ahead-without-a-rate",
        requirement: "R-AHEAD-3",
        does: "asks a stream that has just begun for a byte 600,000 ahead",
        run: |s| Box::pin(without_a_rate(s)),
    },
    Case {
        id: "resume/no-miss-ahead",
        requirement: "R-AHEAD-4",
        does: "asks for a byte of the next minute, with miss=live and miss=oldest",
        run: |s| Box::pin(no_miss(s)),
    },
];

async fn a_little(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let window = s.holding(&mount, 60_000).await?;
    let soon = window.at(window.next + window.rate.unwrap_or(16_000));
    let mut answer = s.resume(&mount, &soon).await?;
    expect(
        answer.status() == 200,
        format!("200 for {soon}, once it has come"),
        answer.status().to_string(),
    )?;
    let place = answer.place()?;
    expect(
        place.at == soon,
        format!("Stream-Offset at {soon}"),
        place.at.to_string(),
    )?;
    answer.read(1_000).await?;

    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    fed.source.pause(true);
    let window = s.join_at(&fed.mount).await?.window()?;
    let began = Instant::now();
    let never = window.at(window.next + 100_000);
    let answer = s.resume(&fed.mount, &never).await?;
    let waited = began.elapsed();
    let observed = format!("{} after {} ms", answer.status(), waited.as_millis());
    let long = (Duration::from_secs(8)..=Duration::from_secs(13)).contains(&waited);
    expect(
        answer.status() == 412 && long,
        "412 after 10 seconds, as the byte does not come",
        observed,
    )
}

/// A position two minutes of audio ahead, at a mount whose rate is known.
async fn two_minutes(s: &Session) -> Result<(String, crate::field::Position), Stop> {
    let mount = s.mount().await?;
    let what = "have a rate";
    let window = s
        .window_when(&mount, what, |window| window.rate.is_some())
        .await?;
    Ok((
        mount,
        window.at(window.next + 120 * window.rate.unwrap_or(16_000)),
    ))
}

async fn far(s: Session) -> Verdict {
    let (mount, at) = two_minutes(&s).await?;
    let began = Instant::now();
    let answer = s.resume(&mount, &at).await?;
    let observed = format!(
        "{} after {} ms",
        answer.status(),
        began.elapsed().as_millis()
    );
    let at_once = began.elapsed() < Duration::from_secs(3);
    expect(answer.status() == 412 && at_once, "412 at once", observed)
}

async fn without_a_rate(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    let window = s.join_at(&fed.mount).await?.window()?;
    if window.rate.is_some() {
        return Err(Stop::Skip("the server knows the rate already".to_owned()));
    }
    // More than 30 times 16,000, less than 30 times what the source sends.
    let at = window.at(window.next + 650_000);
    let began = Instant::now();
    let answer = s.resume(&fed.mount, &at).await?;
    let observed = format!(
        "{} after {} ms",
        answer.status(),
        began.elapsed().as_millis()
    );
    let at_once = began.elapsed() < Duration::from_secs(3);
    expect(
        answer.status() == 412 && at_once,
        "412 at once for a byte 650,000 ahead",
        observed,
    )
}

async fn no_miss(s: Session) -> Verdict {
    let (mount, at) = two_minutes(&s).await?;
    for miss in ["oldest", "live"] {
        let answer = s
            .ask(Request::get(&mount).resume(format!("{};miss={miss}", at.ask())))
            .await?;
        expect(
            answer.status() != 200,
            format!("a refusal for miss={miss}"),
            "200",
        )?;
    }
    Ok(())
}
