//! Two connections while an answer is slow to begin (R-CLIENT-14 to R-CLIENT-16).

use std::time::Duration;

use icecast_ext_core::client::{Event, Options, Step, Trouble};
use icecast_ext_core::field::Miss;

use crate::caller::{Asked, Caller, SECOND, at, audio, moved, session, stands};

const RACE: Duration = Duration::from_millis(300);

fn racing() -> Caller {
    let mut caller = Caller::new(
        &["http://a/live", "http://b/live", "http://c/live"],
        Options {
            history: 0,
            ..Options::default()
        },
    );
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller
}

/// The request that comes while another one is out.
fn rival(caller: &mut Caller) -> Asked {
    assert_eq!(caller.reads_until(), caller.now + RACE);
    caller.wait(RACE);
    caller.asks()
}

#[test]
fn the_relay_it_was_on_is_asked_first_another_one_after_300_ms_and_the_first_exact_answer_counts() {
    let mut caller = racing();
    caller.cut();
    let first = caller.asks();
    assert_eq!(first.url, "http://a/live");
    let second = rival(&mut caller);
    assert_eq!(
        (second.url.as_str(), second.at(), second.resume.miss),
        ("http://b/live", at(1, 10), Miss::Fail)
    );
    assert!(caller.client.uses(first.conn) && caller.client.uses(second.conn));
    // Never three.
    caller.wait(2 * SECOND);
    assert!(matches!(caller.client.poll(caller.now), Step::Read { .. }));
    caller.events();
    caller.on(&second).ok(stands(at(1, 10)));
    assert!(!caller.client.uses(first.conn));
    // What comes too late counts for nothing.
    caller.on(&first).ok(stands(at(1, 5)));
    caller.body(b"56789abc");
    caller.cut();
    caller.on(&second).body(b"abc");
    assert_eq!(
        caller.events(),
        [moved("a", "b", RACE + 2 * SECOND), audio(b"abc")]
    );
    // It prefers the relay that it is on.
    caller.cut();
    assert_eq!(caller.asks().url, "http://b/live");
}

#[test]
fn the_first_may_win_and_the_second_is_closed() {
    let mut caller = racing();
    caller.cut();
    let first = caller.asks();
    let second = rival(&mut caller);
    caller.on(&first).ok(stands(at(1, 10)));
    assert!(!caller.client.uses(second.conn));
    caller.body(b"abc");
    assert_eq!(caller.stream(), [audio(b"abc")]);
}

#[test]
fn a_second_that_fails_makes_room_for_a_third_and_the_first_may_fail_meanwhile() {
    let mut caller = racing();
    caller.cut();
    let first = caller.asks();
    rival(&mut caller);
    caller.answer(404, &[]);
    let third = caller.asks();
    assert_eq!(third.url, "http://c/live");
    caller.on(&first).failed("reset");
    assert!(caller.client.uses(third.conn) && !caller.client.uses(first.conn));
    // And then it is the third that is slow.
    let again = rival(&mut caller);
    assert_eq!(again.url, "http://a/live");
    caller.on(&third).ok(stands(at(1, 8)));
    caller.body(b"89abc");
    assert_eq!(caller.stream().last(), Some(&audio(b"abc")));
}

#[test]
fn relays_that_fail_while_one_is_slow_are_asked_again_with_growing_pauses() {
    let mut caller = racing();
    caller.cut();
    caller.asks();
    caller.wait(RACE);
    let since = caller.now;
    let mut asked = 0;
    while caller.now < since + 10 * SECOND {
        match caller.client.poll(caller.now) {
            Step::Connect(request) => {
                asked += 1;
                assert_ne!(request.url, "http://a/live");
                let why = "refused";
                caller.client.failed(caller.now, request.conn, why);
            }
            Step::Read { until } => caller.now = until,
            other => panic!("{other:?}"),
        }
    }
    assert!((6..40).contains(&asked), "{asked}");
}

#[test]
fn an_answer_with_a_loss_waits_for_the_exact_one_but_not_long() {
    for helps in [true, false] {
        let mut caller = racing();
        caller.cut();
        let first = caller.asks();
        let second = rival(&mut caller);
        caller.events();
        // Another epoch, and nobody knows whether it goes on there.
        caller.on(&second).ok(stands(at(2, 0)));
        let why = Trouble::Inexact;
        let url = "http://b/live".into();
        assert_eq!(caller.events(), [Event::Refused { url, why }]);
        assert!(!caller.client.uses(second.conn));
        if helps {
            caller.on(&first).ok(stands(at(1, 10)));
            caller.body(b"abc");
            assert_eq!(caller.stream(), [audio(b"abc")]);
            continue;
        }
        let since = caller.now;
        while !caller
            .events()
            .iter()
            .any(|event| matches!(event, Event::Lost(_)))
        {
            match caller.client.poll(caller.now) {
                Step::Connect(request) if request.url.starts_with("http://b") => {
                    caller.conn = Some(request.conn);
                    caller.ok(stands(at(2, 0)));
                    caller.body(b"abc");
                }
                Step::Connect(_) => {}
                Step::Read { until } | Step::Wait { until } => caller.now = until,
                Step::Ended => panic!("it ended"),
            }
            assert!(caller.now - since < 6 * SECOND);
        }
    }
}

#[test]
fn a_lone_relay_may_hold_a_request_for_10_seconds_and_nobody_else_is_asked() {
    let mut caller = Caller::new(&["http://a/live"], Options::default());
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.wait(RACE);
    assert_eq!(caller.reads_until(), caller.now - RACE + 12 * SECOND);
    caller.wait(10 * SECOND);
    caller.ok(stands(at(1, 10)));
    caller.body(b"abc");
    assert_eq!(caller.stream(), [audio(b"abc")]);
    // An answer that has begun is given 5 seconds.
    assert_eq!(caller.reads_until(), caller.now + 5 * SECOND);
}

#[test]
fn a_join_is_raced_as_well_and_a_session_stays_with_its_relay() {
    let mut caller = Caller::new(&["http://a/live", "http://b/live"], Options::default());
    let first = caller.asks();
    let second = rival(&mut caller);
    assert_eq!(second.resume.session, None);
    let mut offset = stands(at(1, 0));
    offset.session = Some(session(7));
    caller.on(&second).ok(offset);
    caller.body(b"abc");
    assert!(!caller.client.uses(first.conn));
    assert!(matches!(&caller.events()[0], Event::Joined { url, .. } if url == "http://b/live"));
    caller.cut();
    let again = caller.asks();
    assert_eq!(again.resume.session, Some(session(7)));
    assert_eq!(rival(&mut caller).resume.session, None);
}
