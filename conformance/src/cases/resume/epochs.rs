//! Epochs and offsets.

use super::session::look_random;
use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Content, Format};
use crate::field::Position;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/epochs-are-random",
        requirement: "R-ADDR-1",
        does: "begins four streams, and compares the names of their epochs",
        run: |s| Box::pin(random(s)),
    },
    Case {
        id: "resume/offsets-from-the-start",
        requirement: "R-ADDR-2",
        does: "looks at the window of a stream that has just begun, and at bytes far apart in it",
        run: |s| Box::pin(from_the_start(s)),
    },
    Case {
        id: "resume/epochs-have-no-order",
        requirement: "R-ADDR-5",
        does: "resumes in an ended epoch, further on than the new one has got",
        run: |s| Box::pin(no_order(s)),
    },
    Case {
        id: "resume/new-source-new-epoch",
        requirement: "R-EPOCH-1",
        does: "cuts the source, sends another stream, and compares the epochs",
        run: |s| Box::pin(new_source(s)),
    },
    Case {
        id: "resume/headers-count",
        requirement: "R-EPOCH-2",
        does: "resumes at offset 0 of an Ogg stream, and looks for its headers",
        run: |s| Box::pin(headers_count(s)),
    },
    Case {
        id: "resume/ended-epoch",
        requirement: "R-EPOCH-3",
        does: "resumes in an epoch that has ended, while its bytes are held",
        run: |s| Box::pin(ended(s)),
    },
];

async fn random(s: Session) -> Verdict {
    let mut epochs = Vec::new();
    for _ in 0..4 {
        let fed = s.own(Format::Mpeg).await?;
        epochs.push(s.join_at(&fed.mount).await?.window()?.epoch);
    }
    expect(look_random(&epochs), "random epochs", epochs.join(", "))
}

async fn from_the_start(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    let window = s.join_at(&fed.mount).await?.window()?;
    expect(
        window.first == 0,
        "offset 0 for the first byte",
        format!("first={}", window.first),
    )?;
    let window = s.holding(&fed.mount, 100_000).await?;
    let mut indices = Vec::new();
    for offset in [window.next - 90_000, window.next - 10_000] {
        let answer = s.resume(&fed.mount, &window.at(offset)).await?;
        let body = answer
            .only_if(200, "R-RESUME-3")?
            .read(fed.content().enough())
            .await?;
        let index = fed.content().find(&body);
        let other = || Stop::blocked("R-COMPAT-6", "other bytes than the source's");
        indices.push(index.ok_or_else(other)?);
    }
    let (low, high) = (indices[0], indices[1]);
    expect(
        high - low == 80_000,
        "80,000 bytes of the stream between offsets 80,000 apart",
        (high - low).to_string(),
    )
}

/// A mount whose source was replaced: the old epoch, where it ended, and the mount's new stream.
pub(super) struct Replaced {
    pub(super) old: Position,
    pub(super) fed: crate::stage::Fed,
    pub(super) heard: Vec<u8>,
    pub(super) before: Content,
}

/// Feeds a mount with `bytes` of a stream, listens to their end, and feeds another one from a byte on.
pub(super) async fn replace(
    s: &Session,
    format: Format,
    bytes: u64,
    from: u64,
    jump: u64,
) -> Result<Replaced, Stop> {
    let fed = s.own(format).await?;
    let mut answer = s.join_at(&fed.mount).await?;
    let place = answer.place()?;
    fed.source.jump(bytes).await?;
    s.window_when(&fed.mount, "grow", |window| {
        window.next + 1_000 >= place.at.offset + bytes
    })
    .await?;
    let (mount, before) = (fed.mount.clone(), fed.content());
    fed.source.end().await;
    let content = Content::new(format, s.stage().number());
    let fed = s.stage().feed_from(mount, content, from, false).await?;
    fed.source.jump(jump).await?;
    let (mut heard, end) = answer.read_for(s.target().answer, 2_000_000).await;
    if end == crate::connection::End::Open {
        let now = s.join_at(&fed.mount).await?.window()?;
        return Err(match now.epoch == place.at.epoch {
            true => Stop::blocked("R-EPOCH-1", "another source continues the epoch"),
            false => Stop::blocked(
                "R-SPLICE-3",
                "an aware client's answer does not end with its epoch",
            ),
        });
    }
    heard.drain(..place.prelude.min(heard.len()));
    let old = place.at.plus(heard.len());
    s.window_when(&fed.mount, "move to another epoch (R-EPOCH-1)", |window| {
        window.epoch != old.epoch && window.next > jump.min(50_000)
    })
    .await?;
    Ok(Replaced {
        old,
        fed,
        heard,
        before,
    })
}

async fn no_order(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    fed.source.jump(160_000).await?;
    let what = "grow";
    let window = s
        .window_when(&fed.mount, what, |window| window.next > 150_000)
        .await?;
    let at = window.at(window.next - 10_000);
    let mount = fed.mount.clone();
    fed.source.end().await;
    let content = Content::new(Format::Mpeg, s.stage().number());
    let fed = s.stage().feed(mount, content).await?;
    let new = s
        .window_when(&fed.mount, "move to another epoch", |window| {
            window.epoch != at.epoch
        })
        .await?;
    if new.next >= at.offset {
        return Err(Stop::Skip(format!(
            "the new epoch has got to {} already",
            new.next
        )));
    }
    let mut answer = s.resume(&fed.mount, &at).await?;
    // Whether it still holds the old bytes is its own affair; ahead of anything they are not.
    expect(
        answer.status() == 200,
        format!("200 for {at} of the ended epoch"),
        answer.status().to_string(),
    )?;
    answer.read(500).await.map(|_| ())
}

async fn new_source(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    let old = s.join_at(&fed.mount).await?.window()?;
    let mount = fed.mount.clone();
    fed.source.until(60_000).await?;
    fed.source.end().await;
    let content = Content::new(Format::Mpeg, s.stage().number());
    let fed = s.stage().feed(mount, content).await?;
    fed.source.until(60_000).await?;
    // Until the new stream is heard.
    let end = tokio::time::Instant::now() + s.target().patience;
    loop {
        let mut answer = s.join_at(&fed.mount).await?;
        let place = answer.place()?;
        let body = answer.read(content.enough() + 200).await?;
        if content.find(&body).is_some() {
            return expect(
                place.at.epoch != old.epoch,
                "another epoch for another stream",
                "the same",
            );
        }
        if tokio::time::Instant::now() > end {
            return Err(Stop::Skip("the new stream is not heard".to_owned()));
        }
        tokio::time::sleep(crate::session::LOOK).await;
    }
}

async fn headers_count(s: Session) -> Verdict {
    let fed = s.own(Format::Opus).await?;
    let window = s.join_at(&fed.mount).await?.window()?;
    if window.first > 0 {
        return Err(Stop::Skip("offset 0 has gone already".to_owned()));
    }
    let mut answer = s
        .resume(&fed.mount, &window.at(0))
        .await?
        .only_if(200, "R-RESUME-3")?;
    let place = answer.place()?;
    if place.at.offset != 0 || place.prelude > 0 {
        return Err(Stop::blocked("R-RESUME-3", format!("{place:?}")));
    }
    let head = fed.content().head();
    let body = answer.read(head.len()).await?;
    expect(
        body == head,
        "the stream's header pages from offset 0 on",
        "something else",
    )
}

async fn ended(s: Session) -> Verdict {
    let replaced = replace(&s, Format::Mpeg, 60_000, 0, 100_000).await?;
    let at = Position::new(&replaced.old.epoch, replaced.old.offset - 20_000);
    let mut answer = s.resume(&replaced.fed.mount, &at).await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let place = answer.place()?;
    expect(place.at == at, at.to_string(), place.at.to_string())?;
    let body = answer.read(20_000).await?;
    expect(
        replaced.heard.ends_with(&body),
        "the last bytes of the ended epoch",
        "others",
    )
}
