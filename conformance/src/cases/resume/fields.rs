//! `Stream-Offset`, `Stream-Window`, `Link`, and the query forms.

use std::time::{Duration, Instant};

use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Format, difference};
use crate::field::{StreamOffset, StreamWindow, duplicates};
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/stream-offset",
        requirement: "R-FIELD-6",
        does: "asks as an aware client and as one that is not, and looks for Stream-Offset",
        run: |s| Box::pin(stream_offset(s)),
    },
    Case {
        id: "resume/join-offset",
        requirement: "R-FIELD-7",
        does: "joins, counts, and compares with a resume at the same byte",
        run: |s| Box::pin(join_offset(s)),
    },
    Case {
        id: "resume/stream-window",
        requirement: "R-FIELD-9",
        does: "asks as an aware client and as one that is not, and looks for Stream-Window",
        run: |s| Box::pin(stream_window(s)),
    },
    Case {
        id: "resume/early-rate",
        requirement: "R-FIELD-10",
        does: "asks for the window of a stream that has just begun",
        run: |s| Box::pin(early_rate(s)),
    },
    Case {
        id: "resume/link",
        requirement: "R-FIELD-11",
        does: "looks for the second server in Link",
        run: |s| Box::pin(link(s)),
    },
    Case {
        id: "resume/field-before-query",
        requirement: "R-FIELD-14",
        does: "sends Resume-Offset and _resume with different positions",
        run: |s| Box::pin(field_before_query(s)),
    },
    Case {
        id: "resume/query-is-aware",
        requirement: "R-FIELD-15",
        does: "asks with _resume, and looks for a session; asks with _shift, and looks for none",
        run: |s| Box::pin(query_is_aware(s)),
    },
];

async fn stream_offset(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for (who, request) in [
        ("an aware client", Request::get(&mount).resume("live")),
        ("a client that is not aware", Request::get(&mount)),
    ] {
        let answer = s.ask_new(request).await?.only_if(200, "R-COMPAT-5")?;
        let value = answer.field("Stream-Offset").unwrap_or_default();
        let expected = format!("a Stream-Offset for {who}");
        expect(
            StreamOffset::parse(&value).is_some(),
            expected,
            format!("Stream-Offset: {value}"),
        )?;
    }
    Ok(())
}

async fn join_offset(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let mut join = s.join_at(&mount).await?;
    let place = join.place()?;
    join.read(place.prelude).await?;
    let heard = join.read(12_000).await?;
    let at = place.at.plus(2_000);
    let mut resumed = s.resume(&mount, &at).await?.only_if(200, "R-RESUME-3")?;
    if resumed.place()?.at != at {
        return Err(Stop::blocked("R-RESUME-3", "the resume starts elsewhere"));
    }
    let again = resumed.read(10_000).await?;
    match difference(&heard[2_000..], &again) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail(
            format!("the same bytes from {at} on, in the join and in the resume"),
            observed,
        )),
    }
}

async fn stream_window(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for (who, request) in [
        ("an aware client", Request::get(&mount).resume("live")),
        ("a client that is not aware", Request::get(&mount)),
    ] {
        let answer = s.ask_new(request).await?.only_if(200, "R-COMPAT-5")?;
        let value = answer.field("Stream-Window").unwrap_or_default();
        let window = StreamWindow::parse(&value).filter(|window| window.first <= window.next);
        expect(
            window.is_some(),
            format!("a Stream-Window for {who}"),
            format!("Stream-Window: {value}"),
        )?;
    }
    Ok(())
}

async fn early_rate(s: Session) -> Verdict {
    let began = Instant::now();
    let fed = s.own(Format::Mpeg).await?;
    let answer = s.join_at(&fed.mount).await?;
    let window = answer.window()?;
    if began.elapsed() > Duration::from_millis(1900) {
        return Err(Stop::Skip("the mount took too long to be there".to_owned()));
    }
    let observed = format!(
        "rate={} {} ms after the source",
        window.rate.unwrap_or(0),
        began.elapsed().as_millis()
    );
    expect(
        window.rate.is_none(),
        "no rate while less than 2 seconds of arrivals are known",
        observed,
    )
}

async fn link(s: Session) -> Verdict {
    let second = s
        .target()
        .second
        .clone()
        .ok_or_else(|| Stop::Skip("needs --second URL".to_owned()))?;
    let mount = s.mount().await?;
    let answer = s
        .ask_new(Request::get(&mount))
        .await?
        .only_if(200, "R-COMPAT-5")?;
    let value = answer.field("Link").unwrap_or_default();
    let listed = duplicates(&value).contains(&second.text());
    expect(
        listed,
        format!("<{}>; rel=duplicate", second.text()),
        format!("Link: {value}"),
    )
}

async fn field_before_query(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let at = s.held(&mount).await?;
    let target = format!("{mount}?_resume={}.{}", at.epoch, at.offset + 5_000);
    let answer = s
        .ask(Request::get(&target).resume(at.ask()))
        .await?
        .only_if(200, "R-RESUME-3")?;
    let place = answer.place()?;
    expect(
        place.at == at,
        format!("the field's position {at}"),
        place.at.to_string(),
    )
}

async fn query_is_aware(s: Session) -> Verdict {
    let mount = s.mount().await?;
    if s.join_at(&mount).await?.place()?.session.is_none() {
        return Err(Stop::blocked("R-SESS-1", "no session for Resume-Offset"));
    }
    if s.ask(Request::get(&mount))
        .await?
        .place()?
        .session
        .is_some()
    {
        return Err(Stop::blocked("R-SESS-5", "a session for a plain GET"));
    }
    let at = s.held(&mount).await?;
    let target = format!("{mount}?_resume={}.{}", at.epoch, at.offset);
    let resumed = s
        .ask(Request::get(&target))
        .await?
        .only_if(200, "R-RESUME-3")?
        .place()?;
    expect(resumed.session.is_some(), "a session for _resume", "none")?;
    let shifted = s
        .ask(Request::get(&format!("{mount}?_shift=1")))
        .await?
        .only_if(200, "R-SHIFT-1")?
        .place()?;
    expect(shifted.session.is_none(), "no session for _shift", "one")
}
