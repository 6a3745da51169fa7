//! What a request is about.

use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

use super::HeadError;

/// What does not stand in a path as it is: all but pchar and "/" (RFC 3986 section 3.3).
const PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

/// A request target, decoded once: two targets with the same path are the same mount, whoever reads them.
///
/// ```abnf
/// target        = origin-form / absolute-form
/// origin-form   = path [ "?" query ]
/// absolute-form = ( "http" / "https" ) "://" authority [ path ] [ "?" query ]
/// ```
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target<'a> {
    /// Of an absolute-form target: host and port, no user.
    pub authority: Option<&'a str>,
    /// Begins with `/`, percent-encoding decoded; UTF-8 without control characters, backslashes, empty or dot segments.
    pub path: String,
    /// As sent, without `?`.
    pub query: Option<&'a str>,
}

impl<'a> Target<'a> {
    /// Reads a request target. `*` and the authority-form are refused.
    ///
    /// # Errors
    /// If its path could be read in two ways: NUL, bad or non-UTF-8 percent-encoding, `//`, dot segments, backslashes.
    pub fn parse(target: &'a str) -> Result<Self, HeadError> {
        if target.contains('#') {
            return Err(HeadError::Malformed("a target with a fragment"));
        }
        let (rest, query) = match target.split_once('?') {
            Some((rest, query)) => (rest, Some(query)),
            None => (target, None),
        };
        let (authority, path) = if rest.starts_with('/') {
            (None, rest)
        } else {
            let (scheme, rest) = rest.split_once("://").ok_or(HeadError::Malformed(
                "a target that is neither a path nor a URL",
            ))?;
            if !scheme.eq_ignore_ascii_case("http") && !scheme.eq_ignore_ascii_case("https") {
                return Err(HeadError::Malformed("a target of another scheme"));
            }
            let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if authority.is_empty() || authority.contains(['@', '\\', '%']) {
                return Err(HeadError::Malformed("a target without a plain host"));
            }
            (Some(authority), if path.is_empty() { "/" } else { path })
        };
        let path = decode(path)?;
        check(&path)?;
        Ok(Self {
            authority,
            path,
            query,
        })
    }

    /// The path, percent-encoded in one way only.
    #[must_use]
    pub fn encoded_path(&self) -> String {
        encode_path(&self.path)
    }
}

/// A decoded path as it stands in a request line or a URL.
#[must_use]
pub fn encode_path(path: &str) -> String {
    utf8_percent_encode(path, PATH).to_string()
}

/// pct-encoded = "%" HEXDIG HEXDIG
fn decode(path: &str) -> Result<String, HeadError> {
    let digit = |byte: Option<u8>| {
        byte.and_then(|byte| char::from(byte).to_digit(16))
            .and_then(|digit| u8::try_from(digit).ok())
            .ok_or(HeadError::Malformed("a bad percent-encoding in the path"))
    };
    let mut out = Vec::with_capacity(path.len());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        out.push(if byte == b'%' {
            digit(bytes.next())? << 4 | digit(bytes.next())?
        } else {
            byte
        });
    }
    String::from_utf8(out).map_err(|_| HeadError::Malformed("a path that is not UTF-8"))
}

fn check(path: &str) -> Result<(), HeadError> {
    if path.chars().any(char::is_control) {
        return Err(HeadError::Malformed("a control character in the path"));
    }
    if path.contains('\\') {
        return Err(HeadError::Malformed("a backslash in the path"));
    }
    if path.contains("//") {
        return Err(HeadError::Malformed("an empty segment in the path"));
    }
    if path.split('/').any(|segment| matches!(segment, "." | "..")) {
        return Err(HeadError::Malformed("a dot segment in the path"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decodes_once_and_encodes_in_one_way() {
        let target = Target::parse("/%6cive%20%2541.mp3?a=%62").unwrap();
        assert_eq!(target.path, "/live %41.mp3");
        assert_eq!(target.query, Some("a=%62"));
        assert_eq!(target.encoded_path(), "/live%20%2541.mp3");
    }

    #[test]
    fn reads_absolute_targets() {
        let target = Target::parse("HTTP://radio:8000?x").unwrap();
        assert_eq!(target.authority, Some("radio:8000"));
        assert_eq!((target.path.as_str(), target.query), ("/", Some("x")));
    }

    #[test]
    fn refuses_paths_with_two_readings() {
        for bad in [
            "",
            "*",
            "live",
            "radio:80",
            "/a%00",
            "/a%",
            "/a%4",
            "/a%zz",
            "/a%+1",
            "//a",
            "/a//",
            "/%2fa",
            "/.",
            "/a/../b",
            "/%2e%2E/a",
            "/a\\b",
            "/a%5cb",
            "/%ff",
            "/a%0d%0ab",
            "/a%7f",
            "/a#b",
            "ftp://a/",
            "http:///a",
            "http://u@h/",
            "http://a//b",
        ] {
            assert!(Target::parse(bad).is_err(), "{bad}");
        }
        for good in ["/", "/a/", "/...", "/.a", "/a.", "/;stream", "/caf%C3%A9"] {
            assert!(Target::parse(good).is_ok(), "{good}");
        }
    }
}
