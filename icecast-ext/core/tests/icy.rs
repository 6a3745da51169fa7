//! ICY blocks, in and out of a body.

use std::num::NonZeroU32;

use bytes::Bytes;
use icecast_ext_core::address::Offset;
use icecast_ext_core::icy::{Deinterleaver, MAX_BLOCK, Part, block, title_text, titles};
use proptest::prelude::*;

fn plain(text: &str) -> Vec<(String, Option<String>, Option<u64>)> {
    let text_of = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    titles(text.as_bytes())
        .iter()
        .map(|named| {
            (
                text_of(named.title),
                named.url.map(text_of),
                named.at.map(Offset::get),
            )
        })
        .collect()
}

#[test]
fn reads_titles_with_their_urls_and_places() {
    let one = |title: &str, url: Option<&str>, at| (title.to_owned(), url.map(str::to_owned), at);
    assert_eq!(plain(""), []);
    assert_eq!(plain("StreamTitle='A - B';"), [one("A - B", None, None)]);
    assert_eq!(
        plain("StreamTitle='';StreamUrl='';"),
        [one("", Some(""), None)]
    );
    assert_eq!(
        plain("StreamTitle='New';StreamUrl='u';StreamAt='20';StreamTitle='Old';StreamAt='10';"),
        [one("New", Some("u"), Some(20)), one("Old", None, Some(10))]
    );
    assert_eq!(
        plain("adw_ad='true';StreamTitle='A';x_1='y';\0\0"),
        [one("A", None, None)]
    );
    assert_eq!(
        plain("StreamTitle='A';StreamAt='1';StreamAt='2';"),
        [one("A", None, Some(2))]
    );
}

#[test]
fn a_quote_ends_a_value_only_before_another_value_or_the_end() {
    let title = |text: &str| {
        plain(text)
            .into_iter()
            .map(|(title, ..)| title)
            .collect::<Vec<_>>()
    };
    assert_eq!(title("StreamTitle='Rock 'n' Roll';"), ["Rock 'n' Roll"]);
    assert_eq!(
        title("StreamTitle='It's; or 'it'; is';StreamUrl='';"),
        ["It's; or 'it'; is"]
    );
    assert_eq!(title("StreamTitle='a';';"), ["a';"]);
    assert_eq!(title("StreamTitle=''';"), ["'"]);
}

#[test]
fn text_that_cannot_be_read_has_no_titles() {
    for text in [
        "StreamTitle='cut",
        "StreamTitle='cut'",
        "StreamTitle=bare;",
        "='x';",
        "StreamUrl='u';",
        "\0",
        " StreamTitle='x';",
    ] {
        assert_eq!(plain(text), [], "{text}");
    }
    assert_eq!(
        plain("StreamTitle='A';StreamAt='1000000000000000';")[0].2,
        None
    );
    assert_eq!(plain("StreamTitle='A';StreamAt='-1';")[0].2, None);
}

#[test]
fn a_title_is_cut_between_characters() {
    let text = title_text("é".repeat(3000).as_bytes());
    assert!(text.len() <= MAX_BLOCK);
    assert_eq!(plain(std::str::from_utf8(&text).unwrap()).len(), 1);
}

#[test]
fn a_title_cannot_pretend_to_be_two() {
    let text = title_text(b"x';StreamTitle='y';StreamAt='5");
    let named = titles(&text);
    assert_eq!(named.len(), 1);
    assert_eq!(
        (named[0].title, named[0].at),
        (&b"x',StreamTitle='y',StreamAt='5"[..], None)
    );
}

#[test]
fn says_whether_it_is_within_a_block() {
    let mut parts = Vec::new();
    let mut body = Deinterleaver::new(NonZeroU32::new(2).unwrap());
    let mut feed = |bytes: &'static [u8]| {
        body.feed(Bytes::from_static(bytes), &mut parts);
        body.in_block()
    };
    assert!(!feed(b"ab"));
    assert!(feed(b"\x01"));
    assert!(feed(b"StreamTitle='x'"));
    assert!(!feed(b";"));
    assert!(!feed(b"cd\0ef"));
}

#[test]
fn a_block_that_lies_about_its_length_takes_only_that_length() {
    let mut parts = Vec::new();
    let mut body = b"ab\xff".to_vec();
    body.extend([b'x'; MAX_BLOCK]);
    body.extend(b"cd\x01");
    body.extend([0; 16]);
    body.extend(b"e");
    Deinterleaver::new(NonZeroU32::new(2).unwrap()).feed(body.into(), &mut parts);
    let audio = |bytes: &'static [u8]| Part::Audio(Bytes::from_static(bytes));
    assert_eq!(
        parts,
        [
            audio(b"ab"),
            Part::Block(vec![b'x'; MAX_BLOCK].into()),
            audio(b"cd"),
            audio(b"e")
        ]
    );
}

/// Audio joined, blocks with the audio bytes before them.
fn collect(parts: &[Part]) -> (Vec<u8>, Vec<(usize, Bytes)>) {
    let (mut audio, mut blocks) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Audio(bytes) => {
                assert!(!bytes.is_empty());
                audio.extend_from_slice(bytes);
            }
            Part::Block(text) => blocks.push((audio.len(), text.clone())),
        }
    }
    (audio, blocks)
}

proptest! {
    #[test]
    fn any_split_gives_audio_and_blocks_back(
        audio in prop::collection::vec(any::<u8>(), 0..400),
        metaint in 1usize..60,
        texts in prop::collection::vec("[a-z']{0,40}", 1..5),
        cuts in prop::collection::vec(1usize..50, 1..30),
    ) {
        let (mut body, mut expected, mut texts) = (Vec::new(), Vec::new(), texts.iter().cycle());
        for (i, chunk) in audio.chunks(metaint).enumerate() {
            body.extend_from_slice(chunk);
            if chunk.len() == metaint {
                let text = texts.next().unwrap();
                body.extend_from_slice(&block(text.as_bytes()));
                if !text.is_empty() {
                    expected.push(((i + 1) * metaint, Bytes::from(text.clone())));
                }
            }
        }
        let mut decoder = Deinterleaver::new(NonZeroU32::new(u32::try_from(metaint).unwrap()).unwrap());
        let (mut parts, mut rest, mut cuts) = (Vec::new(), Bytes::from(body), cuts.iter().cycle());
        while !rest.is_empty() {
            let part = rest.split_to(rest.len().min(*cuts.next().unwrap()));
            decoder.feed(part, &mut parts);
        }
        prop_assert!(!decoder.in_block());
        prop_assert_eq!(collect(&parts), (audio, expected));
    }

    #[test]
    fn a_block_reads_as_written(text in prop::collection::vec(any::<u8>(), 0..5000)) {
        let bytes = block(&text);
        prop_assert_eq!(bytes.len() % 16, 1);
        prop_assert_eq!(usize::from(bytes[0]) * 16, bytes.len() - 1);
        let len = text.len().min(MAX_BLOCK);
        prop_assert_eq!(&bytes[1..=len], &text[..len]);
        prop_assert!(bytes[1 + len..].iter().all(|&byte| byte == 0));
    }

    #[test]
    fn a_title_reads_as_written(title in "[a-z';=A]{0,60}|(';x='|';|'|[^\0]){0,20}") {
        let text = title_text(title.as_bytes());
        let named = titles(&text);
        prop_assert_eq!(named.len(), 1);
        let read = named[0].title;
        prop_assert_eq!(read.len(), title.len());
        let same = read.iter().zip(title.bytes()).all(|(&a, b)| a == b || (a == b',' && b == b';'));
        prop_assert!(same);
        if !title.contains("';") {
            prop_assert_eq!(read, title.as_bytes());
        }
        prop_assert_eq!(title_text(read), text);
    }

    #[test]
    fn no_text_panics(text in prop::collection::vec(prop::sample::select(b"aS'=;\0 1\xff".to_vec()), 0..100)) {
        for named in titles(&text) {
            prop_assert!(named.title.len() <= text.len());
        }
        let _ = title_text(&text);
    }
}
