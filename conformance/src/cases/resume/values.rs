//! Values of `Resume-Offset` and its query forms, from the vectors of the protocol.

use icecast_ext_spec::vector::{self, Parts};

use crate::case::{Case, Stop, Verdict, expect};
use crate::http::{Request, latin};
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/value",
        requirement: "R-FIELD-1",
        does: "sends the vectors' values of Resume-Offset, right and malformed ones",
        run: |s| Box::pin(statuses(s, "R-FIELD-1")),
    },
    Case {
        id: "resume/parameters",
        requirement: "R-FIELD-4",
        does: "sends known parameters of other types and ranges",
        run: |s| Box::pin(statuses(s, "R-FIELD-4")),
    },
    Case {
        id: "resume/names",
        requirement: "R-ADDR-4",
        does: "sends epochs that are not written as they should be, and reads the server's own",
        run: |s| Box::pin(names(s)),
    },
    Case {
        id: "resume/malformed-text",
        requirement: "R-FIELD-3",
        does: "sends malformed fields and queries, and reads what the 400 says",
        run: |s| Box::pin(text(s)),
    },
    Case {
        id: "resume/several-lines",
        requirement: "R-FIELD-5",
        does: "sends two lines of Resume-Offset",
        run: |s| Box::pin(several(s)),
    },
    Case {
        id: "resume/unknown-parameters",
        requirement: "R-FIELD-2",
        does: "resumes with parameters that nobody knows",
        run: |s| Box::pin(unknown(s)),
    },
];

/// The text of a value that can stand in a field line.
fn line(value: &Parts) -> Option<String> {
    let text = value.text();
    let fits = text.len() < 3000 && !text.contains(['\r', '\n', '\0']);
    fits.then_some(text)
}

fn vectors() -> Result<vector::Parse, Stop> {
    vector::parse().map_err(|error| Stop::Error(error.to_string()))
}

/// Sends all values of a requirement, and looks at the statuses: 400 or not.
async fn statuses(s: Session, requirement: &str) -> Verdict {
    let mount = s.mount().await?;
    s.join_at(&mount).await?;
    for case in vectors()?.resume_offset {
        let Some(value) = line(&case.input).filter(|_| case.requirement == requirement) else {
            continue;
        };
        // Who names an epoch may be held: the vectors' epochs are unknown everywhere, so nobody is.
        let answer = s.ask(Request::get(&mount).resume(value.clone())).await?;
        let bad = case.expect.is_err();
        let expected = if bad {
            "400"
        } else {
            "a status that is not 400"
        };
        let observed = format!("{} for Resume-Offset: {value}", answer.status());
        expect((answer.status() == 400) == bad, expected, observed)?;
    }
    Ok(())
}

async fn names(s: Session) -> Verdict {
    statuses(s.clone(), "R-ADDR-4").await?;
    let answer = s.join().await?;
    let place = answer.place()?;
    let is_name = |text: &str| {
        let letters = text
            .bytes()
            .all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
        text.len() == 22 && letters && text.ends_with(['A', 'Q', 'g', 'w'])
    };
    let window = answer.window()?;
    for name in [Some(place.at.epoch), place.session, Some(window.epoch)]
        .into_iter()
        .flatten()
    {
        expect(
            is_name(&name),
            "22 characters of base64url whose unused bits are zero",
            name,
        )?;
    }
    Ok(())
}

async fn text(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let vectors = vectors()?;
    let fields = vectors
        .resume_offset
        .iter()
        .filter(|case| case.expect.is_err())
        .filter_map(|case| {
            let value = line(&case.input)?;
            let known = ["Resume-Offset", "epoch", "miss", "max-lag", "session"];
            Some((Request::get(&mount).resume(value), known.to_vec()))
        });
    let queries = vectors
        .query
        .iter()
        .filter(|case| case.expect.is_err())
        .filter_map(|case| {
            let fits =
                case.input.len() < 3000 && case.input.bytes().all(|c| (b'!'..=b'~').contains(&c));
            let target = format!("{mount}?{}", case.input);
            fits.then(|| (Request::get(&target), vec!["_resume", "_shift"]))
        });
    for (request, names) in fields.chain(queries) {
        let mut answer = s.ask(request).await?;
        if answer.status() != 400 {
            // Which values are malformed is what other cases judge.
            continue;
        }
        let (body, _) = answer.read_for(s.target().answer, 4096).await;
        let body = latin(&body).to_ascii_lowercase();
        let named = names
            .iter()
            .any(|name| body.contains(&name.to_ascii_lowercase()));
        expect(
            named,
            format!("a text that names one of {}", names.join(", ")),
            format!("{body:?}"),
        )?;
    }
    Ok(())
}

async fn several(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let answer = s
        .ask(Request::get(&mount).resume("live").resume("live"))
        .await?;
    expect(
        answer.status() == 400,
        "400 for two lines",
        answer.status().to_string(),
    )
}

async fn unknown(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let at = s.held(&mount).await?;
    let value = format!("{};swarm;v=1.5;w=\"x\";anchor=:AAAA:;t=a/b", at.ask());
    let answer = s.ask(Request::get(&mount).resume(value)).await?;
    expect(
        answer.status() == 200,
        "200, as without them",
        answer.status().to_string(),
    )?;
    let place = answer.place()?;
    expect(
        place.at == at,
        format!("the position {at}, as without them"),
        place.at.to_string(),
    )
}
