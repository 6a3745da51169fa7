//! What stock Icecast does for listeners and sources, and every extended server keeps.

use std::time::Duration;

use crate::case::{Case, Stop, Verdict, expect};
use crate::content::{Format, difference};
use crate::http::{Request, latin};
use crate::icy;
use crate::session::Session;
use crate::source::{self, Met};

pub(super) const CASES: &[Case] = &[
    Case {
        id: "icecast/plain-get",
        requirement: "R-COMPAT-5",
        does: "asks with nothing but GET and Host, and with nothing but GET",
        run: |s| Box::pin(plain_get(s)),
    },
    Case {
        id: "icecast/nothing-added",
        requirement: "R-COMPAT-6",
        does: "reads as a client that knows nothing, and compares each byte with the source's",
        run: |s| Box::pin(nothing_added(s)),
    },
    Case {
        id: "icecast/first-block",
        requirement: "R-ICY-1",
        does: "asks for titles, and looks for the first block after icy-metaint bytes, twice",
        run: |s| Box::pin(first_block(s)),
    },
    Case {
        id: "icecast/no-blocks-in-ogg",
        requirement: "R-ICY-2",
        does: "asks for titles of an Ogg stream, and reads its pages",
        run: |s| Box::pin(no_blocks_in_ogg(s)),
    },
    Case {
        id: "icecast/title",
        requirement: "R-ICY-7",
        does: "sets titles, and reads the blocks of a client that knows nothing",
        run: |s| Box::pin(title(s)),
    },
    Case {
        id: "icecast/source-type",
        requirement: "R-COMPAT-8",
        does: "feeds streams of two types, and reads their Content-Type",
        run: |s| Box::pin(source_type(s)),
    },
    Case {
        id: "icecast/source-name",
        requirement: "R-COMPAT-9",
        does: "feeds a stream with Ice-Name, and looks for icy-name",
        run: |s| Box::pin(source_name(s)),
    },
    Case {
        id: "icecast/source-password",
        requirement: "R-COMPAT-10",
        does: "comes as a source with a wrong password, and without one",
        run: |s| Box::pin(source_password(s)),
    },
    Case {
        id: "icecast/second-source",
        requirement: "R-COMPAT-11",
        does: "comes as a second source of a mount",
        run: |s| Box::pin(second_source(s)),
    },
    Case {
        id: "icecast/no-such-mount",
        requirement: "R-HTTP-5",
        does: "asks for a mount that does not exist",
        run: |s| Box::pin(no_such_mount(s)),
    },
];

async fn plain_get(s: Session) -> Verdict {
    let mount = s.mount().await?;
    for version in ["HTTP/1.1", "HTTP/1.0"] {
        let mut answer = s.ask_new(Request::get(&mount).version(version)).await?;
        expect(
            answer.status() == 200,
            "200 for a plain GET",
            format!("{} for {version}", answer.status()),
        )?;
        answer.read(4096).await?;
    }
    Ok(())
}

async fn nothing_added(s: Session) -> Verdict {
    let mount = s.mount().await?;
    let fed = match s.target().source {
        Some(_) => Some(s.shared(Format::Mpeg).await?),
        None => None,
    };
    let mut one = s
        .ask(Request::get(&mount))
        .await?
        .only_if(200, "R-COMPAT-5")?;
    let mut other = s
        .ask(Request::get(&mount))
        .await?
        .only_if(200, "R-COMPAT-5")?;
    let (one, other) = (one.read(100_000).await?, other.read(100_000).await?);
    if let Some(fed) = fed {
        for body in [&one, &other] {
            let found = fed.content().find(body).is_some();
            expect(
                found,
                "a slice of what the source has sent",
                "bytes that it has not sent so",
            )?;
        }
        return Ok(());
    }
    // Two listeners of one stream hear the same, one a little later.
    let probe = &other[..64];
    let place = one.windows(probe.len()).position(|window| window == probe);
    let (place, from) = match place {
        Some(place) => (place, 0),
        None => {
            let probe = &one[..64];
            let from = other
                .windows(probe.len())
                .position(|window| window == probe);
            let why = || Stop::Skip("two bodies have nothing in common to compare".to_owned());
            (0, from.ok_or_else(why)?)
        }
    };
    match difference(&one[place..], &other[from..]) {
        None => Ok(()),
        Some(observed) => Err(Stop::fail("the same bytes for two listeners", observed)),
    }
}

/// An answer with ICY blocks.
async fn with_icy(s: &Session, mount: &str) -> Result<crate::connection::Answer, Stop> {
    let answer = s
        .ask_new(Request::get(mount).field("Icy-MetaData", "1"))
        .await?;
    answer.only_if(200, "R-COMPAT-5")
}

async fn first_block(s: Session) -> Verdict {
    let fed = s.shared(Format::Mpeg).await?;
    // A new stream's first listeners start where it does: time passes until a join starts elsewhere.
    let mut before = with_icy(&s, &fed.mount).await?;
    before.read(120_000).await?;
    for _ in 0..2 {
        let mut answer = with_icy(&s, &fed.mount).await?;
        let metaint = answer.metaint()?;
        let body = answer.read(metaint + metaint / 2).await?;
        let pieces = icy::split(&body, metaint);
        let right = !pieces.in_block && fed.content().find(&pieces.audio).is_some();
        let expected = format!("audio, the first block after {metaint} bytes, audio");
        expect(
            right,
            expected,
            "bytes that are no slice of the stream once that block is taken out",
        )?;
    }
    Ok(())
}

async fn no_blocks_in_ogg(s: Session) -> Verdict {
    let fed = s.shared(Format::Opus).await?;
    let mut answer = with_icy(&s, &fed.mount).await?;
    let metaint = answer.field("icy-metaint");
    expect(
        metaint.is_none(),
        "no icy-metaint for Ogg",
        format!("icy-metaint: {}", metaint.unwrap_or_default()),
    )?;
    let body = answer.read(40_000).await?;
    // From the second page on, wherever the first one begins.
    let right = fed.content().find(&body[4_000..]).is_some();
    expect(
        right,
        "the stream's pages and nothing between them",
        "something else",
    )
}

/// The texts of the blocks that are not empty. Padding has a case of its own.
fn said(body: &[u8], metaint: usize) -> Vec<String> {
    let texts = icy::split(body, metaint).blocks.into_iter();
    let texts = texts.map(|(_, text)| latin(&text).trim_end().to_owned());
    texts.filter(|text| !text.is_empty()).collect()
}

async fn title(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.ask_new(Request::get(&fed.mount)).await?;
    let title = |who| format!("{who} Example - It's one; isn't it");
    let block = |who| format!("StreamTitle='{}';", title(who));
    let (first, second) = ("Anna", "Bert");
    s.title(&fed.mount, &title(first)).await?;
    let mut answer = with_icy(&s, &fed.mount).await?;
    let metaint = answer.metaint()?;
    let mut body = answer.read(metaint + 1).await?;
    if fed.content().find(&body[..metaint]).is_none() {
        return Err(Stop::blocked(
            "R-ICY-1",
            "the first block is not where it should be",
        ));
    }
    // Over servers between, a title may need some blocks to get here.
    let mut asked = false;
    for _ in 0..24 {
        body.extend(answer.read(metaint).await?);
        let said = said(&body, metaint);
        if said.contains(&block(first)) && !asked {
            asked = true;
            s.title(&fed.mount, &title(second)).await?;
        }
        if said.contains(&block(second)) {
            break;
        }
    }
    // Two more blocks: nothing is said again.
    body.extend(answer.read(2 * metaint + 300).await?);
    let observed = said(&body, metaint);
    let expected = [block(first), block(second)];
    expect(
        observed == expected,
        format!("two blocks that are not empty: {expected:?}"),
        format!("{observed:?}"),
    )
}

async fn source_type(s: Session) -> Verdict {
    for format in [Format::Mpeg, Format::Opus] {
        let fed = s.shared(format).await?;
        let answer = s
            .ask_new(Request::get(&fed.mount))
            .await?
            .only_if(200, "R-COMPAT-5")?;
        let observed = answer.field("Content-Type").unwrap_or_default();
        expect(
            observed == format.content_type(),
            format!("Content-Type: {}", format.content_type()),
            observed,
        )?;
    }
    Ok(())
}

async fn source_name(s: Session) -> Verdict {
    let fed = s.shared(Format::Mpeg).await?;
    let answer = with_icy(&s, &fed.mount).await?;
    let observed = answer.field("icy-name").unwrap_or_default();
    expect(
        observed == "conformance",
        "icy-name: conformance",
        format!("icy-name: {observed}"),
    )
}

async fn source_password(s: Session) -> Verdict {
    let who = s.target().source.clone();
    let who = who.ok_or_else(|| Stop::Skip("needs --source USER:PASSWORD".to_owned()))?;
    let user = who.split(':').next().unwrap_or("source").to_owned();
    for wrong in [Some(format!("{user}:not {who}")), None] {
        let mount = s
            .target()
            .beside(&format!("refused-{}", s.stage().number()), "mp3");
        let content = crate::content::Content::new(Format::Mpeg, 0);
        let request = source::put(&mount, content).auth(wrong.as_deref());
        let (met, _) = source::meet(&s.target().url.authority, &request).await?;
        let what = if wrong.is_some() {
            "a wrong password"
        } else {
            "no password"
        };
        expect(
            met == Met::Refused(401),
            format!("401 for {what}"),
            format!("{met:?}"),
        )?;
    }
    Ok(())
}

async fn second_source(s: Session) -> Verdict {
    let fed = s.own(Format::Mpeg).await?;
    s.ask_new(Request::get(&fed.mount)).await?;
    let request = source::put(&fed.mount, fed.content()).auth(s.target().source.as_deref());
    let (met, _) = source::meet(&s.target().url.authority, &request).await?;
    let refused = matches!(met, Met::Refused(status) if (400..500).contains(&status));
    expect(
        refused,
        "a status of 4xx for a second source",
        format!("{met:?}"),
    )?;
    // And the first one goes on.
    let answer = s.ask(Request::get(&fed.mount)).await?;
    let mut answer = answer.only_if(200, "R-COMPAT-5")?;
    // Whether each byte is right is what others look at.
    let body = answer.read(2 * fed.content().enough()).await?;
    expect(
        fed.content().is_in(&body),
        "the first source's stream",
        "another one",
    )
}

async fn no_such_mount(s: Session) -> Verdict {
    let mount = s.target().beside("nobody-feeds-this", "mp3");
    let mut answer = s.ask(Request::get(&mount)).await?;
    let observed = answer.status();
    let _ = answer.read_for(Duration::from_secs(1), 1024).await;
    expect(observed == 404, "404", observed.to_string())
}
