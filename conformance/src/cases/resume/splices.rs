//! Splices, and the ends of epochs.

use std::time::Duration;

use super::epochs::{Replaced, replace};
use crate::case::{Case, Stop, Verdict, expect};
use crate::connection::End;
use crate::content::{Content, Format};
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/splice-target",
        requirement: "R-SPLICE-2",
        does: "lets an epoch begin in the midst of a frame, and resumes at the end of the one before",
        run: |s| Box::pin(target(s)),
    },
    Case {
        id: "resume/splice-ends-the-answer",
        requirement: "R-SPLICE-3",
        does: "listens as an aware client while the source is replaced",
        run: |s| Box::pin(ends(s)),
    },
    Case {
        id: "resume/over-a-splice",
        requirement: "R-SPLICE-4",
        does: "resumes at the end of an epoch, and beyond it",
        run: |s| Box::pin(over(s)),
    },
    Case {
        id: "resume/over-a-splice-in-ogg",
        requirement: "R-SPLICE-4",
        does: "resumes at the end of an epoch of an Ogg stream, and looks for the new headers",
        run: |s| Box::pin(over_in_ogg(s)),
    },
    Case {
        id: "resume/carried",
        requirement: "R-SPLICE-6",
        does: "listens as a client that is not aware while the source is replaced",
        run: |s| Box::pin(carried(s)),
    },
    Case {
        id: "resume/64-splices",
        requirement: "R-SPLICE-7",
        does: "replaces the source 64 times, and resumes at the end of the first epoch",
        run: |s| Box::pin(many(s)),
    },
    Case {
        id: "resume/nothing-has-followed",
        requirement: "R-SPLICE-9",
        does: "ends the source, and resumes at the end of the epoch",
        run: |s| Box::pin(nothing_has_followed(s)),
    },
];

async fn target(s: Session) -> Verdict {
    let Replaced { old, fed, .. } = replace(&s, Format::Mpeg, 40_000, 100, 120_000).await?;
    let mut answer = s
        .resume(&fed.mount, &old)
        .await?
        .only_if(200, "R-SPLICE-4")?;
    let (place, window) = (answer.place()?, answer.window()?);
    if window.epoch != place.at.epoch || window.first > place.at.offset {
        return Err(Stop::Skip(
            "the new epoch's first bytes have gone already".to_owned(),
        ));
    }
    if place.at.epoch == old.epoch {
        return Err(Stop::blocked(
            "R-SPLICE-4",
            format!("the answer is at {}", place.at),
        ));
    }
    let body = answer.read(place.prelude + fed.content().enough()).await?;
    let index = fed.content().find(&body[place.prelude..]);
    let index =
        index.ok_or_else(|| Stop::blocked("R-RESUME-4", "the body is none of the stream"))?;
    let observed = format!(
        "a start at offset {}, byte {} of a frame",
        place.at.offset,
        index % 960
    );
    expect(
        index % 960 == 0 && place.at.offset - window.first < 960,
        "the first frame of the new epoch",
        observed,
    )
}

async fn ends(s: Session) -> Verdict {
    let replaced = replace(&s, Format::Mpeg, 40_000, 0, 60_000).await;
    let replaced = match replaced {
        Err(Stop::Skip(why)) if why.contains("R-SPLICE-3") => {
            return Err(Stop::fail(
                "the end of the answer with the last byte of the epoch",
                "it goes on",
            ));
        }
        other => other?,
    };
    let slice = replaced.before.find(&replaced.heard).is_some();
    expect(slice, "nothing but bytes of the epoch", "others")
}

async fn over(s: Session) -> Verdict {
    let Replaced { old, fed, .. } = replace(&s, Format::Mpeg, 40_000, 0, 120_000).await?;
    let mut places = Vec::new();
    for further in [0, 5_000] {
        let asked = old.plus(further);
        let mut answer = s.resume(&fed.mount, &asked).await?;
        expect(
            answer.status() == 200,
            format!("200 for {asked}"),
            answer.status().to_string(),
        )?;
        let place = answer.place()?;
        let continues = place.spliced && place.lost.is_none() && place.at.epoch != old.epoch;
        expect(
            continues,
            "spliced, in the next epoch",
            format!("{place:?}"),
        )?;
        let body = answer.read(fed.content().enough() + 200).await?;
        expect(
            fed.content().find(&body).is_some(),
            "bytes of the new stream",
            "others",
        )?;
        places.push(place.at.offset);
    }
    let observed = format!("{} and {}", places[0], places[1]);
    expect(
        places[1] == places[0] + 5_000,
        "offsets as far apart as those asked for",
        observed,
    )
}

async fn over_in_ogg(s: Session) -> Verdict {
    let Replaced { old, fed, .. } = replace(&s, Format::Opus, 40_000, 0, 120_000).await?;
    let mut answer = s.resume(&fed.mount, &old).await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let place = answer.place()?;
    expect(place.spliced, "spliced", format!("{place:?}"))?;
    let head = fed.content().head();
    let body = answer.read(place.prelude + fed.content().enough()).await?;
    // The headers come as the prelude, or as the first bytes of the epoch.
    expect(
        body.starts_with(&head),
        "the new stream's header pages first",
        format!("prelude={}", place.prelude),
    )
}

async fn carried(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    let mut answer = s
        .ask_new(Request::get(&fed.mount))
        .await?
        .only_if(200, "R-COMPAT-5")?;
    fed.source.until(60_000).await?;
    let (mount, before) = (fed.mount.clone(), fed.content());
    fed.source.end().await;
    let content = Content::new(Format::Mpeg, s.stage().number());
    let fed = s.stage().feed(mount, content).await?;
    fed.source.jump(60_000).await?;
    let (heard, end) = answer.read_for(Duration::from_secs(6), 110_000).await;
    let last = heard.len().saturating_sub(content.enough());
    let right = content.find(&heard[last..]).is_some()
        && before
            .find(&heard[..before.enough().min(heard.len())])
            .is_some();
    let observed = format!("{} bytes, then {end:?}", heard.len());
    expect(
        right && end == End::Open,
        "both streams in one body",
        observed,
    )
}

async fn many(s: Session) -> Verdict {
    let Replaced { old, fed, .. } = replace(&s, Format::Mpeg, 20_000, 0, 8_000).await?;
    let mut fed = fed;
    let began = std::time::Instant::now();
    let mut epoch = s.join_at(&fed.mount).await?.window()?.epoch;
    for count in 0..62 {
        if began.elapsed() > Duration::from_secs(45) {
            return Err(Stop::Skip(format!("{count} sources took too long")));
        }
        let mount = fed.mount.clone();
        fed.source.end().await;
        let content = Content::new(Format::Mpeg, s.stage().number());
        fed = s.stage().feed(mount, content).await?;
        fed.source.jump(8_000).await?;
        let window = s
            .window_when(&fed.mount, "follow", |window| {
                window.epoch != epoch && window.next > 4_000
            })
            .await?;
        epoch = window.epoch;
    }
    let answer = s
        .ask(Request::get(&fed.mount).resume(format!("{};miss=fail", old.ask())))
        .await?;
    let answer = match answer.status() {
        // Known, and its bytes have gone: what is lost can still be said.
        412 => s.resume(&fed.mount, &old).await?,
        _ => answer,
    };
    let place = answer.only_if(200, "R-MISS-1")?.place()?;
    expect(
        place.spliced || place.lost.is_some(),
        "spliced or lost, as the splices are known",
        format!("{place:?}"),
    )
}

async fn nothing_has_followed(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    let mut answer = s.join_at(&fed.mount).await?;
    let place = answer.place()?;
    fed.source.until(40_000).await?;
    let mount = fed.mount.clone();
    fed.source.end().await;
    // The last byte is where nothing more comes for a second.
    let mut heard = 0;
    loop {
        let (piece, _) = answer.read_for(Duration::from_secs(1), 100_000).await;
        if piece.is_empty() {
            break;
        }
        heard += piece.len();
    }
    let end = place.at.plus(heard - place.prelude.min(heard));
    let answer = s.resume(&mount, &end).await?;
    if answer.status() == 404 {
        return Err(Stop::Skip(
            "a mount without a source is none here".to_owned(),
        ));
    }
    expect(
        answer.status() == 200,
        format!("200 for {end}, as for the edge"),
        answer.status().to_string(),
    )?;
    let place = answer.place()?;
    expect(place.at == end, end.to_string(), place.at.to_string())
}
