//! Evidence in a request, and what becomes of it (R-ANCHOR-3 to R-ANCHOR-17).

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use super::ask::{Ask, From};
use super::head::{Refused, RequestHead};
use super::heard::{Found, Question};
use super::listener::{HOLD, Held};
use super::mount::{Mount, now};
use super::serve::House;
use crate::anchor::Evidence;

/// The evidence of a request that is aware; `None` without any.
pub(crate) fn read(
    head: &RequestHead,
    ask: &Ask,
    bug: Option<&'static str>,
) -> Result<Option<Evidence>, Refused> {
    let Some(value) = head.field("Resume-Anchor").filter(|_| ask.aware) else {
        return Ok(None);
    };
    let read = match bug {
        Some("one-space-in-lists") => Some(value).filter(|value| !value.contains(",:")),
        _ => Some(value),
    };
    let malformed = || {
        Refused(
            400,
            match bug {
                Some("evidence-400-without-a-word") => "Bad request.\n".to_owned(),
                _ => "Resume-Anchor is malformed.\n".to_owned(),
            },
        )
    };
    match read.and_then(Evidence::parse) {
        None if bug == Some("takes-any-evidence") => Ok(None),
        None => Err(malformed()),
        evidence => Ok(evidence),
    }
}

/// What was found for a request: `ask` with the place in it, if there is one, and `Stream-Proof`.
pub(crate) struct Proved {
    pub(crate) ask: Ask,
    pub(crate) proof: Option<String>,
}

/// `Stream-Proof` without a place.
pub(crate) fn none(house: &House, why: &str) -> Option<String> {
    match house.config.bug {
        Some("no-word-without-a-place") => None,
        Some("no-reason-without-a-place") => Some("none".to_owned()),
        _ => Some(format!("none;why={why}")),
    }
}

/// The mount in which evidence proves a place: for the bug that looks in all of them.
pub(crate) fn anywhere(house: &House, evidence: &Evidence) -> Option<Arc<Mount>> {
    let question = Question {
        evidence,
        when: now(),
        s: house.config.skew_ms(),
    };
    let proves = |mount: &Arc<Mount>| matches!(look(mount, &question).1, Found::At(_));
    house.mounts().into_iter().find(proves)
}

/// Looks for the place of evidence, and waits for one that is ahead of the edge; if that does not come, `Stream-Proof` of the 412.
pub(crate) async fn prove(
    house: &House,
    mount: &Mount,
    ask: Ask,
    evidence: Option<&Evidence>,
) -> Result<Proved, (u16, Option<String>)> {
    let is = |bug: &str| house.config.is(bug);
    let known = |epoch: &[u8; 16]| {
        let state = mount.lock();
        state.timeline.runs.iter().any(|run| run.epoch == *epoch)
    };
    let knows = match &ask.from {
        From::At(epoch, _) => known(epoch) && !is("evidence-before-epochs"),
        _ => false,
    };
    let Some(evidence) = evidence.filter(|_| !knows) else {
        return Ok(Proved { ask, proof: None });
    };
    let question = Question {
        evidence,
        when: now(),
        s: match is("trusts-clocks") {
            true => house.config.skew_ms() / 2,
            false => house.config.skew_ms(),
        },
    };
    let (began, mut changes, mut held, mut hoped) = (Instant::now(), mount.watch(), None, None);
    loop {
        changes.mark_unchanged();
        let (epoch, found) = look(mount, &question);
        let found = match (found, hoped) {
            (Found::Ahead(_), _) if is("never-holds-places") => {
                return Err((412, none(house, "ahead")));
            }
            (Found::Miss(_), Some(place)) if is("proves-before-it-comes") => Found::At(place),
            (found, _) => found,
        };
        match found {
            Found::At(place) => {
                let place = place + u64::from(is("proofs-one-further"));
                let from = From::At(epoch, place);
                let ask = Ask { from, ..ask };
                let proof = Some("anchor".to_owned());
                return Ok(Proved { ask, proof });
            }
            Found::Miss(_) if is("no-place-is-412") => return Err((412, none(house, "unknown"))),
            Found::Miss(why) => {
                let proof = none(house, why);
                return Ok(Proved { ask, proof });
            }
            Found::Ahead(place) => hoped = Some(place),
        }
        if held.is_none() {
            held = Some(Held::take(house).ok_or((503_u16, None))?);
        }
        if timeout_at(began + HOLD, changes.changed()).await.is_err() {
            return Err((412, none(house, "ahead")));
        }
    }
}

/// What the run at the edge proves, and its epoch.
fn look(mount: &Mount, question: &Question<'_>) -> ([u8; 16], Found) {
    let state = mount.lock();
    let Some(run) = state.timeline.runs.back() else {
        return ([0; 16], Found::Miss("unknown"));
    };
    let held = |from: u64, to: u64| {
        let from = usize::try_from(from.checked_sub(run.first)?).ok()?;
        let to = usize::try_from(to.checked_sub(run.first)?).ok()?;
        (to <= run.bytes.len()).then(|| run.bytes.range(from..to).copied().collect())
    };
    (run.epoch, run.heard.find(question, held))
}
