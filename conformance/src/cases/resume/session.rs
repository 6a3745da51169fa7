//! Sessions.

use std::time::Duration;

use crate::case::{Case, Stop, Verdict, expect};
use crate::frame::MEDIA_TYPE;
use crate::http::Request;
use crate::reference::names;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/session",
        requirement: "R-SESS-1",
        does: "joins several times, and compares the sessions; asks for the feed, and looks for none",
        run: |s| Box::pin(session(s)),
    },
    Case {
        id: "resume/session-closes-the-ghost",
        requirement: "R-SESS-3",
        does: "resumes with the session of a connection that is still open, and waits for that one's end",
        run: |s| Box::pin(closes(s)),
    },
    Case {
        id: "resume/unknown-session",
        requirement: "R-SESS-4",
        does: "resumes with a session that nobody has given",
        run: |s| Box::pin(unknown(s)),
    },
    Case {
        id: "resume/no-session",
        requirement: "R-SESS-5",
        does: "asks as a client that is not aware, and looks for a session",
        run: |s| Box::pin(none(s)),
    },
];

/// Whether names look drawn, and not counted: no two share half of their octets at the same end.
pub(super) fn look_random(names: &[String]) -> bool {
    let octets: Vec<_> = names
        .iter()
        .filter_map(|name| names::octets(name))
        .collect();
    let apart = |one: &Vec<u8>, other: &Vec<u8>| {
        let half = one.len() / 2;
        one.len() == other.len() && one[..half] != other[..half] && one[half..] != other[half..]
    };
    octets.len() == names.len()
        && octets
            .iter()
            .enumerate()
            .all(|(index, one)| octets[..index].iter().all(|other| apart(one, other)))
}

async fn session(s: Session) -> Verdict {
    let mut sessions = Vec::new();
    for _ in 0..4 {
        let session = s.join().await?.place()?.session;
        sessions.push(session.ok_or_else(|| Stop::fail("a session for an aware GET", "none"))?);
    }
    let plain: Vec<_> = sessions
        .iter()
        .map(|name| format!("{}A", &name[..name.len().min(21)]))
        .collect();
    expect(look_random(&plain), "random sessions", sessions.join(", "))?;
    let mount = s.mount().await?;
    let feed = s
        .ask(
            Request::get(&mount)
                .field("Accept", MEDIA_TYPE)
                .resume("live"),
        )
        .await?;
    if feed.field("Content-Type").as_deref() == Some(MEDIA_TYPE) {
        expect(
            feed.place()?.session.is_none(),
            "no session for the relay feed",
            "one",
        )?;
    }
    Ok(())
}

async fn closes(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let mut old = s.join_at(&mount).await?;
    let place = old.place()?;
    let session = place
        .session
        .ok_or_else(|| Stop::blocked("R-SESS-1", "there is no session"))?;
    old.read(place.prelude + 2_000).await?;
    let at = place.at.plus(1_000);
    let ask = format!("{};session=\"{session}\"", at.ask());
    let mut new = s
        .ask(Request::get(&mount).resume(ask))
        .await?
        .only_if(200, "R-RESUME-3")?;
    let ended = old.connection().ends_within(Duration::from_secs(5)).await;
    expect(
        ended,
        "the end of the older connection",
        "it goes on for 5 seconds",
    )?;
    new.read(2_000).await.map(|_| ())
}

async fn unknown(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let at = s.held(&mount).await?;
    let session = names::encode(&names::random::<16>());
    let ask = format!("{};session=\"{session}\"", at.ask());
    let answer = s.ask(Request::get(&mount).resume(ask)).await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let place = answer.place()?;
    expect(place.at == at, at.to_string(), place.at.to_string())
}

async fn none(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for request in [
        Request::get(&mount),
        Request::get(&mount).field("Icy-MetaData", "1"),
    ] {
        let place = s
            .ask_new(request)
            .await?
            .only_if(200, "R-COMPAT-5")?
            .place()?;
        expect(
            place.session.is_none(),
            "no session",
            format!("{:?}", place.session),
        )?;
    }
    Ok(())
}
