//! Which relay is asked, and when.

use std::time::Duration;

use icecast_ext_core::client::{Client, ClientError, Event, MAX_RELAYS, Options, Step, Trouble};
use icecast_ext_core::field::StreamOffset;

use crate::caller::{Caller, SECOND, at, audio, moved, session, stands};

#[test]
fn a_cut_is_retried_at_once_at_the_same_relay_then_at_once_at_the_next_then_later() {
    let mut caller = Caller::three();
    caller.joined(
        StreamOffset {
            session: Some(session(1)),
            ..stands(at(1, 0))
        },
        b"0123456789",
    );
    let cut = caller.now;
    caller.cut();
    let asked = caller.asks();
    assert_eq!(
        (asked.url.as_str(), asked.resume.session),
        ("http://a/live", Some(session(1)))
    );
    caller.failed("refused");
    let asked = caller.asks();
    // A session is for the relay that gave it.
    assert_eq!(
        (asked.url.as_str(), asked.resume.session),
        ("http://b/live", None)
    );
    let mut top = 250;
    for url in ["c", "a", "b", "c", "a", "b", "c"] {
        caller.failed("refused");
        let (asked, pause) = caller.asks_later();
        assert_eq!(asked.url, format!("http://{url}/live"));
        assert!(pause <= Duration::from_millis(top), "{pause:?} {top}");
        top = (top * 2).min(8000);
    }
    caller.events();
    caller.ok(stands(at(1, 10)));
    caller.body(b"abc");
    assert_eq!(
        caller.events(),
        [moved("a", "c", caller.now - cut), audio(b"abc")]
    );
    // All is forgiven: the next cut is retried at once again.
    caller.wait(2 * SECOND);
    caller.cut();
    assert_eq!(caller.asks().url, "http://c/live");
}

#[test]
fn silence_moves_to_the_next_relay_after_5_seconds() {
    let mut caller = Caller::three();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.body(b"abc");
    let (asked, waited) = caller.nothing_comes();
    assert_eq!(
        (asked.url.as_str(), asked.at(), waited),
        ("http://b/live", at(1, 13), 5 * SECOND)
    );
    let why = Trouble::Silent(5 * SECOND);
    assert_eq!(
        caller.events()[1],
        Event::Cut {
            url: "http://a/live".into(),
            why
        }
    );
    // No answer is silence as well.
    let (asked, _) = caller.nothing_comes();
    assert_eq!(asked.url, "http://c/live");
}

#[test]
fn a_refusal_moves_on_and_keeps_the_position() {
    for status in [401, 403, 404, 500, 206, 302] {
        let mut caller = Caller::three();
        caller.joined(stands(at(1, 0)), b"0123456789");
        caller.cut();
        caller.asks();
        caller.events();
        caller.answer(status, &[]);
        let why = Trouble::Status(status);
        assert_eq!(
            caller.events(),
            [Event::Refused {
                url: "http://a/live".into(),
                why
            }]
        );
        let asked = caller.asks();
        assert_eq!(
            (asked.url.as_str(), asked.at()),
            ("http://b/live", at(1, 10))
        );
    }
}

#[test]
fn a_page_is_not_audio() {
    let mut caller = Caller::three();
    caller.asks();
    caller.answer(200, &[("Content-Type", "text/html; charset=utf-8")]);
    assert_eq!(caller.asks().url, "http://b/live");
}

#[test]
fn a_relay_that_finds_our_request_bad_is_not_asked_again() {
    let mut caller = Caller::new(&["http://a/live", "http://b/live"], Options::default());
    caller.asks();
    caller.answer(400, &[]);
    for _ in 0..3 {
        assert_eq!(caller.asks_later().0.url, "http://b/live");
        caller.answer(404, &[]);
    }
    caller.asks_later();
    caller.answer(400, &[]);
    assert_eq!(caller.client.poll(caller.now), Step::Ended);
}

#[test]
fn retry_after_is_honoured_up_to_60_seconds_and_not_by_all_at_once() {
    let options = || Options {
        give_up_after: None,
        ..Options::default()
    };
    for status in [429, 503] {
        for (said, waited) in [("20", 20), ("3600", 60)] {
            let mut caller = Caller::new(&["http://a/live"], options());
            let mut pauses = Vec::new();
            for _ in 0..20 {
                caller.asks_later();
                caller.answer(status, &[("Retry-After", said)]);
                let Step::Wait { until } = caller.client.poll(caller.now) else {
                    panic!("it does not wait");
                };
                pauses.push(until - caller.now);
            }
            let (least, most) = (waited * SECOND, waited * SECOND * 5 / 4 + SECOND);
            assert!(
                pauses.iter().all(|pause| (least..=most).contains(pause)),
                "{pauses:?}"
            );
            pauses.sort();
            pauses.dedup();
            assert!(pauses.len() > 10, "{pauses:?}");
        }
    }
}

#[test]
fn retry_after_is_no_reason_to_wait_for_another_relay() {
    let mut caller = Caller::new(&["http://a/live", "http://b/live"], Options::default());
    caller.asks();
    caller.answer(503, &[("Retry-After", "20")]);
    assert_eq!(caller.asks().url, "http://b/live");
    for _ in 0..3 {
        caller.answer(404, &[]);
        let (asked, pause) = caller.asks_later();
        assert_eq!(asked.url, "http://b/live");
        assert!(pause < SECOND);
    }
}

#[test]
fn gives_up_after_a_minute_and_tells_what_each_relay_said() {
    let mut caller = Caller::new(
        &["http://u:secret@a/live", "http://b/live"],
        Options::default(),
    );
    let since = caller.now;
    loop {
        match caller.client.poll(caller.now) {
            Step::Connect(request) => {
                caller.conn = Some(request.conn);
                match request.url.contains("secret") {
                    true => caller.answer(404, &[]),
                    false => caller.failed("connection refused"),
                }
            }
            Step::Wait { until } => caller.now = until,
            Step::Ended => break,
            Step::Read { .. } => panic!("there is nothing to read"),
        }
    }
    assert_eq!(caller.now - since, 60 * SECOND);
    let why = caller.client.gave_up().unwrap().to_string();
    assert_eq!(
        why,
        "no relay gives audio: http://a/live: status 404; http://b/live: no answer: connection refused"
    );
    assert!(caller.events().len() < 60);
}

#[test]
fn never_gives_up_if_told_so() {
    let mut caller = Caller::new(
        &["http://a/live"],
        Options {
            give_up_after: None,
            ..Options::default()
        },
    );
    for _ in 0..1000 {
        caller.asks_later();
        caller.failed("refused");
    }
    assert!(caller.now > 1000 * SECOND);
}

#[test]
fn answers_without_audio_are_failures() {
    let mut caller = Caller::plain();
    let mut pauses = Duration::ZERO;
    for _ in 0..8 {
        let (_, pause) = caller.asks_later();
        pauses += pause;
        caller.ok(stands(at(1, 0)));
        caller.cut();
    }
    assert!(pauses > SECOND, "{pauses:?}");
}

#[test]
fn answers_with_a_byte_each_do_not_make_a_storm() {
    let mut caller = Caller::plain();
    let since = caller.now;
    for offset in 0..1000 {
        caller.asks_later();
        caller.ok(stands(at(1, offset)));
        caller.body(b"x");
        caller.cut();
    }
    assert!(caller.now - since > 100 * SECOND);
    assert_eq!(caller.client.stats().audio_bytes, 1000);
}

#[test]
fn relays_are_learned_from_links() {
    let mut caller = Caller::plain();
    caller.asks();
    let link = "</b>; rel=duplicate, <http://a:80/live>; rel=\"duplicate\", <http://c/live>; rel=next, <ftp://d/>; rel=duplicate";
    caller.answer(
        200,
        &[
            ("Stream-Offset", &stands(at(1, 0)).encode()),
            ("Link", link),
        ],
    );
    caller.body(b"0123456789");
    caller.wait(2 * SECOND);
    let known: Vec<_> = caller.client.relays().map(str::to_owned).collect();
    assert_eq!(known, ["http://a/live", "http://a/b"]);
    caller.cut();
    caller.asks();
    let links: Vec<_> = (0..50)
        .map(|n| format!("<//r{n}/>; rel=duplicate"))
        .collect();
    caller.answer(412, &[("Link", &links.join(", "))]);
    assert_eq!(caller.asks().url, "http://a/b");
    assert_eq!(caller.client.relays().count(), MAX_RELAYS);
}

#[test]
fn a_client_needs_urls() {
    let client = |urls: &[&str]| {
        Client::new(
            urls.iter().map(|url| (*url).to_owned()),
            Options::default(),
            0,
        )
    };
    assert_eq!(client(&[]).unwrap_err(), ClientError::NoRelay);
    assert_eq!(
        client(&["http://a/", "radio"]).unwrap_err(),
        ClientError::Url("radio".into())
    );
}

#[test]
fn a_prelude_that_cannot_be_held_is_refused() {
    let mut caller = Caller::new(
        &["http://a/", "http://b/"],
        Options {
            max_prelude: 100,
            ..Options::default()
        },
    );
    caller.asks();
    caller.ok(StreamOffset {
        prelude: 101,
        ..stands(at(1, 0))
    });
    assert_eq!(caller.asks().url, "http://b/");
}
