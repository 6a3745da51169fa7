//! The feed, as the server that is judged sends it.

use std::time::Duration;

use super::feed::{ask, data, epoch, request, titles};
use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Content, Format};
use crate::field::{StreamOffset, StreamWindow};
use crate::frame::{Frame, MAX_VALUE, MEDIA_TYPE};
use crate::http::latin;
use crate::reference::names;
use crate::session::Session;
use crate::stage::Fed;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "relay/feed",
        requirement: "R-FEED-1",
        does: "asks for the relay feed, and reads the head",
        run: |s| Box::pin(head(s)),
    },
    Case {
        id: "relay/frames",
        requirement: "R-FEED-2",
        does: "reads 200,000 bytes of the feed, frame by frame",
        run: |s| Box::pin(frames(s)),
    },
    Case {
        id: "relay/opening",
        requirement: "R-FEED-7",
        does: "sets titles, asks for the feed, and reads what comes before the first byte",
        run: |s| Box::pin(opening(s)),
    },
    Case {
        id: "relay/start",
        requirement: "R-FEED-8",
        does: "asks for the feed at a byte, at the end of an epoch, and without a position",
        run: |s| Box::pin(start(s)),
    },
    Case {
        id: "relay/unknown-epoch",
        requirement: "R-FEED-16",
        does: "asks for the feed of an epoch that nobody knows",
        run: |s| Box::pin(unknown_epoch(s)),
    },
    Case {
        id: "relay/order",
        requirement: "R-FEED-9",
        does: "sets titles while it reads the feed, and looks where their frames stand",
        run: |s| Box::pin(order(s)),
    },
    Case {
        id: "relay/contiguous",
        requirement: "R-FEED-10",
        does: "reads the feed, and adds up its DATA",
        run: |s| Box::pin(contiguous(s)),
    },
    Case {
        id: "relay/splice",
        requirement: "R-FEED-13",
        does: "replaces the source while it reads the feed",
        run: |s| Box::pin(splice(s)),
    },
];

async fn head(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let answer = s.ask_new(request(&mount, Some("live".to_owned()))).await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    let kind = answer.field("Content-Type").unwrap_or_default();
    expect(
        kind == MEDIA_TYPE,
        format!("Content-Type: {MEDIA_TYPE}"),
        format!("Content-Type: {kind}"),
    )?;
    let offset = answer.field("Stream-Offset").unwrap_or_default();
    expect(
        StreamOffset::parse(&offset).is_some(),
        "Stream-Offset",
        format!("Stream-Offset: {offset}"),
    )?;
    let window = answer.field("Stream-Window").unwrap_or_default();
    expect(
        StreamWindow::parse(&window).is_some(),
        "Stream-Window",
        format!("Stream-Window: {window}"),
    )
}

async fn frames(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.holding(&mount, 100_000).await?;
    let frames = match ask(&s, &mount, None).await?.frames(200_000).await {
        Err(Stop::Skip(why)) => return Err(Stop::fail("frames, as the grammar says", why)),
        other => other?,
    };
    expect(
        data(&frames).len() >= 200_000,
        "200,000 bytes of DATA",
        data(&frames).len().to_string(),
    )?;
    let too_long = frames
        .iter()
        .any(|frame| frame.octets().len() as u64 > MAX_VALUE + 16);
    expect(
        !too_long,
        "values of at most 1,048,576 octets",
        "a longer one",
    )
}

/// A mount of a case's own, with a title in force.
async fn titled(s: &Session, titles: &[&str]) -> Result<Fed, Stop> {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    for title in titles {
        let before = s.join_at(&fed.mount).await?.window()?.next;
        s.title(&fed.mount, title).await?;
        // Until the edge is beyond it, over whatever is between.
        s.window_when(&fed.mount, "go on", |window| window.next > before + 30_000)
            .await?;
    }
    Ok(fed)
}

async fn opening(s: Session) -> Verdict {
    let fed = titled(&s, &["One", "Two"]).await?;
    let window = s.join_at(&fed.mount).await?.window()?;
    let mut feed = ask(&s, &fed.mount, Some(window.at(window.next - 5_000).ask())).await?;
    let start = feed.place.at.clone();
    let opening = feed.opening().await?;
    let (said, at) =
        epoch(&opening).ok_or_else(|| Stop::fail("FORMAT first", format!("{opening:?}")))?;
    expect(
        matches!(opening.first(), Some(Frame::Format { .. })),
        "FORMAT first",
        format!("{:?}", opening.first()),
    )?;
    expect(
        (&said, at) == (&start.epoch, start.offset),
        format!("FORMAT at {start}"),
        format!("({said}, {at})"),
    )?;
    let rank = |frame: &Frame| match frame {
        Frame::Format { .. } => 0,
        Frame::Prelude(..) => 1,
        Frame::Title(..) => 2,
        _ => 3,
    };
    let ranks: Vec<_> = opening.iter().map(rank).collect();
    expect(
        ranks.is_sorted(),
        "FORMAT, PRELUDE, titles, TIME",
        format!("{ranks:?}"),
    )?;
    let places: Vec<_> = titles(&opening).into_iter().map(|(at, _)| at).collect();
    expect(
        places.is_sorted(),
        "titles oldest first",
        format!("{places:?}"),
    )?;
    let below = places.iter().all(|at| *at <= start.offset);
    expect(
        below,
        format!("titles at or below {}", start.offset),
        format!("{places:?}"),
    )?;
    expect(!titles(&opening).is_empty(), "the title in force", "none")
}

async fn start(s: Session) -> Verdict {
    let mount = s.mount().await?;
    // So much that the oldest byte is not where a join starts.
    s.holding(&mount, 140_000).await?;
    let at = s.held(&mount).await?.plus(7);
    let feed = ask(&s, &mount, Some(at.ask())).await?;
    expect(
        feed.place.at == at,
        format!("a start at exactly {at}"),
        feed.place.at.to_string(),
    )?;
    // The window may move between the decision and the head.
    let mut observed = String::new();
    for _ in 0..5 {
        let answer = s
            .ask(request(&mount, None))
            .await?
            .only_if(200, "R-FEED-1")?;
        let (place, window) = (answer.place()?, answer.window()?);
        if place.at.epoch != window.epoch || place.at.offset == window.first {
            return Ok(());
        }
        observed = format!("{} instead of {}", place.at.offset, window.first);
    }
    Err(Stop::fail(
        "the oldest byte held, without a position",
        observed,
    ))
}

async fn unknown_epoch(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.holding(&mount, 120_000).await?;
    let nobodys = format!("5000;epoch=\"{}\"", names::encode(&names::random::<16>()));
    let answer = s
        .ask(request(&mount, Some(format!("{nobodys};miss=fail"))))
        .await?;
    expect(
        answer.status() == 412,
        "412 for miss=fail",
        answer.status().to_string(),
    )?;
    for miss in ["oldest", "live"] {
        let answer = s
            .ask(request(&mount, Some(format!("{nobodys};miss={miss}"))))
            .await?;
        expect(
            answer.status() == 200,
            format!("200 for miss={miss}"),
            answer.status().to_string(),
        )?;
        let (place, window) = (answer.place()?, answer.window()?);
        let from_first = place.at.offset.saturating_sub(window.first);
        let right = match miss {
            "oldest" => place.at.epoch != window.epoch || from_first < 15_000,
            _ => window.next - place.at.offset <= 70_000,
        };
        let observed = format!("{} in [{}, {})", place.at.offset, window.first, window.next);
        expect(right, format!("a start at the {miss} byte"), observed)?;
    }
    Ok(())
}

async fn order(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    let mut feed = ask(&s, &fed.mount, Some("live".to_owned())).await?;
    let mut frames = feed.frames(10_000).await?;
    let mut edges = Vec::new();
    for title in ["One", "Two", "Three"] {
        let edge = s.join_at(&fed.mount).await?.window()?.next;
        edges.push((title, edge));
        s.title(&fed.mount, title).await?;
        frames.extend(feed.frames(25_000).await?);
    }
    frames.extend(feed.frames(40_000).await?);
    let mut next = feed.place.at.offset;
    let mut seen = 0;
    let mut begun = false;
    for frame in &frames {
        match frame {
            Frame::Data(at, data) => {
                next = at + data.len() as u64;
                begun = true;
            }
            Frame::Title(at, _) | Frame::Time(at, _) | Frame::Prelude(at, _) if begun => {
                if let Frame::Title(_, text) = frame {
                    let set = edges.iter().find(|(title, _)| latin(text).contains(title));
                    if set.is_some_and(|(_, edge)| at < edge) {
                        return Err(Stop::blocked(
                            "R-TITLE-2",
                            format!("a title at {at}, below the edge"),
                        ));
                    }
                    seen += 1;
                }
                let observed = format!("{at} with {next} as the next byte");
                expect(
                    *at == next,
                    "an event just before the byte that it names",
                    observed,
                )?;
            }
            _ => {}
        }
    }
    match seen {
        0 => Err(Stop::Skip("no title has come".to_owned())),
        _ => Ok(()),
    }
}

async fn contiguous(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let at = s.held(&mount).await?;
    let mut feed = ask(&s, &mount, Some(at.ask())).await?;
    let mut next = feed.place.at.offset;
    for frame in feed.frames(60_000).await? {
        let Frame::Data(at, data) = frame else {
            continue;
        };
        expect(
            at == next,
            format!("DATA at {next}"),
            format!("DATA at {at}"),
        )?;
        let length = data.len();
        expect(
            (1..=65_536).contains(&length),
            "1 to 65,536 bytes",
            format!("{length}"),
        )?;
        next += length as u64;
    }
    Ok(())
}

async fn splice(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    let mut feed = ask(&s, &fed.mount, Some("live".to_owned())).await?;
    let heard = data(&feed.frames(20_000).await?).len();
    let mut next = feed.place.at.plus(heard);
    let mount = fed.mount.clone();
    fed.source.end().await;
    let content = Content::new(Format::Mpeg, s.stage().number());
    let fed = s.stage().feed(mount, content).await?;
    fed.source.jump(40_000).await?;
    let end = tokio::time::Instant::now() + s.target().patience;
    let mut cuts = 0;
    while tokio::time::Instant::now() < end {
        match feed.next(Duration::from_secs(10)).await? {
            Some(Frame::Splice {
                epoch, at, target, ..
            }) => {
                let format = feed.next(Duration::from_secs(5)).await?;
                let Some(Frame::Format {
                    epoch: said,
                    at: first,
                    ..
                }) = format
                else {
                    return Err(Stop::fail("FORMAT after SPLICE", format!("{format:?}")));
                };
                let observed = names::encode(&said);
                expect(
                    said == epoch,
                    "FORMAT of the epoch that SPLICE names",
                    observed,
                )?;
                let body = data(&feed.frames(10_000).await?);
                let right = fed.content().find(&body).is_some();
                let observed =
                    format!("other bytes after SPLICE at {at} to {target}, FORMAT at {first}");
                return expect(right, "the new stream's bytes", observed);
            }
            Some(Frame::Data(_, bytes)) => next = next.plus(bytes.len()),
            Some(_) => {}
            // A connection may end at any time. Who comes back to the end of the epoch is told of the splice there.
            None if cuts < 3 => {
                cuts += 1;
                s.window_when(&fed.mount, "go on", |window| window.epoch != next.epoch)
                    .await?;
                feed = ask(&s, &fed.mount, Some(next.ask())).await?;
            }
            None => {
                return Err(Stop::fail(
                    "SPLICE at the end of the epoch",
                    "the end of the feed, each time",
                ));
            }
        }
    }
    Err(Stop::Skip(
        "the epoch does not end with its source".to_owned(),
    ))
}
