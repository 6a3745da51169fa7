//! Heads of requests that are too large, or can be read in two ways.

use icecast_ext_spec::vector::{self, Error};

use crate::case::{Case, Stop, Verdict, expect};
use crate::http::{Request, latin};
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/large-heads",
        requirement: "R-HEAD-1",
        does: "asks with a head of more than 8192 bytes, and with one of more than 64 lines",
        run: |s| Box::pin(large(s, true)),
    },
    Case {
        id: "resume/ambiguous-heads",
        requirement: "R-HEAD-2",
        does: "asks with the vectors' heads that two parsers may read differently",
        run: |s| Box::pin(ambiguous(s, true)),
    },
    Case {
        id: "resume/paths",
        requirement: "R-HEAD-5",
        does: "asks for the vectors' paths, and for the mount with an encoded letter",
        run: |s| Box::pin(paths(s, true)),
    },
    Case {
        id: "resume/heads-of-others",
        requirement: "R-HEAD-6",
        does: "sends all these heads without a field of the protocol",
        run: |s| Box::pin(others(s)),
    },
];

/// A request that asks for something of the protocol by a first field line, or not.
fn get(target: &str, asking: bool) -> Request {
    let request = Request::get(target);
    if asking {
        request.resume("live")
    } else {
        request
    }
}

async fn others(s: Session) -> Verdict {
    large(s.clone(), false).await?;
    ambiguous(s.clone(), false).await?;
    paths(s, false).await
}

async fn large(s: Session, asking: bool) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    let long = get(&mount, asking).field("X-Long", "x".repeat(9_000));
    let many = (0..70).fold(get(&mount, asking), |request, index| {
        request.field(&format!("X-{index}"), "x")
    });
    for (what, request) in [
        ("a head of more than 9,000 bytes", long),
        ("a head of more than 70 lines", many),
    ] {
        let answer = s.ask(request).await?;
        expect(
            answer.status() == 431,
            format!("431 for {what}"),
            answer.status().to_string(),
        )?;
    }
    Ok(())
}

/// The head with a first field line more. `None` if it has no line.
fn asks(head: &[u8]) -> Option<Vec<u8>> {
    let first = head.iter().position(|c| *c == b'\n')? + 1;
    let (line, rest) = head.split_at(first);
    Some([line, b"Resume-Offset: live\r\n", rest].concat())
}

async fn ambiguous(s: Session, asking: bool) -> Verdict {
    let vectors = vector::parse().map_err(|error| Stop::Error(error.to_string()))?;
    for case in vectors.request_head {
        // Two lines of Resume-Offset have a case of their own.
        let own = case.requirement != "R-HEAD-2"
            || case.input.text().matches("Resume-Offset").count() > 1;
        if own || case.expect != Err(Error::BadRequest) {
            continue;
        }
        let octets = case.input.octets();
        let Some(octets) = octets.and_then(|octets| match asking {
            true => asks(&octets),
            false => Some(octets),
        }) else {
            continue;
        };
        let mut connection = s.connect().await?;
        connection.send(&octets).await?;
        let shown: String = latin(&octets).chars().take(80).collect();
        let answer = match connection.head().await {
            Err(Stop::Fail { observed, .. }) => {
                return Err(Stop::fail(format!("400 for {shown:?}"), observed));
            }
            other => other?,
        };
        expect(
            answer.status() == 400,
            format!("400 for {shown:?}"),
            answer.status().to_string(),
        )?;
    }
    Ok(())
}

async fn paths(s: Session, asking: bool) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    let last = mount.chars().last().unwrap_or('3');
    let encoded = format!(
        "{}%{:02x}?a=b",
        &mount[..mount.len() - last.len_utf8()],
        u32::from(last)
    );
    let answer = s.ask(get(&encoded, asking)).await?;
    expect(
        answer.status() == 200,
        format!("200 for {encoded}, which is the mount"),
        answer.status().to_string(),
    )?;
    let vectors = vector::parse().map_err(|error| Stop::Error(error.to_string()))?;
    let bad = vectors.path.into_iter().filter(|case| case.expect.is_err());
    for case in bad.filter(|case| case.input.bytes().all(|c| (b'!'..=b'~').contains(&c))) {
        let answer = s.ask(get(&case.input, asking)).await?;
        expect(
            answer.status() == 400,
            format!("400 for {}", case.input),
            answer.status().to_string(),
        )?;
    }
    Ok(())
}
