//! The query of an administration request, as Icecast reads it.

use percent_encoding::percent_decode;

/// A query whose parameters can be told apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(&'a str);

/// A parameter that is there more than once: servers differ in which of them they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Twice;

impl<'a> Query<'a> {
    pub(super) fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    fn pairs(self) -> impl Iterator<Item = (String, &'a str)> {
        self.0.split('&').filter_map(|pair| {
            let (key, value) = pair.split_once('=')?;
            // Icecast 2.4 does not decode keys; others may.
            Some((decode(key)?, value))
        })
    }

    /// What `key` says.
    pub(super) fn get(self, key: &str) -> Result<Option<String>, Twice> {
        let mut values = self.pairs().filter(|(other, _)| other == key);
        let value = values.next().map(|(_, value)| value);
        match values.next() {
            Some(_) => Err(Twice),
            None => Ok(value.and_then(decode)),
        }
    }

    /// The query with another value of `key`, or without it.
    pub(super) fn with(self, key: &str, value: Option<&str>) -> String {
        let others = self.0.split('&').filter_map(|pair| {
            let name = pair.split_once('=').map_or(pair, |(name, _)| name);
            let same = decode(name).is_some_and(|name| name == key);
            match value {
                _ if !same => Some(pair.to_owned()),
                Some(value) => Some(format!("{key}={value}")),
                None => None,
            }
        });
        others.collect::<Vec<_>>().join("&")
    }
}

/// Percent-encoding, and a plus for a space. `None`: not UTF-8.
fn decode(text: &str) -> Option<String> {
    let spaced = text.replace('+', " ");
    let decoded = percent_decode(spaced.as_bytes()).decode_utf8().ok()?;
    Some(decoded.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_icecast_reads() {
        let query = Query::new(Some("mount=%2Fpl%2Bus+x.mp3&id=5&x&=&y=%ff"));
        assert_eq!(query.get("mount"), Ok(Some("/pl+us x.mp3".to_owned())));
        assert_eq!(query.get("id"), Ok(Some("5".to_owned())));
        assert_eq!(
            (query.get("z"), query.get("x"), query.get("y")),
            (Ok(None), Ok(None), Ok(None))
        );
        assert_eq!(
            query.with("id", Some("-1")),
            "mount=%2Fpl%2Bus+x.mp3&id=-1&x&=&y=%ff"
        );
        assert_eq!(query.with("mount", None), "id=5&x&=&y=%ff");
        assert_eq!(Query::new(None).get("id"), Ok(None));
    }

    #[test]
    fn what_is_there_twice_is_refused_however_it_is_written() {
        assert_eq!(Query::new(Some("id=5&i%64=6")).get("id"), Err(Twice));
    }
}
