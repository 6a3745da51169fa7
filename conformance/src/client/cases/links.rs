//! Links, redirects and credentials.

use std::collections::BTreeMap;

use tokio::time::Instant;

use crate::case::{Case, Stop, Verdict, expect};
use crate::client::Scene;
use crate::client::host::{Asked, Host, Reply};
use crate::client::play::{ASKS, Play, SOME};
use crate::http::basic;

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/relative-link",
        requirement: "R-FIELD-12",
        does: "names a relay by a relative Link, and is gone",
        run: |s| Box::pin(relative_link(s)),
    },
    Case {
        id: "client/credentials-and-redirects",
        requirement: "R-CLIENT-5",
        does: "redirects a client with credentials to another origin",
        run: |s| Box::pin(credentials_and_redirects(s)),
    },
    Case {
        id: "client/credentials-and-links",
        requirement: "R-CLIENT-5",
        does: "names a relay of another origin to a client with credentials, and is gone",
        run: |s| Box::pin(credentials_and_links(s)),
    },
    Case {
        id: "client/endless-redirects",
        requirement: "R-SEC-8",
        does: "redirects each request to the next one",
        run: |s| Box::pin(endless_redirects(s)),
    },
    Case {
        id: "client/endless-links",
        requirement: "R-SEC-8",
        does: "names five more relays in each answer, and is gone there",
        run: |s| Box::pin(endless_links(s)),
    },
    Case {
        id: "client/next-relay",
        requirement: "R-CLIENT-4",
        does: "is gone, while another relay was named on the command line",
        run: |s| Box::pin(next_relay(s)),
    },
    Case {
        id: "client/learns-relays",
        requirement: "R-CLIENT-4",
        does: "names a relay by Link, and is gone",
        run: |s| Box::pin(learns_relays(s)),
    },
];

/// More redirects in a row than anybody follows.
const HOPS: usize = 100;
/// More relays than anybody needs.
const RELAYS: usize = 40;
const WHO: &str = "judge:secret";

async fn relative_link(s: Scene) -> Verdict {
    let host = s.host().await?;
    let client = s.start(&host.url("/radio/live.mp3"), None)?;
    let mut play = Play::new(&s, host, None, client);
    let asked = play.first().await?;
    let link = "<next.mp3>; rel=next, <backup/two.mp3?x=1>; rel=duplicate; pri=1";
    let mut body = asked
        .answer(&Reply::at(&play.next, "").field("Link", link))
        .await;
    play.send(&mut body, SOME).await;
    body.fin().await;
    let end = Instant::now() + ASKS;
    while Instant::now() < end {
        let asked = play.again().await?;
        match asked.target.as_str() {
            "/radio/live.mp3" => asked.refuse(404, &[]).await,
            other => {
                return expect(
                    other == "/radio/backup/two.mp3?x=1",
                    "a request for /radio/backup/two.mp3?x=1",
                    format!("a request for {other}"),
                );
            }
        }
    }
    let why = "the client does not go to the relay that Link names";
    Err(Stop::blocked("R-CLIENT-4", why))
}

/// Refuses at one server until another is asked; `None` if that does not happen.
async fn until_other(
    host: &mut Host,
    other: &mut Host,
    refuse: impl Fn(Asked) -> Refusing,
) -> Option<Asked> {
    let end = Instant::now() + ASKS;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        tokio::select! {
            biased;
            asked = other.next(left) => return asked,
            asked = host.next(left) => if let Some(asked) = asked { refuse(asked).await },
        }
    }
}

type Refusing = std::pin::Pin<Box<dyn Future<Output = ()> + Send>>;

fn gone(asked: Asked) -> Refusing {
    Box::pin(async move { asked.refuse(503, &[]).await })
}

/// The first request with credentials; a client may wait until it is asked for them.
async fn authorized(play: &mut Play) -> Result<Asked, Stop> {
    for _ in 0..3 {
        let asked = play.first().await?;
        if asked.field("Authorization") == [basic(WHO)] {
            return Ok(asked);
        }
        asked
            .refuse(401, &[("WWW-Authenticate", "Basic realm=\"conformance\"")])
            .await;
    }
    Err(Stop::Skip(
        "the client takes no credentials from http://USER:PASSWORD@HOST".to_owned(),
    ))
}

async fn credentials_and_redirects(s: Scene) -> Verdict {
    let (host, mut other) = (s.host().await?, s.host().await?);
    let client = s.start(&host.url_for(&format!("{WHO}@"), "/live.mp3"), None)?;
    let mut play = Play::new(&s, host, None, client);
    let to = other.url("/elsewhere.mp3");
    let asked = authorized(&mut play).await?;
    asked.refuse(302, &[("Location", &to)]).await;
    let again = |asked: Asked| -> Refusing {
        let to = to.clone();
        Box::pin(async move { asked.refuse(302, &[("Location", &to)]).await })
    };
    match until_other(&mut play.host, &mut other, again).await {
        Some(asked) => nothing_secret(&asked),
        None => Err(Stop::Skip("the client follows no redirect".to_owned())),
    }
}

async fn credentials_and_links(s: Scene) -> Verdict {
    let (host, mut other) = (s.host().await?, s.host().await?);
    let client = s.start(&host.url_for(&format!("{WHO}@"), "/live.mp3"), None)?;
    let mut play = Play::new(&s, host, None, client);
    let asked = authorized(&mut play).await?;
    let link = format!("<{}>; rel=duplicate", other.url("/live.mp3"));
    let mut body = asked
        .answer(&Reply::at(&play.next, "").field("Link", link))
        .await;
    play.send(&mut body, SOME).await;
    body.fin().await;
    match until_other(&mut play.host, &mut other, gone).await {
        Some(asked) => nothing_secret(&asked),
        None => Err(Stop::blocked(
            "R-CLIENT-4",
            "it does not go to the relay of Link",
        )),
    }
}

fn nothing_secret(asked: &Asked) -> Verdict {
    let sent = asked.field("Authorization");
    expect(
        sent.is_empty() && !asked.target.contains("secret"),
        "no credentials for another origin",
        format!("Authorization: {}", sent.join(", ")),
    )
}

async fn endless_redirects(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let mut asked = play.first().await?;
    let mut hops = 0;
    let end = Instant::now() + 2 * ASKS;
    while Instant::now() < end {
        let to = format!("/hop-{}.mp3", hops + 1);
        asked.refuse(302, &[("Location", &to)]).await;
        asked = match play.host.next(ASKS).await {
            Some(asked) => asked,
            None if hops > 0 => return Ok(()),
            None => break,
        };
        if asked.target == to {
            hops += 1;
            expect(
                hops < HOPS,
                "an end of redirects",
                format!("{hops} in a row were followed"),
            )?;
        } else if hops > 0 {
            // It has given up, and begins anew.
            return Ok(());
        }
    }
    Err(Stop::Skip("the client follows no redirect".to_owned()))
}

async fn endless_links(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let mut asked = play.first().await?;
    let mut visits = BTreeMap::<String, usize>::new();
    let mut named = 0;
    let end = Instant::now() + 2 * ASKS;
    while Instant::now() < end {
        let visit = visits.entry(asked.target.clone()).or_default();
        *visit += 1;
        match visit {
            // Audio, so that it is no failure, and then nothing any more.
            1 => {
                let links: Vec<_> = (named..named + 5)
                    .map(|one| format!("</relay-{one}.mp3>; rel=duplicate"))
                    .collect();
                named += 5;
                let reply = Reply::at(&play.next, "").field("Link", links.join(", "));
                let mut body = asked.answer(&reply).await;
                play.send(&mut body, 500).await;
                body.fin().await;
            }
            2 => asked.refuse(404, &[]).await,
            // It is back, while others were named that it has not asked.
            _ => break,
        }
        expect(
            visits.len() < RELAYS,
            "a bound of relays that are learned",
            format!("{} were asked, of {named} that were named", visits.len()),
        )?;
        asked = match play.host.next(ASKS).await {
            Some(asked) => asked,
            None => break,
        };
    }
    match visits.len() {
        0 | 1 => Err(Stop::Skip("the client learns no relays".to_owned())),
        _ => Ok(()),
    }
}

async fn next_relay(s: Scene) -> Verdict {
    let mut play = Play::begin_with_two(&s).await?;
    play.join("").await?;
    let Some(mut other) = play.other.take() else {
        return Err(Stop::Error("no second relay".to_owned()));
    };
    match until_other(&mut play.host, &mut other, gone).await {
        Some(_) => Ok(()),
        None => Err(Stop::fail(
            "a request at the second relay",
            play.gone().await,
        )),
    }
}

async fn learns_relays(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let mut other = s.host().await?;
    let asked = play.first().await?;
    let link = format!("<{}>; rel=\"duplicate\"", other.url("/live.mp3"));
    let mut body = asked
        .answer(&Reply::at(&play.next, "").field("Link", link))
        .await;
    play.send(&mut body, SOME).await;
    body.fin().await;
    match until_other(&mut play.host, &mut other, gone).await {
        Some(_) => Ok(()),
        None => Err(Stop::fail(
            "a request at the relay that Link names",
            play.gone().await,
        )),
    }
}
