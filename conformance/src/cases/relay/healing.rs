//! Whether a minter goes on over a reconnection without a proof.

use std::time::Duration;

use super::above::Above;
use crate::case::{Case, Verdict, expect};
use crate::session::Session;

pub(super) const CASES: &[Case] = &[Case {
    id: "relay/healing-asks-the-clock",
    requirement: "R-EPOCH-4",
    does: "cuts a plain stream for 4.5 seconds, and comes back with the bytes of the cut, as a jingle would",
    run: |s| Box::pin(asks_the_clock(s)),
}];

async fn asks_the_clock(s: Session) -> Verdict {
    let above = Above::stock(&s).await?;
    let _listener = above.join().await?;
    // A rate has to be known.
    let before = above
        .until("know the rate", |window| window.rate.is_some())
        .await?;
    above.pause(true);
    above.mount.refuse(Some(503));
    above.mount.cut();
    // That nothing arrives for so long is what is tried.
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    above.mount.refuse(None);
    above.pause(false);
    let window = above
        .until("go on", |window| {
            window.epoch != before.epoch || window.next > before.next + 80_000
        })
        .await?;
    let expected = "another epoch: 4.5 seconds have passed, and no bytes with them";
    expect(window.epoch != before.epoch, expected, "the same epoch")
}
