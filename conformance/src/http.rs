//! Requests as the suite writes them, and heads of answers as it reads them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// A head of an answer is at most this long. Who sends more is not going to end.
pub const MAX_HEAD: usize = 64 * 1024;

/// A request: a head, written as it stands. Nothing is checked: the suite also sends what must not be sent.
#[derive(Clone, Debug)]
pub struct Request {
    method: String,
    target: String,
    version: &'static str,
    fields: Vec<(String, String)>,
}

impl Request {
    /// HTTP/1.1, with `Host` to come.
    #[must_use]
    pub fn new(method: &str, target: &str) -> Self {
        Self {
            method: method.to_owned(),
            target: target.to_owned(),
            version: "HTTP/1.1",
            fields: Vec::new(),
        }
    }

    /// GET.
    #[must_use]
    pub fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    /// For another target.
    #[must_use]
    pub fn at(mut self, target: &str) -> Self {
        target.clone_into(&mut self.target);
        self
    }

    /// In another version.
    #[must_use]
    pub fn version(mut self, version: &'static str) -> Self {
        self.version = version;
        self
    }

    /// With a field line more.
    #[must_use]
    pub fn field(mut self, name: &str, value: impl Into<String>) -> Self {
        self.fields.push((name.to_owned(), value.into()));
        self
    }

    /// With `Resume-Offset`.
    #[must_use]
    pub fn resume(self, value: impl Into<String>) -> Self {
        self.field("Resume-Offset", value)
    }

    /// With `Authorization: Basic`, if there is somebody.
    #[must_use]
    pub fn auth(self, who: Option<&str>) -> Self {
        match who {
            Some(who) => self.field("Authorization", basic(who)),
            None => self,
        }
    }

    /// The octets, with `Host` first unless there is one.
    #[must_use]
    pub fn octets(&self, host: &str) -> Vec<u8> {
        let mut out = format!("{} {} {}\r\n", self.method, self.target, self.version);
        if !self
            .fields
            .iter()
            .any(|(name, _)| name.eq_ignore_ascii_case("host"))
        {
            out += &format!("Host: {host}\r\n");
        }
        for (name, value) in &self.fields {
            out += &format!("{name}: {value}\r\n");
        }
        out += "\r\n";
        // Characters above U+00FF stay UTF-8; below they are octets, as in the vectors.
        match out.chars().map(|c| u8::try_from(c).ok()).collect() {
            Some(octets) => octets,
            None => out.into_bytes(),
        }
    }
}

/// The value of `Authorization` for `user:password`.
#[must_use]
pub fn basic(who: &str) -> String {
    format!("Basic {}", STANDARD.encode(who))
}

/// The head of an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Head {
    /// `HTTP/1.0`, `HTTP/1.1` or `ICY`.
    pub version: String,
    /// Three digits.
    pub status: u16,
    /// Names as sent; values without white space around them.
    pub fields: Vec<(String, String)>,
}

/// What is wrong with the head of an answer.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no head of an answer: {0}")]
pub struct Malformed(pub String);

impl Head {
    /// Reads a head that ends with an empty line; how long it is. `None`: more has to come.
    ///
    /// # Errors
    /// If it cannot become a head.
    pub fn parse(octets: &[u8]) -> Result<Option<(Self, usize)>, Malformed> {
        let start = &octets[..octets.len().min(4)];
        if !b"HTTP"[..].starts_with(start)
            && !start.starts_with(b"ICY")
            && !b"ICY"[..].starts_with(start)
        {
            return Err(Malformed(format!(
                "it begins with {:?}",
                latin(&octets[..octets.len().min(24)])
            )));
        }
        let Some(end) = octets.windows(4).position(|four| four == b"\r\n\r\n") else {
            if octets.len() > MAX_HEAD {
                return Err(Malformed(format!("it is longer than {MAX_HEAD} octets")));
            }
            return Ok(None);
        };
        let text = latin(&octets[..end]);
        let mut lines = text.split("\r\n");
        let first = lines.next().unwrap_or_default();
        let mut words = first.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().unwrap_or_default();
        if status.len() != 3 {
            return Err(Malformed(format!("its first line is {first:?}")));
        }
        let status = status
            .parse()
            .map_err(|_| Malformed(format!("its first line is {first:?}")))?;
        let mut fields = Vec::new();
        for line in lines {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| Malformed(format!("a line without a colon: {line:?}")))?;
            fields.push((name.to_owned(), value.trim_matches([' ', '\t']).to_owned()));
        }
        let head = Self {
            version,
            status,
            fields,
        };
        Ok(Some((head, end + 4)))
    }

    /// The values of a field, joined by `, ` as RFC 9110 section 5.2 says; `None` if there is no line.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<String> {
        let values: Vec<_> = self.lines(name).collect();
        (!values.is_empty()).then(|| values.join(", "))
    }

    /// The values of a field, line by line.
    pub fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields
            .iter()
            .filter(move |(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }
}

/// Octets as characters U+0000 to U+00FF.
#[must_use]
pub fn latin(octets: &[u8]) -> String {
    octets.iter().map(|octet| char::from(*octet)).collect()
}

/// Percent-encodes what is not unreserved in a query.
#[must_use]
pub fn percent(text: &str) -> String {
    let mut out = String::new();
    for octet in text.bytes() {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                out.push(char::from(octet))
            }
            other => out.push_str(&format!("%{other:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_head_once_it_is_whole() {
        let text = b"HTTP/1.1 200 OK\r\nA: b \r\na: c\r\n\r\nbody";
        for short in 0..text.len() - 4 {
            assert_eq!(Head::parse(&text[..short]), Ok(None), "{short}");
        }
        let (head, length) = Head::parse(text).unwrap().unwrap();
        assert_eq!((head.status, length), (200, text.len() - 4));
        assert_eq!(head.field("A").as_deref(), Some("b, c"));
    }

    #[test]
    fn knows_garbage_at_once() {
        for text in [
            &b"\x16\x03\x01"[..],
            b"HTTQ",
            b"HTTP/1.1 OK\r\n\r\n",
            b"HTTP/1.1 200 OK\r\nx\r\n\r\n",
        ] {
            assert!(Head::parse(text).is_err(), "{}", latin(text));
        }
        assert!(Head::parse(&[&b"HTTP/1.1 200 OK\r\n"[..], &[b'a'; MAX_HEAD]].concat()).is_err());
    }

    #[test]
    fn writes_characters_as_octets() {
        let octets = Request::get("/a").field("X", "\u{e9}").octets("h");
        assert_eq!(octets, b"GET /a HTTP/1.1\r\nHost: h\r\nX: \xe9\r\n\r\n");
    }
}
