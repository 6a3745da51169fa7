//! Servers that know nothing.

use std::time::Duration;

use crate::case::{Case, Stop, Verdict, expect};
use crate::client::Scene;
use crate::client::host::{Asked, From, Reply};
use crate::client::play::{Play, SOME, START};

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/no-address",
        requirement: "R-COMPAT-1",
        does: "answers as a stock server, and cuts",
        run: |s| Box::pin(no_address(s)),
    },
    Case {
        id: "client/no-proof",
        requirement: "R-COMPAT-3",
        does: "answers a resume as a stock server, with other bytes",
        run: |s| Box::pin(no_proof(s)),
    },
    Case {
        id: "client/ambiguous-bytes",
        requirement: "R-COMPAT-3",
        does: "answers a resume as a stock server, with silence that could stand anywhere",
        run: |s| Box::pin(ambiguous_bytes(s)),
    },
    Case {
        id: "client/positions-of-errors",
        requirement: "R-COMPAT-4",
        does: "answers a join and a resume with 503 and a Stream-Offset",
        run: |s| Box::pin(positions_of_errors(s)),
    },
];

/// A client may wait for more bytes before it gives a proof up.
const PROOF: Duration = Duration::from_secs(40);

async fn no_address(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let mut body = asked.answer(&Reply::stock()).await;
    play.send(&mut body, SOME).await;
    play.wrote("the bytes of the answer").await?;
    body.fin().await;
    let asked = play.again().await?;
    expect(
        asked.from() == From::Live,
        "live: the bytes had no address",
        format!("a request for {}", asked.from()),
    )
}

/// Sends a stock answer piece by piece until the client has said that something is lost.
async fn until_lost(play: &Play, asked: Asked, bytes: &[u8]) -> Verdict {
    let mut body = asked.answer(&Reply::stock()).await;
    let drip = async {
        body.send(bytes).await;
        // Nothing of what follows was there before, either.
        for piece in play.stream.bytes(900_000_000, 800_000).chunks(2000) {
            body.send(piece).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        std::future::pending().await
    };
    tokio::select! {
        said = play.says_lost(None, PROOF) => said,
        () = drip => Ok(()),
    }
}

async fn no_proof(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    let bytes = s.stream().bytes(START, 65_536);
    until_lost(&play, asked, &bytes).await
}

async fn ambiguous_bytes(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let mut body = asked.answer(&Reply::at(&play.next, "")).await;
    play.send(&mut body, SOME).await;
    let silence = vec![0x55; 8192];
    body.send(&silence).await;
    play.counted(&silence);
    body.fin().await;
    let asked = play.exact().await?;
    until_lost(&play, asked, &[0x55; 65_536]).await
}

async fn positions_of_errors(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let elsewhere = s.stream().at(77);
    let ask = elsewhere.ask();
    let fields = [("Stream-Offset", ask.as_str())];
    // That the client's own position stays is R-CLIENT-8.
    let not_there = |asked: &Asked| match asked.from() {
        From::At(at) if at.epoch == elsewhere.epoch => Err(Stop::fail(
            "nothing learned from a 503",
            format!("a request for {at}"),
        )),
        _ => Ok(()),
    };
    play.first().await?.refuse(503, &fields).await;
    let asked = play.again().await?;
    not_there(&asked)?;
    play.serve(asked, "", SOME).await.fin().await;
    play.exact().await?.refuse(503, &fields).await;
    not_there(&play.again().await?)
}
