//! From `https` to `http` there is no way.

use std::time::Duration;

use tokio::time::Instant;

use crate::case::{Case, Stop, Verdict};
use crate::client::Scene;
use crate::client::host::{From, Host, Reply};
use crate::client::play::{ASKS, Play, SOME};

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/redirect-to-http",
        requirement: "R-CLIENT-6",
        does: "redirects a client from https to http",
        run: |s| Box::pin(redirect_to_http(s)),
    },
    Case {
        id: "client/link-to-http",
        requirement: "R-CLIENT-6",
        does: "names a relay of http by Link over https, and is gone",
        run: |s| Box::pin(link_to_http(s)),
    },
];

/// How long the client has the opportunity.
const TEMPTED: Duration = Duration::from_secs(5);

/// A client at a server that speaks TLS, with its first request.
async fn secure(s: &Scene) -> Result<(Play, crate::client::host::Asked), Stop> {
    let host = s.secure().await?;
    let client = s.start(&host.url("/live.mp3"), None)?;
    let mut play = Play::new(s, host, None, client);
    match play.host.next(ASKS).await {
        Some(asked) if asked.from() == From::Live => Ok((play, asked)),
        Some(asked) => Err(Stop::blocked(
            "R-JOIN-1",
            format!("it asks for {}", asked.from()),
        )),
        None => Err(Stop::Skip(
            "the client speaks no TLS, or does not trust the certificate in SSL_CERT_FILE"
                .to_owned(),
        )),
    }
}

/// Refuses at one server, and sees whether the client comes to the other meanwhile.
async fn tempted(host: &mut Host, plain: &mut Host, status: u16, to: &str) -> Verdict {
    let end = Instant::now() + TEMPTED;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Ok(());
        }
        tokio::select! {
            biased;
            asked = plain.next(left) => if asked.is_some() {
                return Err(Stop::fail("no request over http", "one"));
            },
            asked = host.next(left) => if let Some(asked) = asked {
                asked.refuse(status, &[("Location", to)]).await;
            },
        }
    }
}

async fn redirect_to_http(s: Scene) -> Verdict {
    let mut plain = s.host().await?;
    let (mut play, asked) = secure(&s).await?;
    let to = plain.url("/live.mp3");
    asked.refuse(302, &[("Location", &to)]).await;
    tempted(&mut play.host, &mut plain, 302, &to).await
}

async fn link_to_http(s: Scene) -> Verdict {
    let mut plain = s.host().await?;
    let (mut play, asked) = secure(&s).await?;
    let to = plain.url("/live.mp3");
    let link = format!("<{to}>; rel=duplicate");
    let mut body = asked
        .answer(&Reply::at(&play.next, "").field("Link", link))
        .await;
    play.send(&mut body, SOME).await;
    body.fin().await;
    tempted(&mut play.host, &mut plain, 404, &to).await
}
