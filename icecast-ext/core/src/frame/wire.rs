//! Frames as bytes, one at a time.

use bytes::Bytes;
use nom::bytes::streaming::take;
use nom::combinator::{map, map_opt};
use nom::number::streaming::u8 as octet;
use nom::{Err, IResult, Parser};

use super::{Frame, FrameError, MAX_DATA, MAX_FRAME};
use crate::address::{Epoch, Offset, Position};
use crate::head::field_lines;
use crate::icy::MAX_BLOCK;

pub(super) const FORMAT: u64 = 0;
pub(super) const PRELUDE: u64 = 1;
pub(super) const DATA: u64 = 2;
pub(super) const TITLE: u64 = 3;
pub(super) const TIME: u64 = 4;
pub(super) const KEEPALIVE: u64 = 5;
pub(super) const SPLICE: u64 = 6;

/// The largest number that a varint holds.
const MAX_VARINT: u64 = (1 << 62) - 1;
/// The longest value of a FORMAT frame.
const MAX_FORMAT: u64 = 1 << 16;
/// The longest varint.
const VARINT: u64 = 8;
/// Of SPLICE.
const DECLARED: u8 = 1;
const SEAMLESS: u8 = 2;

/// What comes before a value; of DATA also the offset, since its bytes are handed on as they come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Head {
    Data { offset: Offset, len: u64 },
    Other { kind: u64, len: usize },
    Unknown { len: u64 },
}

/// varint = %x00-3F / %x40-7F OCTET / %x80-BF 3OCTET / %xC0-FF 7OCTET
fn varint(input: &[u8]) -> IResult<&[u8], u64> {
    let (rest, first) = octet(input)?;
    let (rest, more) = take((1usize << (first >> 6)) - 1).parse(rest)?;
    let value = more.iter().fold(u64::from(first & 0x3f), |value, &byte| {
        value << 8 | u64::from(byte)
    });
    Ok((rest, value))
}

/// at = varint, an offset
fn at(input: &[u8]) -> IResult<&[u8], Offset> {
    map_opt(varint, Offset::new).parse(input)
}

/// epoch-16 = 16OCTET
fn epoch(input: &[u8]) -> IResult<&[u8], Epoch> {
    map_opt(take(16usize), |bytes: &[u8]| {
        bytes.try_into().ok().map(Epoch::from_bytes)
    })
    .parse(input)
}

/// frame = type length value, as far as [`Head`] goes. `Ok(None)`: more bytes are needed. At most 24 bytes.
pub(super) fn head(input: &[u8]) -> Result<Option<(Head, usize)>, FrameError> {
    // A varint cannot fail but for want of bytes.
    let Ok((rest, (kind, len))) = (varint, varint).parse(input) else {
        return Ok(None);
    };
    if len > MAX_FRAME {
        return Err(FrameError::TooLong(len));
    }
    let most = match kind {
        FORMAT => MAX_FORMAT,
        PRELUDE => MAX_FRAME,
        DATA => MAX_DATA + VARINT,
        TITLE => MAX_BLOCK as u64 + VARINT,
        TIME => 2 * VARINT,
        KEEPALIVE => VARINT,
        SPLICE => 1 + 16 + 2 * VARINT,
        _ => return Ok(Some((Head::Unknown { len }, input.len() - rest.len()))),
    };
    if len > most || len == 0 {
        return Err(FrameError::Malformed(
            "a frame that is longer or shorter than its type can be",
        ));
    }
    if kind != DATA {
        let len = usize::try_from(len).map_err(|_| FrameError::TooLong(len))?;
        return Ok(Some((Head::Other { kind, len }, input.len() - rest.len())));
    }
    // The offset may not reach into the next frame, whether or not that is there already.
    let here = usize::try_from(len).map_or(rest.len(), |len| len.min(rest.len()));
    let whole = rest.len() as u64 >= len;
    match at(&rest[..here]) {
        Ok((left, offset)) => {
            let after = &rest[here - left.len()..];
            let len = len.saturating_sub((rest.len() - after.len()) as u64);
            if len == 0 || len > MAX_DATA {
                return Err(FrameError::Malformed("DATA of no bytes, or too many"));
            }
            if offset.checked_add(len).is_none() {
                return Err(FrameError::Malformed("DATA beyond the largest offset"));
            }
            Ok(Some((
                Head::Data { offset, len },
                input.len() - after.len(),
            )))
        }
        Err(Err::Incomplete(_)) if !whole => Ok(None),
        Err(_) => Err(FrameError::Malformed(
            "DATA beyond the largest offset, or without one",
        )),
    }
}

/// The frame of a value that is whole. `kind` is a type that [`head`] knows, other than DATA.
pub(super) fn value(kind: u64, value: &Bytes) -> Result<Frame, FrameError> {
    let why = match kind {
        FORMAT => "FORMAT is not epoch, offset, tick and field lines",
        PRELUDE => "PRELUDE is not an offset and bytes",
        TITLE => "TITLE is not an offset and at most 4080 bytes",
        TIME => "TIME is not an offset and a time",
        KEEPALIVE => "KEEPALIVE is not an offset",
        _ => "SPLICE is not flags, an offset and a position",
    };
    let malformed = FrameError::Malformed(why);
    let parsed = match kind {
        FORMAT => map((epoch, at, varint), |(epoch, offset, tick)| Frame::Format {
            epoch,
            offset,
            tick_ms: u32::try_from(tick).unwrap_or(u32::MAX),
            fields: Bytes::new(),
        })
        .parse(value),
        PRELUDE => map(at, |at| Frame::Prelude {
            at,
            bytes: Bytes::new(),
        })
        .parse(value),
        TITLE => map(at, |at| Frame::Title {
            at,
            text: Bytes::new(),
        })
        .parse(value),
        TIME => map((at, varint), |(at, ms)| Frame::Time { at, ms }).parse(value),
        KEEPALIVE => map(at, |next| Frame::Keepalive { next }).parse(value),
        _ => map((octet, at, epoch, at), |(flags, end, epoch, offset)| {
            Frame::Splice {
                declared: flags & DECLARED != 0,
                seamless: flags & (DECLARED | SEAMLESS) == DECLARED | SEAMLESS,
                end,
                to: Position::new(epoch, offset),
            }
        })
        .parse(value),
    };
    let Ok((rest, mut frame)) = parsed else {
        return Err(malformed);
    };
    let rest = value.slice(value.len() - rest.len()..);
    match &mut frame {
        Frame::Format { fields, .. } if field_lines(&rest).is_ok() => *fields = rest,
        Frame::Prelude { bytes, .. } => *bytes = rest,
        Frame::Title { text, .. } if rest.len() <= MAX_BLOCK => *text = rest,
        Frame::Time { .. } | Frame::Keepalive { .. } | Frame::Splice { .. } if rest.is_empty() => {}
        _ => return Err(malformed),
    }
    Ok(frame)
}

/// See [`Frame::decode`].
pub(super) fn decode(input: &Bytes) -> Result<Option<(Option<Frame>, usize)>, FrameError> {
    let Some((head, begin)) = head(input)? else {
        return Ok(None);
    };
    let len = match head {
        Head::Data { len, .. } | Head::Unknown { len } => {
            usize::try_from(len).map_err(|_| FrameError::TooLong(len))?
        }
        Head::Other { len, .. } => len,
    };
    if input.len() - begin < len {
        return Ok(None);
    }
    let bytes = input.slice(begin..begin + len);
    let frame = match head {
        Head::Data { offset, .. } => Some(Frame::Data { offset, bytes }),
        Head::Other { kind, .. } => Some(value(kind, &bytes)?),
        Head::Unknown { .. } => None,
    };
    Ok(Some((frame, begin + len)))
}

fn put(value: u64, out: &mut Vec<u8>) {
    let value = value.min(MAX_VARINT);
    let bytes = value.to_be_bytes();
    let (prefix, len) = match value {
        0..0x40 => (0, 1),
        0x40..0x4000 => (0x40, 2),
        0x4000..0x4000_0000 => (0x80, 4),
        _ => (0xc0, 8),
    };
    let begin = out.len();
    out.extend_from_slice(&bytes[8 - len..]);
    out[begin] |= prefix;
}

const fn width(value: u64) -> u64 {
    match value {
        0..0x40 => 1,
        0x40..0x4000 => 2,
        0x4000..0x4000_0000 => 4,
        _ => 8,
    }
}

pub(super) fn data_head(offset: Offset, len: u64, out: &mut Vec<u8>) {
    put(DATA, out);
    put(width(offset.get()).saturating_add(len), out);
    put(offset.get(), out);
}

/// See [`Frame::encode`].
pub(super) fn encode(frame: &Frame, out: &mut Vec<u8>) {
    let at = |at: Offset, out: &mut Vec<u8>| put(at.get(), out);
    let head = |kind: u64, len: u64, out: &mut Vec<u8>| {
        put(kind, out);
        put(len, out);
    };
    match frame {
        Frame::Format {
            epoch,
            offset,
            tick_ms,
            fields,
        } => {
            let tick = u64::from(*tick_ms);
            head(
                FORMAT,
                16 + width(offset.get()) + width(tick) + fields.len() as u64,
                out,
            );
            out.extend_from_slice(epoch.as_bytes());
            at(*offset, out);
            put(tick, out);
            out.extend_from_slice(fields);
        }
        Frame::Data { offset, bytes } => {
            data_head(*offset, bytes.len() as u64, out);
            out.extend_from_slice(bytes);
        }
        Frame::Prelude { at: from, bytes } => {
            head(PRELUDE, width(from.get()) + bytes.len() as u64, out);
            at(*from, out);
            out.extend_from_slice(bytes);
        }
        Frame::Title { at: from, text } => {
            head(TITLE, width(from.get()) + text.len() as u64, out);
            at(*from, out);
            out.extend_from_slice(text);
        }
        Frame::Time { at: from, ms } => {
            head(TIME, width(from.get()) + width(*ms), out);
            at(*from, out);
            put(*ms, out);
        }
        Frame::Keepalive { next } => {
            head(KEEPALIVE, width(next.get()), out);
            at(*next, out);
        }
        Frame::Splice {
            declared,
            seamless,
            end,
            to,
        } => {
            head(
                SPLICE,
                1 + width(end.get()) + 16 + width(to.offset.get()),
                out,
            );
            let flag = |set: bool, bit| if set { bit } else { 0 };
            out.push(flag(*declared, DECLARED) | flag(*seamless, SEAMLESS));
            at(*end, out);
            out.extend_from_slice(to.epoch.as_bytes());
            at(to.offset, out);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(input: &[u8]) -> Result<Option<(Option<Frame>, usize)>, FrameError> {
        decode(&Bytes::copy_from_slice(input))
    }

    #[test]
    fn checks_lengths_before_anything_is_stored() {
        let long =
            |kind: u8, len: u64| read(&[&[kind][..], &(len | 0xc0 << 56).to_be_bytes()].concat());
        assert_eq!(
            long(1, MAX_FRAME + 1),
            Err(FrameError::TooLong(MAX_FRAME + 1))
        );
        assert_eq!(long(42, MAX_VARINT), Err(FrameError::TooLong(MAX_VARINT)));
        for (kind, len) in [
            (0, MAX_FORMAT),
            (1, MAX_FRAME),
            (2, MAX_DATA + 8),
            (3, 4088),
            (4, 16),
            (5, 8),
            (6, 33),
            (42, MAX_FRAME),
        ] {
            assert_eq!(long(kind, len), Ok(None), "{kind} {len}");
        }
        for (kind, len) in [
            (0, MAX_FORMAT + 1),
            (2, MAX_DATA + 9),
            (3, 4089),
            (4, 17),
            (5, 9),
            (6, 34),
            (0, 0),
            (2, 0),
            (5, 0),
        ] {
            assert!(
                matches!(long(kind, len), Err(FrameError::Malformed(_))),
                "{kind} {len}"
            );
        }
    }

    #[test]
    fn refuses_values_that_are_not_as_their_type_says() {
        let far = ((Offset::MAX.get() + 1) | 0xc0 << 56).to_be_bytes();
        let last = (Offset::MAX.get() | 0xc0 << 56).to_be_bytes();
        let epoch = [7; 16];
        let cases: &[(u8, &[&[u8]])] = &[
            (0, &[&[7; 15]]),
            (0, &[&epoch, &far, &[0]]),
            (0, &[&epoch, b"\0\0Content-Type: a\r\n\r\n"]),
            (0, &[&epoch, b"\0\0A : b\r\n"]),
            (0, &[&epoch, b"\0\0A: b"]),
            (0, &[&epoch, b"\0\0A: b\nC: d\r\n"]),
            (1, &[&far]),
            (2, &[&far, b"x"]),
            (2, &[&last, b"xx"]),
            (2, &[&[0]]),
            (2, &[&[0x40]]),
            (3, &[&[0x40]]),
            (4, &[&[0]]),
            (4, &[&[0, 0, 0]]),
            (5, &[&[0, 0]]),
            (6, &[&[1, 0]]),
            (6, &[&[1, 0], &epoch, &[0, 0]]),
            (6, &[&[1], &far, &epoch, &[0]]),
        ];
        for (kind, parts) in cases {
            let value = parts.concat();
            let mut frame = vec![*kind, u8::try_from(value.len()).unwrap()];
            frame.extend(value);
            frame.extend([0; 16]);
            assert!(
                matches!(read(&frame), Err(FrameError::Malformed(_))),
                "{kind} {parts:?}: {:?}",
                read(&frame)
            );
        }
    }

    #[test]
    fn numbers_need_not_be_as_short_as_possible() {
        let long = b"\x40\x05\x80\0\0\x04\x80\0\0\x09";
        let frame = Frame::Keepalive {
            next: Offset::new(9).unwrap(),
        };
        assert_eq!(read(long), Ok(Some((Some(frame), long.len()))));
    }
}
