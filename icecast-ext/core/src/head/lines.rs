//! The lines that requests and answers share. nom, on streams: what may still become a head is incomplete.

use nom::branch::alt;
use nom::bytes::streaming::{tag, take_while, take_while1};
use nom::combinator::value;
use nom::error::{ErrorKind, ParseError};
use nom::{Err, IResult, Needed, Parser};

use super::{Field, HeadError, MAX_FIELDS, MAX_HEAD, Version};

/// What nom carries for us.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused(HeadError);

impl<'a> ParseError<&'a [u8]> for Refused {
    fn from_error_kind(_: &'a [u8], _: ErrorKind) -> Self {
        Self(HeadError::Malformed("not a head"))
    }
    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

pub(super) type Parsed<'a, T> = IResult<&'a [u8], T, Refused>;

/// `parser`, with a reason if it fails.
pub(super) fn or<'a, O>(
    why: &'static str,
    mut parser: impl Parser<&'a [u8], Output = O, Error = Refused>,
) -> impl FnMut(&'a [u8]) -> Parsed<'a, O> {
    move |input| {
        parser.parse(input).map_err(|error| match error {
            Err::Incomplete(needed) => Err::Incomplete(needed),
            _ => malformed(why),
        })
    }
}

pub(super) const fn malformed(why: &'static str) -> Err<Refused> {
    Err::Failure(Refused(HeadError::Malformed(why)))
}

/// Runs a head's parser within [`MAX_HEAD`] bytes.
pub(super) fn bounded<'a, T>(
    input: &'a [u8],
    mut parser: impl FnMut(&'a [u8]) -> Parsed<'a, T>,
) -> Result<Option<(T, usize)>, HeadError> {
    let held = &input[..input.len().min(MAX_HEAD)];
    match parser(held) {
        Ok((rest, head)) => Ok(Some((head, held.len() - rest.len()))),
        Err(Err::Incomplete(_)) if input.len() < MAX_HEAD => Ok(None),
        Err(Err::Incomplete(_)) => Err(HeadError::TooLarge),
        Err(Err::Error(Refused(error)) | Err::Failure(Refused(error))) => Err(error),
    }
}

/// tchar = "!" / "#" / "$" / "%" / "&" / "'" / "*" / "+" / "-" / "." / "^" / "_" / "`" / "|" / "~" / DIGIT / ALPHA
pub(super) const fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#'
                | b'$'
                | b'%'
                | b'&'
                | b'\''
                | b'*'
                | b'+'
                | b'-'
                | b'.'
                | b'^'
                | b'_'
                | b'`'
                | b'|'
                | b'~'
        )
}

/// token = 1*tchar
pub(super) fn token(input: &[u8]) -> Parsed<'_, &str> {
    let (rest, token) = take_while1(is_tchar)(input)?;
    Ok((rest, text(token)?))
}

/// ASCII by the parser that took it.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Err<Refused>> {
    std::str::from_utf8(bytes).map_err(|_| malformed("not ASCII"))
}

/// HTTP-version = "HTTP/1." ( "0" / "1" )
pub(super) fn http_version(input: &[u8]) -> Parsed<'_, Version> {
    alt((
        value(Version::Http11, tag(&b"HTTP/1.1"[..])),
        value(Version::Http10, tag(&b"HTTP/1.0"[..])),
    ))
    .parse(input)
}

/// CRLF, told apart from what lenient parsers take for it.
pub(super) fn line_end(input: &[u8]) -> Parsed<'_, ()> {
    match input {
        [] | [b'\r'] => Err(Err::Incomplete(Needed::Unknown)),
        [b'\r', b'\n', rest @ ..] => Ok((rest, ())),
        [b'\r', ..] => Err(malformed("a bare CR")),
        [b'\n', ..] => Err(malformed("a bare LF")),
        [0, ..] => Err(malformed("a NUL")),
        _ => Err(malformed("a line that does not end where it should")),
    }
}

/// Anything but CR, LF and NUL.
pub(super) fn line_text(input: &[u8]) -> Parsed<'_, &[u8]> {
    take_while(|byte| !matches!(byte, b'\r' | b'\n' | 0)).parse(input)
}

/// ```abnf
/// field-line  = field-name ":" OWS field-value OWS CRLF
/// field-name  = token
/// field-value = *<any OCTET but CR, LF and NUL>
/// ```
fn field_line(input: &[u8]) -> Parsed<'_, Field<'_>> {
    match input.first() {
        Some(b' ' | b'\t') => return Err(malformed("a folded field line")),
        Some(b'\n') => return Err(malformed("a bare LF")),
        Some(0) => return Err(malformed("a NUL")),
        _ => {}
    }
    let (input, name) = or("a field line that does not begin with a name", token)(input)?;
    let (input, _) = or(
        "a field name that is not followed by a colon",
        tag(&b":"[..]),
    )(input)?;
    let (input, value) = line_text(input)?;
    let (input, ()) = line_end(input)?;
    Ok((
        input,
        Field {
            name,
            value: trim(value),
        },
    ))
}

/// Without OWS = *( SP / HTAB ) at both ends.
fn trim(mut value: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    value
}

/// fields = *field-line CRLF
pub(super) fn fields(mut input: &[u8]) -> Parsed<'_, Vec<Field<'_>>> {
    let mut fields = Vec::new();
    loop {
        match input.first() {
            None => return Err(Err::Incomplete(Needed::Unknown)),
            Some(b'\r') => {
                let (rest, ()) = line_end(input)?;
                return Ok((rest, fields));
            }
            Some(_) if fields.len() == MAX_FIELDS => {
                return Err(Err::Failure(Refused(HeadError::TooLarge)));
            }
            Some(_) => {
                let (rest, field) = field_line(input)?;
                fields.push(field);
                input = rest;
            }
        }
    }
}

/// Field lines alone, each with its CRLF, as a FORMAT frame holds them. At most [`MAX_FIELDS`].
///
/// # Errors
/// If `input` is not whole field lines.
pub fn field_lines(mut input: &[u8]) -> Result<Vec<Field<'_>>, HeadError> {
    let mut fields = Vec::new();
    while !input.is_empty() {
        if fields.len() == MAX_FIELDS {
            return Err(HeadError::TooLarge);
        }
        match field_line(input) {
            Ok((rest, field)) => {
                fields.push(field);
                input = rest;
            }
            Err(Err::Incomplete(_)) => {
                return Err(HeadError::Malformed("a field line without its end"));
            }
            Err(Err::Error(Refused(error)) | Err::Failure(Refused(error))) => return Err(error),
        }
    }
    Ok(fields)
}
