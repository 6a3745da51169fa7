//! `Link: <…>; rel=duplicate` (RFC 8288, RFC 6249): other relays of the stream.

use nom::branch::alt;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::character::complete::{anychar, char, none_of, space0};
use nom::combinator::{map, opt, recognize};
use nom::multi::many0_count;
use nom::sequence::{delimited, preceded};
use nom::{IResult, Parser};

/// No more targets are taken from a field, nor written into one.
pub const MAX_DUPLICATES: usize = 32;
/// No longer target is taken.
const MAX_TARGET: usize = 2048;

/// The targets of `Link: <…>; rel=duplicate` (RFC 8288, RFC 6249), unresolved, in order. Other relations and malformed
/// members are skipped, and what comes after [`MAX_DUPLICATES`].
#[must_use]
pub fn duplicates(value: &[u8]) -> Vec<String> {
    let mut out = Vec::new();
    let Ok(mut input) = std::str::from_utf8(value) else {
        return out;
    };
    while out.len() < MAX_DUPLICATES {
        if let Ok((rest, (target, parameters))) = link(input)
            && is_end(rest)
        {
            if names_duplicate(&parameters) && usable(target) {
                out.push(target.to_owned());
            }
            input = rest;
        } else if let Ok((rest, _)) = skip(input) {
            input = rest;
        }
        match input.strip_prefix(',') {
            Some(rest) => input = rest,
            None => break,
        }
    }
    out
}

/// A `Link` field value that names other relays of the stream. What is not a URI reference is left out, and what comes
/// after [`MAX_DUPLICATES`].
#[must_use]
pub fn encode_duplicates<'a>(targets: impl IntoIterator<Item = &'a str>) -> String {
    let members: Vec<_> = targets
        .into_iter()
        .filter(|target| usable(target))
        .take(MAX_DUPLICATES)
        .map(|target| format!("<{target}>; rel=duplicate"))
        .collect();
    members.join(", ")
}

type Parameter<'a> = (&'a str, Option<&'a str>);

fn is_end(rest: &str) -> bool {
    rest.is_empty() || rest.starts_with(',')
}

/// The first `rel` counts (RFC 8288 section 3.3). An `anchor` makes it a statement about something else.
fn names_duplicate(parameters: &[Parameter<'_>]) -> bool {
    let of = |name: &str| {
        parameters
            .iter()
            .find(|parameter| parameter.0.eq_ignore_ascii_case(name))
    };
    let Some((_, Some(relations))) = of("rel") else {
        return false;
    };
    of("anchor").is_none()
        && relations
            .split(' ')
            .any(|relation| relation.eq_ignore_ascii_case("duplicate"))
}

/// The characters of a URI reference (RFC 3986).
fn usable(target: &str) -> bool {
    (1..=MAX_TARGET).contains(&target.len())
        && target.bytes().all(|byte| {
            byte.is_ascii_graphic()
                && !matches!(
                    byte,
                    b'<' | b'>' | b'"' | b'\\' | b'^' | b'`' | b'{' | b'|' | b'}'
                )
        })
}

/// link-value = OWS "<" URI-Reference ">" *( OWS ";" [ OWS link-param ] ) OWS
fn link(input: &str) -> IResult<&str, (&str, Vec<Parameter<'_>>)> {
    let (input, _) = space0(input)?;
    let (mut input, target) =
        delimited(char('<'), take_while(|c| c != '>'), char('>')).parse(input)?;
    let mut parameters = Vec::new();
    loop {
        let (rest, semicolon) = preceded(space0, opt(char(';'))).parse(input)?;
        if semicolon.is_none() {
            return Ok((rest, (target, parameters)));
        }
        let (rest, parameter) = opt(preceded(space0, parameter)).parse(rest)?;
        parameters.extend(parameter);
        input = rest;
    }
}

/// link-param = token BWS [ "=" BWS ( token / quoted-string ) ]
fn parameter(input: &str) -> IResult<&str, Parameter<'_>> {
    let (input, name) = token(input)?;
    let (input, value) =
        opt(preceded((space0, tag("="), space0), alt((quoted, token)))).parse(input)?;
    Ok((input, (name, value)))
}

/// token = 1*tchar
fn token(input: &str) -> IResult<&str, &str> {
    take_while1(|c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~:/".contains(c))(input)
}

/// quoted-string = DQUOTE *( qdtext / quoted-pair ) DQUOTE; what is between the quotes, pairs as they stand
fn quoted(input: &str) -> IResult<&str, &str> {
    let text = recognize(many0_count(alt((
        preceded(char('\\'), anychar),
        none_of("\"\\"),
    ))));
    delimited(char('"'), text, char('"')).parse(input)
}

/// Everything up to a comma that is neither between angle brackets nor quoted.
fn skip(input: &str) -> IResult<&str, ()> {
    let angled = recognize(delimited(char('<'), take_while(|c| c != '>'), char('>')));
    let one = recognize(none_of(","));
    map(
        many0_count(alt((recognize((char('"'), quoted_rest)), angled, one))),
        drop,
    )
    .parse(input)
}

/// The rest of a quoted-string after its first quote.
fn quoted_rest(input: &str) -> IResult<&str, &str> {
    recognize((
        many0_count(alt((preceded(char('\\'), anychar), none_of("\"\\")))),
        char('"'),
    ))
    .parse(input)
}
