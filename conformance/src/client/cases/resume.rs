//! Cuts, and where the client goes on.

use crate::case::{Case, Stop, Verdict, expect};
use crate::client::Scene;
use crate::client::host::{From, Reply};
use crate::client::play::{Play, SOME, START, WRITES};
use crate::content::{Content, Format};

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/cut-in-order",
        requirement: "R-RESUME-1",
        does: "closes the connection, three times",
        run: |s| Box::pin(cut_in_order(s)),
    },
    Case {
        id: "client/cut-hard",
        requirement: "R-RESUME-1",
        does: "resets the connection in the middle of the bytes",
        run: |s| Box::pin(cut_hard(s)),
    },
    Case {
        id: "client/cut-in-the-head",
        requirement: "R-RESUME-1",
        does: "closes the connection within the head of an answer",
        run: |s| Box::pin(cut_in_the_head(s)),
    },
    Case {
        id: "client/another-position",
        requirement: "R-RESUME-6",
        does: "answers a resume further on, and cuts",
        run: |s| Box::pin(another_position(s)),
    },
    Case {
        id: "client/goes-back",
        requirement: "R-RESUME-9",
        does: "answers a resume with bytes that the client has already",
        run: |s| Box::pin(goes_back(s)),
    },
    Case {
        id: "client/prelude-comes-first",
        requirement: "R-CLIENT-9",
        does: "sends codec headers before the stream, and cuts",
        run: |s| Box::pin(prelude_comes_first(s)),
    },
    Case {
        id: "client/cut-in-the-prelude",
        requirement: "R-RESUME-7",
        does: "cuts within the codec headers of a join, and of a splice",
        run: |s| Box::pin(cut_in_the_prelude(s)),
    },
    Case {
        id: "client/splice",
        requirement: "R-SPLICE-8",
        does: "leads the client over a declared splice, and cuts",
        run: |s| Box::pin(splice(s)),
    },
    Case {
        id: "client/epochs-have-no-order",
        requirement: "R-ADDR-5",
        does: "answers a resume in another epoch, at a lower offset",
        run: |s| Box::pin(epochs_have_no_order(s)),
    },
];

async fn cut_in_order(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    for (count, why) in [
        (1, "where the first answer ended"),
        (20_011, "one byte further"),
        (SOME, "where the third answer ended"),
    ] {
        let asked = play.resumes(why).await?;
        play.serve(asked, "", count).await.fin().await;
    }
    play.resumes("after the last cut").await?;
    play.wrote("each byte once").await
}

async fn cut_hard(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let mut body = asked.answer(&Reply::at(&play.next, "")).await;
    let sent = 60_000;
    body.send(&play.stream.bytes(START, sent)).await;
    // Some of it has arrived for certain.
    let some = play.client.audio(1000, WRITES).await.len();
    body.reset();
    let asked = play.resumed_somewhere().await?;
    let last = START + sent as u64;
    let at = match asked.from() {
        From::At(at) if at.epoch == play.next.epoch => at.offset,
        other => {
            return Err(Stop::fail(
                format!("a position from {} to {last}", START + some as u64),
                format!("a request for {other}"),
            ));
        }
    };
    expect(
        (START + some as u64..=last).contains(&at),
        format!("a position from {} to {last}", START + some as u64),
        format!("a request for {at}"),
    )?;
    let had = play
        .stream
        .bytes(START, usize::try_from(at - START).unwrap_or_default());
    play.counted(&had);
    let _body = play.serve(asked, "", SOME).await;
    play.wrote("each byte once").await
}

async fn cut_in_the_head(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.resumes("where the first answer ended").await?;
    let half = format!("HTTP/1.1 200 OK\r\nStream-Offset: {}", play.next.offset + 7);
    asked.octets(half.as_bytes()).await.fin().await;
    let asked = play.resumes("the same as before half a head").await?;
    let _body = play.serve(asked, "", SOME).await;
    play.wrote("each byte once, and none of the head").await
}

async fn another_position(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    play.next = play.next.plus(4000);
    play.serve(asked, ";lost=4000", SOME).await.fin().await;
    play.goes_on("4000 bytes further than it asked for, as the last answer said")
        .await?;
    play.wrote("the bytes of both answers").await
}

async fn goes_back(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    let back = play.next.offset - 1500;
    let mut body = asked.answer(&Reply::at(&play.stream.at(back), "")).await;
    // The client has these.
    body.send(&play.stream.bytes(back, 1500)).await;
    play.send(&mut body, SOME).await;
    body.fin().await;
    play.goes_on("the same as if the answer had begun there")
        .await?;
    play.wrote("each byte once").await
}

async fn prelude_comes_first(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let prelude = Content::new(Format::Opus, 1).head();
    play.join("").await?;
    let asked = play.exact().await?;
    play.next = play.next.plus(9000);
    let reply = Reply::at(&play.next, &format!(";prelude={}", prelude.len()));
    let mut body = asked.answer(&reply).await;
    body.send(&prelude).await;
    play.hears(&prelude);
    play.send(&mut body, SOME).await;
    body.fin().await;
    play.goes_on("which does not count the codec headers")
        .await?;
    play.wrote("the codec headers, then the stream").await
}

async fn cut_in_the_prelude(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let prelude = Content::new(Format::Opus, 1).head();
    let half = &prelude[..prelude.len() / 2];
    let parameters = format!(";prelude={}", prelude.len());
    let asked = play.first().await?;
    let mut body = asked.answer(&Reply::at(&play.next, &parameters)).await;
    body.send(half).await;
    body.fin().await;
    let asked = play.again().await?;
    expect(
        asked.from() == From::Live,
        "live again: the codec headers of the join were cut",
        format!("a request for {}", asked.from()),
    )?;
    play.serve(asked, "", SOME).await.fin().await;
    let asked = play.exact().await?;
    let next = s.stream();
    let spliced = Reply::at(&next.at(417), &format!("{parameters};spliced"));
    let mut body = asked.answer(&spliced).await;
    body.send(half).await;
    body.fin().await;
    let asked = play
        .goes_on("again: the codec headers behind the splice were cut")
        .await?;
    let mut body = asked.answer(&spliced).await;
    body.send(&prelude).await;
    play.moves(next, 417);
    play.send(&mut body, SOME).await;
    Ok(())
}

async fn splice(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let mut asked = play.exact().await?;
    for offset in [3_000_000, 7_000_417] {
        play.moves(s.stream(), offset);
        play.serve(asked, ";spliced", SOME).await.fin().await;
        asked = play.goes_on("counted from where the epoch goes on").await?;
    }
    play.wrote("the bytes of all three epochs").await
}

async fn epochs_have_no_order(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    play.moves(s.stream(), START - 10_000);
    let _body = play.serve(asked, ";spliced", SOME).await;
    play.wrote("all bytes of the other epoch: none of them was there before")
        .await
}

impl Play {
    /// The next request, which has to come and to be for the next byte: where that is what is judged.
    async fn resumes(&mut self, why: &str) -> Result<crate::client::host::Asked, Stop> {
        let asked = self.resumed_somewhere().await?;
        let expected = format!("a request for {}, {why}", self.next);
        expect(
            asked.from() == From::At(self.next.clone()),
            expected,
            format!("a request for {}", asked.from()),
        )?;
        Ok(asked)
    }

    async fn resumed_somewhere(&mut self) -> Result<crate::client::host::Asked, Stop> {
        match self.host.next(crate::client::play::ASKS).await {
            Some(asked) => Ok(asked),
            None => Err(Stop::fail("another request after a cut", self.gone().await)),
        }
    }
}
