//! What a proxy sends upstream of requests that are not its own.

use super::above::Above;
use crate::case::{Case, Stop, Verdict, expect};
use crate::http::Request;
use crate::reference::RequestHead;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "relay/query-goes-no-further",
        requirement: "R-FIELD-13",
        does: "asks below for a page with _resume and _shift in its query, and reads what gets here",
        run: |s| Box::pin(query(s)),
    },
    Case {
        id: "relay/head-written-anew",
        requirement: "R-HEAD-3",
        does: "asks below for a page with tabs around a value, and reads what gets here",
        run: |s| Box::pin(anew(s)),
    },
    Case {
        id: "relay/forwarded-for",
        requirement: "R-SEC-5",
        does: "asks below for a page with X-Forwarded-For, and reads what gets here",
        run: |s| Box::pin(forwarded_for(s)),
    },
    Case {
        id: "relay/cookies-go-no-further",
        requirement: "R-STOCK-9",
        does: "asks below for a page with an anchor and its cookie, and reads what gets here",
        run: |s| Box::pin(cookies(s)),
    },
];

/// Asks the server below for a page that is no stream; the request as it gets here, and its octets.
async fn page(
    s: &Session,
    query: &str,
    fields: &[(&str, &str)],
) -> Result<(RequestHead, String), Stop> {
    // A mount beside, so that the server below is known to reach us.
    let above = Above::new(s).await?;
    let path = above.mount.path().replace("mp3", "txt");
    let mut request = Request::get(&format!("{path}{query}"));
    for (name, value) in fields {
        request = request.field(name, *value);
    }
    s.ask_at(&above.below, request).await?;
    let seen = s.stage().upstream().await?.seen(&path);
    let with = |one: &(RequestHead, String)| {
        one.0.query.is_some() || !fields.is_empty() && one.1.contains("X-Mark")
    };
    let found = seen.into_iter().find(with);
    found.ok_or_else(|| Stop::Skip("the server below forwards no such requests".to_owned()))
}

const MARK: (&str, &str) = ("X-Mark", "1");

async fn query(s: Session) -> Verdict {
    for ours in ["_resume=AAAAAAAAAAAAAAAAAAAAAA.5", "_shift=3"] {
        let (head, _) = page(&s, &format!("?a=b&{ours}&c"), &[MARK]).await?;
        let query = head.query.unwrap_or_default();
        expect(query == "a=b&c", "the query a=b&c", query)?;
    }
    Ok(())
}

async fn anew(s: Session) -> Verdict {
    let (_, octets) = page(&s, "", &[MARK, ("X-Tabs", "\t a \t")]).await?;
    let line = octets
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("x-tabs"))
        .unwrap_or_default()
        .to_owned();
    expect(
        !line.contains('\t'),
        "a line without the tabs around the value, or none",
        format!("{line:?}"),
    )
}

async fn forwarded_for(s: Session) -> Verdict {
    let (head, _) = page(&s, "", &[MARK, ("X-Forwarded-For", "6.6.6.6, 7.7.7.7")]).await?;
    let lines = head
        .fields
        .iter()
        .filter(|(name, _)| name.eq_ignore_ascii_case("x-forwarded-for"));
    let values: Vec<_> = lines.map(|(_, value)| value.as_str()).collect();
    let right = values.len() == 1 && !values[0].contains(',') && !values[0].contains("6.6.6.6");
    expect(
        right,
        "one line with the client's own address",
        format!("{values:?}"),
    )
}

async fn cookies(s: Session) -> Verdict {
    let token = "AavN7xI0VqvN7xI0VniQq83vEjRWeJAAAAAAAAAAAAAAAAplAD6AfWCT7g";
    let cookie = format!("one=1; icx-q83vEjRW={token}; two=2");
    let (head, octets) = page(
        &s,
        &format!("?a=b&_anchor={token}"),
        &[MARK, ("Cookie", &cookie)],
    )
    .await?;
    let query = head.query.clone().unwrap_or_default();
    expect(query == "a=b", "the query a=b", query)?;
    let kept = head.field("Cookie").unwrap_or_default().to_owned();
    let right = !octets.contains("icx-q83") && kept.contains("one=1") && kept.contains("two=2");
    expect(right, "the other cookies alone", format!("Cookie: {kept}"))
}
