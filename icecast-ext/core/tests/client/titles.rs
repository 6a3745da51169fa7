//! Titles: each once, where it came into force.

use icecast_ext_core::address::Position;
use icecast_ext_core::client::{Event, Options};
use icecast_ext_core::field::StreamOffset;
use icecast_ext_core::icy::block;

use crate::caller::{Caller, SECOND, at, stands};

fn caller() -> Caller {
    Caller::new(
        &["http://a/live"],
        Options {
            icy: true,
            history: 0,
            ..Options::default()
        },
    )
}

fn ok(caller: &mut Caller, offset: Option<StreamOffset>) {
    let offset = offset.map(|offset| offset.encode());
    let mut fields = vec![("Icy-Metaint", "4")];
    fields.extend(
        offset
            .iter()
            .map(|offset| ("Stream-Offset", offset.as_str())),
    );
    caller.answer(200, &fields);
}

/// Audio and blocks, metaint 4.
fn body(parts: &[(&[u8], &str)]) -> Vec<u8> {
    parts
        .iter()
        .flat_map(|(audio, text)| [audio.to_vec(), block(text.as_bytes()).to_vec()].concat())
        .collect()
}

/// The titles and all audio.
fn told(caller: &mut Caller) -> (Vec<(Option<Position>, String)>, Vec<u8>) {
    let (mut titles, mut heard) = (Vec::new(), Vec::new());
    for event in caller.events() {
        match event {
            Event::Title(title) => {
                titles.push((title.at, String::from_utf8(title.text.to_vec()).unwrap()))
            }
            Event::Audio(bytes) => heard.extend_from_slice(&bytes),
            _ => {}
        }
    }
    (titles, heard)
}

#[test]
fn a_title_with_its_place_is_told_once() {
    let mut caller = caller();
    assert!(caller.asks().icy);
    ok(&mut caller, Some(stands(at(1, 100))));
    // Of the titles before the join, only the one in force there is ours.
    let first = "StreamTitle='C';StreamAt='102';StreamTitle='B';StreamAt='90';StreamTitle='A';StreamAt='7';";
    caller.body(&body(&[
        (b"0123", first),
        (b"4567", ""),
        (b"89ab", "StreamTitle='D';StreamAt='110';"),
    ]));
    let (titles, heard) = told(&mut caller);
    let title = |offset, text: &str| (Some(at(1, offset)), text.to_owned());
    assert_eq!(titles, [title(90, "B"), title(102, "C"), title(110, "D")]);
    assert_eq!(heard, b"0123456789ab");
    caller.wait(2 * SECOND);
    caller.cut();
    caller.asks();
    ok(&mut caller, Some(stands(at(1, 112))));
    let first = "StreamTitle='E';StreamAt='115';StreamTitle='D';StreamAt='110';StreamTitle='C';StreamAt='102';";
    caller.body(&body(&[(b"cdef", first)]));
    assert_eq!(told(&mut caller), (vec![title(115, "E")], b"cdef".to_vec()));
}

#[test]
fn the_phase_restarts_with_each_answer_and_a_cut_block_is_dropped() {
    let mut caller = caller();
    caller.asks();
    ok(&mut caller, Some(stands(at(1, 0))));
    let bytes = body(&[(b"0123", "StreamTitle='A';StreamAt='0';")]);
    caller.body(&bytes[..12]);
    caller.cut();
    assert_eq!(caller.asks().at(), at(1, 4));
    ok(&mut caller, Some(stands(at(1, 4))));
    caller.body(&body(&[(b"4567", "StreamTitle='A';StreamAt='0';"), (b"89", "")])[..]);
    let (titles, heard) = told(&mut caller);
    assert_eq!(titles, [(Some(at(1, 0)), "A".to_owned())]);
    assert_eq!(&heard[..8], b"01234567");
}

#[test]
fn a_title_without_its_place_stands_where_its_block_stood() {
    let mut caller = caller();
    caller.asks();
    ok(&mut caller, Some(stands(at(1, 0))));
    let bytes = body(&[
        (b"0123", "StreamTitle='A';"),
        (b"4567", "StreamTitle='A';"),
        (b"89ab", "StreamTitle='B';"),
    ]);
    caller.body(&bytes);
    let (titles, _) = told(&mut caller);
    assert_eq!(
        titles,
        [
            (Some(at(1, 4)), "A".to_owned()),
            (Some(at(1, 12)), "B".to_owned())
        ]
    );
}

#[test]
fn an_unaware_server_gives_titles_without_a_place() {
    let mut caller = caller();
    caller.asks();
    ok(&mut caller, None);
    caller.body(&body(&[(
        b"0123",
        "StreamTitle='A';StreamUrl='http://x/';",
    )]));
    let events = caller.events();
    let Some(Event::Title(title)) = events.last() else {
        panic!("{events:?}");
    };
    assert_eq!(
        (title.at, &title.text[..], title.url.as_deref()),
        (None, &b"A"[..], Some(&b"http://x/"[..]))
    );
}

#[test]
fn a_place_that_cannot_be_is_not_believed() {
    let mut caller = caller();
    caller.asks();
    ok(&mut caller, Some(stands(at(1, 0))));
    let bytes = body(&[
        (b"0123", "StreamTitle='A';StreamAt='999999999999999';"),
        (b"4567", "StreamTitle='B';StreamAt='6';"),
    ]);
    caller.body(&bytes);
    let (titles, _) = told(&mut caller);
    assert_eq!(
        titles,
        [
            (Some(at(1, 4)), "A".to_owned()),
            (Some(at(1, 6)), "B".to_owned())
        ]
    );
}

#[test]
fn titles_of_a_new_epoch_are_told_again_unless_the_song_goes_on() {
    let mut caller = caller();
    caller.asks();
    ok(&mut caller, Some(stands(at(1, 0))));
    caller.body(&body(&[(b"0123", "StreamTitle='A';StreamAt='2';")]));
    caller.wait(2 * SECOND);
    caller.cut();
    caller.asks();
    ok(
        &mut caller,
        Some(StreamOffset {
            spliced: true,
            ..stands(at(2, 9))
        }),
    );
    caller.body(&body(&[
        (b"4567", "StreamTitle='A';StreamAt='0';"),
        (b"89ab", "StreamTitle='A';StreamAt='15';"),
    ]));
    let (titles, _) = told(&mut caller);
    assert_eq!(
        titles,
        [
            (Some(at(1, 2)), "A".to_owned()),
            (Some(at(2, 15)), "A".to_owned())
        ]
    );
}
