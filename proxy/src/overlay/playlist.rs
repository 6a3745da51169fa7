//! Playlists that Icecast makes of a mount: `.m3u`, `.xspf`, `.vclt` and `/admin/buildm3u`.

use super::places::{Edits, Place, Places, Source, What, base_length};
use super::xml::{Step, is, text, walk};

/// An `.xspf` names the mount's address and, in a note, how many listen. `None`: not well-formed, or too deep.
pub(crate) fn xspf(xml: &[u8]) -> Option<Places> {
    const TRACK: [&str; 3] = ["playlist", "trackList", "track"];
    let mut found = Places::default();
    let well = walk(xml, |step| match step {
        Step::Start { path, .. } if is(path, &TRACK) => found.sources.push(Source::default()),
        Step::End {
            path,
            leaf: Some(leaf),
            ..
        } if path.len() == 4 && is(&path[..3], &TRACK) => {
            let Some(source) = found.sources.last_mut() else {
                return;
            };
            let raw = &xml[leaf.at.clone()];
            match path[3].as_str() {
                "location" => {
                    if let Some(length) = base_length(raw) {
                        source.mount = text(&raw[length..]).unwrap_or_default();
                        source.places.push(Place {
                            what: What::Base,
                            at: leaf.at.start..leaf.at.start + length,
                        });
                    }
                }
                "annotation" => {
                    let mut at = leaf.at.start;
                    for line in raw.split(|byte| *byte == b'\n') {
                        for (name, what) in [
                            ("Current Listeners: ", What::Listeners),
                            ("Peak Listeners: ", What::Peak),
                        ] {
                            if line.starts_with(name.as_bytes()) {
                                source.places.push(Place {
                                    what,
                                    at: at + name.len()..at + line.len(),
                                });
                            }
                        }
                        at += line.len() + 1;
                    }
                }
                _ => {}
            }
        }
        _ => {}
    });
    well.then_some(found)
}

/// A `.m3u` or `.vclt`, in which lines are addresses: those of our server get `base`. A user and password that
/// `/admin/buildm3u` has put into one stay.
pub(crate) fn lines(text: &[u8], base: &str) -> Vec<u8> {
    let mut edits = Edits::default();
    let mut at = 0;
    for line in text.split(|byte| *byte == b'\n') {
        let url = line.strip_prefix(b"STREAMURL=").unwrap_or(line);
        if let Some(length) = base_length(url) {
            let from = at + line.len() - url.len();
            let authority = &url[..length];
            let user = authority.iter().rposition(|byte| *byte == b'@');
            let new = match (user, base.split_once("://")) {
                (Some(end), Some((scheme, host))) => {
                    let begin = authority
                        .windows(3)
                        .position(|three| three == b"://")
                        .map_or(0, |at| at + 3);
                    [
                        scheme.as_bytes(),
                        b"://",
                        &authority[begin..=end],
                        host.as_bytes(),
                    ]
                    .concat()
                }
                _ => base.as_bytes().to_vec(),
            };
            edits.put(from..from + length, new);
        }
        at += line.len() + 1;
    }
    edits.apply(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_ours_and_the_rest_stays() {
        let made = |text: &str| {
            String::from_utf8(lines(text.as_bytes(), "https://radio.example")).unwrap()
        };
        assert_eq!(
            made("http://localhost:8000/a.mp3\r\n"),
            "https://radio.example/a.mp3\r\n"
        );
        assert_eq!(
            made("http://u:p@ss@localhost:8000/a.mp3\r\n"),
            "https://u:p@ss@radio.example/a.mp3\r\n"
        );
        assert_eq!(
            made("STREAMURL=http://localhost:8000/a.mp3\nTITLE=http://x/y\nGENRE=g\n==\n"),
            "STREAMURL=https://radio.example/a.mp3\nTITLE=http://x/y\nGENRE=g\n==\n"
        );
        assert_eq!(made("#EXTM3U\nnothing"), "#EXTM3U\nnothing");
    }

    #[test]
    fn finds_what_an_xspf_says() {
        let xml = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<playlist xmlns=\"http://xspf.org/ns/0/\" version=\"1\">\n  <title/>\n  <creator/>\n  <trackList>\n    <track>\n      <location>http://localhost:18311/a&amp;.mp3</location>\n      <title>Current Listeners: 9</title>\n      <annotation>Stream Title: x\nCurrent Listeners: 3\nPeak Listeners: 4\nStream Genre: g</annotation>\n    </track>\n  </trackList>\n</playlist>\n";
        let found = xspf(xml.as_bytes()).unwrap();
        let source = &found.sources[0];
        assert_eq!(source.mount, "/a&.mp3");
        assert_eq!(source.count(xml.as_bytes(), What::Listeners), Some(3));
        assert_eq!(source.count(xml.as_bytes(), What::Peak), Some(4));
    }
}
