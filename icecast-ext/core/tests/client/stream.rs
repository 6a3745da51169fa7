//! How one answer follows another.

use icecast_ext_core::client::{Event, Loss, Note, Options, Start, Why};
use icecast_ext_core::field::{From, StreamOffset};

use crate::caller::{Caller, SECOND, at, audio, session, stands};
use crate::losses::lost;

#[test]
fn joins_live_and_resumes_at_the_byte_after_the_last() {
    let mut caller = Caller::plain();
    let asked = caller.asks();
    assert_eq!(
        (asked.resume.from, asked.resume.session, asked.icy),
        (From::Live, None, false)
    );
    caller.ok(StreamOffset {
        prelude: 4,
        session: Some(session(7)),
        ..stands(at(1, 1000))
    });
    caller.body(b"HE");
    assert_eq!(caller.events(), []);
    caller.body(b"ADabc");
    caller.body(b"de");
    let joined = Event::Joined {
        url: "http://a/live".into(),
        at: Some(at(1, 1000)),
        content_type: None,
    };
    assert_eq!(
        caller.events(),
        [
            joined,
            Event::Prelude("HEAD".into()),
            audio(b"abc"),
            audio(b"de")
        ]
    );
    assert_eq!(caller.client.position(), Some(at(1, 1005)));
    caller.wait(2 * SECOND);
    caller.cut();
    let asked = caller.asks();
    assert_eq!(
        (asked.at(), asked.resume.session),
        (at(1, 1005), Some(session(7)))
    );
    caller.ok(stands(at(1, 1005)));
    caller.body(b"fg");
    assert_eq!(caller.stream(), [audio(b"fg")]);
    assert_eq!(caller.client.position(), Some(at(1, 1007)));
}

#[test]
fn starts_where_it_was_told_to() {
    let options = Options {
        start: Start::At(at(1, 50)),
        icy: true,
        max_lag: Some(30 * SECOND),
        ..Options::default()
    };
    let mut caller = Caller::new(&["http://a/live"], options);
    let asked = caller.asks();
    assert_eq!(
        (asked.at(), asked.icy, asked.resume.max_lag),
        (at(1, 50), true, Some(30 * SECOND))
    );
    caller.ok(stands(at(1, 80)));
    caller.body(b"x");
    let joined = Event::Joined {
        url: "http://a/live".into(),
        at: Some(at(1, 80)),
        content_type: None,
    };
    assert_eq!(
        caller.stream(),
        [
            joined,
            lost(50, at(1, 80), Some(30), Why::Gone),
            audio(b"x")
        ]
    );
}

#[test]
fn a_declared_splice_loses_nothing_and_waits_for_nothing() {
    let mut caller = Caller::three();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    assert_eq!(caller.asks().at(), at(1, 10));
    caller.ok(StreamOffset {
        spliced: true,
        prelude: 2,
        ..stands(at(2, 300))
    });
    caller.body(b"PPabc");
    let spliced = Event::Spliced {
        from: at(1, 10),
        to: at(2, 300),
    };
    assert_eq!(
        caller.stream(),
        [spliced, Event::Prelude("PP".into()), audio(b"abc")]
    );
    assert_eq!(
        (caller.client.stats().moves, caller.client.stats().losses),
        (0, 0)
    );
}

#[test]
fn repeated_bytes_and_an_unwanted_prelude_are_skipped() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.ok(StreamOffset {
        prelude: 3,
        ..stands(at(1, 6))
    });
    caller.body(b"PPP67");
    caller.body(b"89abc");
    let notes = [Note::Repeated { bytes: 4 }, Note::Prelude { bytes: 3 }].map(Event::Note);
    assert_eq!(
        caller.stream(),
        [notes[0].clone(), notes[1].clone(), audio(b"abc")]
    );
    assert_eq!(caller.client.position(), Some(at(1, 13)));
}

#[test]
fn a_cut_before_the_first_audio_byte_changes_nothing() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.ok(StreamOffset {
        prelude: 4,
        ..stands(at(1, 100))
    });
    caller.body(b"HEAD");
    caller.cut();
    assert_eq!(caller.asks_later().0.at(), at(1, 10));
    caller.ok(stands(at(1, 10)));
    caller.body(b"abc");
    assert_eq!(caller.stream(), [audio(b"abc")]);
    assert_eq!(caller.client.stats().losses, 0);
}

#[test]
fn no_relay_is_believed_that_is_still_in_an_epoch_heard_to_its_end() {
    let mut caller = Caller::new(&["http://a/live", "http://b/live"], Options::default());
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.ok(StreamOffset {
        spliced: true,
        ..stands(at(2, 0))
    });
    caller.body(b"abc");
    caller.wait(2 * SECOND);
    caller.cut();
    caller.asks();
    caller.failed("refused");
    assert_eq!(caller.asks().url, "http://b/live");
    caller.events();
    caller.ok(stands(at(1, 3)));
    let refused = caller.events();
    assert!(
        matches!(&refused[0], Event::Refused { url, .. } if url == "http://b/live"),
        "{refused:?}"
    );
    assert_eq!(caller.asks_later().0.at(), at(2, 3));
}

/// It holds less of an earlier epoch than was heard elsewhere, and ends there each time.

#[test]
fn who_is_answered_with_repeats_that_lead_nowhere_leaves_them_at_live_in_the_end() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.ok(stands(at(2, 0)));
    caller.body(b"abc");
    caller.wait(2 * SECOND);
    caller.cut();
    for heard in [&b"3456"[..], b"3456789"] {
        assert_eq!(caller.asks_later().0.at(), at(2, 3));
        caller.ok(stands(at(1, 3)));
        caller.body(heard);
        caller.cut();
    }
    assert_eq!(caller.asks_later().0.resume.from, From::Live);
    caller.events();
    caller.ok(stands(at(2, 2)));
    caller.body(b"cde");
    assert_eq!(caller.stream(), [audio(b"de")]);
}

/// It went from one parent to another and back, say, and holds again what came before.

#[test]
fn who_is_answered_with_an_epoch_heard_to_its_end_leaves_it_at_live_in_the_end() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.ok(StreamOffset {
        spliced: true,
        ..stands(at(2, 0))
    });
    caller.body(b"abc");
    caller.wait(2 * SECOND);
    caller.cut();
    for _ in 0..2 {
        assert_eq!(caller.asks_later().0.at(), at(2, 3));
        caller.ok(stands(at(1, 3)));
    }
    assert_eq!(caller.asks_later().0.resume.from, From::Live);
    caller.events();
    caller.ok(stands(at(2, 2)));
    caller.body(b"cde");
    assert_eq!(caller.stream(), [audio(b"de")]);
}

#[test]
fn bytes_of_an_epoch_that_was_left_are_not_heard_twice() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.ok(stands(at(2, 0)));
    caller.body(b"abc");
    caller.wait(2 * SECOND);
    caller.cut();
    caller.asks();
    caller.events();
    caller.ok(stands(at(1, 8)));
    caller.body(b"89ABC");
    let loss = Loss {
        after: Some(at(2, 3)),
        at: Some(at(1, 10)),
        bytes: None,
        why: Why::Epoch,
    };
    assert_eq!(caller.stream(), [Event::Lost(loss), audio(b"ABC")]);
    assert_eq!(caller.client.position(), Some(at(1, 13)));
}

#[test]
fn a_relay_that_is_behind_is_waited_for() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    for _ in 0..2 {
        caller.asks_later();
        caller.answer(412, &[]);
    }
    caller.asks_later();
    caller.ok(stands(at(1, 2)));
    caller.body(b"234567");
    caller.body(b"89abc");
    assert_eq!(caller.stream(), [audio(b"abc")]);
}

#[test]
fn the_first_round_of_refusals_costs_no_time() {
    let mut caller = Caller::three();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    for _ in 0..3 {
        caller.asks();
        caller.answer(412, &[]);
    }
    caller.asks_later();
    caller.ok(stands(at(1, 10)));
    caller.body(b"abc");
    assert_eq!(caller.stream(), [audio(b"abc")]);
}
