//! Heads of requests, read strictly (R-HEAD-1, R-HEAD-2, R-HEAD-5, R-HEAD-6).

use crate::http::latin;

/// A head is no longer than this.
const LONGEST: usize = 8192;
/// Nor has it more field lines.
const MOST: usize = 64;
/// Fields that stand once.
const ONCE: [&str; 6] = [
    "host",
    "authorization",
    "content-length",
    "transfer-encoding",
    "range",
    "resume-offset",
];

/// A request.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestHead {
    /// In capitals.
    pub method: String,
    /// Decoded, without the query.
    pub path: String,
    /// As sent.
    pub query: Option<String>,
    /// `HTTP/1.0` or `HTTP/1.1`; `ICE/1.0` of old sources.
    pub version: String,
    /// Names as sent, values without white space around them.
    pub fields: Vec<(String, String)>,
}

/// What a head is answered instead.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Refused(pub(crate) u16, pub(crate) String);

fn bad(why: &str) -> Refused {
    Refused(400, format!("{why}\n"))
}

/// Of which rules of the protocol's list a reader makes an exception: the reference server with a bug.
pub(super) type Lenient = Option<&'static str>;

impl RequestHead {
    /// Reads a head; its length. `None`: more has to come.
    ///
    /// # Errors
    /// The answer to a head that can be read in two ways, or is too large.
    pub(super) fn parse(octets: &[u8], lenient: Lenient) -> Result<Option<(Self, usize)>, Refused> {
        let is = |bug: &str| lenient == Some(bug);
        let mut lines = Vec::new();
        let mut rest = octets;
        let length = loop {
            let Some(end) = rest
                .iter()
                .position(|c| matches!(c, b'\n' | 0) || (*c == b'\r' && rest.len() > 1))
            else {
                if octets.len() > LONGEST && !is("endless-heads") {
                    return Err(Refused(431, "The head is too large.\n".to_owned()));
                }
                return Ok(None);
            };
            let bare = is("bare-line-feeds") || is("lenient-to-others") && !asks(octets);
            match (&rest[end..], bare) {
                ([b'\r', b'\n', ..], _) => {
                    lines.push(latin(&rest[..end]));
                    rest = &rest[end + 2..];
                }
                ([b'\r'], _) => return Ok(None),
                ([b'\n', ..], true) => {
                    lines.push(latin(&rest[..end]));
                    rest = &rest[end + 1..];
                }
                _ => {
                    return Err(bad(
                        "A line of the head does not end in CR LF, or has a NUL.",
                    ));
                }
            }
            let many = lines.len() > MOST + 2 || octets.len() - rest.len() > LONGEST;
            if many && !is("endless-heads") {
                return Err(Refused(431, "The head is too large.\n".to_owned()));
            }
            if lines.last().is_some_and(String::is_empty) {
                break octets.len() - rest.len();
            }
        };
        let (method, target, version) = request_line(&lines[0])?;
        let mut fields = Vec::new();
        for line in &lines[1..lines.len() - 1] {
            fields.push(field(line)?);
        }
        check(&fields, version, is("several-resume-lines"))?;
        let (path, query) = match target.split_once('?') {
            Some((path, query)) => (path, Some(query.to_owned())),
            None => (target, None),
        };
        // The absolute form names the server, too.
        let path = match path.strip_prefix("http://") {
            Some(rest) => rest.find('/').map_or("/", |slash| &rest[slash..]),
            None => path,
        };
        let head = Self {
            method: method.to_owned(),
            path: decode(path, is("dot-segments"))?,
            query,
            version: version.to_owned(),
            fields,
        };
        Ok(Some((head, length)))
    }

    /// The value of a field; of several lines the first.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&str> {
        let found = self
            .fields
            .iter()
            .find(|(field, _)| field.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// Whether a field has a value, in a list or alone.
    #[must_use]
    pub fn names(&self, name: &str, value: &str) -> bool {
        let mut lines = self
            .fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        lines.any(|(_, line)| {
            line.split(',').any(|part| {
                let part = part.split(';').next().unwrap_or_default();
                part.trim().eq_ignore_ascii_case(value)
            })
        })
    }
}

/// Whether a head asks for something of the protocol, as far as it has come.
fn asks(octets: &[u8]) -> bool {
    let head = latin(octets);
    let mut lines = head.split(['\r', '\n']);
    let first = lines.next().unwrap_or_default();
    let mut forms = ["?_resume=", "&_resume=", "?_shift=", "&_shift="].iter();
    let names = ["resume-offset", "resume-anchor"];
    let named = |line: &str| {
        let line = line.to_ascii_lowercase();
        names.iter().any(|name| line.starts_with(name))
    };
    forms.any(|form| first.contains(form)) || lines.any(named)
}

fn request_line(line: &str) -> Result<(&str, &str, &str), Refused> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(bad("The request line is not method, target, version."));
    };
    if method.is_empty() || !method.bytes().all(|c| c.is_ascii_uppercase()) {
        return Err(bad("The method is not in capitals."));
    }
    if target.is_empty() || !target.bytes().all(|c| (b'!'..=b'~').contains(&c)) {
        return Err(bad(
            "The target is empty, or has characters that are not allowed.",
        ));
    }
    let known =
        matches!(version, "HTTP/1.0" | "HTTP/1.1") || version == "ICE/1.0" && method == "SOURCE";
    match known {
        true => Ok((method, target, version)),
        false => Err(bad("The version is not known.")),
    }
}

fn is_token(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c)
}

fn field(line: &str) -> Result<(String, String), Refused> {
    let (name, value) = line
        .split_once(':')
        .ok_or_else(|| bad("A field line has no colon."))?;
    if name.is_empty() || !name.bytes().all(is_token) || name.chars().any(|c| u32::from(c) > 126) {
        return Err(bad("The name of a field is not a token."));
    }
    Ok((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()))
}

fn check(fields: &[(String, String)], version: &str, several: bool) -> Result<(), Refused> {
    let all = |name: &str| -> Vec<&str> {
        let same = fields
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        same.map(|(_, value)| value.as_str()).collect()
    };
    for name in ONCE {
        if all(name).len() > 1 && !(several && name == "resume-offset") {
            return Err(bad(&format!("There are several lines of {name}.")));
        }
    }
    let (length, coding) = (all("content-length"), all("transfer-encoding"));
    if length
        .iter()
        .any(|text| !text.bytes().all(|c| c.is_ascii_digit()) || text.parse::<u64>().is_err())
    {
        return Err(bad("Content-Length is no number."));
    }
    if let Some(coding) = coding.first()
        && (!coding.eq_ignore_ascii_case("chunked") || version != "HTTP/1.1" || !length.is_empty())
    {
        return Err(bad("The Transfer-Encoding cannot be."));
    }
    Ok(())
}

/// Decodes a path once.
fn decode(path: &str, dots: bool) -> Result<String, Refused> {
    let mut octets = Vec::new();
    let mut rest = path.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        rest = after;
        octets.push(match first {
            b'%' => {
                let digits = after.get(..2).and_then(|two| std::str::from_utf8(two).ok());
                let value = digits
                    .filter(|two| two.bytes().all(|c| c.is_ascii_hexdigit()))
                    .and_then(|two| u8::from_str_radix(two, 16).ok());
                rest = after.get(2..).unwrap_or_default();
                value.ok_or_else(|| bad("The path has a percent sign without two digits."))?
            }
            other => *other,
        });
    }
    let path = String::from_utf8(octets).map_err(|_| bad("The path is not UTF-8."))?;
    let segments = path
        .strip_prefix('/')
        .ok_or_else(|| bad("The path does not begin with a slash."))?;
    let mut parts = segments.split('/').peekable();
    while let Some(part) = parts.next() {
        let empty = part.is_empty() && !(segments.is_empty() && parts.peek().is_none());
        let last_empty = part.is_empty() && parts.peek().is_none();
        if (empty && !last_empty || matches!(part, "." | "..")) && !dots {
            return Err(bad("The path has an empty or a dot segment."));
        }
    }
    if path.chars().any(|c| c.is_control() || c == '\\') {
        return Err(bad("The path has a control character or a backslash."));
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use icecast_ext_spec::vector::{self, Error, RequestHead as Expected};

    use super::*;

    #[test]
    fn heads_are_read_as_the_vectors_say() {
        for case in vector::parse().unwrap().request_head {
            let octets = case.input.octets().unwrap();
            let read = RequestHead::parse(&octets, None);
            match case.expect {
                Ok(Expected::Incomplete) => assert_eq!(read, Ok(None), "{}", case.id),
                Ok(Expected::Head {
                    method,
                    version,
                    fields,
                    length,
                    ..
                }) => {
                    let (head, read) = read.unwrap().unwrap();
                    assert_eq!(
                        (head.method, head.version, head.fields, read),
                        (method, version, fields, length)
                    );
                }
                Err(error) => {
                    let status = if error == Error::TooLarge { 431 } else { 400 };
                    assert_eq!(
                        read.map_err(|refused| refused.0),
                        Err(status),
                        "{}",
                        case.id
                    );
                }
            }
        }
    }

    #[test]
    fn who_asks_is_told_as_the_vectors_say() {
        for case in vector::parse().unwrap().asks {
            let octets = case.input.octets().unwrap();
            assert_eq!(Ok(asks(&octets)), case.expect, "{}", case.id);
        }
    }

    #[test]
    fn paths_are_read_as_the_vectors_say() {
        for case in vector::parse().unwrap().path {
            let text = format!("GET {} HTTP/1.1\r\n\r\n", case.input);
            let octets: Vec<u8> = text
                .chars()
                .map(|c| u8::try_from(c).unwrap_or(b'?'))
                .collect();
            let read = RequestHead::parse(&octets, None).map(|head| head.unwrap().0);
            let read = read
                .map(|head| (head.path, head.query))
                .map_err(|refused| refused.0);
            assert_eq!(
                read,
                case.expect
                    .map(|path| (path.path, path.query))
                    .map_err(|_| 400),
                "{}",
                case.id
            );
        }
    }
}
