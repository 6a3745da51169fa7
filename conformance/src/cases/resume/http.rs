//! What HTTP asks for, and browsers.

use std::collections::BTreeSet;
use std::time::Duration;

use super::miss::nobodys;
use crate::case::{Case, Stop, Verdict, expect};
use crate::connection::{Answer, End};
use crate::http::Request;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/http-version",
        requirement: "R-HTTP-1",
        does: "asks in HTTP/1.1 and in HTTP/1.0, and reads the heads",
        run: |s| Box::pin(version(s)),
    },
    Case {
        id: "resume/one-request",
        requirement: "R-HTTP-2",
        does: "sends a second request behind the first, ends the answer by its session, and reads what came",
        run: |s| Box::pin(one_request(s)),
    },
    Case {
        id: "resume/head",
        requirement: "R-HTTP-3",
        does: "compares HEAD with GET",
        run: |s| Box::pin(head(s)),
    },
    Case {
        id: "resume/options",
        requirement: "R-HTTP-4",
        does: "asks for OPTIONS",
        run: |s| Box::pin(options(s)),
    },
    Case {
        id: "resume/slow-head",
        requirement: "R-HTTP-7",
        does: "sends half a head, and waits",
        run: |s| Box::pin(slow_head(s)),
    },
    Case {
        id: "resume/no-416",
        requirement: "R-HTTP-8",
        does: "asks for bytes that cannot be given, without Range",
        run: |s| Box::pin(no_416(s)),
    },
    Case {
        id: "resume/not-to-be-stored",
        requirement: "R-HTTP-9",
        does: "looks for no-store in Cache-Control",
        run: |s| Box::pin(no_store(s)),
    },
    Case {
        id: "resume/other-origins",
        requirement: "R-HTTP-10",
        does: "asks as a page of another origin",
        run: |s| Box::pin(other_origins(s)),
    },
    Case {
        id: "resume/field-names",
        requirement: "R-COMPAT-7",
        does: "looks for positions in fields whose names stock relays pass on",
        run: |s| Box::pin(field_names(s)),
    },
];

async fn version(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let request = Request::get(&mount).version(version).resume("live");
        let answer = s.ask_new(request).await?.only_if(200, "R-FIELD-1")?;
        expect(
            answer.head.version == version,
            version,
            answer.head.version.clone(),
        )?;
        let connection = answer.field("Connection").unwrap_or_default();
        let observed = format!("Connection: {connection}");
        expect(
            connection.eq_ignore_ascii_case("close"),
            "Connection: close",
            observed,
        )?;
        let coding = answer.field("Transfer-Encoding");
        expect(
            coding.is_none(),
            "no Transfer-Encoding",
            coding.unwrap_or_default(),
        )?;
    }
    Ok(())
}

async fn one_request(s: Session) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    let host = s.target().url.authority.clone();
    let mut octets = Request::get(&mount).resume("live").octets(&host);
    octets.extend(Request::get("/nobody-asks-for-this").octets(&host));
    let mut connection = s.connect().await?;
    connection.send(&octets).await?;
    let mut answer = connection.head().await?.only_if(200, "R-FIELD-1")?;
    let place = answer.place()?;
    let session = place
        .session
        .clone()
        .ok_or_else(|| Stop::blocked("R-SESS-1", "there is no session"))?;
    let mut heard = answer.read(place.prelude + 20_000).await?;
    let again = format!("{};session=\"{session}\"", place.at.plus(15_000).ask());
    let _next = s.ask(Request::get(&mount).resume(again)).await?;
    let (rest, end) = answer.read_for(Duration::from_secs(5), 2_000_000).await;
    if end == End::Open {
        return Err(Stop::blocked("R-SESS-3", "the older connection goes on"));
    }
    heard.extend(rest);
    let second = heard.windows(7).any(|seven| seven == b"HTTP/1.");
    expect(
        !second,
        "nothing but the stream in the first answer",
        "the head of a second answer in it",
    )
}

/// The names of an answer's fields, but for those that may differ each time.
fn names(answer: &Answer) -> BTreeSet<String> {
    let all = answer
        .head
        .fields
        .iter()
        .map(|(name, _)| name.to_ascii_lowercase());
    all.filter(|name| !matches!(&name[..], "date" | "age" | "expires"))
        .collect()
}

async fn head(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for ask in [Some("live"), None] {
        let request = |method| {
            let request = Request::new(method, &mount);
            match ask {
                Some(ask) => request.resume(ask),
                None => request,
            }
        };
        let get = s
            .ask_new(request("GET"))
            .await?
            .only_if(200, "R-COMPAT-5")?;
        let mut head = s.ask(request("HEAD")).await?;
        expect(
            head.status() == get.status(),
            "the status of GET",
            head.status().to_string(),
        )?;
        let observed = format!("{:?}", names(&head));
        expect(
            names(&head) == names(&get),
            format!("the fields of GET, {:?}", names(&get)),
            observed,
        )?;
        expect(
            head.place()?.session.is_none(),
            "no session for HEAD",
            "one",
        )?;
        let (body, _) = head.read_for(Duration::from_secs(1), 1).await;
        expect(body.is_empty(), "no body", "one")?;
    }
    Ok(())
}

async fn options(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let request = Request::new("OPTIONS", &mount)
        .field("Origin", "http://page.example")
        .field("Access-Control-Request-Method", "GET")
        .field("Access-Control-Request-Headers", "resume-offset");
    let answer = s.ask(request).await?;
    expect(answer.status() == 204, "204", answer.status().to_string())?;
    let allowed = answer
        .field("Access-Control-Allow-Headers")
        .unwrap_or_default()
        .to_ascii_lowercase();
    let right = allowed == "*" || allowed.contains("resume-offset");
    expect(
        right,
        "Resume-Offset in Access-Control-Allow-Headers",
        allowed,
    )
}

async fn slow_head(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let mut connection = s.connect_slow().await?;
    connection
        .send(format!("GET {mount} HTTP/1.1\r\nHost: ").as_bytes())
        .await?;
    let answer = connection.head().await?;
    expect(answer.status() == 408, "408", answer.status().to_string())
}

async fn no_416(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let window = s.holding(&mount, 10_000).await?;
    for method in ["GET", "HEAD"] {
        for at in [nobodys(), window.at(window.next + 900_000_000)] {
            let request = Request::new(method, &mount).resume(format!("{};miss=fail", at.ask()));
            let answer = s.ask(request).await?;
            expect(
                answer.status() != 416,
                "another refusal",
                format!("416 for {method} of {at}"),
            )?;
        }
    }
    Ok(())
}

async fn no_store(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for request in [Request::get(&mount).resume("live"), Request::get(&mount)] {
        let answer = s.ask_new(request).await?.only_if(200, "R-COMPAT-5")?;
        let value = answer.field("Cache-Control").unwrap_or_default();
        let says = value
            .split(',')
            .any(|part| part.trim().eq_ignore_ascii_case("no-store"));
        expect(
            says,
            "Cache-Control: no-store",
            format!("Cache-Control: {value}"),
        )?;
    }
    Ok(())
}

async fn other_origins(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let request = Request::get(&mount)
        .resume("live")
        .field("Origin", "http://page.example");
    let answer = s.ask_new(request).await?.only_if(200, "R-FIELD-1")?;
    let allowed = answer
        .field("Access-Control-Allow-Origin")
        .unwrap_or_default();
    expect(!allowed.is_empty(), "Access-Control-Allow-Origin", "none")?;
    let exposed = answer
        .field("Access-Control-Expose-Headers")
        .unwrap_or_default()
        .to_ascii_lowercase();
    for name in ["stream-offset", "stream-window", "stream-proof", "link"] {
        let observed = format!("Access-Control-Expose-Headers: {exposed}");
        expect(
            exposed == "*" || exposed.contains(name),
            format!("{name} exposed"),
            observed,
        )?;
    }
    Ok(())
}

async fn field_names(s: Session) -> Verdict {
    let answer = s.join().await?;
    let epoch = answer.place()?.at.epoch;
    for (name, value) in &answer.head.fields {
        let lower = name.to_ascii_lowercase();
        let passed_on = ["ice-", "icy-", "x-"]
            .iter()
            .any(|start| lower.starts_with(start));
        let observed = format!("{name}: {value}");
        expect(
            !(passed_on && value.contains(&epoch)),
            "no position in fields named ice-, icy- or X-",
            observed,
        )?;
    }
    Ok(())
}
