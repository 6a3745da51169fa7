//! Moves that are called for (R-CLIENT-18).

use std::time::Duration;

use icecast_ext_core::client::{ClientError, Event, Options, Outcome, Proven, Step, Trouble};
use icecast_ext_core::field::Miss;

use crate::caller::{Asked, Caller, SECOND, at, audio, moved, stands};

fn two(race: bool) -> (Caller, Asked) {
    let mut caller = Caller::new(
        &["http://a/live", "http://b/live"],
        Options {
            history: 0,
            race: race.then_some(Duration::from_millis(300)),
            ..Options::default()
        },
    );
    let first = caller.asks();
    caller.ok(stands(at(1, 0)));
    caller.body(b"0123456789");
    caller.events();
    (caller, first)
}

#[test]
fn audio_goes_on_until_the_other_relay_has_caught_up() {
    let (mut caller, first) = two(true);
    caller.client.move_on(caller.now).unwrap();
    let second = caller.asks();
    assert_eq!(
        (second.url.as_str(), second.at(), second.resume.miss),
        ("http://b/live", at(1, 10), Miss::Fail)
    );
    caller.on(&first).body(b"abc");
    caller.wait(Duration::from_millis(80));
    // It begins before what was heard meanwhile, and that is no fault of its.
    caller.on(&second).ok(stands(at(1, 10)));
    caller.on(&first).body(b"def");
    caller.on(&second).body(b"abcd");
    assert!(caller.client.uses(first.conn));
    assert_eq!(caller.events(), [audio(b"abc"), audio(b"def")]);
    assert_eq!(caller.client.outcome(), None);
    caller.body(b"efgh");
    assert!(!caller.client.uses(first.conn));
    let moved = moved("a", "b", Duration::from_millis(80));
    assert_eq!(caller.events(), [moved.clone(), audio(b"gh")]);
    let Some(Outcome::Moved(outcome)) = caller.client.outcome() else {
        panic!("no outcome");
    };
    assert_eq!(Event::Moved(outcome), moved);
    let stats = caller.client.stats();
    assert_eq!((stats.cuts, stats.moves, stats.losses), (0, 1, 0));
}

#[test]
fn a_relay_that_is_behind_is_waited_for_but_not_for_ever() {
    let (mut caller, first) = two(true);
    caller.client.move_on(caller.now).unwrap();
    let second = caller.asks();
    caller.ok(stands(at(1, 10)));
    for byte in 0..2 * SECOND.as_millis() / 100 {
        caller.on(&first).body(&[u8::try_from(byte).unwrap()]);
        caller.wait(Duration::from_millis(100));
        caller.client.poll(caller.now);
    }
    assert!(!caller.client.uses(first.conn) && caller.client.uses(second.conn));
    caller.events();
    caller.on(&second).body(&[9; 20]);
    assert_eq!(caller.events(), []);
    caller.body(b"x");
    assert_eq!(caller.events(), [moved("a", "b", 2 * SECOND), audio(b"x")]);
}

#[test]
fn a_relay_that_cannot_go_on_there_is_not_moved_to() {
    for why in [
        Trouble::Status(412),
        Trouble::Inexact,
        Trouble::Unreachable("refused".into()),
        Trouble::Silent(12 * SECOND),
    ] {
        let (mut caller, first) = two(true);
        caller.client.move_to(caller.now, "http://new/").unwrap();
        let second = caller.asks();
        assert_eq!(second.url, "http://new/");
        match &why {
            Trouble::Status(status) => caller.answer(*status, &[]),
            Trouble::Inexact => caller.ok(stands(at(2, 0))),
            Trouble::Unreachable(why) => caller.failed(why),
            _ => {
                for _ in 0..12 {
                    caller.wait(SECOND);
                    caller.on(&first).body(b"_");
                    assert!(matches!(caller.client.poll(caller.now), Step::Read { .. }));
                }
            }
        }
        let url = "http://new/".into();
        let stayed = Event::Stayed {
            url,
            why: why.clone(),
        };
        assert_eq!(caller.events().last(), Some(&stayed));
        assert_eq!(caller.client.outcome(), Some(Outcome::Stayed(why)));
        caller.on(&first).body(b"abc");
        assert_eq!(caller.events(), [audio(b"abc")]);
        // It is not held against it that it had not our position.
        caller.cut();
        assert_eq!(caller.asks().url, "http://a/live");
    }
}

#[test]
fn a_connection_that_is_cut_while_it_is_left_is_no_loss() {
    for answered in [true, false] {
        let (mut caller, first) = two(true);
        caller.client.move_on(caller.now).unwrap();
        let second = caller.asks();
        if answered {
            caller.ok(stands(at(1, 10)));
        }
        caller.on(&first).body(b"ab");
        caller.cut();
        assert!(caller.client.uses(second.conn));
        if !answered {
            caller.on(&second).ok(stands(at(1, 10)));
        }
        caller.on(&second).body(b"abc");
        let heard = [audio(b"ab"), moved("a", "b", Duration::ZERO), audio(b"c")];
        assert_eq!(caller.stream(), heard);
        assert!(matches!(
            caller.client.outcome(),
            Some(Outcome::Moved(moved)) if moved.proof == Some(Proven::Offset)
        ));
    }
}

#[test]
fn with_one_connection_the_move_is_a_cut() {
    let (mut caller, first) = two(false);
    caller.client.move_on(caller.now).unwrap();
    let second = caller.asks();
    assert!(!caller.client.uses(first.conn));
    assert_eq!(
        (second.url.as_str(), second.at()),
        ("http://b/live", at(1, 10))
    );
    caller.wait(SECOND);
    caller.ok(stands(at(1, 10)));
    caller.body(b"abc");
    assert_eq!(caller.events(), [moved("a", "b", SECOND), audio(b"abc")]);
    // The other one has gone meanwhile.
    caller.client.move_to(caller.now, "http://a/live").unwrap();
    caller.asks();
    caller.failed("refused");
    assert_eq!(caller.asks().url, "http://b/live");
    caller.ok(stands(at(1, 13)));
    caller.body(b"d");
    let why = Trouble::Unreachable("refused".into());
    assert_eq!(caller.client.outcome(), Some(Outcome::Stayed(why)));
}

#[test]
fn there_is_nowhere_to_move() {
    let mut caller = Caller::plain();
    let no = caller.client.move_on(caller.now);
    assert_eq!(no, Err(ClientError::NoOther));
    let no = caller.client.move_to(caller.now, "radio");
    assert_eq!(no, Err(ClientError::Url("radio".into())));
    let long = format!("http://{}/", "x".repeat(3000));
    let no = caller.client.move_to(caller.now, &long);
    assert_eq!(no, Err(ClientError::LongUrl(3008, 2048)));
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.client.move_to(caller.now, "http://a/live").unwrap();
    let here = Some(Outcome::Stayed(Trouble::Here));
    assert_eq!(caller.client.outcome(), here);
    for n in 0..15 {
        let url = format!("http://{n}/");
        caller.client.move_to(caller.now, &url).unwrap();
    }
    let no = caller.client.move_to(caller.now, "http://last/");
    assert_eq!(no, Err(ClientError::Relays(17, 16)));
}
