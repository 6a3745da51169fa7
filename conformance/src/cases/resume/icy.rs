//! Titles, and blocks for aware clients.

use crate::case::{Case, Stop, Verdict, expect};
use crate::connection::Answer;
use crate::content::Format;
use crate::http::{Request, latin};
use crate::icy;
use crate::session::{LOOK, Session};
use crate::stage::Fed;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "resume/stream-at",
        requirement: "R-ICY-4",
        does: "reads a title at two connections whose blocks stand elsewhere, and compares its place",
        run: |s| Box::pin(stream_at(s)),
    },
    Case {
        id: "resume/first-block",
        requirement: "R-ICY-5",
        does: "sets three titles, joins, and reads the first block",
        run: |s| Box::pin(first_block(s)),
    },
    Case {
        id: "resume/later-block",
        requirement: "R-ICY-6",
        does: "sets two titles between two blocks, and reads the second",
        run: |s| Box::pin(later_block(s)),
    },
    Case {
        id: "resume/longest-title",
        requirement: "R-ICY-9",
        does: "sets a title of 4,200 bytes, and reads the block",
        run: |s| Box::pin(longest(s)),
    },
    Case {
        id: "resume/title-as-written",
        requirement: "R-TITLE-1",
        does: "sets a title, and compares the block with it to the byte",
        run: |s| Box::pin(as_written(s)),
    },
    Case {
        id: "resume/title-not-below-the-edge",
        requirement: "R-TITLE-2",
        does: "sets two titles, and compares their places with the edge before them",
        run: |s| Box::pin(not_below(s)),
    },
    Case {
        id: "resume/title-once",
        requirement: "R-TITLE-3",
        does: "sets the same title twice, and counts its places",
        run: |s| Box::pin(once(s)),
    },
];

/// A title as a block names it.
type Named = (String, Option<u64>);

/// An aware client with blocks.
async fn listen(s: &Session, mount: &str) -> Result<(Answer, usize), Stop> {
    let request = Request::get(mount)
        .resume("live")
        .field("Icy-MetaData", "1");
    let answer = s.ask_new(request).await?.only_if(200, "R-FIELD-1")?;
    let metaint = answer.metaint()?;
    Ok((answer, metaint))
}

/// The next block: what stands before it is read, too, and has to be the stream.
async fn next_block(answer: &mut Answer, metaint: usize, fed: &Fed) -> Result<Vec<u8>, Stop> {
    let audio = answer.read(metaint).await?;
    if fed.content().find(&audio).is_none() {
        return Err(Stop::blocked("R-ICY-1", "a block stands elsewhere"));
    }
    let length = answer.read(1).await?[0];
    answer.read(usize::from(length) * 16).await
}

fn named(block: &[u8]) -> Vec<Named> {
    let end = block
        .iter()
        .rposition(|octet| *octet != 0)
        .map_or(0, |last| last + 1);
    icy::titles(&block[..end])
        .into_iter()
        .map(|(title, at)| (latin(&title), at))
        .collect()
}

/// What the first block for a new aware client names.
async fn first_named(s: &Session, fed: &Fed) -> Result<Vec<Named>, Stop> {
    let (mut answer, metaint) = listen(s, &fed.mount).await?;
    Ok(named(&next_block(&mut answer, metaint, fed).await?))
}

/// Sets a title, and waits until a new client would be told of it first.
async fn set(s: &Session, fed: &Fed, title: &str) -> Result<Vec<Named>, Stop> {
    s.title(&fed.mount, title).await?;
    let mut seen = Vec::new();
    for _ in 0..40 {
        seen = first_named(s, fed).await?;
        if seen.first().is_some_and(|(first, _)| first == title) {
            return Ok(seen);
        }
        tokio::time::sleep(2 * LOOK).await;
    }
    Err(Stop::blocked(
        "R-ICY-5",
        format!("the title {title} is not named; a new client is told {seen:?}"),
    ))
}

async fn own(s: &Session) -> Result<Fed, Stop> {
    let fed = s.own(Format::Mpeg).await?;
    s.join_at(&fed.mount).await?;
    s.holding(&fed.mount, 20_000).await?;
    Ok(fed)
}

async fn stream_at(s: Session) -> Verdict {
    let fed = own(&s).await?;
    let title = "Anna Example - One";
    set(&s, &fed, title).await?;
    let mut places = Vec::new();
    for _ in 0..3 {
        let seen = first_named(&s, &fed).await?;
        let place = seen
            .iter()
            .find(|(name, _)| name == title)
            .and_then(|(_, at)| *at);
        places
            .push(place.ok_or_else(|| Stop::fail("StreamAt with the title", format!("{seen:?}")))?);
        // Elsewhere is some bytes further on.
        fed.source.jump(1_777).await?;
    }
    let same = places.iter().all(|place| *place == places[0]);
    expect(
        same,
        "the same StreamAt at each connection",
        format!("{places:?}"),
    )
}

async fn first_block(s: Session) -> Verdict {
    let fed = own(&s).await?;
    let titles = [
        "Anna Example - One",
        "Bert Example - Two",
        "Carl Example - Three",
    ];
    for title in titles {
        set(&s, &fed, title).await?;
    }
    let seen = first_named(&s, &fed).await?;
    let names: Vec<_> = seen.iter().map(|(name, _)| name.as_str()).collect();
    let right: Vec<_> = titles.iter().rev().copied().collect();
    expect(
        names.starts_with(&right),
        format!("{right:?}, newest first"),
        format!("{names:?}"),
    )
}

async fn later_block(s: Session) -> Verdict {
    let fed = own(&s).await?;
    set(&s, &fed, "Anna Example - One").await?;
    let (mut answer, metaint) = listen(&s, &fed.mount).await?;
    // The burst is read away, so that the next block is one of now.
    for _ in 0..5 {
        next_block(&mut answer, metaint, &fed).await?;
    }
    let titles = ["Bert Example - Two", "Carl Example - Three"];
    for title in titles {
        s.title(&fed.mount, title).await?;
    }
    let mut blocks = Vec::new();
    for _ in 0..8 {
        let seen = named(&next_block(&mut answer, metaint, &fed).await?);
        let last = seen.iter().any(|(name, _)| name == titles[1]);
        blocks.push(seen);
        if last {
            break;
        }
    }
    // A new client's first block stands a burst before the edge: until it is beyond the titles.
    let mut all = Vec::new();
    for _ in 0..40 {
        all = first_named(&s, &fed).await?;
        if all.iter().any(|(name, _)| name == titles[1]) {
            break;
        }
        tokio::time::sleep(2 * LOOK).await;
    }
    if titles
        .iter()
        .any(|title| !all.iter().any(|(name, _)| name == title))
    {
        return Err(Stop::Skip(
            "two titles so close do not both get here".to_owned(),
        ));
    }
    let names: Vec<Vec<_>> = blocks
        .iter()
        .map(|block| block.iter().map(|(name, _)| name.as_str()).collect())
        .collect();
    let together = vec![titles[1], titles[0]];
    // A block may stand just between the two.
    let apart = names.iter().any(|block| *block == [titles[0]])
        && names.last().is_some_and(|block| *block == [titles[1]]);
    let right = names.last().is_some_and(|block| *block == together) || apart;
    expect(
        right,
        format!("a block with {together:?}"),
        format!("{names:?}"),
    )
}

async fn longest(s: Session) -> Verdict {
    let fed = own(&s).await?;
    let long = "x".repeat(4_200);
    // Who refuses it does not keep it, either.
    if let Err(stop) = s.title(&fed.mount, &long).await {
        return Err(Stop::Skip(format!("such a title is not taken: {stop}")));
    }
    let request = Request::get(&fed.mount).field("Icy-MetaData", "1");
    for _ in 0..20 {
        let mut answer = s.ask(request.clone()).await?.only_if(200, "R-COMPAT-5")?;
        let metaint = answer.metaint()?;
        let block = next_block(&mut answer, metaint, &fed).await?;
        let length = block
            .iter()
            .rposition(|octet| *octet != 0)
            .map_or(0, |last| last + 1);
        if length > 0 {
            let observed = format!("{length} bytes");
            return expect(length <= 4_032, "a text of at most 4,032 bytes", observed);
        }
        tokio::time::sleep(2 * LOOK).await;
    }
    Err(Stop::Skip("no title gets here".to_owned()))
}

async fn as_written(s: Session) -> Verdict {
    let fed = own(&s).await?;
    let title = "Anna Example's - It isn't over; \"yet\"";
    s.title(&fed.mount, title).await?;
    let expected = format!("StreamTitle='{title}';");
    let mut observed = String::new();
    for _ in 0..20 {
        let request = Request::get(&fed.mount).field("Icy-MetaData", "1");
        let mut answer = s.ask(request).await?.only_if(200, "R-COMPAT-5")?;
        let metaint = answer.metaint()?;
        let block = next_block(&mut answer, metaint, &fed).await?;
        observed = latin(&block).trim_end_matches('\0').to_owned();
        // Stock Icecast says at first that there is no title.
        if !matches!(&observed[..], "" | "StreamTitle='';") {
            break;
        }
        tokio::time::sleep(2 * LOOK).await;
    }
    // Some servers add a StreamUrl, which is the source's server's to write.
    let right = observed == expected
        || observed
            .strip_prefix(&expected[..])
            .is_some_and(|rest| rest.starts_with("StreamUrl='"));
    expect(right, format!("{expected:?}"), format!("{observed:?}"))
}

async fn not_below(s: Session) -> Verdict {
    let fed = own(&s).await?;
    let mut low = 0;
    let mut places = Vec::new();
    for title in ["Anna Example - One", "Bert Example - Two"] {
        let before = s.join_at(&fed.mount).await?.window()?;
        let seen = set(&s, &fed, title).await?;
        let place = seen[0]
            .1
            .ok_or_else(|| Stop::blocked("R-ICY-4", "there is no StreamAt"))?;
        let observed = format!("{title} at {place}");
        expect(
            place >= before.next,
            format!("a place at or after the edge {}", before.next),
            observed,
        )?;
        expect(
            places.is_empty() || place > low,
            format!("a place after {low}"),
            place.to_string(),
        )?;
        low = place;
        places.push(place);
    }
    Ok(())
}

async fn once(s: Session) -> Verdict {
    let fed = own(&s).await?;
    let title = "Anna Example - One";
    set(&s, &fed, title).await?;
    let before = s.join_at(&fed.mount).await?.window()?.next;
    s.title(&fed.mount, title).await?;
    // A block's interval later it would be there.
    s.window_when(&fed.mount, "go on", |window| window.next > before + 75_000)
        .await?;
    let seen = first_named(&s, &fed).await?;
    let count = seen.iter().filter(|(name, _)| name == title).count();
    expect(count == 1, "one place of the title", format!("{seen:?}"))
}
