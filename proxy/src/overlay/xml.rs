//! Where the values stand in `/admin/stats`, `/admin/listmounts` and the list of `/admin/moveclients`.

use quick_xml::Reader;
use quick_xml::events::{BytesStart, Event};

use super::places::{MAX_DEPTH, Place, Places, Source, What, base_length};

/// What an attribute says; `None` if it is missing or cannot be read.
pub(super) fn attribute(tag: &BytesStart<'_>, name: &str) -> Option<String> {
    let attribute = tag.try_get_attribute(name).ok()??;
    text(attribute.value.as_bytes())
}

/// What text between tags says.
pub(super) fn text(raw: &[u8]) -> Option<String> {
    let raw = std::str::from_utf8(raw).ok()?;
    quick_xml::escape::unescape(raw)
        .ok()
        .map(std::borrow::Cow::into_owned)
}

/// An element's end, with what stood in it.
pub(super) struct Leaf<'a> {
    /// Names of the elements that are open, this one the last.
    pub(super) path: &'a [String],
    /// The bytes between its tags.
    pub(super) at: std::ops::Range<usize>,
}

/// Walks through a document and tells `visit` what it comes to. False: it is not well-formed, not UTF-8, or too deep.
pub(super) fn walk(xml: &[u8], mut visit: impl FnMut(Step<'_>)) -> bool {
    let mut reader = Reader::from_reader(xml);
    let mut path: Vec<String> = Vec::new();
    // Where the content of each open element begins, and whether it is text alone.
    let mut content: Vec<(usize, bool)> = Vec::new();
    let mut roots = 0;
    loop {
        let before = position(&reader);
        let Ok(event) = reader.read_event() else {
            return false;
        };
        match event {
            Event::Start(tag) => {
                if path.len() >= MAX_DEPTH {
                    return false;
                }
                roots += usize::from(path.is_empty());
                if let Some((_, plain)) = content.last_mut() {
                    *plain = false;
                }
                path.push(tag.name().as_ref().to_owned());
                content.push((position(&reader), true));
                visit(Step::Start {
                    path: &path,
                    tag: &tag,
                    at: before,
                });
            }
            Event::Empty(_) => {
                roots += usize::from(path.is_empty());
                if let Some((_, plain)) = content.last_mut() {
                    *plain = false;
                }
            }
            Event::End(_) => {
                let Some((from, plain)) = content.pop() else {
                    return false;
                };
                let leaf = plain.then_some(Leaf {
                    path: &path,
                    at: from..before,
                });
                visit(Step::End {
                    path: &path,
                    leaf,
                    end: before,
                    after: position(&reader),
                });
                path.pop();
            }
            Event::CData(_) | Event::Comment(_) | Event::PI(_) => {
                if let Some((_, plain)) = content.last_mut() {
                    *plain = false;
                }
            }
            Event::Text(_) => visit(Step::Text {
                path: &path,
                at: before..position(&reader),
            }),
            Event::GeneralRef(_) | Event::Decl(_) | Event::DocType(_) => {}
            Event::Eof => return path.is_empty() && roots == 1,
        }
    }
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

/// What a walk comes to.
pub(super) enum Step<'a> {
    /// A start tag that begins at `at`; its own name is the last of `path`.
    Start {
        path: &'a [String],
        tag: &'a BytesStart<'a>,
        at: usize,
    },
    /// A piece of text; references end it.
    Text {
        path: &'a [String],
        at: std::ops::Range<usize>,
    },
    /// An end tag from `end` to `after`; `leaf` if the element holds text alone.
    End {
        path: &'a [String],
        leaf: Option<Leaf<'a>>,
        end: usize,
        after: usize,
    },
}

/// The names that are open are exactly these.
pub(super) fn is(path: &[String], names: &[&str]) -> bool {
    path.len() == names.len() && path.iter().zip(names).all(|(open, name)| open == name)
}

/// `None`: not well-formed, or too deep.
pub(crate) fn places(xml: &[u8]) -> Option<Places> {
    let mut found = Places::default();
    let mut source: Option<Source> = None;
    let well = walk(xml, |step| match step {
        Step::Start { path, tag, .. } if is(path, &["icestats", "source"]) => {
            source = attribute(tag, "mount").map(|mount| Source {
                mount,
                ..Source::default()
            });
        }
        Step::End { path, .. } if is(path, &["icestats", "source"]) => {
            found.sources.extend(source.take())
        }
        Step::End {
            leaf: Some(leaf), ..
        } => member(xml, &leaf, &mut source, &mut found),
        _ => {}
    });
    well.then_some(found)
}

/// Notes an element that may be a member of the server or of a source.
fn member(xml: &[u8], leaf: &Leaf<'_>, source: &mut Option<Source>, found: &mut Places) {
    let raw = &xml[leaf.at.clone()];
    match (leaf.path, source) {
        ([stats, name], _) if stats == "icestats" => {
            if name == "server_start_iso8601" {
                found.started = text(raw).unwrap_or_default();
            } else if let Some(what) = What::of_server(name.as_bytes()) {
                found.server.push(Place {
                    what,
                    at: leaf.at.clone(),
                });
            }
        }
        ([stats, source_name, name], Some(source))
            if stats == "icestats" && source_name == "source" =>
        {
            match What::of_source(name.as_bytes()) {
                Some(What::Base) => source
                    .places
                    .extend(base(raw, &source.mount, leaf.at.start)),
                Some(what) => source.places.push(Place {
                    what,
                    at: leaf.at.clone(),
                }),
                None if name == "stream_start_iso8601" => {
                    source.started = text(raw).unwrap_or_default();
                }
                None => {}
            }
        }
        _ => {}
    }
}

/// The base of a `listenurl` that begins at `start`, if it leads to `mount`: one that an operator has set for the world is left.
pub(super) fn base(raw: &[u8], mount: &str, start: usize) -> Option<Place> {
    let length = base_length(raw)?;
    (text(&raw[length..])? == mount).then_some(Place {
        what: What::Base,
        at: start..start + length,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::places::Edits;

    const STATS: &str = "<?xml version=\"1.0\"?>\n<icestats><admin>a</admin><clients>9</clients><listeners>5</listeners><server_start_iso8601>S</server_start_iso8601><source mount=\"/q&quot;&#xE9;.mp3\"><listener_peak>3</listener_peak><listeners>2</listeners><listenurl>http://localhost:8000/q\"&#xE9;.mp3</listenurl><stream_start_iso8601>T</stream_start_iso8601><title>&lt;listeners&gt;9</title></source></icestats>\n";

    #[test]
    fn finds_what_a_stock_server_says() {
        let found = places(STATS.as_bytes()).unwrap();
        let source = &found.sources[0];
        assert_eq!(
            (
                source.mount.as_str(),
                source.started.as_str(),
                found.started.as_str()
            ),
            ("/q\"é.mp3", "T", "S")
        );
        assert_eq!(source.count(STATS.as_bytes(), What::Listeners), Some(2));
        let what: Vec<What> = found.server.iter().map(|place| place.what).collect();
        assert_eq!(what, [What::Clients, What::Listeners]);
        let mut edits = Edits::default();
        for place in &source.places {
            let new = if place.what == What::Base {
                "https://r"
            } else {
                "77"
            };
            edits.put(place.at.clone(), new);
        }
        let text = String::from_utf8(edits.apply(STATS.as_bytes())).unwrap();
        assert!(text.contains("<listener_peak>77</listener_peak><listeners>77</listeners><listenurl>https://r/q\"&#xE9;.mp3</listenurl>"), "{text}");
        assert!(text.contains("<title>&lt;listeners&gt;9</title>"));
    }

    #[test]
    fn a_listenurl_of_the_operator_is_left() {
        let xml = STATS.replace("localhost:8000/q", "radio/listen/q");
        let found = places(xml.as_bytes()).unwrap();
        assert!(
            found.sources[0]
                .places
                .iter()
                .all(|place| place.what != What::Base)
        );
    }

    #[test]
    fn what_is_no_plain_text_is_left() {
        for inner in ["<x/>", "<![CDATA[5]]>", "<!-- 5 -->5"] {
            let xml = format!(
                "<icestats><source mount=\"/a\"><listeners>{inner}</listeners></source></icestats>"
            );
            assert!(
                places(xml.as_bytes()).unwrap().sources[0].places.is_empty(),
                "{inner}"
            );
        }
    }

    #[test]
    fn what_cannot_be_read_is_none() {
        let deep = "<a>".repeat(100_000);
        for xml in [
            "",
            "<a>",
            "<a></b>",
            "</a>",
            "<a/><b/>",
            "hello",
            deep.as_str(),
        ] {
            assert!(places(xml.as_bytes()).is_none(), "{xml:.20}");
        }
        assert!(places(b"<icestats><source mount=\"\xff\"/></icestats>").is_none());
    }
}
