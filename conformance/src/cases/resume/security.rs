//! What somebody might try.

use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::case::{Case, Stop, Verdict, expect};
use crate::content::Format;
use crate::http::Request;
use crate::session::Session;

/// How often a protected mount is asked again whether it knows addresses by now.
const LOOK: Duration = Duration::from_millis(200);

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/admitted-anew",
        requirement: "R-SEC-1",
        does: "joins a protected mount with a password, and resumes there without one",
        run: |s| Box::pin(admitted_anew(s)),
    },
    Case {
        id: "resume/bounded-holds",
        requirement: "R-SEC-2",
        does: "asks for a byte that does not come, once more often than the server holds requests",
        run: |s| Box::pin(bounded_holds(s)),
    },
    Case {
        id: "resume/links-of-listeners",
        requirement: "R-SEC-6",
        does: "sends a Link, and looks for it in this answer and the next",
        run: |s| Box::pin(links(s)),
    },
];

async fn admitted_anew(s: Session) -> Verdict {
    let target = s.target().clone();
    let (Some(url), Some(who)) = (target.protected, target.listener) else {
        return Err(Stop::Skip(
            "needs --protected URL and --listener USER:PASSWORD".to_owned(),
        ));
    };
    let source = target
        .source
        .ok_or_else(|| Stop::Skip("needs --source USER:PASSWORD".to_owned()))?;
    let content = crate::content::Content::new(Format::Mpeg, s.stage().number());
    let _source =
        crate::source::Source::start(&url.authority, &url.target, &source, content).await?;
    let join = Request::get(&url.target).resume("live").auth(Some(&who));
    let end = Instant::now() + target.answer;
    let mut answer = loop {
        let answer = s.ask_new_at(&url.authority, join.clone()).await?;
        let answer = answer.only_if(200, "R-FIELD-1")?;
        // A proxy may learn from the first listener that a mount is protected.
        if answer.place().is_ok() || Instant::now() > end {
            break answer;
        }
        tokio::time::sleep(LOOK).await;
    };
    let place = answer.place()?;
    answer.read(place.prelude + 4_000).await?;
    let session = place
        .session
        .filter(|session| crate::reference::names::is_name(session))
        .map(|session| format!(";session=\"{session}\""))
        .unwrap_or_default();
    let again = format!("{}{session}", place.at.plus(2_000).ask());
    let answer = s
        .ask_at(&url.authority, Request::get(&url.target).resume(again))
        .await?;
    let refused = matches!(answer.status(), 401 | 403);
    expect(
        refused,
        "401, as to anybody without the password",
        answer.status().to_string(),
    )
}

async fn bounded_holds(s: Session) -> Verdict {
    let Some(bound) = s.target().held else {
        return Err(Stop::Skip(
            "needs --held COUNT: how many requests the server holds".to_owned(),
        ));
    };
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    let _alone = s.alone().await;
    fed.source.pause(true);
    let window = s.join_at(&fed.mount).await?.window()?;
    let never = window.at(window.next + 200_000);
    let mut asked = JoinSet::new();
    for _ in 0..bound + 8 {
        let (s, request) = (s.clone(), Request::get(&fed.mount).resume(never.ask()));
        asked.spawn(async move { s.ask(request).await.map(|answer| answer.status()) });
    }
    // Those that are held are answered after 10 seconds; those beyond the bound at once.
    let first = tokio::time::timeout(Duration::from_secs(5), asked.join_next()).await;
    let status = match first {
        Ok(Some(Ok(status))) => status?,
        _ => {
            return Err(Stop::fail(
                format!("503 for one of {} requests", bound + 8),
                "all are held",
            ));
        }
    };
    while asked.join_next().await.is_some() {}
    if status == 412 {
        return Err(Stop::blocked("R-AHEAD-1", "nothing is held"));
    }
    expect(status == 503, "503 beyond the bound", status.to_string())
}

async fn links(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let evil = "http://evil.example/live.mp3";
    let request = Request::get(&mount)
        .resume("live")
        .field("Link", format!("<{evil}>; rel=duplicate"));
    let answer = s.ask_new(request).await?;
    let next = s.join_at(&mount).await?;
    for answer in [answer, next] {
        let value = answer.field("Link").unwrap_or_default();
        expect(
            !value.contains(evil),
            "no link that a listener has sent",
            format!("Link: {value}"),
        )?;
    }
    Ok(())
}
