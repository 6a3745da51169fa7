//! Titles of a feed, in the blocks of a relay's listeners.

use super::above::Above;
use crate::case::{Case, Stop, Verdict, expect};
use crate::frame::Frame;
use crate::http::{Request, latin};
use crate::icy;
use crate::session::Session;

pub(super) const CASES: &[Case] = &[
    Case {
        id: "relay/later-block",
        requirement: "R-ICY-6",
        does: "puts two titles side by side into the feed, and reads the blocks below",
        run: |s| Box::pin(later_block(s)),
    },
    Case {
        id: "relay/longest-title",
        requirement: "R-ICY-9",
        does: "puts a title of 4,080 bytes into the feed, and reads the blocks below",
        run: |s| Box::pin(longest(s)),
    },
];

async fn later_block(s: Session) -> Verdict {
    let above = Above::new(&s).await?;
    let aware = |mount: &str| {
        Request::get(mount)
            .resume("live")
            .field("Icy-MetaData", "1")
    };
    let mut answer = above.ask(aware).await?.only_if(200, "R-FIELD-1")?;
    let metaint = answer.metaint()?;
    // The burst is read away, so that the titles come between two blocks of now.
    let mut body = answer.read(70_000).await?;
    for title in ["One", "Two"] {
        above
            .mount
            .title(format!("StreamTitle='{title}';").as_bytes());
    }
    body.extend(answer.read(4 * metaint + 1_000).await?);
    let pieces = icy::split(&body, metaint);
    if above.content().find(&pieces.audio).is_none() {
        return Err(Stop::blocked("R-ICY-1", "the blocks stand elsewhere"));
    }
    let blocks = pieces.blocks;
    let named = blocks.iter().map(|(_, text)| {
        icy::titles(text)
            .into_iter()
            .map(|(title, _)| latin(&title))
            .collect::<Vec<_>>()
    });
    let named: Vec<_> = named.filter(|names| !names.is_empty()).collect();
    // A block may stand just between the two.
    let apart = named == [vec!["One".to_owned()], vec!["Two".to_owned()]];
    let together = named == [vec!["Two".to_owned(), "One".to_owned()]];
    expect(
        together || apart,
        "a block with Two and One",
        format!("{named:?}"),
    )
}

async fn longest(s: Session) -> Verdict {
    let above = Above::new(&s).await?;
    let mut answer = above
        .ask(|mount| Request::get(mount).field("Icy-MetaData", "1"))
        .await?
        .only_if(200, "R-COMPAT-5")?;
    let metaint = answer.metaint()?;
    let mut body = answer.read(70_000).await?;
    above.pause(true);
    let edge = above.mount.edge().map_or(0, |(_, edge)| edge);
    let text = format!("StreamTitle='{}';", "x".repeat(4_065));
    above
        .mount
        .inject(Frame::Title(edge, text.into_bytes()).octets());
    above.pause(false);
    body.extend(answer.read(6 * metaint).await?);
    let blocks = icy::split(&body, metaint).blocks;
    let longest = blocks.iter().map(|(_, text)| text.len()).max().unwrap_or(0);
    if longest == 0 {
        return Err(Stop::Skip("the title has not got here".to_owned()));
    }
    expect(
        longest <= 4_032,
        "a text of at most 4,032 bytes",
        format!("{longest} bytes"),
    )
}
