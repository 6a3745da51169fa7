//! Where a join starts, and what comes before.

use std::time::Duration;

use crate::case::{Case, Stop, Verdict, expect};
use crate::connection::Answer;
use crate::content::{Content, Format, pages};
use crate::field::StreamOffset;
use crate::http::Request;
use crate::reference::scan::frame_length;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/burst",
        requirement: "R-JOIN-2",
        does: "joins, and compares the start with the edge",
        run: |s| Box::pin(burst(s)),
    },
    Case {
        id: "resume/first-sync-point",
        requirement: "R-JOIN-3",
        does: "shifts to the oldest byte held, and looks whether the very first frame after it is the start",
        run: |s| Box::pin(first_sync_point(s)),
    },
    Case {
        id: "resume/prelude",
        requirement: "R-JOIN-4",
        does: "joins an Ogg stream late, and measures what comes before the first page of audio",
        run: |s| Box::pin(prelude(s)),
    },
    Case {
        id: "resume/nothing-yet",
        requirement: "R-JOIN-5",
        does: "joins a mount whose source has sent nothing",
        run: |s| Box::pin(nothing_yet(s)),
    },
    Case {
        id: "resume/mpeg-sync",
        requirement: "R-JOIN-6",
        does: "joins an MPEG stream, and looks whether a frame begins at the start",
        run: |s| Box::pin(mpeg_sync(s)),
    },
    Case {
        id: "resume/ogg-sync",
        requirement: "R-JOIN-7",
        does: "joins an Ogg stream, and compares the prelude with the stream's header pages",
        run: |s| Box::pin(ogg_sync(s)),
    },
    Case {
        id: "resume/webm-sync",
        requirement: "R-JOIN-8",
        does: "joins a WebM stream, and compares the prelude with what stands before its first cluster",
        run: |s| Box::pin(webm_sync(s)),
    },
    Case {
        id: "resume/unknown-format",
        requirement: "R-JOIN-9",
        does: "joins a stream of an unknown format, and looks whether the target itself is the start",
        run: |s| Box::pin(unknown_format(s)),
    },
];

async fn burst(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.holding(&mount, 70_000).await?;
    let answer = s.join_at(&mount).await?;
    let (place, window) = (answer.place()?, answer.window()?);
    let back = window.next.saturating_sub(place.at.offset);
    let observed = format!("{back} bytes before the edge");
    expect(
        (60_000..=70_000).contains(&back),
        "a start about 65536 bytes before the edge",
        observed,
    )
}

async fn first_sync_point(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.holding(&mount, 100_000).await?;
    // The window may move between the decision and the head.
    let mut observed = 0;
    for _ in 0..5 {
        let answer = s
            .ask(Request::get(&format!("{mount}?_shift=99999")))
            .await?
            .only_if(200, "R-SHIFT-2")?;
        let (place, window) = (answer.place()?, answer.window()?);
        observed = place.at.offset.saturating_sub(window.first);
        // A frame of MPEG audio is at most 1441 bytes; the suite's own are 960.
        let longest = if s.target().source.is_some() {
            959
        } else {
            1440
        };
        if observed <= longest {
            return Ok(());
        }
    }
    if observed > 5_000 {
        return Err(Stop::blocked(
            "R-SHIFT-2",
            format!("the start is {observed} bytes after the oldest"),
        ));
    }
    Err(Stop::fail(
        "the first frame at or after the oldest byte",
        format!("a start {observed} bytes after it"),
    ))
}

/// A late join of the suite's own stream: the answer, what it says, and the body.
async fn late(
    s: &Session,
    format: Format,
) -> Result<(Answer, StreamOffset, Vec<u8>, Content), Stop> {
    let fed = s.shared(format).await?;
    s.holding(&fed.mount, 70_000).await?;
    let mut answer = s.join_at(&fed.mount).await?;
    let place = answer.place()?;
    let body = answer.read(place.prelude + 20_000).await?;
    Ok((answer, place, body, fed.content()))
}

async fn prelude(s: Session) -> Verdict {
    let (_, place, body, _) = late(&s, Format::Opus).await?;
    expect(
        place.prelude > 0,
        "a prelude for a late joiner of Ogg",
        "prelude=0",
    )?;
    let before = pages(&body[..place.prelude]);
    let length: usize = before.iter().map(|page| page.length).sum();
    let headers = before.iter().all(|page| page.header)
        && before.first().is_some_and(|page| page.flags & 2 != 0);
    let observed = format!(
        "{} pages in {} of {} octets",
        before.len(),
        length,
        place.prelude
    );
    expect(
        headers && length == place.prelude,
        "whole header pages, as long as prelude says",
        observed,
    )?;
    let after = pages(&body[place.prelude..]);
    expect(
        after.first().is_none_or(|page| !page.header),
        "no header page after the prelude",
        "one more",
    )
}

async fn nothing_yet(s: Session) -> Verdict {
    let number = s.stage().number();
    let mount = s.target().beside(&format!("quiet-{number}"), "mp3");
    let fed = s
        .stage()
        .feed_from(mount, Content::new(Format::Mpeg, number), 0, true)
        .await?;
    let began = tokio::time::Instant::now();
    let answer = s.ask(Request::get(&fed.mount).resume("live")).await?;
    let observed = format!(
        "{} after {} ms",
        answer.status(),
        began.elapsed().as_millis()
    );
    if answer.status() == 404 || answer.status() == 200 && answer.field("Stream-Offset").is_none() {
        return Err(Stop::Skip(
            "a mount without a byte is no mount here".to_owned(),
        ));
    }
    let held = began.elapsed() >= Duration::from_secs(1);
    let says = answer.field("Retry-After").is_some();
    expect(
        answer.status() == 503 && held && says,
        "503 with Retry-After, after some seconds",
        observed,
    )
}

async fn mpeg_sync(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.holding(&mount, 70_000).await?;
    let mut answer = s.join_at(&mount).await?;
    let kind = answer.field("Content-Type").unwrap_or_default();
    if !matches!(&kind[..], "audio/mpeg" | "audio/aac" | "audio/aacp") {
        return Err(Stop::Skip(format!("the mount is {kind}")));
    }
    let place = answer.place()?;
    let body = answer.read(place.prelude + 16_000).await?;
    expect(
        place.prelude == 0,
        "no prelude in MPEG audio",
        format!("prelude={}", place.prelude),
    )?;
    // Three frames in a row: chance does not do that.
    let mut at = 0;
    for count in 0..3 {
        let frame = body.get(at..at + 7).and_then(frame_length);
        let observed = || {
            format!(
                "{:02x?} after {count} frames",
                &body[at.min(body.len() - 4)..][..4]
            )
        };
        at += frame
            .ok_or_else(|| Stop::fail("a frame at the start, and others behind it", observed()))?;
    }
    Ok(())
}

async fn ogg_sync(s: Session) -> Verdict {
    let (_, place, body, content) = late(&s, Format::Opus).await?;
    if place.prelude == 0 {
        return Err(Stop::blocked("R-JOIN-4", "there is no prelude"));
    }
    let observed = format!("{} octets, which differ", place.prelude);
    expect(
        body[..place.prelude] == content.head(),
        "the stream's two header pages as prelude",
        observed,
    )?;
    let index = content.find(&body[place.prelude..]);
    let starts = index.is_some_and(|index| content.is_sync(index));
    expect(
        starts,
        "a page of audio at the start",
        format!("byte {index:?} of the stream"),
    )
}

async fn webm_sync(s: Session) -> Verdict {
    let (_, place, body, content) = late(&s, Format::Webm).await?;
    let observed = format!("a prelude of {} octets", place.prelude);
    let head = content.head();
    expect(
        body[..place.prelude] == head,
        format!("the {} octets before the first cluster", head.len()),
        observed,
    )?;
    let index = content.find(&body[place.prelude..]);
    let starts = index.is_some_and(|index| content.is_sync(index));
    expect(
        starts,
        "a cluster at the start",
        format!("byte {index:?} of the stream"),
    )
}

async fn unknown_format(s: Session) -> Verdict {
    let fed = s.shared(Format::Unknown).await?;
    s.holding(&fed.mount, 70_000).await?;
    let mut observed = String::new();
    // The window may move between the decision and the head.
    for _ in 0..8 {
        let mut live = s.join_at(&fed.mount).await?;
        let (place, window) = (live.place()?, live.window()?);
        let body = live.read(place.prelude + 4_000).await?;
        expect(
            place.prelude == 0,
            "no prelude",
            format!("prelude={}", place.prelude),
        )?;
        expect(
            fed.content().find(&body).is_some(),
            "a slice of the stream",
            "other bytes",
        )?;
        if window.next - place.at.offset == 65_536 {
            return Ok(());
        }
        observed = format!(
            "a start at {}, edge {}, oldest byte {}",
            place.at.offset, window.next, window.first
        );
        let oldest = s
            .ask(Request::get(&format!("{}?_shift=99999", fed.mount)))
            .await?;
        let (oldest, window) = (oldest.place()?.at.offset, oldest.window()?);
        if window.first > 0 && oldest == window.first {
            return Ok(());
        }
    }
    Err(Stop::fail(
        "a start at the target itself: 65536 before the edge, or the oldest byte",
        observed,
    ))
}
