//! `/admin/stats`, as far as it tells how a mount is set up.

use super::{XmlError, number, string, tree};

/// A `source` of the statistics.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Source {
    pub(crate) mount: String,
    /// `htpasswd`, `url` …
    pub(crate) authenticator: Option<String>,
    /// Of the stream.
    pub(crate) kbits: Option<u64>,
    /// `None`: unlimited.
    pub(crate) max_listeners: Option<u64>,
    pub(crate) listeners: u64,
}

/// The sources in the document.
pub(crate) fn parse(document: &[u8]) -> Result<Vec<Source>, XmlError> {
    let root = tree::read(&String::from_utf8_lossy(document))?;
    let count = |element: &tree::Element, name: &str| {
        // A word ("unlimited", "Quality 3") is no number.
        number(element, name)
            .ok()
            .flatten()
            .map(|number| number.value)
    };
    let source = |element: &tree::Element| {
        Some(Source {
            mount: element.attribute("mount")?.to_owned(),
            authenticator: string(element, "authenticator").map(|text| text.value),
            kbits: count(element, "bitrate").or_else(|| count(element, "ice-bitrate")),
            max_listeners: count(element, "max_listeners"),
            listeners: count(element, "listeners").unwrap_or(0),
        })
    };
    Ok(root.all("source").filter_map(source).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_icecast_writes() {
        let document = br#"<?xml version="1.0"?>
<icestats><clients>3</clients><source mount="/hid.mp3"><bitrate>128</bitrate><listeners>2</listeners><max_listeners>unlimited</max_listeners></source><source mount="/a &amp; b.ogg"><authenticator>htpasswd</authenticator><bitrate>Quality 3</bitrate><max_listeners>5</max_listeners></source></icestats>"#;
        let sources = parse(document).unwrap();
        let hidden = Source {
            mount: "/hid.mp3".into(),
            kbits: Some(128),
            listeners: 2,
            ..Source::default()
        };
        let protected = Source {
            mount: "/a & b.ogg".into(),
            authenticator: Some("htpasswd".into()),
            max_listeners: Some(5),
            ..Source::default()
        };
        assert_eq!(sources, [hidden, protected]);
        assert!(parse(b"<html>").is_err());
    }
}
