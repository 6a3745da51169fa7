//! `Range` and `Content-Range` (RFC 9110 section 14), for bytes and one range at a time.

use std::fmt;

use nom::branch::alt;
use nom::bytes::complete::{tag, tag_no_case};
use nom::character::complete::{char, digit1};
use nom::combinator::{all_consuming, map, map_res, opt, value, verify};
use nom::sequence::{delimited, preceded, separated_pair, terminated};
use nom::{IResult, Parser};

/// One range of bytes, as a request asks for it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Range {
    /// `first-last` or `first-`; both inclusive, `last` not below `first`.
    From {
        /// The first byte asked for.
        first: u64,
        /// The last; `None` for the end.
        last: Option<u64>,
    },
    /// `-n`: so many bytes at the end. May be zero.
    Suffix(u64),
}

/// What a 206 holds, or what a 416 could.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ContentRange {
    /// `bytes first-last/total`; `last` not below `first`, `total` above it, `None` where it is unknown (`*`).
    Bytes {
        /// The first byte of the body.
        first: u64,
        /// Its last byte.
        last: u64,
        /// The length of the whole.
        total: Option<u64>,
    },
    /// `bytes */total`
    Unsatisfied {
        /// The length of the whole.
        total: u64,
    },
}

impl Range {
    /// Parses a `Range` value. `None` for other units, several ranges, and what is malformed: RFC 9110 section 14.2 lets a
    /// server ignore the field.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        all_consuming(range)
            .parse(value)
            .ok()
            .map(|(_, range)| range)
    }
}

impl ContentRange {
    /// Parses a `Content-Range` value. `None` for other units and what is malformed.
    #[must_use]
    pub fn parse(value: &[u8]) -> Option<Self> {
        all_consuming(content_range)
            .parse(value)
            .ok()
            .map(|(_, range)| range)
    }
}

/// ```abnf
/// Range  = "bytes=" OWS ( first "-" [ last ] / "-" suffix ) OWS
/// ```
fn range(input: &[u8]) -> IResult<&[u8], Range> {
    let from = map(
        terminated(number, char('-')).and(opt(number)),
        |(first, last)| Range::From { first, last },
    );
    let from = verify(
        from,
        |range| !matches!(range, Range::From { first, last: Some(last) } if last < first),
    );
    let suffix = map(preceded(char('-'), number), Range::Suffix);
    preceded(
        tag_no_case(&b"bytes="[..]),
        delimited(ows, alt((from, suffix)), ows),
    )
    .parse(input)
}

/// ```abnf
/// Content-Range = "bytes" SP ( first "-" last "/" ( total / "*" ) / "*/" total )
/// ```
fn content_range(input: &[u8]) -> IResult<&[u8], ContentRange> {
    let total = alt((map(number, Some), value(None, char('*'))));
    let bytes = map(
        separated_pair(separated_pair(number, char('-'), number), char('/'), total),
        |((first, last), total)| ContentRange::Bytes { first, last, total },
    );
    let bytes = verify(bytes, |range| match range {
        ContentRange::Bytes { first, last, total } => {
            first <= last && total.is_none_or(|total| *last < total)
        }
        ContentRange::Unsatisfied { .. } => false,
    });
    let unsatisfied = map(preceded(tag(&b"*/"[..]), number), |total| {
        ContentRange::Unsatisfied { total }
    });
    preceded(tag_no_case(&b"bytes "[..]), alt((bytes, unsatisfied))).parse(input)
}

/// 1*DIGIT, within 64 bits
fn number(input: &[u8]) -> IResult<&[u8], u64> {
    map_res(map_res(digit1, std::str::from_utf8), str::parse).parse(input)
}

/// OWS = *( SP / HTAB )
fn ows(input: &[u8]) -> IResult<&[u8], &[u8]> {
    nom::character::complete::space0(input)
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::From {
                first,
                last: Some(last),
            } => write!(f, "bytes={first}-{last}"),
            Self::From { first, last: None } => write!(f, "bytes={first}-"),
            Self::Suffix(bytes) => write!(f, "bytes=-{bytes}"),
        }
    }
}

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes {
                first,
                last,
                total: Some(total),
            } => write!(f, "bytes {first}-{last}/{total}"),
            Self::Bytes {
                first,
                last,
                total: None,
            } => write!(f, "bytes {first}-{last}/*"),
            Self::Unsatisfied { total } => write!(f, "bytes */{total}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_single_ranges() {
        assert_eq!(
            Range::parse(b"bytes=0-"),
            Some(Range::From {
                first: 0,
                last: None
            })
        );
        assert_eq!(
            Range::parse(b"Bytes= 5-5 "),
            Some(Range::From {
                first: 5,
                last: Some(5)
            })
        );
        assert_eq!(Range::parse(b"bytes=-0"), Some(Range::Suffix(0)));
    }

    #[test]
    fn ignores_what_is_not_one_range_of_bytes() {
        for bad in [
            "",
            "bytes",
            "bytes=",
            "bytes=-",
            "bytes=2-1",
            "bytes=0-1,3-4",
            "bytes=a-",
            "items=0-",
            "bytes=99999999999999999999-",
        ] {
            assert_eq!(Range::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn reads_content_ranges() {
        let bytes = |first, last, total| Some(ContentRange::Bytes { first, last, total });
        assert_eq!(ContentRange::parse(b"bytes 0-9/10"), bytes(0, 9, Some(10)));
        assert_eq!(ContentRange::parse(b"bytes 0-9/*"), bytes(0, 9, None));
        assert_eq!(
            ContentRange::parse(b"bytes */10"),
            Some(ContentRange::Unsatisfied { total: 10 })
        );
        for bad in [
            "bytes 0-10/10",
            "bytes 2-1/10",
            "bytes */*",
            "bytes=0-1/2",
            "0-1/2",
            "bytes 0-/3",
        ] {
            assert_eq!(ContentRange::parse(bad.as_bytes()), None, "{bad}");
        }
    }
}
