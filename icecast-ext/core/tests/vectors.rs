//! The core against `spec/vectors/`.

#[path = "vectors/anchor.rs"]
mod anchor;
#[path = "vectors/client.rs"]
mod client;
#[path = "vectors/decision.rs"]
mod decision;
#[path = "vectors/encode.rs"]
mod encode;
#[path = "vectors/feed.rs"]
mod feed;
#[path = "vectors/parse.rs"]
mod parse;
#[path = "vectors/stock.rs"]
mod stock;
#[path = "vectors/vorbis.rs"]
mod vorbis;

use std::fmt::Debug;
use std::time::Duration;

use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::field::{From, Miss, Resume};
use icecast_ext_spec::vector;

/// Runs all cases, then fails with all that differ.
fn all<I, O, T>(
    cases: &[vector::Case<I, O>],
    mut run: impl FnMut(&I, &Result<O, vector::Error>) -> (T, T),
) where
    T: PartialEq + Debug,
{
    let mut wrong = Vec::new();
    for case in cases {
        let (got, want) = run(&case.input, &case.expect);
        if got != want {
            wrong.push(format!(
                "{} ({})\n   got {got:?}\n  want {want:?}",
                case.id, case.requirement
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn offset(offset: u64) -> Offset {
    Offset::new(offset).expect("an offset")
}

fn position(epoch: &str, at: u64) -> Position {
    Position::new(epoch.parse().expect("an epoch"), offset(at))
}

fn from(from: &vector::From) -> From {
    match from {
        vector::From::Live => From::Live,
        vector::From::At { epoch, offset } => From::At(position(epoch, *offset)),
        vector::From::ShiftMs(ms) => From::Shift(Duration::from_millis(*ms)),
    }
}

fn resume(ask: &vector::Ask) -> Resume {
    Resume {
        from: from(&ask.from),
        miss: match ask.miss.as_str() {
            "live" => Miss::Live,
            "fail" => Miss::Fail,
            _ => Miss::Oldest,
        },
        max_lag: ask.max_lag_ms.map(Duration::from_millis),
        session: ask
            .session
            .as_ref()
            .map(|session| session.parse().expect("a session")),
    }
}
