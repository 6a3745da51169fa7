//! Two servers of one stream.

use super::feed::{ask_at, titles};
use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Format, difference};
use crate::frame::Frame;
use crate::http::Request;
use crate::session::Session;
use crate::target::Url;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "relay/same-bytes",
        requirement: "R-ADDR-3",
        does: "resumes at one position at two servers, and compares the bytes",
        run: |s| Box::pin(same_bytes(s)),
    },
    Case {
        id: "relay/same-titles",
        requirement: "R-TITLE-4",
        does: "sets titles, and compares their places in the feeds of two servers",
        run: |s| Box::pin(same_titles(s)),
    },
    Case {
        id: "relay/same-times",
        requirement: "R-RELAY-2",
        does: "compares the arrival times in the feeds of two servers",
        run: |s| Box::pin(same_times(s)),
    },
];

fn second(s: &Session) -> Result<Url, Stop> {
    s.target().second.clone().ok_or_else(|| {
        Stop::Skip("needs --second URL: the same stream at another server".to_owned())
    })
}

/// Asks the second server for the mount until it has it.
async fn warm(s: &Session, second: &Url, mount: &str) -> Result<crate::field::StreamWindow, Stop> {
    let answer = s
        .ask_new_at(&second.authority, Request::get(mount).resume("live"))
        .await?;
    answer.only_if(200, "R-RELAY-2")?.window()
}

async fn same_bytes(s: Session) -> Verdict {
    let (mount, second) = (s.mount().await?, second(&s)?);
    warm(&s, &second, &second.target).await?;
    let window = s.holding(&mount, 100_000).await?;
    let at = window.at(window.next - 60_000);
    let mut one = s.resume(&mount, &at).await?.only_if(200, "R-RESUME-3")?;
    let mut other = s
        .ask_at(
            &second.authority,
            Request::get(&second.target).resume(at.ask()),
        )
        .await?;
    if other.status() != 200 || other.place()?.at != at {
        return Err(Stop::blocked(
            "R-RELAY-2",
            format!(
                "the second server does not resume at {at}: {}",
                other.status()
            ),
        ));
    }
    let (one, (other, _)) = (
        one.read(80_000).await?,
        other.read_for(s.target().answer, 80_000).await,
    );
    if other.len() < 80_000 {
        return Err(Stop::blocked(
            "R-RELAY-3",
            format!("the second server stops after {} bytes", other.len()),
        ));
    }
    match difference(&one, &other) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail(
            format!("the same bytes from {at} on at both servers"),
            observed,
        )),
    }
}

async fn same_titles(s: Session) -> Verdict {
    let second = second(&s)?;
    let fed = s.own(Format::Mpeg).await?;
    let first = s.target().url.authority.clone();
    s.join_at(&fed.mount).await?;
    warm(&s, &second, &fed.mount).await?;
    let mut feeds = [
        ask_at(&s, &first, &fed.mount, Some("live".to_owned())).await?,
        ask_at(&s, &second.authority, &fed.mount, Some("live".to_owned())).await?,
    ];
    if feeds[0].place.at.epoch != feeds[1].place.at.epoch {
        return Err(Stop::blocked(
            "R-RELAY-2",
            "the servers have different epochs",
        ));
    }
    let mut seen = [Vec::new(), Vec::new()];
    for title in ["One", "Two"] {
        s.title(&fed.mount, title).await?;
        for (feed, seen) in feeds.iter_mut().zip(&mut seen) {
            seen.extend(feed.frames(40_000).await?);
        }
    }
    let places = seen.map(|frames| titles(&frames));
    let both: Vec<_> = places[0]
        .iter()
        .filter(|(_, text)| places[1].iter().any(|(_, other)| other == text))
        .collect();
    if both.is_empty() {
        return Err(Stop::Skip("no title has come".to_owned()));
    }
    for one in both {
        let same = places[1].contains(one);
        expect(
            same,
            format!("{one:?} at both servers"),
            format!("{:?} at the second", places[1]),
        )?;
    }
    Ok(())
}

async fn same_times(s: Session) -> Verdict {
    let (mount, second) = (s.mount().await?, second(&s)?);
    warm(&s, &second, &second.target).await?;
    let first = s.target().url.authority.clone();
    let window = s.holding(&mount, 100_000).await?;
    let at = window.at(window.next - 40_000);
    let mut times = Vec::new();
    for (authority, mount) in [(&first, &mount), (&second.authority, &second.target)] {
        let mut feed = ask_at(&s, authority, mount, Some(at.ask())).await?;
        if feed.place.at != at {
            return Err(Stop::blocked(
                "R-FEED-8",
                format!("the feed starts at {}", feed.place.at),
            ));
        }
        let frames = feed.frames(60_000).await?;
        let of = |frame: &Frame| match frame {
            Frame::Time(at, ms) => Some((*at, *ms)),
            _ => None,
        };
        times.push(frames.iter().filter_map(of).collect::<Vec<_>>());
    }
    // Both have read the same bytes, so the same entries lie between.
    let last = times[0]
        .last()
        .map_or(0, |(at, _)| *at)
        .min(times[1].last().map_or(0, |(at, _)| *at));
    let cut = |all: &[(u64, u64)]| {
        all.iter()
            .filter(|(at, _)| *at > window.next - 40_000 && *at < last)
            .copied()
            .collect::<Vec<_>>()
    };
    let (one, other) = (cut(&times[0]), cut(&times[1]));
    if one.is_empty() {
        return Err(Stop::Skip("no TIME has come".to_owned()));
    }
    let strange = other.iter().find(|time| !one.contains(time));
    expect(
        strange.is_none(),
        format!("the first server's times, {:?} …", &one[..one.len().min(3)]),
        format!("{strange:?}"),
    )
}
