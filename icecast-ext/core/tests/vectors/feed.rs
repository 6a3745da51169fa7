//! `relay-feed.json`

use bytes::Bytes;
use icecast_ext_core::frame::{Decoder, Frame, FrameError};
use icecast_ext_spec::vector;

use super::{all, offset, position};

fn frame(frame: &vector::Frame) -> Frame {
    match frame {
        vector::Frame::Format {
            epoch,
            offset: at,
            tick_ms,
            fields,
        } => Frame::Format {
            epoch: epoch.parse().expect("an epoch"),
            offset: offset(*at),
            tick_ms: *tick_ms,
            fields: Bytes::copy_from_slice(fields.as_bytes()),
        },
        vector::Frame::Prelude { at, hex } => Frame::Prelude {
            at: offset(*at),
            bytes: hex.hex().expect("octets").into(),
        },
        vector::Frame::Data { offset: at, hex } => Frame::Data {
            offset: offset(*at),
            bytes: hex.hex().expect("octets").into(),
        },
        vector::Frame::Title { at, text } => Frame::Title {
            at: offset(*at),
            text: text.octets().expect("octets").into(),
        },
        vector::Frame::Time { at, ms } => Frame::Time {
            at: offset(*at),
            ms: *ms,
        },
        vector::Frame::Keepalive { next } => Frame::Keepalive {
            next: offset(*next),
        },
        vector::Frame::Splice {
            declared,
            seamless,
            end,
            epoch,
            offset,
        } => Frame::Splice {
            declared: *declared,
            seamless: *seamless,
            end: super::offset(*end),
            to: position(epoch, *offset),
        },
    }
}

/// What a receiver has of a feed that comes in parts of `split` octets; DATA that follows on DATA joined.
fn receive(input: &[u8], split: usize) -> (Vec<Frame>, Option<String>) {
    let (mut decoder, mut frames, mut error) = (Decoder::default(), Vec::new(), None);
    for part in input.chunks(split) {
        if let Err(ended) = decoder.feed(Bytes::copy_from_slice(part), &mut frames) {
            let id = match ended {
                FrameError::TooLong(_) => "R-FEED-3",
                FrameError::Malformed(_) => "R-FEED-4",
                FrameError::OutOfOrder(_) => "R-FEED-5",
                _ => "unknown",
            };
            error = Some(id.to_owned());
            break;
        }
    }
    (joined(frames), error)
}

fn joined(frames: Vec<Frame>) -> Vec<Frame> {
    let mut out: Vec<Frame> = Vec::new();
    for frame in frames {
        if let Frame::Data { bytes: more, .. } = &frame
            && let Some(Frame::Data { bytes, .. }) = out.last_mut()
        {
            *bytes = [bytes.as_ref(), more.as_ref()].concat().into();
        } else {
            out.push(frame);
        }
    }
    out
}

#[test]
fn feeds() {
    let file = vector::feeds().expect("relay-feed.json");
    all(&file.feeds, |input, expect| {
        let input = input.hex().expect("octets");
        let expect = expect.as_ref().expect("frames");
        let frames: Vec<_> = expect.frames.iter().map(frame).collect();
        if expect.canonical {
            let mut out = Vec::new();
            frames.iter().for_each(|frame| frame.encode(&mut out));
            assert!(out == input, "{frames:?} are written otherwise");
        }
        let got = receive(&input, usize::MAX);
        for split in [1, 7, 4096] {
            assert_eq!(receive(&input, split), got, "in parts of {split}");
        }
        (got, (joined(frames), expect.error.clone()))
    });
}
