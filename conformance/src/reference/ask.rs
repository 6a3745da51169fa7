//! What a request asks for: `Resume-Offset`, or its query forms.

use super::head::{Refused, RequestHead};
use super::names;
use crate::structured::{Bare, item};

/// Where a request wants to start.
#[derive(Clone, PartialEq, Debug)]
pub(crate) enum From {
    Live,
    /// The oldest byte held: a feed without a position.
    Oldest,
    At([u8; 16], u64),
    /// Seconds.
    Shift(f64),
}

/// What to do if the byte cannot be given.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Miss {
    Oldest,
    Live,
    Fail,
}

/// All that a request says.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Ask {
    pub(crate) from: From,
    pub(crate) miss: Miss,
    /// Whether it named a `miss`.
    pub(crate) said: bool,
    /// Seconds.
    pub(crate) max_lag: Option<f64>,
    pub(crate) session: Option<String>,
    /// Whether the client counts, and resumes by itself.
    pub(crate) aware: bool,
}

impl Ask {
    /// Of one that says nothing.
    pub(crate) fn nothing() -> Self {
        Self {
            from: From::Live,
            miss: Miss::Oldest,
            said: false,
            max_lag: None,
            session: None,
            aware: false,
        }
    }

    /// Reads a request (R-FIELD-1 to R-FIELD-5, R-FIELD-14, R-FIELD-15).
    pub(crate) fn read(head: &RequestHead, bug: Option<&'static str>) -> Result<Self, Refused> {
        let field = head.field("Resume-Offset");
        let query = query(head.query.as_deref().unwrap_or_default(), bug)?;
        match (field, query) {
            (_, Some(query)) if bug == Some("query-before-field") => Ok(query),
            (Some(value), _) => resume(value, bug),
            (None, Some(query)) => Ok(query),
            (None, None) => Ok(Self::nothing()),
        }
    }
}

fn bad(what: &str, bug: Option<&'static str>) -> Refused {
    match bug {
        Some("400-without-a-word") => Refused(400, "Bad request.\n".to_owned()),
        _ => Refused(400, format!("{what} is malformed.\n")),
    }
}

fn resume(value: &str, bug: Option<&'static str>) -> Result<Ask, Refused> {
    let is = |id: &str| bug == Some(id);
    let wrong = |what: &str| bad(&format!("Resume-Offset: {what}"), bug);
    let value = match is("negative-is-zero") {
        true => value.trim_start_matches('-'),
        false => value,
    };
    let (bare, parameters) = item(value).ok_or_else(|| wrong("the value"))?;
    let mut ask = Ask {
        aware: true,
        ..Ask::nothing()
    };
    let mut epoch = None;
    for (name, value) in parameters {
        match (&name[..], value) {
            ("epoch", Bare::String(text)) => {
                epoch = Some(name_of(&text, bug).ok_or_else(|| wrong("epoch"))?);
            }
            ("session", Bare::String(text)) => {
                name_of(&text, bug).ok_or_else(|| wrong("session"))?;
                ask.session = Some(text);
            }
            ("miss", Bare::Token(word)) => {
                ask.said = true;
                ask.miss = match &word[..] {
                    "oldest" => Miss::Oldest,
                    "live" => Miss::Live,
                    "fail" => Miss::Fail,
                    _ if is("any-miss") => Miss::Oldest,
                    _ => return Err(wrong("miss")),
                };
            }
            #[expect(clippy::cast_precision_loss, reason = "at most 15 digits")]
            ("max-lag", Bare::Integer(seconds)) if seconds >= 0 => {
                ask.max_lag = Some(seconds as f64)
            }
            ("max-lag", Bare::Decimal(seconds)) if seconds >= 0.0 => ask.max_lag = Some(seconds),
            ("epoch" | "session" | "miss" | "max-lag", _) => return Err(wrong(&name)),
            _ if is("unknown-parameters-are-400") => return Err(wrong(&name)),
            _ => {}
        }
    }
    ask.from = match (bare, epoch) {
        (Bare::Token(word), None) if word == "live" => From::Live,
        (Bare::Integer(offset), Some(epoch)) => From::At(
            epoch,
            u64::try_from(offset).map_err(|_| wrong("the value"))?,
        ),
        _ => return Err(wrong("the value")),
    };
    Ok(ask)
}

/// The octets of a name; with a bug, also of one whose unused bits are set.
fn name_of(text: &str, bug: Option<&'static str>) -> Option<[u8; 16]> {
    match names::decode(text) {
        None if bug == Some("any-unused-bits") && text.len() == 22 => {
            names::decode(&format!("{}A", &text[..21]))
        }
        other => other,
    }
}

fn query(query: &str, bug: Option<&'static str>) -> Result<Option<Ask>, Refused> {
    let mut found = None;
    for part in query.split('&') {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        let ask = match name {
            "_resume" => {
                let (epoch, offset) = value.split_once('.').ok_or_else(|| bad("_resume", bug))?;
                let digits =
                    (1..=15).contains(&offset.len()) && offset.bytes().all(|c| c.is_ascii_digit());
                let epoch = names::decode(epoch)
                    .filter(|_| digits)
                    .ok_or_else(|| bad("_resume", bug))?;
                let offset = offset.parse().map_err(|_| bad("_resume", bug))?;
                Ask {
                    from: From::At(epoch, offset),
                    aware: bug != Some("resume-query-is-unaware"),
                    ..Ask::nothing()
                }
            }
            "_shift" => {
                let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
                let digits = |text: &str, most| {
                    (1..=most).contains(&text.len()) && text.bytes().all(|c| c.is_ascii_digit())
                };
                let fits = digits(whole, 12) && digits(part, 3);
                let seconds = value
                    .parse()
                    .ok()
                    .filter(|_| fits)
                    .ok_or_else(|| bad("_shift", bug))?;
                Ask {
                    from: From::Shift(seconds),
                    ..Ask::nothing()
                }
            }
            _ => continue,
        };
        if found.replace(ask).is_some() {
            return Err(bad("_resume, _shift", bug));
        }
    }
    Ok(found)
}

/// The query without our forms; `None` if nothing is left (R-FIELD-13).
pub(crate) fn rest(query: &str) -> Option<String> {
    let ours = |part: &&str| {
        let name = part.split('=').next().unwrap_or_default();
        !matches!(name, "_resume" | "_shift" | "_anchor")
    };
    let left: Vec<_> = query.split('&').filter(ours).collect();
    (!left.is_empty()).then(|| left.join("&"))
}

#[cfg(test)]
mod tests {
    use icecast_ext_spec::vector::{self, From as Expected};

    use super::*;

    fn head(field: Option<&str>, query: &str) -> RequestHead {
        RequestHead {
            method: "GET".to_owned(),
            path: "/".to_owned(),
            query: Some(query.to_owned()),
            version: "HTTP/1.1".to_owned(),
            fields: field
                .iter()
                .map(|value| ("Resume-Offset".to_owned(), (*value).to_owned()))
                .collect(),
        }
    }

    fn same(ask: &Ask, expected: &vector::Ask, id: &str) {
        #[expect(clippy::cast_precision_loss, reason = "a test")]
        let seconds = |ms: u64| ms as f64 / 1000.0;
        let from = match &expected.from {
            Expected::Live => From::Live,
            Expected::At { epoch, offset } => From::At(names::decode(epoch).unwrap(), *offset),
            Expected::ShiftMs(ms) => From::Shift(seconds(*ms)),
        };
        assert_eq!(ask.from, from, "{id}");
        assert_eq!(
            format!("{:?}", ask.miss).to_lowercase(),
            expected.miss,
            "{id}"
        );
        assert_eq!(ask.max_lag, expected.max_lag_ms.map(seconds), "{id}");
        assert_eq!(ask.session, expected.session, "{id}");
    }

    #[test]
    fn resume_offset_is_read_as_the_vectors_say() {
        for case in vector::parse().unwrap().resume_offset {
            let read = Ask::read(&head(Some(&case.input.text()), ""), None);
            match case.expect {
                Ok(expected) => same(&read.unwrap(), &expected, &case.id),
                Err(_) => assert_eq!(read.unwrap_err().0, 400, "{}", case.id),
            }
        }
    }

    #[test]
    fn queries_are_read_as_the_vectors_say() {
        for case in vector::parse().unwrap().query {
            let read = Ask::read(&head(None, &case.input), None);
            match case.expect {
                Ok(expected) => {
                    assert_eq!(rest(&case.input), expected.rest, "{}", case.id);
                    match expected.ask {
                        Some(ask) => same(&read.unwrap(), &ask, &case.id),
                        None => assert_eq!(read.unwrap(), Ask::nothing(), "{}", case.id),
                    }
                }
                Err(_) => assert_eq!(read.unwrap_err().0, 400, "{}", case.id),
            }
        }
    }
}
