//! What is told when bytes are gone.

use icecast_ext_core::address::Position;
use icecast_ext_core::client::{Event, Loss, Options, Why};
use icecast_ext_core::field::{From, Miss, StreamOffset};

use crate::caller::{Caller, SECOND, at, audio, stands};

/// What a client hears that had epoch 1 up to `after`.
pub(crate) fn lost(after: u64, to: Position, bytes: Option<u64>, why: Why) -> Event {
    Event::Lost(Loss {
        after: Some(at(1, after)),
        at: Some(to),
        bytes,
        why,
    })
}

#[test]
fn a_miss_in_the_same_epoch_loses_the_difference() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    // What the server says is lost counts less than the difference.
    caller.ok(StreamOffset {
        prelude: 1,
        lost: Some(7),
        ..stands(at(1, 100))
    });
    caller.body(b"Pabc");
    let loss = lost(10, at(1, 100), Some(90), Why::Gone);
    assert_eq!(
        caller.stream(),
        [loss, Event::Prelude("P".into()), audio(b"abc")]
    );
    assert_eq!(caller.client.stats().lost_bytes, 90);
}

#[test]
fn a_miss_in_another_epoch_loses_what_the_server_says() {
    for (said, why) in [(Some(55), Why::Gone), (None, Why::Epoch)] {
        let mut caller = Caller::plain();
        caller.joined(stands(at(1, 0)), b"0123456789");
        caller.cut();
        caller.asks();
        caller.ok(StreamOffset {
            lost: said,
            ..stands(at(2, 5))
        });
        caller.body(b"abc");
        assert_eq!(
            caller.stream(),
            [lost(10, at(2, 5), said, why), audio(b"abc")]
        );
        assert_eq!(caller.client.position(), Some(at(2, 8)));
        assert_eq!(
            caller.client.stats().unknown_losses,
            u64::from(said.is_none())
        );
    }
}

#[test]
fn bytes_are_not_given_up_at_one_relay_while_another_may_hold_them() {
    let mut caller = Caller::new(&["http://a/live", "http://b/live"], Options::default());
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    for (url, miss) in [
        ("a", Miss::Fail),
        ("b", Miss::Fail),
        ("a", Miss::Oldest),
        ("b", Miss::Oldest),
    ] {
        let (asked, _) = caller.asks_later();
        assert_eq!(
            (asked.url, asked.resume.miss),
            (format!("http://{url}/live"), miss)
        );
        assert_eq!(asked.resume.from, From::At(at(1, 10)));
        caller.answer(412, &[]);
    }
    assert_eq!(caller.asks_later().0.resume.from, From::Live);
}

#[test]
fn a_position_that_is_refused_twice_is_given_up() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    for _ in 0..2 {
        assert_eq!(caller.asks_later().0.at(), at(1, 10));
        caller.answer(412, &[]);
    }
    assert_eq!(caller.asks_later().0.resume.from, From::Live);
    caller.ok(stands(at(1, 1000)));
    // It is ahead now, so it may well have the byte: it is asked once more.
    assert_eq!(caller.asks().at(), at(1, 10));
    caller.answer(412, &[]);
    assert_eq!(caller.asks_later().0.resume.from, From::Live);
    caller.ok(stands(at(1, 1010)));
    caller.body(b"abc");
    assert_eq!(
        caller.stream(),
        [
            lost(10, at(1, 1010), Some(1000), Why::Refused),
            audio(b"abc")
        ]
    );
    caller.wait(2 * SECOND);
    caller.cut();
    assert_eq!(caller.asks().at(), at(1, 1013));
}

#[test]
fn a_caller_that_wants_no_loss_gets_an_error_instead() {
    let mut caller = Caller::new(
        &["http://a/live"],
        Options {
            miss: Miss::Fail,
            ..Options::default()
        },
    );
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    for _ in 0..2 {
        assert_eq!(caller.asks_later().0.resume.miss, Miss::Fail);
        caller.answer(412, &[]);
    }
    let why = caller.client.gave_up().unwrap().to_string();
    assert_eq!(why, "no relay gives audio: http://a/live: status 412");
}
