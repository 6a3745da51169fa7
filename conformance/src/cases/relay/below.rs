//! What a relay does with what it gets.

use std::time::Duration;

use super::above::Above;
use super::feed::{ask_at, data};
use crate::case::{Case, Stop, Verdict, expect};
use crate::field::Position;
use crate::frame::Frame;
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "relay/asks-for-the-feed",
        requirement: "R-RELAY-1",
        does: "lets the server below pull, and reads its request",
        run: |s| Box::pin(asks(s)),
    },
    Case {
        id: "relay/same-addresses",
        requirement: "R-RELAY-2",
        does: "compares the epoch and the bytes below with the upstream's",
        run: |s| Box::pin(same_addresses(s)),
    },
    Case {
        id: "relay/resumes",
        requirement: "R-RELAY-3",
        does: "cuts the server below, and reads its next request",
        run: |s| Box::pin(resumes(s)),
    },
    Case {
        id: "relay/another-epoch",
        requirement: "R-RELAY-4",
        does: "cuts the server below, comes back with another epoch, and reads its feed",
        run: |s| Box::pin(another_epoch(s)),
    },
    Case {
        id: "relay/minter",
        requirement: "R-RELAY-5",
        does: "offers a plain stream, and asks the server below for positions",
        run: |s| Box::pin(minter(s)),
    },
    Case {
        id: "relay/own-fields",
        requirement: "R-RELAY-6",
        does: "counts the lines of Stream-Offset and Stream-Window below",
        run: |s| Box::pin(own_fields(s)),
    },
    Case {
        id: "relay/via",
        requirement: "R-RELAY-7",
        does: "looks for Via in the pull, and sends it back in a request",
        run: |s| Box::pin(via(s)),
    },
    Case {
        id: "relay/undeclared",
        requirement: "R-SPLICE-1",
        does: "makes a splice that is not declared, and resumes below at the end of the epoch",
        run: |s| Box::pin(undeclared(s)),
    },
    Case {
        id: "relay/nothing-proven",
        requirement: "R-SPLICE-5",
        does: "resumes below at and beyond the end of an epoch with an undeclared splice",
        run: |s| Box::pin(nothing_proven(s)),
    },
    Case {
        id: "relay/gap",
        requirement: "R-MISS-8",
        does: "leaves bytes out, and asks below for one of them",
        run: |s| Box::pin(gap(s)),
    },
    Case {
        id: "relay/never-back",
        requirement: "R-MISS-9",
        does: "leaves bytes out, asks below for one of them, and looks whether the answer starts after it",
        run: |s| Box::pin(never_back(s)),
    },
];

async fn asks(s: Session) -> Verdict {
    match Above::new(&s).await {
        Ok(_) => Ok(()),
        Err(Stop::Skip(why)) if why.contains("R-RELAY-1") => Err(Stop::fail(
            "a request with Accept: application/vnd.icecast-ext.relay",
            "none",
        )),
        Err(stop) => Err(stop),
    }
}

async fn same_addresses(s: Session) -> Verdict {
    let above = Above::new(&s).await?;
    let mut answer = above.join().await?;
    let place = answer.place()?;
    let (epoch, _) = above
        .mount
        .edge()
        .ok_or_else(|| Stop::Error("nothing was pushed".to_owned()))?;
    expect(
        place.at.epoch == epoch,
        format!("the upstream's epoch {epoch}"),
        place.at.epoch.clone(),
    )?;
    let body = answer.read(place.prelude + 20_000).await?;
    // The upstream's offsets are the indices of its stream.
    let expected = above.content().bytes(place.at.offset, 20_000);
    let observed = crate::content::difference(&expected, &body[place.prelude..]);
    expect(
        observed.is_none(),
        format!("the upstream's bytes from {} on", place.at.offset),
        observed.unwrap_or_default(),
    )
}

async fn resumes(s: Session) -> Verdict {
    let above = Above::new(&s).await?;
    let _listener = above.join().await?;
    let (epoch, _) = above
        .mount
        .edge()
        .ok_or_else(|| Stop::Error("nothing was pushed".to_owned()))?;
    let before = above.asked().await?.len();
    if before == 0 {
        return Err(Stop::blocked("R-RELAY-1", "it does not ask for the feed"));
    }
    above.mount.cut();
    let again = above.asks_again(before, Duration::from_secs(10)).await?;
    let again = again.ok_or_else(|| Stop::fail("another request", "none for 10 seconds"))?;
    let value = again.field("Resume-Offset").unwrap_or_default();
    let right = value.contains(&epoch) && value.starts_with(|c: char| c.is_ascii_digit());
    expect(
        right,
        format!("Resume-Offset with a position of {epoch}"),
        format!("Resume-Offset: {value}"),
    )
}

async fn another_epoch(s: Session) -> Verdict {
    let mut above = Above::new(&s).await?;
    let _listener = above.join().await?;
    let window = above.until("go on", |window| window.next > 100_000).await?;
    let at = window.at(window.next - 2_000);
    let mut feed = ask_at(&s, &above.below, above.mount.path(), Some(at.ask())).await?;
    above.mount.forget();
    above.change();
    above.mount.cut();
    let end = tokio::time::Instant::now() + s.target().patience;
    while tokio::time::Instant::now() < end {
        match feed.next(Duration::from_secs(15)).await? {
            Some(Frame::Data(at, bytes)) if bytes.len() > 400 => {
                let strange = bytes.starts_with(&above.content().bytes(0, 400));
                expect(
                    !strange,
                    "a SPLICE before bytes of another epoch",
                    format!("DATA at {at} of the new stream"),
                )?;
            }
            Some(Frame::Splice { .. }) => {
                let body = data(&feed.frames(10_000).await?);
                return expect(
                    above.content().find(&body).is_some(),
                    "the new epoch after SPLICE",
                    "other bytes",
                );
            }
            Some(_) => {}
            // A feed may end instead, at a splice that is not known yet: what follows is asked for anew.
            None => break,
        }
    }
    let window = above.until("follow", |new| new.epoch != window.epoch).await;
    expect(
        window.is_ok(),
        "the end of the epoch",
        "the old epoch goes on",
    )
}

async fn minter(s: Session) -> Verdict {
    let above = match Above::stock(&s).await {
        Err(Stop::Skip(why)) if why.contains("is not there") => {
            return Err(Stop::fail(
                "a live mount below, of a stream without a feed",
                why,
            ));
        }
        other => other?,
    };
    let answer = above
        .ask(|mount| Request::get(mount).resume("live"))
        .await?;
    expect(answer.status() == 200, "200", answer.status().to_string())?;
    expect(
        answer.field("Stream-Offset").is_some(),
        "a position",
        "no Stream-Offset",
    )?;
    let at = answer.place()?.at;
    // A position that it gave is one that it knows.
    let again = format!("{};miss=fail", at.ask());
    let answer = above
        .ask(|mount| Request::get(mount).resume(again.clone()))
        .await?;
    expect(
        answer.status() == 200,
        format!("200 for {at}"),
        answer.status().to_string(),
    )
}

async fn own_fields(s: Session) -> Verdict {
    let above = Above::new(&s).await?;
    let answer = above.join().await?;
    for name in ["Stream-Offset", "Stream-Window"] {
        let lines: Vec<_> = answer.head.lines(name).collect();
        expect(
            lines.len() == 1,
            format!("one {name}"),
            format!("{lines:?}"),
        )?;
    }
    Ok(())
}

async fn via(s: Session) -> Verdict {
    let above = Above::new(&s).await?;
    above.join().await?;
    let seen = s.stage().upstream().await?.seen(above.mount.path());
    let via = seen
        .iter()
        .find_map(|(head, _)| head.field("Via").filter(|via| via.contains("icx-")));
    let via = via.ok_or_else(|| {
        Stop::fail(
            "Via with a name that begins with icx-",
            format!("{} requests without", seen.len()),
        )
    })?;
    let request = Request::get(above.mount.path()).field("Via", via);
    let answer = s.ask_at(&above.below, request).await?;
    expect(
        answer.status() == 508,
        format!("508 for Via: {via}"),
        answer.status().to_string(),
    )
}

/// Ends the upstream's epoch by an undeclared splice; the end of the old epoch, as the server below knows it.
async fn spliced(s: &Session) -> Result<(Above, Position), Stop> {
    let mut above = Above::new(s).await?;
    let _listener = above.join().await?;
    let end = above.splice(false)?;
    above
        .until("follow", |window| {
            window.epoch != end.epoch && window.next > 8_000
        })
        .await?;
    Ok((above, end))
}

async fn undeclared(s: Session) -> Verdict {
    let (above, end) = spliced(&s).await?;
    let answer = above
        .ask(|mount| Request::get(mount).resume(end.ask()))
        .await?
        .only_if(200, "R-SPLICE-5")?;
    let place = answer.place()?;
    expect(
        !place.spliced,
        "an answer without spliced",
        format!("{place:?}"),
    )
}

async fn nothing_proven(s: Session) -> Verdict {
    let (above, end) = spliced(&s).await?;
    for further in [0, 3_000] {
        let at = end.plus(further);
        let answer = above
            .ask(|mount| Request::get(mount).resume(at.ask()))
            .await?;
        expect(
            answer.status() == 200,
            format!("200 for {at}"),
            answer.status().to_string(),
        )?;
        let place = answer.place()?;
        if place.spliced {
            return Err(Stop::blocked("R-SPLICE-1", "the answer says spliced"));
        }
        let right = place.lost.is_none() && place.at.epoch != end.epoch && place.at.offset < 960;
        expect(
            right,
            "the next epoch's first sync point, without lost",
            format!("{place:?}"),
        )?;
        let refused = format!("{};miss=fail", at.ask());
        let answer = above
            .ask(|mount| Request::get(mount).resume(refused.clone()))
            .await?;
        expect(
            answer.status() == 412,
            "412 with miss=fail",
            answer.status().to_string(),
        )?;
    }
    Ok(())
}

/// Leaves 50,000 bytes out; a position among them.
async fn gapped(s: &Session) -> Result<(Above, Position), Stop> {
    let above = Above::new(s).await?;
    let _listener = above.join().await?;
    above.pause(true);
    let (epoch, edge) = above
        .mount
        .edge()
        .ok_or_else(|| Stop::Error("nothing was pushed".to_owned()))?;
    above.mount.gap(50_000);
    above.pause(false);
    above
        .until("go on behind the gap", |window| window.next > edge + 55_000)
        .await?;
    Ok((above, Position::new(&epoch, edge + 20_000)))
}

async fn gap(s: Session) -> Verdict {
    let (above, at) = gapped(&s).await?;
    let answer = above
        .ask(|mount| Request::get(mount).resume(at.ask()))
        .await?;
    let observed = answer.status().to_string();
    expect(
        answer.status() == 200,
        format!("200 for {at}, from further on"),
        observed,
    )?;
    let place = answer.place()?;
    let right = place.at != at && place.at.epoch == at.epoch;
    expect(
        right,
        "another position of the same epoch",
        place.at.to_string(),
    )?;
    let refused = format!("{};miss=fail", at.ask());
    let answer = above
        .ask(|mount| Request::get(mount).resume(refused.clone()))
        .await?;
    expect(
        answer.status() == 412,
        "412 with miss=fail",
        answer.status().to_string(),
    )
}

async fn never_back(s: Session) -> Verdict {
    let (above, at) = gapped(&s).await?;
    let answer = above
        .ask(|mount| Request::get(mount).resume(at.ask()))
        .await?
        .only_if(200, "R-MISS-8")?;
    let place = answer.place()?;
    let back = place.at.epoch == at.epoch && place.at.offset < at.offset;
    expect(
        !back,
        format!("a start at or after {at}"),
        place.at.to_string(),
    )
}
