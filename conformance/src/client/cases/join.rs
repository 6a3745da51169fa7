//! Joins, and how requests and fields are written and read.

use crate::case::{Case, Verdict, expect};
use crate::client::Scene;
use crate::client::host::{From, Reply};
use crate::client::play::{Play, SOME, START};

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/joins-live",
        requirement: "R-JOIN-1",
        does: "reads the first request",
        run: |s| Box::pin(joins_live(s)),
    },
    Case {
        id: "client/one-line",
        requirement: "R-FIELD-5",
        does: "counts the Resume-Offset lines of a join and of a resume",
        run: |s| Box::pin(one_line(s)),
    },
    Case {
        id: "client/short-heads",
        requirement: "R-HEAD-4",
        does: "measures the heads of a join and of a resume",
        run: |s| Box::pin(short_heads(s)),
    },
    Case {
        id: "client/unknown-parameters",
        requirement: "R-FIELD-2",
        does: "adds parameters and members to its fields that nobody knows, and cuts",
        run: |s| Box::pin(unknown_parameters(s)),
    },
    Case {
        id: "client/malformed-offsets",
        requirement: "R-FIELD-8",
        does: "answers joins with malformed Stream-Offsets, and cuts",
        run: |s| Box::pin(malformed_offsets(s)),
    },
];

async fn joins_live(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let expected = "a request with Resume-Offset: live";
    let Some(asked) = play.host.next(crate::client::play::ASKS).await else {
        return Err(crate::case::Stop::fail(expected, play.gone().await));
    };
    expect(
        asked.from() == From::Live,
        expected,
        asked.from().to_string(),
    )
}

async fn one_line(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    for round in ["the join", "the resume"] {
        let asked = match round {
            "the join" => play.first().await?,
            _ => play.exact().await?,
        };
        let lines = asked.field("Resume-Offset").len();
        expect(
            lines == 1,
            format!("one Resume-Offset line in {round}"),
            format!("{lines} lines"),
        )?;
        play.serve(asked, "", SOME).await.fin().await;
    }
    Ok(())
}

async fn short_heads(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    for round in 0..2 {
        let asked = match round {
            0 => play.first().await?,
            _ => play.exact().await?,
        };
        expect(
            asked.length <= 4096 && asked.lines() <= 32,
            "a head of at most 4096 bytes and 32 field lines",
            format!("{} bytes, {} lines", asked.length, asked.lines()),
        )?;
        let session = format!(";session=\"{}\"", crate::reference::names::encode(&[7; 16]));
        play.serve(asked, &session, SOME).await.fin().await;
    }
    Ok(())
}

async fn unknown_parameters(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    let window = format!(
        "zebra=?0, first=0, yak=(1 2);x=\"y\", next=900000, epoch=\"{}\", rate=16000",
        play.next.epoch
    );
    // All types of parameters that there are, before and behind those that are known.
    let offset = format!(
        "{};zebra;yak=\"a;b,\\\"c\";epoch=\"{}\";x=1.5;prelude=0;tok=a/b;bin=:aGk=:",
        play.next.offset, play.next.epoch
    );
    let reply = Reply::stock()
        .field("Stream-Offset", offset)
        .field("Stream-Window", window);
    let mut body = asked.answer(&reply).await;
    play.send(&mut body, SOME).await;
    body.fin().await;
    play.goes_on("as if there were only known parameters")
        .await?;
    play.wrote("the bytes of both answers").await
}

async fn malformed_offsets(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let mut asked = play.first().await?;
    let epoch = play.next.epoch.clone();
    for value in [
        // One character less, no Integer, a parameter of another type, both of two that exclude each other.
        format!("{START};epoch=\"{}\"", &epoch[..21]),
        format!("{START}.5;epoch=\"{epoch}\""),
        format!("{START};epoch=\"{epoch}\";prelude=\"0\""),
        format!("{START};epoch=\"{epoch}\";spliced;lost=5"),
    ] {
        let mut body = asked
            .answer(&Reply::stock().field("Stream-Offset", value.clone()))
            .await;
        let bytes = play.stream.bytes(START, SOME);
        body.send(&bytes).await;
        body.fin().await;
        asked = play.again().await?;
        expect(
            asked.from() == From::Live,
            format!("live, after an answer with Stream-Offset: {value}"),
            format!("a request for {}", asked.from()),
        )?;
    }
    Ok(())
}
