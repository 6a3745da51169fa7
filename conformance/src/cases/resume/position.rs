//! Exact resumes, and positions that cannot be resolved here.

use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Format, difference};
use crate::field::Position;
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/inside-window",
        requirement: "R-RESUME-3",
        does: "resumes at bytes that are held, and at the edge, and compares the bodies",
        run: |s| Box::pin(inside_window(s)),
    },
    Case {
        id: "resume/nothing-before",
        requirement: "R-RESUME-8",
        does: "resumes in the midst of an Ogg page, and looks for headers or repeated bytes",
        run: |s| Box::pin(nothing_before(s)),
    },
    Case {
        id: "resume/body-is-where-it-says",
        requirement: "R-RESUME-4",
        does: "asks for bytes that are gone, and compares the body with a resume at the place that the answer says",
        run: |s| Box::pin(where_it_says(s)),
    },
    Case {
        id: "resume/left-the-window",
        requirement: "R-RESUME-5",
        does: "asks for the first byte of an epoch, which has gone, with miss=fail",
        run: |s| Box::pin(left_the_window(s)),
    },
    Case {
        id: "resume/of-this-mount",
        requirement: "R-RESUME-2",
        does: "asks one mount for a position of another, with miss=fail",
        run: |s| Box::pin(of_this_mount(s)),
    },
    Case {
        id: "resume/one-address",
        requirement: "R-ADDR-6",
        does: "joins with ICY blocks, counts the audio only, and compares with a resume at the same byte",
        run: |s| Box::pin(one_address(s)),
    },
];

async fn inside_window(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let at = s.held(&mount).await?;
    let mut bodies = Vec::new();
    for further in [0, 7_777] {
        let asked = at.plus(further);
        let mut answer = s.resume(&mount, &asked).await?;
        expect(
            answer.status() == 200,
            format!("200 for {asked}, which is held"),
            answer.status().to_string(),
        )?;
        let place = answer.place()?;
        let exact = place.at == asked && !place.spliced && place.lost.is_none();
        expect(
            exact,
            format!("Stream-Offset at {asked}"),
            format!("{place:?}"),
        )?;
        bodies.push(answer.read(30_000 - further).await?);
    }
    if let Some(observed) = difference(&bodies[0][7_777..], &bodies[1]) {
        return Err(Stop::fail("the same bytes in both answers", observed));
    }
    if s.target().source.is_some() {
        let content = s.shared(Format::Mpeg).await?.content();
        expect(
            content.find(&bodies[0]).is_some(),
            "a slice of what the source has sent",
            "other bytes",
        )?;
    }
    if s.target().source.is_none() {
        return Ok(());
    }
    // An edge that stays where it is, for a moment.
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    fed.source.pause(true);
    let mut window = s.join_at(&fed.mount).await?.window()?;
    for _ in 0..20 {
        tokio::time::sleep(2 * crate::session::LOOK).await;
        let before = window.next;
        window = s.join_at(&fed.mount).await?.window()?;
        if window.next == before {
            break;
        }
    }
    let edge = window.at(window.next);
    let answer = s.resume(&fed.mount, &edge).await?;
    expect(
        answer.status() == 200,
        "200 for the edge",
        answer.status().to_string(),
    )?;
    let place = answer.place()?;
    expect(
        place.at == edge,
        format!("Stream-Offset at the edge {edge}"),
        place.at.to_string(),
    )
}

async fn nothing_before(s: Session) -> Verdict {
    let fed = s.shared(Format::Opus).await?;
    let content = fed.content();
    let mut join = s.join_at(&fed.mount).await?;
    let place = join.place()?;
    let body = join.read(place.prelude + 8_000).await?;
    let index = content.find(&body[place.prelude..]);
    let index =
        index.ok_or_else(|| Stop::blocked("R-JOIN-7", "the join is no slice of the stream"))?;
    // No multiple of anything.
    let further = 1_013;
    let at = place.at.plus(further);
    let mut resumed = s
        .resume(&fed.mount, &at)
        .await?
        .only_if(200, "R-RESUME-3")?;
    let place = resumed.place()?;
    if place.at != at {
        return Err(Stop::blocked(
            "R-RESUME-3",
            format!("asked {at}, got {}", place.at),
        ));
    }
    expect(
        place.prelude == 0,
        "prelude=0 on an exact resume",
        format!("prelude={}", place.prelude),
    )?;
    let body = resumed.read(8_000).await?;
    match difference(&content.bytes(index + further as u64, body.len()), &body) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail(
            format!("exactly the bytes from {at} on"),
            observed,
        )),
    }
}

async fn where_it_says(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for miss in ["oldest", "live"] {
        let window = s.evicting(&mount).await?;
        let gone = window.at(window.first - 2_000);
        let ask = format!("{};miss={miss}", gone.ask());
        let mut answer = s
            .ask(Request::get(&mount).resume(ask))
            .await?
            .only_if(200, "R-MISS-1")?;
        let place = answer.place()?;
        answer.read(place.prelude).await?;
        let heard = answer.read(90_000).await?;
        // So far on that it is still held when the second request comes.
        let at = place.at.plus(60_000);
        let mut resumed = s.resume(&mount, &at).await?.only_if(200, "R-RESUME-3")?;
        if resumed.place()?.at != at {
            return Err(Stop::blocked(
                "R-RESUME-3",
                format!("asked {at}, got {}", resumed.place()?.at),
            ));
        }
        let again = resumed.read(30_000).await?;
        if let Some(observed) = difference(&again, &heard[60_000..]) {
            return Err(Stop::fail(
                format!(
                    "a body that starts at {}, as its Stream-Offset says",
                    place.at
                ),
                observed,
            ));
        }
    }
    Ok(())
}

async fn left_the_window(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let window = s.evicting(&mount).await?;
    for offset in [0, window.first - 1_000] {
        let gone = window.at(offset);
        let answer = s
            .ask(Request::get(&mount).resume(format!("{};miss=fail", gone.ask())))
            .await?;
        expect(
            answer.status() != 200,
            format!("a refusal of {gone}, which has gone"),
            "200",
        )?;
    }
    Ok(())
}

async fn of_this_mount(s: Session) -> Verdict {
    let (mount, other) = (s.mount().await?, s.shared(Format::Opus).await?);
    let place = s.join_at(&other.mount).await?.place()?;
    let answer = s
        .ask(Request::get(&mount).resume(format!("{};miss=fail", place.at.ask())))
        .await?;
    expect(
        answer.status() != 200,
        "a refusal of another mount's position",
        "200",
    )
}

async fn one_address(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let request = Request::get(&mount)
        .resume("live")
        .field("Icy-MetaData", "1");
    let mut join = s.ask_new(request).await?.only_if(200, "R-FIELD-1")?;
    let (place, metaint) = (join.place()?, join.metaint()?);
    let body = join.read(2 * metaint + 6_000).await?;
    let audio = crate::icy::split(&body, metaint).audio;
    if s.target().source.is_some()
        && s.shared(Format::Mpeg)
            .await?
            .content()
            .find(&audio)
            .is_none()
    {
        return Err(Stop::blocked("R-ICY-1", "the blocks stand elsewhere"));
    }
    let further = metaint + 500;
    let at: Position = place.at.plus(further);
    let mut resumed = s.resume(&mount, &at).await?.only_if(200, "R-RESUME-3")?;
    if resumed.place()?.at != at {
        return Err(Stop::blocked("R-RESUME-3", "the resume starts elsewhere"));
    }
    let again = resumed.read(audio.len() - further).await?;
    match difference(&audio[further..], &again) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail(
            format!("the byte {at}, counted without blocks"),
            observed,
        )),
    }
}
