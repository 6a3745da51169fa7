//! The feed when nothing comes, and when it is not read.

use std::time::Duration;

use super::feed::{Feed, ask, request};
use crate::case::{Case, Stop, Verdict, expect};
use crate::content::Format;
use crate::frame::Frame;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "relay/keepalive",
        requirement: "R-FEED-11",
        does: "pauses the source, and reads the feed",
        run: |s| Box::pin(keepalive(s)),
    },
    Case {
        id: "relay/left-behind",
        requirement: "R-FEED-14",
        does: "reads nothing of the feed until its bytes have left the window",
        run: |s| Box::pin(left_behind(s)),
    },
];

/// The longest time without a frame, and what came in `time`.
async fn quiet(feed: &mut Feed, time: Duration) -> Result<(Duration, Vec<Frame>), Stop> {
    let end = tokio::time::Instant::now() + time;
    let (mut longest, mut last, mut frames) =
        (Duration::ZERO, tokio::time::Instant::now(), Vec::new());
    while tokio::time::Instant::now() < end {
        let left = end.saturating_duration_since(tokio::time::Instant::now());
        match feed.next(left.max(Duration::from_millis(1))).await {
            Ok(Some(frame)) => frames.push(frame),
            Ok(None) => break,
            Err(_) => {
                longest = longest.max(last.elapsed());
                break;
            }
        }
        longest = longest.max(last.elapsed());
        last = tokio::time::Instant::now();
    }
    Ok((longest, frames))
}

async fn keepalive(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    let mut feed = ask(&s, &fed.mount, Some("live".to_owned())).await?;
    let opening = feed.frames(10_000).await?;
    let tick = opening.iter().find_map(|frame| match frame {
        Frame::Format { tick, .. } => Some(*tick),
        _ => None,
    });
    fed.source.pause(true);
    // What is on its way arrives first.
    quiet(&mut feed, Duration::from_millis(700)).await?;
    let (longest, frames) = quiet(&mut feed, Duration::from_secs(3)).await?;
    let tick = Duration::from_millis(tick.unwrap_or(250));
    let count = frames
        .iter()
        .filter(|frame| matches!(frame, Frame::Keepalive(_)))
        .count();
    let observed = format!("{count} in 3 s, and {} ms without one", longest.as_millis());
    let expected = format!("KEEPALIVE in each tick of {} ms", tick.as_millis());
    // Two ticks and a bit: then a relay would hold its parent dead (R-FEED-12).
    let often = longest <= (2 * tick).max(Duration::from_millis(500)) + Duration::from_millis(150);
    expect(count > 0 && often, expected, observed)
}

async fn left_behind(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    let authority = s.target().url.authority.clone();
    let connection = s.connect_to(&authority, Some(16 * 1024)).await?;
    let answer = connection
        .ask(&request(&fed.mount, Some("live".to_owned())))
        .await?;
    let mut feed = super::feed::from(answer.only_if(200, "R-FEED-1")?)?;
    let mut next = feed.place.at.offset;
    // More than any window of seconds holds, faster than this feed is read.
    let patience = s.target().patience;
    let end = tokio::time::Instant::now() + patience;
    let mut gone = false;
    while !gone && tokio::time::Instant::now() < end {
        fed.source.jump(60_000).await?;
        let window = s.join_at(&fed.mount).await?.window()?;
        gone = window.first > next + 1_000_000;
        tokio::time::sleep(Duration::from_millis(150)).await;
    }
    if !gone {
        return Err(Stop::Skip(
            "nothing leaves the window: start the server with a window of some seconds".to_owned(),
        ));
    }
    loop {
        match feed.next(Duration::from_secs(8)).await {
            Ok(Some(Frame::Data(at, data))) => {
                expect(
                    at == next,
                    format!("DATA at {next}, or the end of the feed"),
                    format!("DATA at {at}"),
                )?;
                next += data.len() as u64;
            }
            Ok(Some(_)) => {}
            Ok(None) => return Ok(()),
            Err(Stop::Fail { .. }) => return Err(Stop::fail("the end of the feed", "it goes on")),
            Err(stop) => return Err(stop),
        }
    }
}
