//! `parse.json`

use std::num::NonZeroU32;

use bytes::Bytes;
use icecast_ext_core::address::Window;
use icecast_ext_core::field::{Resume, StreamOffset, StreamWindow, duplicates};
use icecast_ext_core::head::{Field, HeadError, Protocol, Request, Response, Target, asks};
use icecast_ext_core::icy::{Deinterleaver, Part, titles};
use icecast_ext_spec::vector::{self, Error};

use super::{all, position, resume};

fn file() -> vector::Parse {
    vector::parse().expect("parse.json")
}

#[test]
fn resume_offset() {
    all(&file().resume_offset, |value, expect| {
        // Octets of a field are those of the text in UTF-8 here: what is not ASCII is malformed in any encoding.
        let got = Resume::parse(value.text().as_bytes()).map_err(|_| Error::BadRequest);
        (got, expect.as_ref().map(resume).map_err(|error| *error))
    });
}

#[test]
fn query() {
    all(&file().query, |value, expect| {
        let got = Resume::from_query(value).map_err(|_| Error::BadRequest);
        let want = expect.as_ref().map_err(|error| *error);
        (
            got,
            want.map(|query| (query.ask.as_ref().map(resume), query.rest.clone())),
        )
    });
}

#[test]
fn stream_offset() {
    all(&file().stream_offset, |value, expect| {
        let got = StreamOffset::parse(value.as_bytes()).map_err(|_| Error::Malformed);
        (got, expect.as_ref().map(offset).map_err(|error| *error))
    });
}

#[test]
fn stream_window() {
    all(&file().stream_window, |value, expect| {
        let got = StreamWindow::parse(value.as_bytes()).map_err(|_| Error::Malformed);
        (got, expect.as_ref().map(window).map_err(|error| *error))
    });
}

pub(super) fn offset(offset: &vector::StreamOffset) -> StreamOffset {
    StreamOffset {
        at: position(&offset.epoch, offset.offset),
        prelude: offset.prelude,
        session: offset
            .session
            .as_ref()
            .map(|session| session.parse().expect("a session")),
        spliced: offset.spliced,
        lost: offset.lost,
    }
}

pub(super) fn window(window: &vector::StreamWindow) -> StreamWindow {
    StreamWindow {
        epoch: window.epoch.parse().expect("an epoch"),
        window: Window {
            first: super::offset(window.first),
            next: super::offset(window.next),
        },
        rate: window.rate,
    }
}

#[test]
fn link() {
    all(&file().link, |value, expect| {
        (Ok(duplicates(value.as_bytes())), expect.clone())
    });
}

fn head_error(error: &HeadError) -> Error {
    match error {
        HeadError::TooLarge => Error::TooLarge,
        _ => Error::BadRequest,
    }
}

fn fields(fields: &[Field<'_>]) -> Vec<(String, String)> {
    let octets = |value: &[u8]| value.iter().copied().map(char::from).collect();
    fields
        .iter()
        .map(|field| (field.name.to_owned(), octets(field.value)))
        .collect()
}

#[test]
fn request_head() {
    all(&file().request_head, |input, expect| {
        let octets = input.octets().expect("octets");
        let got = match Request::parse(&octets) {
            Err(error) => Err(head_error(&error)),
            Ok(None) => Ok(vector::RequestHead::Incomplete),
            Ok(Some((head, length))) => {
                for end in 0..length {
                    assert_eq!(Request::parse(&octets[..end]), Ok(None), "{input:?} {end}");
                }
                Ok(vector::RequestHead::Head {
                    method: head.method.as_str().to_owned(),
                    target: head.target.to_owned(),
                    version: head.version.as_str().to_owned(),
                    fields: fields(&head.fields),
                    length,
                })
            }
        };
        (got, expect.clone())
    });
}

#[test]
fn heads_that_ask() {
    all(&file().asks, |input, expect| {
        let octets = input.octets().expect("octets");
        (Ok(asks(&octets)), *expect)
    });
}

#[test]
fn response_head() {
    all(&file().response_head, |input, expect| {
        let octets = input.octets().expect("octets");
        let got = match Response::parse(&octets) {
            Err(_) => Err(Error::Malformed),
            Ok(None) => Ok(vector::ResponseHead::Incomplete),
            Ok(Some((head, length))) => Ok(vector::ResponseHead::Head {
                protocol: match head.protocol {
                    Protocol::Http(version) => version.as_str().to_owned(),
                    Protocol::Icy => "ICY".to_owned(),
                },
                status: head.status,
                fields: fields(&head.fields),
                length,
            }),
        };
        (got, expect.clone())
    });
}

#[test]
fn path() {
    all(&file().path, |target, expect| {
        let got = Target::parse(target).map_err(|error| head_error(&error));
        let got = got.map(|target| vector::Path {
            path: target.path,
            query: target.query.map(str::to_owned),
        });
        (got, expect.clone())
    });
}

type Pieces = (Vec<u8>, Vec<(u64, Vec<u8>)>, bool);

fn take_apart(metaint: u32, body: &[u8], split: usize) -> Pieces {
    let mut blocks = Deinterleaver::new(NonZeroU32::new(metaint).expect("an interval"));
    let mut parts = Vec::new();
    for part in body.chunks(split) {
        blocks.feed(Bytes::copy_from_slice(part), &mut parts);
    }
    let (mut audio, mut texts) = (Vec::new(), Vec::new());
    for part in parts {
        match part {
            Part::Audio(bytes) => audio.extend_from_slice(&bytes),
            Part::Block(text) => texts.push((audio.len() as u64, text.to_vec())),
        }
    }
    (audio, texts, blocks.in_block())
}

#[test]
fn icy_body() {
    all(&file().icy_body, |input, expect| {
        let body = input.hex.hex().expect("octets");
        let expect = expect.as_ref().expect("pieces");
        let block = |(at, text): &(u64, vector::Parts)| (*at, text.octets().expect("octets"));
        let want = (
            expect.audio.hex().expect("octets"),
            expect.blocks.iter().map(block).collect(),
            expect.in_block,
        );
        let got = take_apart(input.metaint, &body, 4096);
        assert_eq!(take_apart(input.metaint, &body, 1), got);
        (got, want)
    });
}

#[test]
fn icy_text() {
    let octets = |text: &str| -> Vec<u8> {
        text.chars()
            .map(|c| u8::try_from(c).expect("an octet"))
            .collect()
    };
    all(&file().icy_text, |text, expect| {
        let text = octets(text);
        let named = titles(&text);
        let got: Vec<_> = named
            .into_iter()
            .map(|named| {
                (
                    named.title.to_vec(),
                    named.url.map(<[u8]>::to_vec),
                    named.at.map(|at| at.get()),
                )
            })
            .collect();
        let want = expect.as_ref().expect("titles").iter();
        let want = want.map(|title| {
            (
                octets(&title.title),
                title.url.as_deref().map(octets),
                title.at,
            )
        });
        (got, want.collect())
    });
}
