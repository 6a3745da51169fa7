//! The relay feed's frames: order, limits, any split.
#![expect(clippy::unwrap_used, reason = "a test fails by it")]

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::frame::{Decoder, Frame, FrameError};
use proptest::prelude::*;

fn epoch(n: u8) -> Epoch {
    Epoch::from_bytes([n; 16])
}

fn at(offset: u64) -> Offset {
    Offset::new(offset).unwrap()
}

fn format(n: u8, offset: u64) -> Frame {
    let fields = Bytes::from_static(b"Content-Type: audio/mpeg\r\n");
    Frame::Format {
        epoch: epoch(n),
        offset: at(offset),
        tick_ms: 250,
        fields,
    }
}

fn data(offset: u64, bytes: &'static [u8]) -> Frame {
    Frame::Data {
        offset: at(offset),
        bytes: Bytes::from_static(bytes),
    }
}

fn title(offset: u64) -> Frame {
    Frame::Title {
        at: at(offset),
        text: Bytes::from_static(b"StreamTitle='A';"),
    }
}

fn prelude(offset: u64) -> Frame {
    Frame::Prelude {
        at: at(offset),
        bytes: Bytes::from_static(b"OggS"),
    }
}

fn time(offset: u64) -> Frame {
    Frame::Time {
        at: at(offset),
        ms: 1_760_000_000_000,
    }
}

fn keepalive(offset: u64) -> Frame {
    Frame::Keepalive { next: at(offset) }
}

fn splice(end: u64, n: u8) -> Frame {
    Frame::Splice {
        declared: true,
        seamless: false,
        end: at(end),
        to: Position::new(epoch(n), at(4)),
    }
}

fn encode(frames: &[Frame]) -> Bytes {
    let mut out = Vec::new();
    for frame in frames {
        frame.encode(&mut out);
    }
    out.into()
}

fn decode(input: impl Into<Bytes>) -> (Vec<Frame>, Result<(), FrameError>) {
    let mut out = Vec::new();
    let result = Decoder::default().feed(input.into(), &mut out);
    (out, result)
}

#[test]
fn reads_the_example_of_the_specification() {
    let mut feed = vec![0x00, 0x2e];
    let epoch: Epoch = "q83vEjRWeJCrze8SNFZ4kA".parse().unwrap();
    feed.extend_from_slice(epoch.as_bytes());
    feed.extend_from_slice(b"\x43\xe8\x40\xfaContent-Type: audio/mpeg\r\n");
    feed.extend_from_slice(b"\x03\x12\x43\xe8StreamTitle='A';");
    feed.extend_from_slice(b"\x04\x0a\x43\xe8\xc0\x00\x01\x99\xc8\x2c\xc0\x00");
    let Frame::Format {
        offset,
        tick_ms,
        fields,
        ..
    } = format(0, 1000)
    else {
        unreachable!()
    };
    let format = Frame::Format {
        epoch,
        offset,
        tick_ms,
        fields,
    };
    let frames = [format, title(1000), time(1000)];
    assert_eq!(encode(&frames), feed);
    assert_eq!(decode(feed), (frames.to_vec(), Ok(())));
}

#[test]
fn reads_a_feed_across_a_splice() {
    let frames = [
        format(1, 100),
        prelude(80),
        title(10),
        title(100),
        time(90),
        data(100, b"abc"),
        title(103),
        time(103),
        data(103, b"d"),
        keepalive(104),
        splice(104, 2),
        format(2, 0),
        prelude(0),
        data(0, b"x"),
    ];
    assert_eq!(decode(encode(&frames)), (frames.to_vec(), Ok(())));
}

#[test]
fn ends_at_a_frame_that_may_not_stand_there() {
    let begin = [format(1, 100), data(100, b"ab")];
    let after = |frame: Frame| begin.iter().cloned().chain([frame]).collect::<Vec<_>>();
    let cases: Vec<Vec<Frame>> = vec![
        vec![prelude(0)],
        vec![title(0)],
        vec![time(0)],
        vec![keepalive(0)],
        vec![data(0, b"a")],
        vec![splice(0, 2)],
        vec![format(1, 100), format(1, 100)],
        vec![format(1, 100), data(99, b"a")],
        vec![format(1, 100), data(101, b"a")],
        vec![format(1, 100), title(50), title(49)],
        vec![format(1, 100), keepalive(99)],
        after(format(1, 102)),
        after(data(103, b"a")),
        after(data(101, b"a")),
        after(title(101)),
        after(prelude(101)),
        after(time(101)),
        after(keepalive(103)),
        after(splice(101, 2)),
        after(splice(103, 2)),
        [after(splice(102, 2)), vec![format(3, 0)]].concat(),
        [after(splice(102, 2)), vec![data(102, b"a")]].concat(),
        [after(splice(102, 2)), vec![keepalive(102)]].concat(),
    ];
    for frames in cases {
        let (good, result) = decode(encode(&frames));
        assert!(
            matches!(result, Err(FrameError::OutOfOrder(_))),
            "{frames:?}: {result:?}"
        );
        assert_eq!(good, frames[..frames.len() - 1], "{frames:?}");
    }
}

#[test]
fn an_error_stays() {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    let first = decoder.feed(encode(&[keepalive(0)]), &mut out);
    assert!(first.is_err());
    assert_eq!(decoder.feed(encode(&[format(1, 0)]), &mut out), first);
    assert!(out.is_empty());
}

#[test]
fn skips_types_and_flags_that_it_does_not_know() {
    let mut feed = encode(&[format(1, 0), data(0, b"a")]).to_vec();
    feed.extend_from_slice(b"\x2a\x03xyz\x3f\x00");
    feed.extend_from_slice(&[6, 19, 0xfe, 1]);
    feed.extend_from_slice(&[2; 16]);
    feed.push(4);
    feed.extend_from_slice(b"\x2a\x01x");
    format(2, 0).encode(&mut feed);
    let (frames, result) = decode(feed);
    assert_eq!(result, Ok(()));
    let Frame::Splice { to, .. } = splice(1, 2) else {
        unreachable!()
    };
    let splice = Frame::Splice {
        declared: false,
        seamless: false,
        end: at(1),
        to,
    };
    assert_eq!(frames, [format(1, 0), data(0, b"a"), splice, format(2, 0)]);
}

#[test]
fn data_comes_out_as_it_arrives_and_is_not_copied() {
    let mut decoder = Decoder::default();
    let mut out = Vec::new();
    decoder.feed(encode(&[format(1, 7)]), &mut out).unwrap();
    decoder
        .feed(Frame::data_head(at(7), 1000), &mut out)
        .unwrap();
    out.clear();
    let part = Bytes::from_static(b"abc");
    decoder.feed(part.clone(), &mut out).unwrap();
    let [Frame::Data { offset, bytes }] = &out[..] else {
        panic!("{out:?}")
    };
    assert_eq!((offset.get(), bytes.as_ptr()), (7, part.as_ptr()));
}

/// One frame after the other, as a sender would order them.
fn feeds() -> impl Strategy<Value = Vec<Frame>> {
    let step = (
        0u8..8,
        prop::collection::vec(any::<u8>(), 1..200),
        0..Offset::MAX.get() / 2,
        any::<bool>(),
    );
    (prop::collection::vec(step, 0..20), 0..Offset::MAX.get() / 2).prop_map(|(steps, first)| {
        let mut next = at(first);
        let mut frames = vec![format(0, first)];
        for (n, (kind, bytes, number, flag)) in steps.into_iter().enumerate() {
            let bytes = Bytes::from(bytes);
            let frame = match kind {
                0 => Frame::Prelude { at: next, bytes },
                1 => Frame::Title {
                    at: next,
                    text: bytes,
                },
                2 => Frame::Time {
                    at: next,
                    ms: number,
                },
                3 => Frame::Keepalive { next },
                4 => {
                    let to = Position::new(epoch(u8::try_from(n).unwrap()), at(number));
                    frames.push(Frame::Splice {
                        declared: flag,
                        seamless: flag,
                        end: next,
                        to,
                    });
                    next = at(number / 2);
                    Frame::Format {
                        epoch: to.epoch,
                        offset: next,
                        tick_ms: 7,
                        fields: Bytes::new(),
                    }
                }
                _ => {
                    let offset = next;
                    next = next.checked_add(bytes.len() as u64).unwrap();
                    Frame::Data { offset, bytes }
                }
            };
            frames.push(frame);
        }
        frames
    })
}

/// With DATA frames that follow each other joined.
fn join(frames: Vec<Frame>) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    for frame in frames {
        match (out.last_mut(), frame) {
            (
                Some(Frame::Data { offset, bytes }),
                Frame::Data {
                    offset: next,
                    bytes: more,
                },
            ) => {
                assert_eq!(offset.get() + bytes.len() as u64, next.get());
                assert!(!more.is_empty());
                *bytes = [bytes.as_ref(), more.as_ref()].concat().into();
            }
            (_, frame) => out.push(frame),
        }
    }
    out
}

fn decode_split(mut input: Bytes, cuts: &[usize]) -> (Vec<Frame>, Result<(), FrameError>) {
    let (mut decoder, mut out, mut cuts) = (Decoder::default(), Vec::new(), cuts.iter().cycle());
    while !input.is_empty() {
        let part = input.split_to(input.len().min(*cuts.next().unwrap()));
        if let Err(error) = decoder.feed(part, &mut out) {
            return (join(out), Err(error));
        }
    }
    (join(out), Ok(()))
}

proptest! {
    #[test]
    fn any_split_gives_the_frames_back(frames in feeds(), cuts in prop::collection::vec(1usize..40, 1..40)) {
        let feed = encode(&frames);
        prop_assert_eq!(decode_split(feed, &cuts), (join(frames), Ok(())));
    }

    #[test]
    fn any_split_gives_the_same_error(
        frames in feeds(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cuts in prop::collection::vec(1usize..40, 1..40),
    ) {
        let mut feed = encode(&frames).to_vec();
        let at = at.index(feed.len());
        feed[at] = byte;
        let feed = Bytes::from(feed);
        let whole = decode_split(feed.clone(), &[usize::MAX]);
        prop_assert_eq!(decode_split(feed, &cuts), whole);
    }

    #[test]
    fn a_frame_alone_reads_as_written_and_no_sooner(frames in feeds()) {
        for frame in frames {
            let bytes = encode(std::slice::from_ref(&frame));
            for end in 0..bytes.len() {
                prop_assert_eq!(Frame::decode(&bytes.slice(..end)), Ok(None));
            }
            prop_assert_eq!(Frame::decode(&bytes), Ok(Some((Some(frame), bytes.len()))));
        }
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), begun in any::<bool>()) {
        let mut feed = if begun { encode(&[format(0, 0)]).to_vec() } else { Vec::new() };
        feed.extend(bytes);
        let _ = decode(feed.clone());
        let _ = Frame::decode(&feed.into());
    }
}
