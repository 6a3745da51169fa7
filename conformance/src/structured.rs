//! Structured fields (RFC 9651), as far as the protocol has them.

/// A bare item of a structured field.
#[derive(Clone, PartialEq, Debug)]
pub enum Bare {
    /// sf-integer
    Integer(i64),
    /// sf-decimal
    Decimal(f64),
    /// sf-string
    String(String),
    /// sf-token
    Token(String),
    /// sf-binary, as written.
    Binary(String),
    /// sf-boolean
    Boolean(bool),
    /// An inner list, of which nothing is used here.
    List,
}

/// Parameters, the last of each name.
pub type Parameters = Vec<(String, Bare)>;

/// A reader of structured fields.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn spaces(&mut self, tabs: bool) {
        while let Some(b' ' | b'\t') = self.0.first() {
            if self.0[0] == b'\t' && !tabs {
                break;
            }
            self.0 = &self.0[1..];
        }
    }

    fn eat(&mut self, octet: u8) -> bool {
        let is = self.0.first() == Some(&octet);
        if is {
            self.0 = &self.0[1..];
        }
        is
    }

    fn take(&mut self, accepts: impl Fn(u8) -> bool) -> String {
        let length = self.0.iter().take_while(|octet| accepts(**octet)).count();
        let (taken, rest) = self.0.split_at(length);
        self.0 = rest;
        crate::http::latin(taken)
    }

    fn key(&mut self) -> Option<String> {
        let first = self.0.first()?;
        (first.is_ascii_lowercase() || *first == b'*').then(|| {
            self.take(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || b"_-.*".contains(&c))
        })
    }

    fn bare(&mut self) -> Option<Bare> {
        match self.0.first()? {
            b'-' | b'0'..=b'9' => self.number(),
            b'"' => self.string(),
            b':' => {
                self.eat(b':');
                let inner = self.take(|c| c.is_ascii_alphanumeric() || b"+/=".contains(&c));
                self.eat(b':').then_some(Bare::Binary(inner))
            }
            b'?' => {
                self.eat(b'?');
                let is = self.eat(b'1');
                (is || self.eat(b'0')).then_some(Bare::Boolean(is))
            }
            first if first.is_ascii_alphabetic() || *first == b'*' => {
                let accepts =
                    |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~:/".contains(&c);
                Some(Bare::Token(self.take(accepts)))
            }
            _ => None,
        }
    }

    /// A member's value: an item or an inner list.
    fn member(&mut self) -> Option<Bare> {
        if !self.eat(b'(') {
            return self.bare();
        }
        loop {
            self.spaces(false);
            if self.eat(b')') {
                return Some(Bare::List);
            }
            self.bare()?;
            self.parameters()?;
        }
    }

    fn number(&mut self) -> Option<Bare> {
        let minus = self.eat(b'-');
        let whole = self.take(|c| c.is_ascii_digit());
        if self.eat(b'.') {
            let part = self.take(|c| c.is_ascii_digit());
            let fits = (1..=12).contains(&whole.len()) && (1..=3).contains(&part.len());
            let value: f64 = format!("{whole}.{part}").parse().ok()?;
            return fits.then_some(Bare::Decimal(if minus { -value } else { value }));
        }
        let value: i64 = whole.parse().ok()?;
        (whole.len() <= 15).then_some(Bare::Integer(if minus { -value } else { value }))
    }

    fn string(&mut self) -> Option<Bare> {
        self.eat(b'"');
        let mut out = String::new();
        loop {
            let (first, rest) = self.0.split_first()?;
            self.0 = rest;
            match first {
                b'"' => return Some(Bare::String(out)),
                b'\\' => match rest.split_first()? {
                    (escaped @ (b'"' | b'\\'), rest) => {
                        out.push(char::from(*escaped));
                        self.0 = rest;
                    }
                    _ => return None,
                },
                b' '..=b'~' => out.push(char::from(*first)),
                _ => return None,
            }
        }
    }

    fn parameters(&mut self) -> Option<Parameters> {
        let mut out = Parameters::new();
        while self.eat(b';') {
            self.spaces(false);
            let key = self.key()?;
            let value = if self.eat(b'=') {
                self.bare()?
            } else {
                Bare::Boolean(true)
            };
            out.retain(|(name, _)| *name != key);
            out.push((key, value));
        }
        Some(out)
    }
}

/// An Item with its parameters (RFC 9651 section 4.2.3). `None` if it is none.
#[must_use]
pub fn item(value: &str) -> Option<(Bare, Parameters)> {
    let mut reader = Reader(value.as_bytes());
    reader.spaces(false);
    let bare = reader.bare()?;
    let parameters = reader.parameters()?;
    reader.spaces(false);
    reader.0.is_empty().then_some((bare, parameters))
}

/// A Dictionary of Items, its members' parameters left out (section 4.2.2). `None` if it is none.
#[must_use]
pub fn dictionary(value: &str) -> Option<Parameters> {
    let mut reader = Reader(value.as_bytes());
    let mut out = Parameters::new();
    reader.spaces(false);
    while !reader.0.is_empty() {
        let key = reader.key()?;
        let value = if reader.eat(b'=') {
            reader.member()?
        } else {
            Bare::Boolean(true)
        };
        reader.parameters()?;
        out.retain(|(name, _)| *name != key);
        out.push((key, value));
        reader.spaces(true);
        if reader.0.is_empty() {
            break;
        }
        if !reader.eat(b',') {
            return None;
        }
        reader.spaces(true);
        if reader.0.is_empty() {
            return None;
        }
    }
    Some(out)
}

/// A List of Items with their parameters (section 4.2.1). `None` if it is none; an inner list has none of what is in it.
#[must_use]
pub fn list(value: &str) -> Option<Vec<(Bare, Parameters)>> {
    let mut reader = Reader(value.as_bytes());
    let mut out = Vec::new();
    reader.spaces(false);
    while !reader.0.is_empty() {
        out.push((reader.member()?, reader.parameters()?));
        reader.spaces(true);
        if reader.0.is_empty() {
            break;
        }
        if !reader.eat(b',') {
            return None;
        }
        reader.spaces(true);
        if reader.0.is_empty() {
            return None;
        }
    }
    Some(out)
}

pub(crate) fn get<'a>(parameters: &'a Parameters, name: &str) -> Option<&'a Bare> {
    parameters
        .iter()
        .find(|(key, _)| key == name)
        .map(|(_, value)| value)
}

pub(crate) fn count(value: &Bare) -> Option<u64> {
    match value {
        Bare::Integer(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

pub(crate) fn text(value: &Bare) -> Option<String> {
    match value {
        Bare::String(text) => Some(text.clone()),
        _ => None,
    }
}

/// A member that may be absent, but not of another type.
pub(crate) fn known<T>(
    parameters: &Parameters,
    name: &str,
    read: impl Fn(&Bare) -> Option<T>,
) -> Option<Option<T>> {
    match get(parameters, name) {
        None => Some(None),
        Some(value) => read(value).map(Some),
    }
}
