//! Content anchors: what a server makes of evidence of bytes that the suite itself has sent.

mod told;
mod values;

use told::{Told, aged, ask, at_a_loop, foreign, judged, proof, right};

use crate::anchor::Proof;
use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Format, RATE, difference};
use crate::http::Request;
use crate::session::Session;

/// So many bytes are 2 seconds ahead: the suite needs a part of them to ask.
const AHEAD: i64 = 2 * RATE.cast_signed();

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/anchor-names",
        requirement: "R-ANCHOR-1",
        does: "names chunks that it has sent, and looks whether the server knows them",
        run: |s| Box::pin(names(s)),
    },
    Case {
        id: "resume/anchor-lists",
        requirement: "R-ANCHOR-3",
        does: "sends evidence that is written in all ways that are allowed",
        run: |s| Box::pin(values::lists(s)),
    },
    Case {
        id: "resume/anchor-malformed",
        requirement: "R-ANCHOR-5",
        does: "sends evidence that is malformed or too long, and reads what the 400 says",
        run: |s| Box::pin(values::malformed(s)),
    },
    Case {
        id: "resume/anchor-of-known-epochs",
        requirement: "R-ANCHOR-10",
        does: "sends evidence with a position that is known, and without a position",
        run: |s| Box::pin(known_epochs(s)),
    },
    Case {
        id: "resume/anchor-of-this-mount",
        requirement: "R-ANCHOR-11",
        does: "sends evidence of one mount to another",
        run: |s| Box::pin(this_mount(s)),
    },
    Case {
        id: "resume/anchor-proven-only",
        requirement: "R-ANCHOR-12",
        does: "sends evidence with a wrong clock, tail or chunk, and too little of it",
        run: |s| Box::pin(proven_only(s)),
    },
    Case {
        id: "resume/anchor-in-a-loop",
        requirement: "R-ANCHOR-12",
        does: "sends a loop of two seconds, and evidence of it",
        run: |s| Box::pin(in_a_loop(s)),
    },
    Case {
        id: "resume/anchor-clocks",
        requirement: "R-ANCHOR-13",
        does: "sends evidence of 14 seconds, which is too little for clocks that may be 10 seconds apart",
        run: |s| Box::pin(clocks(s)),
    },
    Case {
        id: "resume/anchor-ahead",
        requirement: "R-ANCHOR-15",
        does: "sends evidence of bytes that it sends two seconds later, and of others in their place",
        run: |s| Box::pin(ahead(s)),
    },
    Case {
        id: "resume/anchor",
        requirement: "R-ANCHOR-16",
        does: "sends evidence of what it has sent, and compares the body",
        run: |s| Box::pin(exact(s)),
    },
    Case {
        id: "resume/anchor-reasons",
        requirement: "R-ANCHOR-17",
        does: "sends evidence that proves nothing, and reads why",
        run: |s| Box::pin(reasons(s)),
    },
];

async fn names(s: Session) -> Verdict {
    let told = aged(&s).await?;
    let evidence = told.evidence()?;
    let answer = ask(&s, &told.mount, "", &evidence.value()).await?;
    match proof(&answer)? {
        Proof::None(Some(why)) if why == "unknown" || why == "differs" => Err(Stop::fail(
            format!("{} chunks that the server knows", evidence.chunks.len()),
            format!("why={why}"),
        )),
        other => judged(other),
    }
}

async fn known_epochs(s: Session) -> Verdict {
    let told = right(&s).await?;
    let evidence = told.evidence()?.value();
    let at = s.held(&told.mount).await?;
    let request = Request::get(&told.mount).field("Resume-Anchor", &evidence);
    let resumed = s.ask(request.clone().resume(at.ask())).await?;
    let resumed = resumed.only_if(200, "R-RESUME-3")?;
    let observed = resumed.field("Stream-Proof");
    expect(
        resumed.place()?.at == at && observed.is_none(),
        format!("{at}, whose epoch is known, and no Stream-Proof"),
        format!("{} and Stream-Proof: {observed:?}", resumed.place()?.at),
    )?;
    let observed = s.ask(request).await?.field("Stream-Proof");
    expect(
        observed.is_none(),
        "no Stream-Proof without Resume-Offset",
        format!("{observed:?}"),
    )
}

async fn this_mount(s: Session) -> Verdict {
    let other = s.shared(Format::Opus).await?;
    s.join_at(&other.mount).await?;
    let told = right(&s).await?;
    let answer = ask(&s, &other.mount, "", &told.evidence()?.value()).await?;
    expect(
        proof(&answer)? != Proof::Anchor,
        "no proof by the bytes of another mount",
        "Stream-Proof: anchor",
    )
}

async fn proven_only(s: Session) -> Verdict {
    let told = right(&s).await?;
    for (what, evidence) in [
        ("two minutes too old", told.of_another_time()?),
        ("with another tail", told.with_another_tail()?),
        ("with another chunk among them", told.with_another_chunk()?),
        ("of half a second", told.of_half_a_second()?),
    ] {
        let answer = ask(&s, &told.mount, "", &evidence.value()).await?;
        expect(
            proof(&answer)? != Proof::Anchor,
            format!("no proof by evidence {what}"),
            "Stream-Proof: anchor",
        )?;
    }
    Ok(())
}

async fn in_a_loop(s: Session) -> Verdict {
    let (told, _fed) = at_a_loop(&s).await?;
    let answer = ask(&s, &told.mount, "", &told.evidence()?.value()).await?;
    expect(
        proof(&answer)? != Proof::Anchor,
        "no proof by bytes that repeat themselves each two seconds",
        "Stream-Proof: anchor",
    )
}

async fn clocks(s: Session) -> Verdict {
    let told = right(&s).await?;
    let evidence = told.of_tenths(&s, 14)?;
    let answer = ask(&s, &told.mount, "", &evidence.value()).await?;
    expect(
        proof(&answer)? != Proof::Anchor,
        "no proof by 1.4 S: clocks S apart leave twice that open",
        "Stream-Proof: anchor",
    )
}

async fn ahead(s: Session) -> Verdict {
    let held = right(&s).await?.with_another_tail()?;
    let fed = s.shared(Format::Mpeg).await?;
    let told = Told::at(&fed, AHEAD);
    let evidence = told.evidence()?;
    let answer = ask(&s, &told.mount, "", &evidence.value()).await?;
    expect(
        answer.status() == 200,
        "200 once the byte has come",
        answer.status().to_string(),
    )?;
    let observed = proof(&answer)?;
    expect(
        observed == Proof::Anchor,
        "Stream-Proof: anchor once the byte has come",
        format!("{observed:?}"),
    )?;
    if proof(&ask(&s, &told.mount, "", &held.value()).await?)? == Proof::Anchor {
        return Err(Stop::blocked("R-ANCHOR-12", "the tail is not compared"));
    }
    let told = Told::at(&fed, AHEAD);
    let evidence = told.with_another_tail()?;
    let answer = ask(&s, &told.mount, "", &evidence.value()).await?;
    expect(
        proof(&answer)? != Proof::Anchor,
        "no proof once other bytes have come than the evidence says",
        "Stream-Proof: anchor",
    )
}

async fn exact(s: Session) -> Verdict {
    let told = aged(&s).await?;
    let mut answer = ask(&s, &told.mount, "", &told.evidence()?.value()).await?;
    match proof(&answer)? {
        // Chunks that it does not know are another case's affair.
        Proof::None(Some(why))
            if ["elsewhere", "ambiguous", "repeats", "ahead"].contains(&&why[..]) =>
        {
            return Err(Stop::fail(
                "Stream-Proof: anchor for evidence of what it was sent a second ago",
                format!("why={why}"),
            ));
        }
        other => judged(other)?,
    }
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let (place, window) = (answer.place()?, answer.window()?);
    expect(
        place.at.epoch == window.epoch
            && place.prelude == 0
            && !place.spliced
            && place.lost.is_none(),
        "a position of the server's own, and prelude=0",
        format!("{place:?}"),
    )?;
    let body = answer.read(20_000).await?;
    if let Some(observed) = difference(&told.next(body.len()), &body) {
        return Err(Stop::fail("exactly the bytes after the evidence", observed));
    }
    // Whether the position is that of the byte is seen by another resume.
    let mut again = s
        .resume(&told.mount, &place.at.plus(5_000))
        .await?
        .only_if(200, "R-RESUME-3")?;
    let heard = again.read(10_000).await?;
    match difference(&body[5_000..15_000], &heard) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail(
            format!("{} as the position of the first byte", place.at),
            observed,
        )),
    }
}

async fn reasons(s: Session) -> Verdict {
    let young = s.own(Format::Mpeg).await?;
    s.join_at(&young.mount).await?;
    let evidence = foreign(&s);
    for miss in ["", ";miss=live"] {
        let nobodys = format!("{}{miss}", super::miss::nobodys().ask());
        let without = s
            .ask_new(Request::get(&young.mount).resume(nobodys))
            .await?;
        without.only_if(200, "R-MISS-5")?;
        let answer = ask(&s, &young.mount, miss, &evidence).await?;
        expect(
            answer.status() == 200,
            format!("200, as without evidence, for an unknown epoch{miss}"),
            answer.status().to_string(),
        )?;
        is_none(&answer, &["young", "unknown"])?;
        let (at, join) = (
            answer.place()?.at,
            s.join_at(&young.mount).await?.place()?.at,
        );
        expect(
            at.epoch == join.epoch && at.offset.abs_diff(join.offset) <= 60_000,
            format!("a start as that of a join, {join}, as without evidence"),
            at.to_string(),
        )?;
    }
    let answer = ask(&s, &young.mount, ";miss=fail", &evidence).await?;
    expect(
        answer.status() == 412,
        "412, as without evidence, for miss=fail",
        answer.status().to_string(),
    )?;
    is_none(&answer, &["young", "unknown"])?;
    drop(young);
    let told = right(&s).await?;
    for (evidence, why) in [
        (foreign(&s), "unknown"),
        (told.of_another_time()?.value(), "elsewhere"),
        (told.with_another_tail()?.value(), "differs"),
        (told.with_another_chunk()?.value(), "differs"),
        (told.of_half_a_second()?.value(), "short"),
    ] {
        is_none(&ask(&s, &told.mount, "", &evidence).await?, &[why])?;
    }
    Ok(())
}

/// Fails unless an answer says that there is no place, for one of these reasons.
fn is_none(answer: &crate::connection::Answer, reasons: &[&str]) -> Verdict {
    let value = answer.field("Stream-Proof");
    let expected = format!("Stream-Proof: none;why={}", reasons.join(" or "));
    match value.as_deref().and_then(Proof::parse) {
        Some(Proof::Anchor) => Err(Stop::blocked("R-ANCHOR-12", "there is a place")),
        Some(Proof::None(Some(why))) if reasons.contains(&&why[..]) => Ok(()),
        _ => Err(Stop::fail(expected, format!("Stream-Proof: {value:?}"))),
    }
}
