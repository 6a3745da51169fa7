//! Content anchors: what the client says of what it has heard, and what it makes of a proof.

use std::time::Duration;

use crate::anchor::{Chunker, Cut, Evidence, LONGEST, MOST, WARM};
use crate::case::{Case, Stop, Verdict, expect};
use crate::client::Scene;
use crate::client::host::{Asked, Body, Reply};
use crate::client::play::{Play, SOME, START, WRITES};

/// Enough for some chunks, and for evidence.
const MUCH: usize = 120_000;
/// Bytes of a listener that hears at a pace, each tenth of a second.
const PIECE: usize = 4000;
/// Milliseconds by which a client may count from another moment than the suite.
const NEAR: u64 = 1000;

pub(super) const CASES: &[Case<Scene>] = &[
    Case {
        id: "client/anchor-names",
        requirement: "R-ANCHOR-1",
        does: "compares the evidence with chunks of its own",
        run: |s| Box::pin(names(s)),
    },
    Case {
        id: "client/anchor-first-bytes",
        requirement: "R-ANCHOR-2",
        does: "begins where there seems to be a cut among the first bytes",
        run: |s| Box::pin(first_bytes(s)),
    },
    Case {
        id: "client/anchor-length",
        requirement: "R-ANCHOR-4",
        does: "sends a megabyte, and looks how long the evidence is",
        run: |s| Box::pin(length(s)),
    },
    Case {
        id: "client/anchor-begins-anew",
        requirement: "R-ANCHOR-6",
        does: "leaves bytes out, leads over a splice, and looks how far back the evidence reaches",
        run: |s| Box::pin(begins_anew(s)),
    },
    Case {
        id: "client/anchor-age",
        requirement: "R-ANCHOR-7",
        does: "answers late, and compares the age with a clock of its own",
        run: |s| Box::pin(age(s)),
    },
    Case {
        id: "client/anchor-small-chunks",
        requirement: "R-ANCHOR-8",
        does: "sends at a pace, cuts, and looks how large the newest chunk is",
        run: |s| Box::pin(small_chunks(s)),
    },
    Case {
        id: "client/anchor-each-time",
        requirement: "R-ANCHOR-9",
        does: "cuts, refuses, and looks for evidence in each request",
        run: |s| Box::pin(each_time(s)),
    },
    Case {
        id: "client/anchor-proof",
        requirement: "R-ANCHOR-18",
        does: "goes on at another address with Stream-Proof: anchor, and cuts",
        run: |s| Box::pin(proof(s)),
    },
    Case {
        id: "client/alias",
        requirement: "R-ALIAS-5",
        does: "goes on at another address with Stream-Proof: alias, and cuts",
        run: |s| Box::pin(alias(s)),
    },
    Case {
        id: "client/anchor-malformed-proofs",
        requirement: "R-ANCHOR-19",
        does: "goes on in another epoch with a Stream-Proof that is none",
        run: |s| Box::pin(malformed_proofs(s)),
    },
    Case {
        id: "client/anchor-unasked-proof",
        requirement: "R-ANCHOR-19",
        does: "goes on in another epoch with Stream-Proof: anchor before there can be evidence",
        run: |s| Box::pin(unasked_proof(s)),
    },
];

/// The evidence of a request. That there is none is another case's affair, and so is what is malformed.
fn evidence(asked: &Asked) -> Result<Evidence, Stop> {
    let values = asked.field("Resume-Anchor").join(", ");
    if values.is_empty() {
        return Err(Stop::blocked("R-ANCHOR-9", "the client sends no evidence"));
    }
    Evidence::parse(&values)
        .ok_or_else(|| Stop::blocked("R-ANCHOR-4", format!("Resume-Anchor: {values}")))
}

/// A join, some bytes and a cut; the next request.
async fn cut(play: &mut Play, count: usize) -> Result<Asked, Stop> {
    let asked = play.first().await?;
    play.serve(asked, "", count).await.fin().await;
    play.exact().await
}

/// The cuts of the first bytes that were served, and how the last bytes are told.
fn cuts(play: &Play, count: usize) -> (Vec<Cut>, Chunker) {
    let from = play.next.offset - count as u64;
    let mut chunker = Chunker::new(from);
    let cuts = chunker.push(&play.stream.bytes(from, count));
    (cuts, chunker)
}

async fn names(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = cut(&mut play, MUCH).await?;
    let said = evidence(&asked)?;
    let (cuts, chunker) = cuts(&play, MUCH);
    let tail = chunker.tail();
    expect(
        (said.tail, said.sum) == tail,
        format!("{} bytes after the newest cut, and their sum", tail.0),
        format!("Resume-Anchor: {}", said.value()),
    )?;
    let mut ends = play.next.offset - said.tail;
    for chunk in &said.chunks {
        let found = cuts.iter().filter(|cut| cut.at == ends);
        let found = found.flat_map(|cut| &cut.chunks).any(|one| one == chunk);
        // Where the evidence begins is another case's affair.
        let early = ends.saturating_sub(chunk.length) < play.next.offset - MUCH as u64 + WARM;
        expect(
            found || early,
            format!(
                "a chunk of {} bytes that ends at {ends}, by its name",
                chunk.length
            ),
            format!("Resume-Anchor: {}", said.value()),
        )?;
        ends = ends.saturating_sub(chunk.length);
    }
    Ok(())
}

async fn first_bytes(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    // There is a candidate after the 64th byte and before the first cut that counts.
    let seems = |from: u64| {
        let cuts = Chunker::early(from, WARM - 64).push(&play.stream.bytes(from, MUCH));
        cuts.first().is_some_and(|cut| cut.at < from + WARM - 100)
    };
    let from = (0..200)
        .map(|step| START + 331 * step)
        .find(|from| seems(*from));
    let from = from.ok_or_else(|| Stop::Error("the stream has no such place".to_owned()))?;
    play.next = play.stream.at(from);
    let asked = cut(&mut play, MUCH).await?;
    let said = evidence(&asked)?;
    let begins = play.next.offset.saturating_sub(said.tail + said.length());
    expect(
        begins >= from + WARM,
        format!(
            "chunks from {} on, {WARM} bytes behind the first",
            from + WARM
        ),
        format!("chunks from {begins} on"),
    )
}

async fn length(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = cut(&mut play, 1_000_000).await?;
    let value = asked.field("Resume-Anchor").join(", ");
    if value.is_empty() {
        return Err(Stop::blocked("R-ANCHOR-9", "the client sends no evidence"));
    }
    expect(
        value.len() <= LONGEST,
        format!("a Resume-Anchor of {LONGEST} octets at most"),
        format!("{} octets", value.len()),
    )
}

async fn begins_anew(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = cut(&mut play, MUCH).await?;
    evidence(&asked)?;
    play.next = play.next.plus(4000);
    play.serve(asked, ";lost=4000", SOME).await.fin().await;
    let asked = play.exact().await?;
    reaches_back(&asked, SOME, "after a loss")?;
    play.moves(s.stream(), START);
    play.serve(asked, ";spliced", MUCH).await.fin().await;
    let asked = play.exact().await?;
    reaches_back(&asked, MUCH, "after a splice")
}

/// Fails if there is evidence of more bytes than these.
fn reaches_back(asked: &Asked, bytes: usize, after: &str) -> Verdict {
    let Ok(said) = evidence(asked) else {
        return Ok(());
    };
    let reaches = said.tail + said.length();
    expect(
        reaches <= bytes as u64,
        format!("evidence of the {bytes} bytes that came {after}"),
        format!("evidence of {reaches} bytes"),
    )
}

async fn age(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = play.first().await?;
    let body = play.serve(asked, "", MUCH).await;
    play.wrote("the bytes that were sent").await?;
    let heard = tokio::time::Instant::now();
    body.fin().await;
    for _ in 0..8 {
        let asked = play.exact().await?;
        let said = evidence(&asked)?;
        let passed = u64::try_from((asked.when - heard).as_millis()).unwrap_or(u64::MAX);
        expect(
            said.age.abs_diff(passed) <= NEAR,
            format!("age={}.{:03}, or thereabouts", passed / 1000, passed % 1000),
            format!("{} ms", said.age),
        )?;
        if passed > 2 * NEAR {
            return Ok(());
        }
        asked.refuse(503, &[]).await;
    }
    Err(Stop::Skip(
        "the client does not wait between requests".to_owned(),
    ))
}

async fn small_chunks(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    // Where the largest chunk that ends at the newest cut takes far longer than a second, and all others far less. All of
    // level 0 fit into evidence.
    let count = 30 * PIECE;
    let (short, long) = (5 * PIECE as u64, 15 * PIECE as u64);
    let mixed = |cut: &Cut| {
        matches!(&cut.chunks[..], [small @ .., large]
            if large.length > long && !small.is_empty() && small.iter().all(|chunk| chunk.length < short))
    };
    let all = Chunker::new(START).push(&play.stream.bytes(START, 8_000_000));
    let ends = all.iter().filter(|cut| mixed(cut)).map(|cut| cut.at + 100);
    let from = ends
        .filter_map(|end| end.checked_sub(count as u64))
        .find(|from| {
            let cuts = Chunker::new(*from).push(&play.stream.bytes(*from, count));
            *from >= START && cuts.last().is_some_and(mixed) && cuts.len() <= MOST
        });
    let from = from.ok_or_else(|| Stop::Error("the stream has no such place".to_owned()))?;
    play.next = play.stream.at(from);
    let asked = play.first().await?;
    let mut body = play.serve(asked, "", PIECE).await;
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    for _ in 1..count / PIECE {
        pace.tick().await;
        play.send(&mut body, PIECE).await;
    }
    body.fin().await;
    let asked = play.exact().await?;
    let said = evidence(&asked)?;
    let (cuts, _) = cuts(&play, count);
    let largest = cuts.last().and_then(|cut| cut.chunks.last());
    let largest = largest.map_or(0, |chunk| chunk.length);
    expect(
        said.chunks[0].length < largest,
        format!(
            "a newest chunk smaller than {largest} bytes, which took longer than a second and have just come"
        ),
        format!("one of {} bytes", said.chunks[0].length),
    )
}

async fn each_time(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let mut asked = cut(&mut play, MUCH).await?;
    for which in ["after a cut", "after a refusal"] {
        expect(
            !asked.field("Resume-Anchor").is_empty(),
            format!("Resume-Anchor in the request {which}"),
            "none",
        )?;
        asked.refuse(503, &[]).await;
        asked = play.exact().await?;
    }
    Ok(())
}

async fn proof(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = cut(&mut play, MUCH).await?;
    evidence(&asked)?;
    goes_on_by(play, asked, "", "anchor;new=1").await
}

async fn alias(s: Scene) -> Verdict {
    let mut play = Play::begin(&s).await?;
    let asked = cut(&mut play, MUCH).await?;
    goes_on_by(play, asked, ";spliced", "alias;new=1").await
}

/// Goes on with the next bytes in another epoch and with this proof, which the client has to believe.
async fn goes_on_by(mut play: Play, asked: Asked, parameters: &str, proof: &str) -> Verdict {
    let further = 5_000_000;
    let offset = play.next.offset + further;
    play.moves(play.stream.elsewhere(further), offset);
    let reply = Reply::at(&play.next, parameters).field("Stream-Proof", proof);
    let mut body = asked.answer(&reply).await;
    play.send(&mut body, SOME).await;
    body.fin().await;
    play.goes_on("counted from where the proven answer began")
        .await?;
    play.wrote("the bytes of both answers").await?;
    play.says_nothing_lost()
}

async fn malformed_proofs(s: Scene) -> Verdict {
    says_losses(&s).await?;
    for value in ["\"anchor\"", "anker", "anchor, anchor"] {
        let mut play = Play::begin(&s).await?;
        let asked = cut(&mut play, MUCH).await?;
        let _body = elsewhere(&s, &mut play, asked, Some(value)).await;
        play.says_lost(None, WRITES).await?;
    }
    Ok(())
}

async fn unasked_proof(s: Scene) -> Verdict {
    says_losses(&s).await?;
    let mut play = Play::begin(&s).await?;
    // No cut can be known yet.
    let asked = cut(&mut play, 1000).await?;
    if !asked.field("Resume-Anchor").is_empty() {
        return Err(Stop::blocked("R-ANCHOR-2", "it has evidence of 1000 bytes"));
    }
    let _body = elsewhere(&s, &mut play, asked, Some("anchor")).await;
    play.says_lost(None, WRITES).await
}

/// Answers with another stream and its epoch, and a `Stream-Proof`.
async fn elsewhere(s: &Scene, play: &mut Play, asked: Asked, proof: Option<&str>) -> Body {
    play.moves(s.stream(), 777);
    let mut reply = Reply::at(&play.next, "");
    if let Some(proof) = proof {
        reply = reply.field("Stream-Proof", proof);
    }
    let mut body = asked.answer(&reply).await;
    play.send(&mut body, SOME).await;
    body
}

/// Whether the client says what is lost in another epoch without any `Stream-Proof`; another case fails if it does not.
async fn says_losses(s: &Scene) -> Verdict {
    let mut play = Play::begin(s).await?;
    let asked = cut(&mut play, MUCH).await?;
    let _body = elsewhere(s, &mut play, asked, None).await;
    let said = play.says_lost(None, WRITES).await;
    said.map_err(|why| Stop::blocked("R-MISS-11", why))
}
