//! The chunked transfer coding (RFC 9112 section 7.1), for sources that PUT with it.

use nom::bytes::complete::{tag, take_while_m_n};
use nom::character::complete::space0;
use nom::combinator::{all_consuming, map_res, opt, rest};
use nom::{IResult, Parser};

/// The longest line of a chunk's size and extensions, and the longest trailer section, in bytes.
pub const MAX_LINE: usize = 4096;

/// Decodes a chunked body, in any split. Holds at most [`MAX_LINE`] bytes.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    line: Vec<u8>,
    trailer: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Size,
    Data(u64),
    DataEnd,
    Trailer,
    Done,
    Failed(&'static str),
}

/// The body is not chunked as it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("chunked body: {0}")]
pub struct ChunkedError(pub &'static str);

impl Decoder {
    /// Where it is, for another process.
    #[must_use]
    pub fn save(&self) -> Vec<u8> {
        let (state, left) = match self.state {
            State::Size => (0, 0),
            State::Data(left) => (1, left),
            State::DataEnd => (2, 0),
            State::Trailer => (3, 0),
            State::Done => (4, 0),
            State::Failed(_) => (5, 0),
        };
        let mut out = vec![state];
        out.extend_from_slice(&left.to_be_bytes());
        out.extend_from_slice(&(self.trailer as u64).to_be_bytes());
        out.extend_from_slice(&self.line);
        out
    }

    /// What [`Decoder::save`] gave; `None` for anything else.
    #[must_use]
    pub fn restore(saved: &[u8]) -> Option<Self> {
        let ([state], rest) = saved.split_first_chunk()?;
        let (left, rest) = rest.split_first_chunk()?;
        let (trailer, line) = rest.split_first_chunk()?;
        let (left, trailer) = (u64::from_be_bytes(*left), u64::from_be_bytes(*trailer));
        let trailer = usize::try_from(trailer).ok().filter(|n| *n <= MAX_LINE)?;
        let state = match (state, left) {
            (0, 0) => State::Size,
            (1, 1..) => State::Data(left),
            (2, 0) => State::DataEnd,
            (3, 0) => State::Trailer,
            (4, 0) => State::Done,
            (5, 0) => State::Failed("it was malformed before"),
            _ => return None,
        };
        (line.len() <= MAX_LINE).then(|| Self {
            state,
            line: line.to_vec(),
            trailer,
        })
    }

    /// Feeds `input`, appends the payload to `out`, returns true once the last chunk and its trailer are complete. What
    /// comes after them is ignored.
    ///
    /// # Errors
    /// The first error stays. What was appended to `out` before it is payload.
    pub fn feed(&mut self, mut input: &[u8], out: &mut Vec<u8>) -> Result<bool, ChunkedError> {
        loop {
            let step = match self.state {
                State::Failed(why) => return Err(ChunkedError(why)),
                State::Done => return Ok(true),
                _ if input.is_empty() => return Ok(false),
                State::Data(left) => {
                    let here =
                        usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
                    let (data, rest) = input.split_at(here);
                    out.extend_from_slice(data);
                    input = rest;
                    match left - here as u64 {
                        0 => Ok(State::DataEnd),
                        left => Ok(State::Data(left)),
                    }
                }
                state => match self.line(&mut input) {
                    Ok(false) => return Ok(false),
                    Ok(true) => self.end_of_line(state),
                    Err(error) => Err(error),
                },
            };
            match step {
                Ok(state) => self.state = state,
                Err(ChunkedError(why)) => self.state = State::Failed(why),
            }
        }
    }

    /// Takes the rest of a line; true once `self.line` is one, without its CRLF.
    fn line(&mut self, input: &mut &[u8]) -> Result<bool, ChunkedError> {
        let (here, ended) = match memchr::memchr(b'\n', input) {
            Some(at) => (at + 1, true),
            None => (input.len(), false),
        };
        if self.line.len() + self.trailer + here > MAX_LINE {
            return Err(ChunkedError("a line that is too long"));
        }
        let (line, rest) = input.split_at(here);
        self.line.extend_from_slice(line);
        *input = rest;
        if !ended {
            return Ok(false);
        }
        let Some(line) = self.line.strip_suffix(b"\r\n") else {
            return Err(ChunkedError("a bare LF"));
        };
        if line.iter().any(|byte| matches!(byte, b'\r' | 0)) {
            return Err(ChunkedError("a bare CR or a NUL"));
        }
        self.line.truncate(line.len());
        Ok(true)
    }

    fn end_of_line(&mut self, state: State) -> Result<State, ChunkedError> {
        let line = std::mem::take(&mut self.line);
        match state {
            State::Size => match all_consuming(size).parse(&line) {
                Ok((_, 0)) => Ok(State::Trailer),
                Ok((_, left)) => Ok(State::Data(left)),
                Err(_) => Err(ChunkedError("a size that is not hexadecimal, or too large")),
            },
            State::DataEnd if line.is_empty() => Ok(State::Size),
            State::DataEnd => Err(ChunkedError("a chunk that is longer than its size")),
            _ if line.is_empty() => Ok(State::Done),
            state => {
                self.trailer += line.len() + 2;
                Ok(state)
            }
        }
    }
}

/// `chunk-size = 1*15HEXDIG`, then extensions, which are not read: `[ BWS ";" *OCTET ]`. 15 digits are less than 2^60.
fn size(line: &[u8]) -> IResult<&[u8], u64> {
    let digits = take_while_m_n(1, 15, |byte: u8| byte.is_ascii_hexdigit());
    let size = map_res(map_res(digits, std::str::from_utf8), |digits| {
        u64::from_str_radix(digits, 16)
    });
    let extensions = (space0, opt((tag(&b";"[..]), rest)));
    (size, extensions).map(|(size, _)| size).parse(line)
}

/// Appends a chunk; nothing for an empty payload, which would end the body.
pub fn encode(payload: &[u8], out: &mut Vec<u8>) {
    if !payload.is_empty() {
        out.extend_from_slice(format!("{:x}\r\n", payload.len()).as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    }
}

/// Appends the last chunk and an empty trailer.
pub fn end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn decode(input: &[u8]) -> Result<Option<Vec<u8>>, ChunkedError> {
        let mut out = Vec::new();
        let done = Decoder::default().feed(input, &mut out)?;
        Ok(done.then_some(out))
    }

    #[test]
    fn reads_extensions_and_trailers() {
        let body = b"3;name=\"a;b\"\r\nabc\r\n00A ; x\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\nrest";
        assert_eq!(decode(body), Ok(Some(b"abc0123456789".to_vec())));
    }

    #[test]
    fn refuses_what_two_parsers_would_read_differently() {
        for bad in [
            "\r\n",
            "x\r\n",
            "-1\r\n",
            "+1\r\na\r\n",
            "0x1\r\na\r\n",
            " 1\r\na\r\n",
            "1 a\r\n",
            "1\na\r\n",
            "1\r\nab\r\n",
            "1\r\na\n",
            "1;\0\r\n",
            "1;\r\r\n",
            "ffffffffffffffff\r\n",
            "10000000000000000\r\n",
            "0\r\n\n",
        ] {
            assert!(decode(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_decoder_that_is_saved_and_restored_between_any_two_bytes_goes_on() {
        let body = b"3;name=\"a;b\"\r\nabc\r\n00A ; x\r\n0123456789\r\n0\r\nTrailer: x\r\n\r\n";
        for at in 0..=body.len() {
            let (mut out, mut decoder) = (Vec::new(), Decoder::default());
            decoder.feed(&body[..at], &mut out).unwrap();
            let mut decoder = Decoder::restore(&decoder.save()).unwrap();
            assert!(decoder.feed(&body[at..], &mut out).unwrap());
            assert_eq!(out, b"abc0123456789");
        }
        for bad in [&b""[..], &[9; 17], &[0; 16], &[1; 5000]] {
            assert!(Decoder::restore(bad).is_none(), "{bad:?}");
        }
    }

    #[test]
    fn bounds_lines_and_trailers() {
        let extension = format!("1;{}", "x".repeat(MAX_LINE));
        assert!(decode(extension.as_bytes()).is_err());
        let trailer = format!("0\r\n{}", "a: b\r\n".repeat(MAX_LINE / 6 + 1));
        assert!(decode(trailer.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_payload(
            chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..8),
            cuts in prop::collection::vec(1usize..40, 1..50),
        ) {
            let mut body = Vec::new();
            for chunk in &chunks {
                encode(chunk, &mut body);
            }
            end(&mut body);
            let (mut decoder, mut out, mut rest) = (Decoder::default(), Vec::new(), &body[..]);
            let mut cuts = cuts.iter().cycle();
            while !rest.is_empty() {
                let (part, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                rest = after;
                prop_assert_eq!(decoder.feed(part, &mut out), Ok(rest.is_empty()));
            }
            prop_assert_eq!(out, chunks.concat());
        }

        #[test]
        fn any_split_gives_the_same_error(bytes in prop::collection::vec(prop::sample::select(b"0123af;\r\nx".to_vec()), 0..60), at in any::<prop::sample::Index>()) {
            let (mut whole, mut split) = (Vec::new(), Vec::new());
            let expected = Decoder::default().feed(&bytes, &mut whole);
            let (left, right) = bytes.split_at(at.index(bytes.len() + 1));
            let mut decoder = Decoder::default();
            let _ = decoder.feed(left, &mut split);
            prop_assert_eq!(decoder.feed(right, &mut split), expected);
            prop_assert_eq!(split, whole);
        }
    }
}
