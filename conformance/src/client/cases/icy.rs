//! Blocks of titles: outside of the stream, and never half.

use crate::case::{Case, Stop, Verdict, expect};
use crate::client::Scene;
use crate::client::host::{Asked, Body, Reply};
use crate::client::play::{Play, WRITES};
use crate::icy;

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/blocks-are-not-counted",
        requirement: "R-ADDR-6",
        does: "puts ICY blocks into an answer, and cuts",
        run: |s| Box::pin(blocks_are_not_counted(s)),
    },
    Case {
        id: "client/phase",
        requirement: "R-ICY-1",
        does: "cuts between two ICY blocks, and begins the interval anew",
        run: |s| Box::pin(phase(s)),
    },
    Case {
        id: "client/interval",
        requirement: "R-ICY-3",
        does: "changes icy-metaint with each answer, and leaves it out at last",
        run: |s| Box::pin(interval(s)),
    },
    Case {
        id: "client/cut-block",
        requirement: "R-ICY-10",
        does: "cuts within an ICY block, and reads standard error for its title",
        run: |s| Box::pin(cut_block(s)),
    },
    Case {
        id: "client/a-title-once",
        requirement: "R-ICY-8",
        does: "names titles again after cuts, and reads standard error",
        run: |s| Box::pin(a_title_once(s)),
    },
    Case {
        id: "client/titles-in-order",
        requirement: "R-ICY-8",
        does: "names two titles in a block, the newest first, and reads standard error",
        run: |s| Box::pin(titles_in_order(s)),
    },
    Case {
        id: "client/unknown-keys",
        requirement: "R-ICY-11",
        does: "puts keys around a title that nobody knows, and reads standard error",
        run: |s| Box::pin(unknown_keys(s)),
    },
];

impl Play {
    /// Answers with blocks each `metaint` bytes.
    async fn with_blocks(&mut self, asked: Asked, metaint: usize) -> Result<Body, Stop> {
        if !asked.wants_titles() {
            return Err(Stop::Skip("the client asks for no titles".to_owned()));
        }
        let reply = Reply::at(&self.next, "").field("icy-metaint", metaint.to_string());
        Ok(asked.answer(&reply).await)
    }

    /// Waits for a title on standard error.
    async fn says_title(&self, title: &str) -> bool {
        self.client.says(WRITES, |said| said.contains(title)).await
    }

    async fn needs_title(&self, title: &str) -> Verdict {
        match self.says_title(title).await {
            true => Ok(()),
            false => Err(Stop::Skip(format!(
                "the client does not say the title {title:?} on standard error"
            ))),
        }
    }

    /// Of each line with one of these titles, which one.
    fn titles_said(&self, titles: &[&str]) -> Vec<usize> {
        let said = self.client.said();
        said.lines()
            .filter_map(|line| titles.iter().position(|title| line.contains(title)))
            .collect()
    }
}

/// A block that names titles with their places.
fn named(titles: &[(&str, u64)]) -> Vec<u8> {
    let text: String = titles
        .iter()
        .map(|(title, at)| format!("StreamTitle='{title}';StreamAt='{at}';"))
        .collect();
    icy::block(text.as_bytes())
}

async fn blocks_are_not_counted(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    play.join("").await?;
    let asked = play.exact().await?;
    let at = play.next.offset;
    let mut body = play.with_blocks(asked, 1000).await?;
    play.send(&mut body, 1000).await;
    body.send(&named(&[("Not Of The Stream", at)])).await;
    play.send(&mut body, 1000).await;
    body.send(&icy::block(b"")).await;
    play.send(&mut body, 500).await;
    body.fin().await;
    play.goes_on("which does not count the blocks").await?;
    play.wrote("the stream without the blocks").await
}

async fn phase(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let mut body = play.with_blocks(asked, 1000).await?;
    play.send(&mut body, 700).await;
    body.fin().await;
    let asked = play.exact().await?;
    let at = play.next.offset;
    let mut body = play.with_blocks(asked, 1000).await?;
    play.send(&mut body, 1000).await;
    body.send(&named(&[("After A Thousand", at)])).await;
    play.send(&mut body, 800).await;
    play.wrote("a block taken out after 1000 bytes of the second answer")
        .await
}

async fn interval(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let mut asked = play.first().await?;
    // Each answer ends with an interval, so that no phase is left.
    for metaint in [Some(1000), Some(700), None, Some(1300)] {
        let body = match metaint {
            Some(metaint) => {
                let at = play.next.offset;
                let mut body = play.with_blocks(asked, metaint).await?;
                for block in [named(&[("Some Title", at)]), icy::block(b"")] {
                    play.send(&mut body, metaint).await;
                    body.send(&block).await;
                }
                body
            }
            None => play.serve(asked, "", 3000).await,
        };
        body.fin().await;
        // Audio first: a wrong position alone may have other reasons.
        play.wrote("blocks taken out at the interval that the answer has, or has not")
            .await?;
        asked = play.exact().await?;
    }
    Ok(())
}

async fn cut_block(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let at = play.next.offset;
    let mut body = play.with_blocks(asked, 1000).await?;
    play.send(&mut body, 1000).await;
    // The text is there; of the zeros behind it some are not.
    let block = named(&[("Cut In The Middle", at)]);
    let text = block.iter().rposition(|octet| *octet != 0).unwrap_or(0);
    let whole = [&[block[0] + 1][..], &block[1..=text]].concat();
    body.send(&whole).await;
    body.fin().await;
    let asked = play.exact().await?;
    let mut body = play.with_blocks(asked, 1000).await?;
    play.send(&mut body, 1000).await;
    body.send(&named(&[("Told In Full", at + 900)])).await;
    play.send(&mut body, 500).await;
    play.needs_title("Told In Full").await?;
    let said = play.titles_said(&["Cut In The Middle"]);
    expect(
        said.is_empty(),
        "nothing of a block that was cut",
        "its title on standard error",
    )?;
    play.wrote("the stream without the blocks").await
}

async fn a_title_once(s: Scene) -> Verdict {
    const TITLES: [&str; 3] = ["First Of Three", "Second Of Three", "Third Of Three"];
    let mut play = Play::begin(&s).await?;
    let mut asked = play.first().await?;
    let at = play.next.offset;
    let places = [at + 500, at + 1500, at + 2500];
    for (round, latest) in TITLES.iter().enumerate() {
        let mut body = play.with_blocks(asked, 1000).await?;
        play.send(&mut body, 1000).await;
        let titles: Vec<_> = (0..=round)
            .rev()
            .map(|one| (TITLES[one], places[one]))
            .collect();
        body.send(&named(&titles)).await;
        play.send(&mut body, 10).await;
        play.needs_title(latest).await?;
        if round == 2 {
            break;
        }
        body.fin().await;
        asked = play.exact().await?;
    }
    let said = play.titles_said(&TITLES);
    expect(
        said == [0, 1, 2],
        "each of three titles once, in their order",
        format!("these, in this order: {said:?}"),
    )
}

async fn titles_in_order(s: Scene) -> Verdict {
    const TITLES: [&str; 2] = ["The Older One", "The Newer One"];
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let at = play.next.offset;
    let mut body = play.with_blocks(asked, 2000).await?;
    play.send(&mut body, 2000).await;
    body.send(&named(&[(TITLES[1], at + 1500), (TITLES[0], at + 100)]))
        .await;
    play.send(&mut body, 10).await;
    play.needs_title(TITLES[1]).await?;
    play.needs_title(TITLES[0]).await?;
    let said = play.titles_said(&TITLES);
    expect(
        said == [0, 1],
        "the older of two titles first",
        format!("these, in this order: {said:?}"),
    )
}

async fn unknown_keys(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let at = play.next.offset;
    let mut body = play.with_blocks(asked, 1000).await?;
    play.send(&mut body, 1000).await;
    body.send(&named(&[("A Plain Title", at)])).await;
    play.needs_title("A Plain Title").await?;
    play.send(&mut body, 1000).await;
    let text = format!(
        "Mood='x=\"y\"';StreamTitle='Among Unknown Keys';Tempo_2='it's';StreamAt='{}';Z='';",
        at + 900
    );
    body.send(&icy::block(text.as_bytes())).await;
    play.send(&mut body, 10).await;
    expect(
        play.says_title("Among Unknown Keys").await,
        "the title among keys that nobody knows",
        "nothing of it on standard error",
    )
}
