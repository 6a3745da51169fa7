//! `decision.json`

use bytes::Bytes;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{From, Miss, Resume};
use icecast_ext_core::resume::{Refusal, Start};
use icecast_ext_core::timeline::{Begin, Timeline};
use icecast_ext_spec::vector::{self, Decision, Successor};

use super::{all, offset};

pub(super) fn timeline(mount: &vector::Mount) -> Timeline {
    let mut timeline = Timeline::new(mount.burst);
    let mut declared = false;
    for run in &mount.runs {
        timeline.begin(Begin {
            epoch: run.epoch.parse().expect("an epoch"),
            first: offset(run.begins),
            declared,
            format: match run.format.as_str() {
                "audio/mpeg" => Format::Mpeg,
                "application/ogg" => Format::Ogg,
                _ => Format::Opaque,
            },
            tick_ms: 250,
            fields: Bytes::new(),
        });
        let ends = run.times.iter().skip(1).map(|time| time.0);
        for ((from, ms), to) in run.times.iter().zip(ends.chain([run.next])) {
            let here = |at: u64| (*from..to).contains(&at);
            for (at, len) in run.preludes.iter().filter(|prelude| here(prelude.0)) {
                let len = usize::try_from(*len).expect("a length");
                // Different bytes each time: the same again would be nothing new.
                timeline.prelude(
                    offset(*at),
                    vec![u8::try_from(at % 251).expect("a byte"); len].into(),
                );
            }
            // Those before the run's first byte it is told before that comes.
            let told = |at: u64| here(at) || (*from == run.begins && at < *from);
            for (at, text) in run.titles.iter().filter(|title| told(title.0)) {
                timeline.title(offset(*at), text.octets().expect("octets").into());
            }
            for at in run.syncs.iter().filter(|at| here(**at)) {
                timeline.sync(offset(*at));
            }
            timeline.time(offset(*from), *ms);
            timeline.grow(to - from);
        }
        if run.then == Some(Successor::Unknown) {
            timeline.end();
        }
        declared = run.then == Some(Successor::Declared);
    }
    timeline.evict(mount.runs.iter().map(|run| run.first - run.begins).sum());
    timeline
}

fn resume(question: &vector::Question) -> Option<Resume> {
    let field = question.resume_offset.as_ref();
    let query = question.query.as_ref();
    match (field, query) {
        (Some(field), _) => Some(Resume::parse(field.as_bytes()).expect("a field")),
        (None, Some(query)) => Resume::from_query(query).expect("a query").0,
        (None, None) => None,
    }
}

fn decision(decided: Result<Start, Refusal>) -> Decision {
    match decided {
        Ok(start) => {
            let field = start.field();
            Decision::Start(vector::Start {
                epoch: field.at.epoch.to_string(),
                offset: field.at.offset.get(),
                prelude: field.prelude,
                spliced: field.spliced,
                lost: field.lost,
            })
        }
        Err(Refusal::Soon { .. }) => Decision::Hold(412),
        Err(Refusal::Empty) => Decision::Hold(503),
        Err(_) => Decision::Refuse(412),
    }
}

#[test]
fn decisions() {
    let file = vector::decisions().expect("decision.json");
    all(&file.cases, |question, expect| {
        let timeline = timeline(&file.mounts[&question.mount]);
        let asked = resume(question);
        let decided = if question.feed {
            timeline.start_feed(asked.as_ref())
        } else {
            timeline.start(&asked.unwrap_or(Resume {
                from: From::Live,
                miss: Miss::Oldest,
                max_lag: None,
                session: None,
            }))
        };
        (Ok(decision(decided)), expect.clone())
    });
}
