//! Servers that know nothing of offsets: stitching by content.

use icecast_ext_core::client::{Event, Loss, Note, Options, Why};
use icecast_ext_core::field::From;
use icecast_ext_core::heal::Unproven;

use crate::caller::{Caller, SECOND, at, audio, noise, stands};

/// Bytes a second.
const RATE: usize = 16000;
const BURST: usize = 65536;

fn caller() -> Caller {
    Caller::new(&["http://a/live", "http://b/live"], Options::default())
}

fn stock(caller: &mut Caller) {
    caller.answer(200, &[("Content-Type", "audio/mpeg"), ("icy-br", "128")]);
}

/// Hears `seconds` of the stream from `from` on, in tenths, after the burst.
fn hear(caller: &mut Caller, stream: &[u8], from: usize, tenths: usize) -> usize {
    caller.body(&stream[from..from + BURST]);
    let mut next = from + BURST;
    for _ in 0..tenths {
        caller.wait(SECOND / 10);
        caller.body(&stream[next..next + RATE / 10]);
        next += RATE / 10;
    }
    next
}

fn heard(events: &[Event]) -> Vec<u8> {
    let audio = events.iter().filter_map(|event| match event {
        Event::Audio(bytes) => Some(&bytes[..]),
        _ => None,
    });
    audio.collect::<Vec<_>>().concat()
}

#[test]
fn a_burst_that_overlaps_is_stitched_without_a_hole() {
    let stream = noise(1, 1 << 20);
    let mut caller = caller();
    assert_eq!(caller.asks().resume.from, From::Live);
    stock(&mut caller);
    let next = hear(&mut caller, &stream, 0, 100);
    caller.cut();
    let asked = caller.asks();
    assert_eq!(
        (asked.url.as_str(), asked.resume.from),
        ("http://a/live", From::Live)
    );
    caller.wait(SECOND);
    stock(&mut caller);
    let burst = next + RATE - BURST;
    let end = hear(&mut caller, &stream, burst, 30);
    let events = caller.stream();
    assert_eq!(heard(&events), stream[..end]);
    assert!(events.contains(&Event::Stitched { at: None }));
    let stats = caller.client.stats();
    assert_eq!((stats.losses, stats.stitches), (0, 1));
}

#[test]
fn a_position_survives_a_visit_to_a_server_without_offsets() {
    let stream = noise(2, 1 << 20);
    let mut caller = caller();
    caller.asks();
    caller.ok(stands(at(1, 5000)));
    let next = hear(&mut caller, &stream, 0, 100);
    caller.cut();
    caller.asks();
    stock(&mut caller);
    let end = hear(&mut caller, &stream, next - BURST, 30);
    assert_eq!(heard(&caller.stream()), stream[..end]);
    assert_eq!(caller.client.position(), Some(at(1, 5000 + end as u64)));
    caller.cut();
    assert_eq!(caller.asks().at(), at(1, 5000 + end as u64));
}

/// A relay that has just come back and is told everything by its parent is not live yet, and cannot be compared by the clock: a song
/// that is on for the second time would be taken for the first.
#[test]
fn two_minters_of_one_source_are_not_stitched() {
    let stream = noise(3, 1 << 20);
    let mut caller = caller();
    caller.asks();
    caller.ok(stands(at(1, 0)));
    let next = hear(&mut caller, &stream, 0, 100);
    caller.cut();
    caller.asks();
    caller.events();
    caller.ok(stands(at(2, 70)));
    let burst = next - BURST;
    let end = hear(&mut caller, &stream, burst, 30);
    let events = caller.stream();
    assert_eq!(
        events[0],
        Event::Lost(Loss {
            after: Some(at(1, next as u64)),
            at: Some(at(2, 70)),
            bytes: None,
            why: Why::Epoch
        })
    );
    assert_eq!(heard(&events), stream[burst..end]);
}

#[test]
fn what_cannot_be_proven_is_a_loss_of_unknown_size() {
    let stream = noise(4, 1 << 20);
    let mut caller = caller();
    caller.asks();
    caller.ok(stands(at(1, 0)));
    let next = hear(&mut caller, &stream, 0, 100);
    caller.cut();
    caller.asks();
    caller.events();
    caller.wait(20 * SECOND);
    stock(&mut caller);
    let burst = next + 20 * RATE - BURST;
    let end = hear(&mut caller, &stream, burst, 30);
    let events = caller.stream();
    let after = Some(at(1, next as u64));
    let why = Why::Unproven(Unproven::Absent);
    assert_eq!(
        events[0],
        Event::Lost(Loss {
            after,
            at: None,
            bytes: None,
            why
        })
    );
    assert_eq!(heard(&events), stream[burst..end]);
    assert_eq!(caller.client.position(), None);
    caller.cut();
    assert_eq!(caller.asks().resume.from, From::Live);
}

#[test]
fn a_repeated_jingle_does_not_fool_the_clock() {
    // 10 s of jingle after other audio; the same jingle is on the other server, 60 s later.
    let jingle = noise(5, 10 * RATE);
    let before = [noise(6, BURST), jingle.clone()].concat();
    let mut caller = caller();
    caller.asks();
    stock(&mut caller);
    hear(&mut caller, &before, 0, 90);
    caller.cut();
    caller.asks();
    caller.events();
    caller.wait(60 * SECOND);
    stock(&mut caller);
    caller.body(&jingle[9 * RATE - BURST + 1..]);
    caller.wait(SECOND);
    caller.client.poll(caller.now);
    let events = caller.stream();
    assert!(
        matches!(&events[0], Event::Lost(loss) if matches!(loss.why, Why::Unproven(Unproven::Clock { .. }))),
        "{events:?}"
    );
}

#[test]
fn quiet_ends_the_burst() {
    let stream = noise(7, 1 << 20);
    let mut caller = caller();
    caller.asks();
    stock(&mut caller);
    let next = hear(&mut caller, &stream, 0, 100);
    caller.cut();
    caller.asks();
    caller.events();
    stock(&mut caller);
    caller.body(&stream[next + 100 - BURST..next + 100]);
    assert_eq!(caller.events(), []);
    caller.wait(SECOND / 4);
    caller.client.poll(caller.now);
    assert_eq!(heard(&caller.events()), stream[next..next + 100]);
}

#[test]
fn without_history_every_cut_is_a_loss() {
    let mut caller = Caller::plain();
    caller.joined(stands(at(1, 0)), b"0123456789");
    caller.cut();
    caller.asks();
    caller.answer(200, &[("Stream-Offset", "nonsense")]);
    caller.body(b"abc");
    let loss = Loss {
        after: Some(at(1, 10)),
        at: None,
        bytes: None,
        why: Why::Unaware,
    };
    assert_eq!(
        caller.stream(),
        [
            Event::Note(Note::Malformed),
            Event::Lost(loss),
            audio(b"abc")
        ]
    );
    assert_eq!(caller.client.position(), None);
    caller.wait(2 * SECOND);
    caller.cut();
    assert_eq!(caller.asks().resume.from, From::Live);
    caller.ok(stands(at(2, 7)));
    caller.body(b"def");
    let loss = Loss {
        after: None,
        at: Some(at(2, 7)),
        bytes: None,
        why: Why::Unaware,
    };
    assert_eq!(caller.stream(), [Event::Lost(loss), audio(b"def")]);
    assert_eq!(caller.client.position(), Some(at(2, 10)));
}

#[test]
fn a_cut_while_the_burst_is_collected_refutes_nothing() {
    let stream = noise(8, 1 << 20);
    let mut caller = caller();
    caller.asks();
    stock(&mut caller);
    let next = hear(&mut caller, &stream, 0, 100);
    caller.cut();
    caller.asks();
    caller.events();
    stock(&mut caller);
    caller.body(&stream[next - BURST..next - BURST / 2]);
    caller.cut();
    caller.asks_later();
    assert_eq!(caller.stream(), []);
    stock(&mut caller);
    let end = hear(&mut caller, &stream, next - BURST, 20);
    assert_eq!(heard(&caller.stream()), stream[next..end]);
    assert_eq!(caller.client.stats().losses, 0);
}
