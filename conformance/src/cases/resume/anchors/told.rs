//! Evidence of the suite's own streams, right and wrong.

use crate::anchor::{Chunker, Evidence, Proof, Witness};
use crate::case::{Stop, Verdict};
use crate::connection::Answer;
use crate::content::{Content, Format, RATE};
use crate::http::Request;
use crate::session::Session;
use crate::stage::Fed;

/// Clocks may be S apart, so evidence needs twice that, and a server some more that it knows. In tenths of S.
const OLD: u64 = 32;
/// Reasons of servers that hold less, or are more careful.
const EXCUSED: [&str; 2] = ["young", "short"];

/// What a listener of a mount has heard.
pub(super) struct Told {
    pub(super) mount: String,
    content: Content,
    /// The index of the byte that it lacks.
    next: u64,
    evidence: Option<Evidence>,
}

impl Told {
    /// Of one who was cut so many bytes after the byte that the source sends now: mostly before it.
    pub(super) fn at(fed: &Fed, after: i64) -> Self {
        let next = fed.source.sent().saturating_add_signed(after);
        Self {
            mount: fed.mount.clone(),
            content: fed.content(),
            next,
            evidence: evidence(fed.content(), next, after),
        }
    }

    pub(super) fn evidence(&self) -> Result<Evidence, Stop> {
        self.evidence
            .clone()
            .ok_or_else(|| Stop::Error("the stream of the suite has no chunks".to_owned()))
    }

    /// The bytes that it lacks.
    pub(super) fn next(&self, count: usize) -> Vec<u8> {
        self.content.bytes(self.next, count)
    }

    pub(super) fn of_another_time(&self) -> Result<Evidence, Stop> {
        let evidence = self.evidence()?;
        Ok(Evidence {
            age: evidence.age + 120_000,
            ..evidence
        })
    }

    pub(super) fn with_another_tail(&self) -> Result<Evidence, Stop> {
        let mut evidence = self.evidence()?;
        evidence.sum[0] ^= 1;
        Ok(evidence)
    }

    pub(super) fn with_another_chunk(&self) -> Result<Evidence, Stop> {
        let mut evidence = self.evidence()?;
        let middle = evidence.chunks.len() / 2;
        evidence.chunks[middle].name[0] ^= 1;
        Ok(evidence)
    }

    /// Of so many tenths of S.
    pub(super) fn of_tenths(&self, s: &Session, tenths: u64) -> Result<Evidence, Stop> {
        self.of(tenths_of_skew(s, tenths))
    }

    pub(super) fn of_half_a_second(&self) -> Result<Evidence, Stop> {
        self.of(RATE / 2)
    }

    /// With the newest chunks only, as far as they have so many bytes.
    fn of(&self, bytes: u64) -> Result<Evidence, Stop> {
        let mut evidence = self.evidence()?;
        while evidence.length() > bytes && evidence.chunks.len() > 1 {
            evidence.chunks.pop();
        }
        Ok(evidence)
    }
}

/// So many tenths of S, in bytes.
fn tenths_of_skew(s: &Session, tenths: u64) -> u64 {
    let ms = u64::try_from(s.target().skew.as_millis()).unwrap_or(u64::MAX);
    ms.saturating_mul(tenths) / 10 * RATE / 1000
}

/// Evidence of a stream up to a byte, as of one who has heard all of it at its pace.
fn evidence(content: Content, next: u64, after: i64) -> Option<Evidence> {
    let mut witness = Witness::new(Chunker::new(0));
    let heard = content.bytes(0, usize::try_from(next).ok()?);
    let mut now = 0;
    for piece in heard.chunks(usize::try_from(RATE / 20).ok()?) {
        now += 50;
        witness.hears(piece, now);
    }
    // Whoever is ahead has been cut a moment ago, too.
    let age = (u64::try_from(-after).unwrap_or(0) * 1000 / RATE).max(500);
    witness.evidence(now + age, 0)
}

/// One whose last byte came a second ago, at the mount of all, once that is old enough.
pub(super) async fn aged(s: &Session) -> Result<Told, Stop> {
    let fed = s.shared(Format::Mpeg).await?;
    fed.source.until(tenths_of_skew(s, OLD)).await?;
    Ok(Told::at(&fed, -RATE.cast_signed()))
}

/// The same, if the server proves it: what is wrong with other evidence is then nothing else.
pub(super) async fn right(s: &Session) -> Result<Told, Stop> {
    let told = aged(s).await?;
    let answer = ask(s, &told.mount, "", &told.evidence()?.value()).await?;
    judged(proof(&answer)?)?;
    Ok(told)
}

/// One at a mount of its own, which repeats itself each two seconds while its source lives.
pub(super) async fn at_a_loop(s: &Session) -> Result<(Told, Fed), Stop> {
    let content = Content::looping(Format::Mpeg, s.stage().number(), RATE / 480);
    let mount = s.target().beside(&s.stage().number().to_string(), "mp3");
    let fed = s.stage().feed(mount, content).await?;
    right(s).await?;
    fed.source.until(tenths_of_skew(s, OLD)).await?;
    s.join_at(&fed.mount).await?;
    Ok((Told::at(&fed, -RATE.cast_signed()), fed))
}

/// Evidence of a stream that nobody has sent.
pub(super) fn foreign(s: &Session) -> String {
    let content = Content::new(Format::Mpeg, s.stage().number());
    let evidence = evidence(content, tenths_of_skew(s, OLD), -RATE.cast_signed());
    evidence
        .map(|evidence| evidence.value())
        .unwrap_or_default()
}

/// Asks with an epoch that nobody knows, and evidence. A place ahead of the edge is waited for.
pub(super) async fn ask(
    s: &Session,
    mount: &str,
    miss: &str,
    evidence: &str,
) -> Result<Answer, Stop> {
    let nobodys = super::super::miss::nobodys().ask();
    let request = Request::get(mount)
        .resume(format!("{nobodys}{miss}"))
        .field("Resume-Anchor", evidence);
    s.connect_slow().await?.ask(&request).await
}

/// `Stream-Proof`, which has to be there.
pub(super) fn proof(answer: &Answer) -> Result<Proof, Stop> {
    let value = answer.field("Stream-Proof");
    value.as_deref().and_then(Proof::parse).ok_or_else(|| {
        let why = format!("status {} with Stream-Proof: {value:?}", answer.status());
        Stop::blocked("R-ANCHOR-17", why)
    })
}

/// Whether right evidence was proven; other cases fail if it should have been.
pub(super) fn judged(proof: Proof) -> Verdict {
    match proof {
        Proof::Anchor => Ok(()),
        Proof::None(Some(why)) if EXCUSED.contains(&&why[..]) => Err(Stop::Skip(format!(
            "the server proves nothing here, why={why}: it needs a window of four times S for that"
        ))),
        Proof::Alias => Err(Stop::blocked(
            "R-ALIAS-8",
            "an alias of an epoch of nobody's",
        )),
        Proof::None(why) => Err(Stop::blocked(
            "R-ANCHOR-1 and R-ANCHOR-16",
            format!("{why:?}"),
        )),
    }
}
