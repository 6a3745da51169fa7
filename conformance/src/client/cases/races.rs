//! Which relay is asked first, how long an answer is waited for, and how many connections there are meanwhile.

use std::time::Duration;

use tokio::time::Instant;

use crate::case::{Case, Stop, Verdict, expect};
use crate::client::Scene;
use crate::client::host::Asked;
use crate::client::play::{ASKS, Play, SOME};

/// A server may hold a request for ten seconds (R-AHEAD-1), and a network has its own delays.
const HELD: Duration = Duration::from_secs(11);
/// How long nobody answers a client that may ask elsewhere.
const UNANSWERED: Duration = Duration::from_secs(8);
/// How long the end of a connection may take to be seen.
const CLOSES: Duration = Duration::from_secs(1);
/// How often it is looked for.
const LOOK: Duration = Duration::from_millis(20);

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/held-answers",
        requirement: "R-CLIENT-12",
        does: "holds a resume for 11 s, and is the only relay",
        run: |s| Box::pin(held(s)),
    },
    Case {
        id: "client/same-relay-first",
        requirement: "R-CLIENT-13",
        does: "closes an answer, while another relay was named on the command line",
        run: |s| Box::pin(same_first(s)),
    },
    Case {
        id: "client/two-connections",
        requirement: "R-CLIENT-15",
        does: "answers no resume, at neither of two relays, and counts connections",
        run: |s| Box::pin(two_connections(s)),
    },
];

async fn held(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    if let Some(again) = play.host.next(HELD).await {
        let after = again.when.saturating_duration_since(asked.when);
        return Err(Stop::fail(
            format!(
                "no other request while this one is held for {} s",
                HELD.as_secs()
            ),
            format!("one after {} ms", after.as_millis()),
        ));
    }
    play.serve(asked, "", SOME).await.fin().await;
    play.goes_on("after the answer that was held").await?;
    play.wrote("the bytes of both answers").await
}

async fn same_first(s: Scene) -> Verdict {
    let mut play = Play::begin_with_two(&s).await?;
    play.join("").await?;
    let Some(mut other) = play.other.take() else {
        return Err(Stop::Error("no second relay".to_owned()));
    };
    let first = tokio::select! {
        biased;
        asked = play.host.next(ASKS) => asked,
        Some(_) = other.next(ASKS) => {
            return Err(Stop::fail("a request at the same relay first", "one at the other"));
        }
    };
    match first {
        Some(_) => Ok(()),
        None => Err(Stop::blocked("R-RESUME-1", play.gone().await)),
    }
}

async fn two_connections(s: Scene) -> Verdict {
    let mut play = Play::begin_with_two(&s).await?;
    play.join("").await?;
    let Some(mut other) = play.other.take() else {
        return Err(Stop::Error("no second relay".to_owned()));
    };
    let end = Instant::now() + UNANSWERED;
    let mut open = vec![play.again().await?];
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let asked = tokio::select! {
            asked = play.host.next(left) => asked,
            asked = other.next(left) => asked,
        };
        let Some(asked) = asked else { return Ok(()) };
        open.push(asked);
        let settled = Instant::now() + CLOSES;
        while open.len() > 2 && Instant::now() < settled {
            tokio::time::sleep(LOOK).await;
            open.retain(Asked::is_open);
        }
        expect(
            open.len() <= 2,
            "two connections at most",
            format!("{} of them, none of which was answered", open.len()),
        )?;
    }
}
