//! Losses: what the client says of them, and what it must not take for audio.

use crate::case::{Case, Verdict};
use crate::client::Scene;
use crate::client::host::Reply;
use crate::client::play::{Play, SOME, WRITES};

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/says-what-is-lost",
        requirement: "R-MISS-10",
        does: "answers a resume with lost=4321, and reads standard error",
        run: |s| Box::pin(says_what_is_lost(s)),
    },
    Case {
        id: "client/reckons-what-is-lost",
        requirement: "R-MISS-11",
        does: "answers a resume 4321 bytes further on, and reads standard error",
        run: |s| Box::pin(reckons_what_is_lost(s)),
    },
    Case {
        id: "client/another-epoch-is-a-loss",
        requirement: "R-MISS-11",
        does: "answers a resume in another epoch, without a word, and reads standard error",
        run: |s| Box::pin(another_epoch_is_a_loss(s)),
    },
    Case {
        id: "client/error-pages-are-no-audio",
        requirement: "R-CLIENT-1",
        does: "answers resumes with 404, 412 and 503 and long pages, then with the stream",
        run: |s| Box::pin(error_pages_are_no_audio(s)),
    },
];

async fn lost(s: &Scene, parameters: &str) -> Verdict {
    let mut play = Play::begin(s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    play.next = play.next.plus(4321);
    let _body = play.serve(asked, parameters, SOME).await;
    play.says_lost(Some(4321), WRITES).await
}

async fn says_what_is_lost(s: Scene) -> Verdict {
    lost(&s, ";lost=4321").await
}

async fn reckons_what_is_lost(s: Scene) -> Verdict {
    lost(&s, "").await
}

async fn another_epoch_is_a_loss(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    play.moves(s.stream(), 777);
    let _body = play.serve(asked, "", SOME).await;
    play.says_lost(None, WRITES).await
}

async fn error_pages_are_no_audio(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    for status in [404, 412, 503] {
        // Even with the type and the bytes of the stream.
        let asked = play.again().await?;
        let reply = Reply::new(status).field("Content-Type", "audio/mpeg");
        let mut body = asked.answer(&reply).await;
        body.send(&play.stream.bytes(play.next.offset + 50_000, SOME))
            .await;
        body.fin().await;
    }
    let asked = play.exact().await?;
    let _body = play.serve(asked, "", SOME).await;
    play.wrote("the bytes of the 200 answers alone").await
}
