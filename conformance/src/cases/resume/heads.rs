//! Heads of requests that are too large, or can be read in two ways.

use icecast_ext_spec::vector::{self, Error};

use crate::case::{Case, Stop, Verdict, expect};
use crate::http::{Request, latin};
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/large-heads",
        requirement: "R-HEAD-1",
        does: "sends a head of more than 8192 bytes, and one of more than 64 lines",
        run: |s| Box::pin(large(s)),
    },
    Case {
        id: "resume/ambiguous-heads",
        requirement: "R-HEAD-2",
        does: "sends the vectors' heads that two parsers may read differently",
        run: |s| Box::pin(ambiguous(s)),
    },
    Case {
        id: "resume/paths",
        requirement: "R-HEAD-5",
        does: "asks for the vectors' paths, and for the mount with an encoded letter",
        run: |s| Box::pin(paths(s)),
    },
];

async fn large(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    let long = Request::get(&mount).field("X-Long", "x".repeat(9_000));
    let many = (0..70).fold(Request::get(&mount), |request, index| {
        request.field(&format!("X-{index}"), "x")
    });
    for (what, request) in [
        ("a head of 9,000 bytes", long),
        ("a head of 71 lines", many),
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

async fn ambiguous(s: Session) -> Verdict {
    let vectors = vector::parse().map_err(|error| Stop::Error(error.to_string()))?;
    for case in vectors.request_head {
        // Two lines of Resume-Offset have a case of their own.
        let own = case.requirement != "R-HEAD-2"
            || case.input.text().matches("Resume-Offset").count() > 1;
        if own || case.expect != Err(Error::BadRequest) {
            continue;
        }
        let Some(octets) = case.input.octets() else {
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

async fn paths(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    let last = mount.chars().last().unwrap_or('3');
    let encoded = format!(
        "{}%{:02x}?a=b",
        &mount[..mount.len() - last.len_utf8()],
        u32::from(last)
    );
    let answer = s.ask(Request::get(&encoded)).await?;
    expect(
        answer.status() == 200,
        format!("200 for {encoded}, which is the mount"),
        answer.status().to_string(),
    )?;
    let vectors = vector::parse().map_err(|error| Stop::Error(error.to_string()))?;
    let bad = vectors.path.into_iter().filter(|case| case.expect.is_err());
    for case in bad.filter(|case| case.input.bytes().all(|c| (b'!'..=b'~').contains(&c))) {
        let answer = s.ask(Request::get(&case.input)).await?;
        expect(
            answer.status() == 400,
            format!("400 for {}", case.input),
            answer.status().to_string(),
        )?;
    }
    Ok(())
}
