//! The vectors can be read, and name requirements that there are.
#![expect(
    clippy::unwrap_used,
    reason = "a vector file that cannot be read stops the test"
)]

use std::collections::BTreeSet;

use icecast_ext_spec::requirements;
use icecast_ext_spec::vector::anchor::Stretch;
use icecast_ext_spec::vector::stock::{Level, Owed, Place};
use icecast_ext_spec::vector::{self, Case, Piece};

/// The ids and requirements of all cases.
fn all() -> Vec<(String, String)> {
    let mut out = Vec::new();
    fn add<I, O>(out: &mut Vec<(String, String)>, cases: &[Case<I, O>]) {
        out.extend(
            cases
                .iter()
                .map(|case| (case.id.clone(), case.requirement.clone())),
        );
    }
    let parse = vector::parse().unwrap();
    add(&mut out, &parse.resume_offset);
    add(&mut out, &parse.query);
    add(&mut out, &parse.stream_offset);
    add(&mut out, &parse.stream_window);
    add(&mut out, &parse.link);
    add(&mut out, &parse.request_head);
    add(&mut out, &parse.response_head);
    add(&mut out, &parse.path);
    add(&mut out, &parse.icy_body);
    add(&mut out, &parse.icy_text);
    add(&mut out, &vector::decisions().unwrap().cases);
    add(&mut out, &vector::feeds().unwrap().feeds);
    let sessions = vector::clients().unwrap().sessions;
    out.extend(
        sessions
            .into_iter()
            .map(|session| (session.id, session.requirement)),
    );
    let stock = vector::stock().unwrap();
    add(&mut out, &stock.anchor);
    add(&mut out, &stock.family);
    add(&mut out, &stock.place);
    add(&mut out, &stock.answer);
    let anchors = vector::anchors().unwrap();
    add(&mut out, &anchors.gear);
    add(&mut out, &anchors.chunks);
    add(&mut out, &anchors.evidence);
    add(&mut out, &anchors.field);
    add(&mut out, &anchors.place);
    add(&mut out, &anchors.proof);
    add(&mut out, &vector::vorbis().unwrap().canonical);
    let encode = vector::encode().unwrap();
    let mut encoded = Vec::new();
    add(&mut encoded, &encode.resume_offset);
    add(&mut encoded, &encode.query);
    add(&mut encoded, &encode.stream_offset);
    add(&mut encoded, &encode.stream_window);
    add(&mut encoded, &encode.link);
    add(&mut encoded, &encode.icy_block);
    add(&mut encoded, &encode.icy_aware);
    out.extend(
        encoded
            .into_iter()
            .map(|(id, requirement)| (format!("encode/{id}"), requirement)),
    );
    out
}

#[test]
fn ids_are_unique_and_requirements_exist() {
    let listed: BTreeSet<_> = requirements().unwrap().into_iter().map(|r| r.id).collect();
    let mut seen = BTreeSet::new();
    for (id, requirement) in all() {
        assert!(listed.contains(&requirement), "{id}: {requirement}");
        assert!(seen.insert(id.clone()), "{id} is there twice");
    }
}

#[test]
fn there_are_enough() {
    assert!(all().len() > 500, "{}", all().len());
    assert!(vector::decisions().unwrap().cases.len() > 100);
    assert!(vector::feeds().unwrap().feeds.len() > 60);
    assert!(vector::clients().unwrap().sessions.len() > 30);
    let stock = vector::stock().unwrap();
    assert!(stock.anchor.len() > 30);
    assert!(stock.family.len() > 60);
    assert!(stock.place.len() > 120);
    assert!(stock.answer.len() > 60);
    let anchors = vector::anchors().unwrap();
    assert!(anchors.field.len() > 20);
    assert!(anchors.place.len() > 20);
}

#[test]
fn hexadecimal_is_whole_octets() {
    for case in vector::feeds().unwrap().feeds {
        assert!(case.input.hex().is_some(), "{}", case.id);
    }
    for case in vector::parse().unwrap().icy_body {
        assert!(case.input.hex.hex().is_some(), "{}", case.id);
        if let Ok(expect) = case.expect {
            assert!(expect.audio.hex().is_some(), "{}", case.id);
        }
    }
}

#[test]
fn decisions_ask_mounts_that_there_are() {
    let file = vector::decisions().unwrap();
    for case in &file.cases {
        assert!(file.mounts.contains_key(&case.input.mount), "{}", case.id);
        assert!(case.expect.is_ok(), "{}", case.id);
    }
}

#[test]
fn mounts_are_possible() {
    let stock = vector::stock().unwrap().mounts;
    for (name, mount) in vector::decisions().unwrap().mounts.iter().chain(&stock) {
        for run in &mount.runs {
            assert!(
                run.begins <= run.first && run.first <= run.next,
                "{name}: {}",
                run.epoch
            );
            let mut titles = run.titles.iter().map(|title| title.0);
            assert!(titles.clone().is_sorted_by(|a, b| a < b), "{name}");
            assert!(titles.all(|at| at < run.next), "{name}");
            assert_eq!(
                run.times.first().map(|time| time.0),
                Some(run.begins),
                "{name}"
            );
        }
        let (last, before) = mount
            .runs
            .split_last()
            .map_or((None, &[][..]), |(l, b)| (Some(l), b));
        assert!(before.iter().all(|run| run.then.is_some()), "{name}");
        assert!(
            last.is_none_or(|run| !matches!(
                run.then,
                Some(vector::Successor::Declared | vector::Successor::Undeclared)
            )),
            "{name}"
        );
    }
}

#[test]
fn players_ask_mounts_that_there_are() {
    let file = vector::stock().unwrap();
    for case in &file.place {
        assert!(file.mounts.contains_key(&case.input.mount), "{}", case.id);
        // From byte 0 on nothing is resumed.
        assert!(case.input.byte > 0, "{}", case.id);
        let Ok(Place::At(at)) = &case.expect else {
            continue;
        };
        // A block that is cut, or due, has no icy-metaint before it.
        let block = match &at.owed {
            Some(Owed::Block(hex)) => hex.hex().is_some_and(|octets| !octets.is_empty()),
            Some(Owed::Prelude(0)) => panic!("{}", case.id),
            Some(Owed::Prelude(_)) | None => false,
        };
        assert!(
            block || !matches!(at.owed, Some(Owed::Block(_))),
            "{}",
            case.id
        );
        assert!(!block || !at.restart, "{}", case.id);
        assert!(
            case.input.icy || (!block && !at.restart && at.then.is_none()),
            "{}",
            case.id
        );
    }
    for case in &file.answer {
        assert!(file.mounts.contains_key(&case.input.mount), "{}", case.id);
        assert_ne!(case.input.level, Level::Off, "{}", case.id);
    }
}

#[test]
fn heads_of_players_are_whole() {
    let file = vector::stock().unwrap();
    let families = file.family.iter().map(|case| (&case.id, &case.input.head));
    let answers = file.answer.iter().map(|case| (&case.id, &case.input.head));
    for (id, head) in families.chain(answers) {
        let head = head.octets().unwrap();
        let end = b"\r\n\r\n";
        let at = head.windows(4).position(|octets| octets == end);
        assert_eq!(at.map(|at| at + 4), Some(head.len()), "{id}");
    }
}

#[test]
fn anchors_are_sought_in_streams_that_there_are() {
    let file = vector::anchors().unwrap();
    let long = |name: &str| -> u64 {
        let octets = |stretch: &Stretch| match stretch {
            Stretch::Noise { octets, .. }
            | Stretch::Run { octets, .. }
            | Stretch::Again { octets, .. } => *octets,
        };
        file.contents[name].iter().map(octets).sum()
    };
    for case in &file.chunks {
        assert!(case.input.to <= long(&case.input.content), "{}", case.id);
    }
    for case in &file.evidence {
        assert!(case.input.to <= long(&case.input.content), "{}", case.id);
    }
    for case in &file.place {
        let arrive = case
            .input
            .arrivals
            .iter()
            .map(|(_, octets, _, times)| octets * times);
        let edge = case.input.begins + arrive.sum::<u64>();
        assert!(edge <= long(&case.input.content), "{}", case.id);
        assert!(
            case.input.first.is_none_or(|first| first <= edge),
            "{}",
            case.id
        );
    }
}

#[test]
fn bodies_put_blocks_where_the_interval_says() {
    for session in vector::clients().unwrap().sessions {
        for answer in session.steps.iter().filter_map(|step| step.answer.as_ref()) {
            let mut since = 0;
            for piece in &answer.body {
                match piece {
                    Piece::Prelude(_) => {}
                    Piece::Audio(octets) => since += octets,
                    Piece::Block(_) | Piece::CutBlock(..) => {
                        assert_eq!(
                            answer.icy_metaint.map(u64::from),
                            Some(since),
                            "{}",
                            session.id
                        );
                        since = 0;
                    }
                }
            }
            if let Some(metaint) = answer.icy_metaint {
                assert!(since <= u64::from(metaint), "{}", session.id);
            }
        }
    }
}
