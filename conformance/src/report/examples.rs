//! Reports for tests: a case of each outcome.

use super::{Judged, Report};
use crate::case::Outcome;
use crate::exchange::Record;
use crate::profile::{Applies, Profile};

fn case(id: &str, requirement: &str, level: &str, outcome: Outcome) -> Judged {
    let failed = outcome == Outcome::Fail;
    Judged {
        id: id.to_owned(),
        profile: Profile::Resume,
        requirement: requirement.to_owned(),
        level: level.to_owned(),
        anchor: "resume".to_owned(),
        text: format!("A server {level} <i>do</i> so."),
        does: "tries it".to_owned(),
        outcome,
        expected: failed.then(|| "<b>&".to_owned()),
        observed: failed.then(|| "\"'".to_owned()),
        reason: (!failed && outcome != Outcome::Pass).then(|| "because <of> it".to_owned()),
        known: None,
        ms: 1234,
        exchange: match failed {
            true => vec![Record {
                peer: "127.0.0.1:8000".to_owned(),
                sent: "GET /<x> HTTP/1.1\nResume-Offset: 12\n\n".to_owned(),
                received: "HTTP/1.1 200 OK\n\n<b>&;".to_owned(),
                first_byte_ms: Some(1),
                end: Some("closed after 9 ms".to_owned()),
            }],
            false => Vec::new(),
        },
    }
}

/// One that is not good.
pub(super) fn report() -> Report {
    Report {
        suite: "0.0.0".to_owned(),
        target: "http://a.example/live.mp3".to_owned(),
        profiles: vec![
            Applies {
                profile: Profile::Resume,
                applies: true,
                why: "the answer has Stream-Offset".to_owned(),
            },
            Applies {
                profile: Profile::Relay,
                applies: false,
                why: "no <feed>".to_owned(),
            },
        ],
        interrupted: false,
        error: None,
        cases: vec![
            case("resume/passes", "R-RESUME-1", "MUST", Outcome::Pass),
            case("resume/fails", "R-RESUME-3", "MUST", Outcome::Fail),
            case("resume/warns", "R-JOIN-2", "SHOULD", Outcome::Fail),
            case("resume/skips", "R-RESUME-5", "MUST", Outcome::Skip),
            case("resume/errs", "R-RESUME-4", "MUST", Outcome::Error),
        ],
    }
}

/// One in which the failure is gone, and a case that was skipped.
pub(super) fn better() -> Report {
    let mut out = report();
    out.target = "http://b.example/live.mp3".to_owned();
    out.cases[1] = case("resume/fails", "R-RESUME-3", "MUST", Outcome::Pass);
    out.cases.remove(3);
    out
}
