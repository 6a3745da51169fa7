//! Where the values stand in a `/status-json.xsl`. Icecast's stylesheet does not always write valid JSON (a title of `5.` is
//! a bare word, a control character stays as it is), so this reads more than JSON and finds places instead of values.

use super::places::{MAX_DEPTH, Place, Places, Source, What, base_length};

/// An object or an array that is open.
struct Frame {
    object: bool,
    /// The key under which it stands, as written; an array's elements stand under the array's.
    under: Vec<u8>,
    /// The key before the value that comes next.
    key: Option<Vec<u8>>,
    /// If it is a source.
    source: Option<Source>,
}

/// The string that begins at `from`, a quote: what stands between the quotes.
fn string(json: &[u8], from: usize) -> Option<std::ops::Range<usize>> {
    let mut at = from + 1;
    loop {
        match json.get(at)? {
            b'"' => return Some(from + 1..at),
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
}

/// What a string between quotes says.
fn text(json: &[u8], at: std::ops::Range<usize>) -> String {
    let quoted = &json[at.start - 1..at.end + 1];
    serde_json::from_slice(quoted).unwrap_or_else(|_| {
        // A control character that the stylesheet left as it was.
        String::from_utf8_lossy(&json[at]).into_owned()
    })
}

/// `None`: brackets that do not match, or too deep.
pub(crate) fn places(json: &[u8]) -> Option<Places> {
    let mut found = Places::default();
    let mut open: Vec<Frame> = Vec::new();
    let mut at = 0;
    while let Some(&byte) = json.get(at) {
        match byte {
            b'{' | b'[' => {
                let under = match open.last_mut() {
                    Some(frame) if frame.object => frame.key.take().unwrap_or_default(),
                    Some(frame) => frame.under.clone(),
                    None => Vec::new(),
                };
                if open.len() >= MAX_DEPTH {
                    return None;
                }
                let source = byte == b'{' && under == b"source" && holds_sources(&open);
                open.push(Frame {
                    object: byte == b'{',
                    under,
                    key: None,
                    source: source.then(Source::default),
                });
                at += 1;
            }
            b'}' | b']' => {
                let frame = open.pop()?;
                if frame.object != (byte == b'}') {
                    return None;
                }
                found
                    .sources
                    .extend(frame.source.filter(|source| !source.mount.is_empty()));
                at += 1;
            }
            b'"' => {
                let value = string(json, at)?;
                at = value.end + 1;
                let frame = open.last_mut()?;
                if !frame.object {
                    continue;
                }
                match frame.key.take() {
                    None => frame.key = Some(json[value].to_vec()),
                    Some(key) => take(json, &mut open, &mut found, &key, value),
                }
            }
            b',' => {
                // A value that is missing is none.
                open.last_mut()?.key = None;
                at += 1;
            }
            b':' | b' ' | b'\t' | b'\r' | b'\n' => at += 1,
            _ => {
                let end = json[at..].iter().position(|byte| b",}]\"".contains(byte));
                let word = at..end.map_or(json.len(), |end| at + end);
                at = word.end;
                if let Some(key) = open.last_mut()?.key.take() {
                    let trimmed = word.start + json[word.clone()].trim_ascii_end().len();
                    take(json, &mut open, &mut found, &key, word.start..trimmed);
                }
            }
        }
    }
    open.is_empty().then_some(found)
}

/// Whether what is open is `{"icestats":{` and perhaps `"source":[`.
fn holds_sources(open: &[Frame]) -> bool {
    matches!(open, [root, stats] if root.object && stats.object && stats.under == b"icestats")
        || matches!(open, [root, stats, list]
            if root.object && stats.object && stats.under == b"icestats" && !list.object)
}

/// Notes a member that is a string or a word.
fn take(
    json: &[u8],
    open: &mut [Frame],
    found: &mut Places,
    key: &[u8],
    value: std::ops::Range<usize>,
) {
    let depth = open.len();
    let Some(frame) = open.last_mut() else {
        return;
    };
    let quoted = value.start > 0 && json[value.start - 1] == b'"';
    match &mut frame.source {
        None if depth == 2 && frame.under == b"icestats" => {
            if key == b"server_start_iso8601" && quoted {
                found.started = text(json, value);
            } else if let Some(what) = What::of_server(key) {
                found.server.push(Place { what, at: value });
            }
        }
        None => {}
        Some(source) => match What::of_source(key) {
            // A slash may be written as `\/`: then the base ends before the backslash, and the path stays as it is.
            Some(What::Base) if quoted => {
                let url = text(json, value.clone());
                let raw = &json[value.clone()];
                let plain = base_length(url.as_bytes());
                if let Some(length) = plain
                    && raw.starts_with(&url.as_bytes()[..length])
                {
                    source.mount = url[length..].to_owned();
                    source.places.push(Place {
                        what: What::Base,
                        at: value.start..value.start + length,
                    });
                }
            }
            Some(What::Base) => {}
            Some(what) => source.places.push(Place { what, at: value }),
            None if key == b"stream_start_iso8601" && quoted => source.started = text(json, value),
            None => {}
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::places::Edits;

    fn shown(json: &[u8]) -> Vec<(String, Option<u64>)> {
        let found = places(json).unwrap();
        let count = |source: &Source| source.count(json, What::Listeners);
        found
            .sources
            .iter()
            .map(|source| (source.mount.clone(), count(source)))
            .collect()
    }

    #[test]
    fn finds_the_sources_of_a_stock_server() {
        let json = br#"{"icestats":{"admin":"x","server_start_iso8601":"S","source":[{"genre":"\"listeners\":9","listener_peak":3,"listeners":2,"listenurl":"http://localhost:8000/a b%.mp3","stream_start_iso8601":"T","title":"x\\","dummy":null},{"listeners": 7 ,"listenurl":"http://localhost:8000/q\"uo.mp3"}]}}"#;
        assert_eq!(
            shown(json),
            [
                ("/a b%.mp3".to_owned(), Some(2)),
                ("/q\"uo.mp3".to_owned(), Some(7))
            ]
        );
        let found = places(json).unwrap();
        assert_eq!(
            (found.started.as_str(), found.sources[0].started.as_str()),
            ("S", "T")
        );
        assert_eq!(found.sources[0].count(json, What::Peak), Some(3));
        let base = found.sources[1]
            .places
            .iter()
            .find(|place| place.what == What::Base)
            .unwrap();
        let mut edits = Edits::default();
        edits.put(base.at.clone(), "https://radio");
        let text = String::from_utf8(edits.apply(json)).unwrap();
        assert!(
            text.ends_with(r#""listenurl":"https://radio/q\"uo.mp3"}]}}"#),
            "{text}"
        );
    }

    #[test]
    fn one_source_and_none() {
        assert_eq!(
            shown(br#"{"icestats":{"source":{"listeners":1,"listenurl":"http://h/x"}}}"#),
            [("/x".to_owned(), Some(1))]
        );
        assert!(shown(br#"{"icestats":{"dummy":null}}"#).is_empty());
    }

    #[test]
    fn what_is_not_json_hides_no_source() {
        let json = b"{\"icestats\":{\"source\":[{\"listeners\":1,\"title\":5.,\"listenurl\":\"http://h/a\"},{\"title\":,\"name\":\"\x01\xff\",\"x\":-,\"listenurl\":\"http://h/b\",\"listeners\":\"4\"}]}}";
        assert_eq!(
            shown(json),
            [("/a".to_owned(), Some(1)), ("/b".to_owned(), Some(4))]
        );
    }

    #[test]
    fn a_source_elsewhere_is_no_source() {
        for json in [
            &br#"{"source":{"listeners":1,"listenurl":"http://h/x"}}"#[..],
            br#"{"icestats":{"x":{"source":{"listeners":1,"listenurl":"http://h/x"}}}}"#,
            br#"{"icestats":{"source":{"listeners":1,"listenurl":"x"}}}"#,
            br#"{"icestats":{"source":{"listeners":1,"listenurl":7}}}"#,
            br#"[{"listeners":1}]"#,
            b"",
        ] {
            assert!(shown(json).is_empty());
        }
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        let deep = "[".repeat(100_000);
        for json in ["{", "}", "{\"a\":\"", "{]", "\\", "{\"a\\", deep.as_str()] {
            assert!(places(json.as_bytes()).is_none(), "{json:.20}");
        }
    }
}
