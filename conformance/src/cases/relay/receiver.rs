//! What a relay does with a feed that is not as it should be.

use std::time::Duration;

use super::above::Above;
use crate::case::{Case, Stop, Verdict, expect};
use crate::frame::{Frame, varint};
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "relay/too-long",
        requirement: "R-FEED-3",
        does: "announces a value of two megabytes",
        run: |s| Box::pin(ends(s, |_| too_long())),
    },
    Case {
        id: "relay/bad-value",
        requirement: "R-FEED-4",
        does: "sends a KEEPALIVE with octets left over",
        run: |s| Box::pin(ends(s, left_over)),
    },
    Case {
        id: "relay/out-of-order",
        requirement: "R-FEED-5",
        does: "sends DATA that leaves bytes out",
        run: |s| {
            Box::pin(ends(s, |edge| {
                Frame::Data(edge + 5_000, vec![0; 100]).octets()
            }))
        },
    },
    Case {
        id: "relay/unknown-frame",
        requirement: "R-FEED-6",
        does: "sends a frame of a type that nobody knows",
        run: |s| Box::pin(unknown_frame(s)),
    },
    Case {
        id: "relay/dead-parent",
        requirement: "R-FEED-12",
        does: "falls silent, without a KEEPALIVE",
        run: |s| Box::pin(dead_parent(s)),
    },
    Case {
        id: "relay/goes-on-after-an-error",
        requirement: "R-FEED-15",
        does: "sends a frame that may not stand there, and reads the next request and the bytes below",
        run: |s| Box::pin(goes_on(s)),
    },
];

fn too_long() -> Vec<u8> {
    let mut out = Vec::new();
    varint(2, &mut out);
    varint(2 << 20, &mut out);
    out
}

fn left_over(edge: u64) -> Vec<u8> {
    let mut value = Vec::new();
    varint(edge, &mut value);
    value.push(0);
    Frame::raw(5, &value)
}

/// An upstream whose feed is read below, and how often it was asked for.
async fn read(s: &Session) -> Result<(Above, crate::connection::Answer, usize), Stop> {
    let above = Above::new(s).await?;
    let listener = above.join().await?;
    let asked = above.asked().await?.len();
    if asked == 0 {
        return Err(Stop::blocked("R-RELAY-1", "it does not ask for the feed"));
    }
    Ok((above, listener, asked))
}

/// Sends something wrong; the feed has to be asked for anew.
async fn ends(s: Session, wrong: impl Fn(u64) -> Vec<u8>) -> Verdict {
    let (above, _listener, before) = read(&s).await?;
    above.pause(true);
    let edge = above.mount.edge().map_or(0, |(_, edge)| edge);
    // Injected at the edge, where every reader will be.
    above.mount.inject(wrong(edge));
    let again = above.asks_again(before, Duration::from_secs(8)).await?;
    expect(
        again.is_some(),
        "the end of the feed, and another request",
        "it reads on for 8 seconds",
    )
}

async fn unknown_frame(s: Session) -> Verdict {
    let (above, mut listener, before) = read(&s).await?;
    let place = listener.place()?;
    listener.read(place.prelude).await?;
    above
        .mount
        .inject(Frame::Unknown(64, b"a trial".to_vec()).octets());
    let heard = listener.read(150_000).await?;
    let whole = above.content().bytes(place.at.offset, heard.len()) == heard;
    expect(whole, "the stream without a gap", "other bytes")?;
    let after = above.asked().await?.len();
    expect(
        after == before,
        "no other request for the feed",
        format!("{} more", after - before),
    )
}

async fn dead_parent(s: Session) -> Verdict {
    let (above, _listener, before) = read(&s).await?;
    above.mount.mute(true);
    let early = above.asks_again(before, Duration::from_millis(350)).await?;
    expect(
        early.is_none(),
        "patience for 500 ms",
        "another request before",
    )?;
    let again = above.asks_again(before, Duration::from_secs(4)).await?;
    above.mount.mute(false);
    expect(
        again.is_some(),
        "another request after a silence of two ticks",
        "none for 4 seconds",
    )
}

async fn goes_on(s: Session) -> Verdict {
    let (above, mut listener, before) = read(&s).await?;
    let place = listener.place()?;
    listener.read(place.prelude).await?;
    above.mount.inject(Frame::raw(0, b"x"));
    let again = above.asks_again(before, Duration::from_secs(8)).await?;
    let again = again.ok_or_else(|| Stop::blocked("R-FEED-4", "it reads on"))?;
    let value = again.field("Resume-Offset").unwrap_or_default();
    let right = value.contains(&place.at.epoch);
    expect(
        right,
        format!("Resume-Offset with a position of {}", place.at.epoch),
        format!("Resume-Offset: {value}"),
    )?;
    let heard = listener.read(120_000).await?;
    let whole = above.content().bytes(place.at.offset, heard.len()) == heard;
    expect(
        whole,
        "the stream without a gap, over the error",
        "other bytes",
    )
}
