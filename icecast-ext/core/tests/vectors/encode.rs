//! `encode.json`

use std::num::NonZeroU32;

use bytes::Bytes;
use icecast_ext_core::codec::Format;
use icecast_ext_core::field::{Resume, StreamOffset, StreamWindow, encode_duplicates};
use icecast_ext_core::icy;
use icecast_ext_core::plan::{Cursor, Step};
use icecast_ext_core::timeline::{Begin, Timeline};
use icecast_ext_spec::vector;

use super::{all, parse, position, resume};

fn file() -> vector::Encode {
    vector::encode().expect("encode.json")
}

#[test]
fn resume_offset() {
    all(&file().resume_offset, |ask, expect| {
        let text = resume(ask).encode();
        assert_eq!(Resume::parse(text.as_bytes()), Ok(resume(ask)));
        (Ok(text), expect.clone())
    });
}

#[test]
fn query() {
    all(&file().query, |ask, expect| {
        let text = resume(ask).encode_query().unwrap_or_default();
        assert_eq!(Resume::from_query(&text), Ok((Some(resume(ask)), None)));
        (Ok(text), expect.clone())
    });
}

#[test]
fn stream_offset() {
    all(&file().stream_offset, |input, expect| {
        let text = parse::offset(input).encode();
        assert_eq!(
            StreamOffset::parse(text.as_bytes()),
            Ok(parse::offset(input))
        );
        (Ok(text), expect.clone())
    });
}

#[test]
fn stream_window() {
    all(&file().stream_window, |input, expect| {
        let text = parse::window(input).encode();
        assert_eq!(
            StreamWindow::parse(text.as_bytes()),
            Ok(parse::window(input))
        );
        (Ok(text), expect.clone())
    });
}

#[test]
fn link() {
    all(&file().link, |targets, expect| {
        let text = encode_duplicates(targets.iter().map(String::as_str));
        (Ok(text), expect.clone())
    });
}

#[test]
fn icy_block() {
    all(&file().icy_block, |text, expect| {
        let got = icy::block(&text.octets().expect("octets"));
        let want = expect.as_ref().expect("a block").hex().expect("octets");
        (got, want.into())
    });
}

#[test]
fn icy_aware() {
    let epoch = "AAECAwQFBgcICQoLDA0ODw";
    all(&file().icy_aware, |titles, expect| {
        let newest = titles.iter().map(|title| title.at).max().unwrap_or(0);
        let oldest = titles.iter().map(|title| title.at).min().unwrap_or(0);
        let first = oldest.saturating_sub(1);
        let mut timeline = Timeline::new(65536);
        timeline.begin(Begin {
            epoch: position(epoch, 0).epoch,
            first: super::offset(first),
            declared: false,
            format: Format::Opaque,
            tick_ms: 250,
            fields: Bytes::new(),
        });
        for title in titles.iter().rev() {
            let text = title.text.octets().expect("octets");
            timeline.title(super::offset(title.at), text.into());
        }
        timeline.grow(newest - first + 2);
        // One byte of audio, and the block stands there.
        let start = position(epoch, newest.saturating_sub(1));
        let cursor = Cursor::icy(start, NonZeroU32::MIN, true, false);
        let (audio, cursor) = cursor.step(&timeline, 1, 0);
        assert_eq!(audio, Step::Audio(1));
        let (Step::Overhead(block), _) = cursor.step(&timeline, 1, 0) else {
            panic!("no block");
        };
        let want = expect.as_ref().expect("a text").octets().expect("octets");
        let text = block[1..].to_vec();
        let len = text
            .iter()
            .rposition(|b| *b != 0)
            .map_or(0, |last| last + 1);
        (text[..len].to_vec(), want)
    });
}
