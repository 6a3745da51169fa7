//! Titles that are set by the administration's interface: known at once, though nobody listens who would be shown them.

use bytes::Bytes;
use icecast_ext_core::head::Target;
use percent_encoding::percent_decode;

use crate::client::{Client, Done, Stage};
use crate::module::Module;
use crate::station::{Origin, Station};

/// What Icecast says when it has done so.
const DONE: &[u8] = b"Metadata update successful";
/// Its answer is not longer.
const MAX_ANSWER: usize = 8 << 10;

/// A request to set a title, until it is answered.
#[derive(Debug)]
pub(crate) struct Retitling {
    /// `None`: the Shoutcast source's at this port.
    mount: Option<String>,
    text: Bytes,
    answer: Vec<u8>,
}

impl Retitling {
    /// If it is one.
    pub(crate) fn of(target: &Target<'_>) -> Option<Self> {
        let value = |name: &str| {
            let pairs = target.query?.split('&');
            let found = pairs.filter_map(|pair| pair.split_once('='));
            let (_, value) = found.into_iter().find(|(key, _)| *key == name)?;
            let spaced = value.replace('+', " ");
            Some(percent_decode(spaced.as_bytes()).collect::<Vec<u8>>())
        };
        let by_mount = match target.path.as_str() {
            "/admin/metadata" => true,
            "/admin.cgi" => false,
            _ => return None,
        };
        if value("mode")? != b"updinfo" {
            return None;
        }
        let mount = match by_mount {
            true => Some(String::from_utf8(value("mount")?).ok()?),
            false => None,
        };
        // Icecast's default for blocks is ISO 8859-1, and it takes what does not say otherwise as it is. What it makes of the rest
        // it will show.
        let value = |name: &str| match value("charset") {
            Some(charset) if charset.eq_ignore_ascii_case(b"utf-8") => latin(value(name)?),
            Some(charset) if !charset.eq_ignore_ascii_case(b"iso8859-1") => None,
            _ => value(name),
        };
        let title = match (value("song"), value("artist"), value("title")) {
            (Some(song), ..) => song,
            (None, Some(artist), Some(title)) => [&artist[..], b" - ", &title].concat(),
            (None, _, title) => title?,
        };
        // As Icecast has it in its blocks.
        let mut text = [b"StreamTitle='", &title[..], b"';"].concat();
        if let Some(url) = value("url") {
            text.extend_from_slice(&[b"StreamUrl='", &url[..], b"';"].concat());
        }
        Some(Self {
            mount,
            text: text.into(),
            answer: Vec::new(),
        })
    }
}

/// UTF-8 as ISO 8859-1; `None` if it has more characters than that.
fn latin(text: Vec<u8>) -> Option<Vec<u8>> {
    let text = String::from_utf8(text).ok()?;
    text.chars().map(|char| u8::try_from(char).ok()).collect()
}

/// The server answers.
pub(crate) fn send(client: &mut Client, module: &Module, bytes: &[u8]) -> Done {
    let sent = client.wire.send(bytes)?;
    let port = client.wire.local_port();
    let Stage::Retitling(retitling) = &mut client.stage else {
        return Ok(sent);
    };
    retitling.answer.extend_from_slice(&bytes[..sent]);
    let refused = !retitling
        .answer
        .starts_with(&b"HTTP/1.0 200"[..retitling.answer.len().min(12)]);
    let done = memchr::memmem::find(&retitling.answer, DONE).is_some();
    if done {
        let origins = match (&retitling.mount, port) {
            (Some(path), _) => vec![Origin::Mount(path.clone())],
            (None, Some(port)) => vec![
                Origin::Shoutcast(port),
                Origin::Shoutcast(port.saturating_add(1)),
            ],
            (None, None) => Vec::new(),
        };
        let text = &retitling.text;
        origins
            .iter()
            .filter_map(|origin| module.stations.get(origin))
            .filter(|station| takes_titles(station))
            .for_each(|station| station.retitle(text.clone()));
    }
    if done || refused || retitling.answer.len() > MAX_ANSWER {
        client.stage = Stage::Left;
    }
    Ok(sent)
}

/// Ogg and WebM have theirs inside.
fn takes_titles(station: &Station) -> bool {
    station.is_live()
        && station
            .format()
            .is_some_and(|format| !format.has_preludes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(target: &str) -> Option<Retitling> {
        Retitling::of(&Target::parse(target).unwrap())
    }

    #[test]
    fn reads_what_sources_ask_for() {
        let song = of("/admin/metadata?mount=/a.mp3&mode=updinfo&song=A+%26%20B%e9").unwrap();
        assert_eq!(song.mount.as_deref(), Some("/a.mp3"));
        assert_eq!(&song.text[..], b"StreamTitle='A & B\xe9';");
        let both = of("/admin/metadata?mount=/a&mode=updinfo&artist=A&title=B&url=u").unwrap();
        assert_eq!(&both.text[..], b"StreamTitle='A - B';StreamUrl='u';");
        let old = of("/admin.cgi?mode=updinfo&pass=p&song=x").unwrap();
        assert_eq!(old.mount, None);
        let utf8 = of("/admin/metadata?mount=/a&mode=updinfo&song=%c3%a9&charset=utf-8");
        assert_eq!(&utf8.unwrap().text[..], b"StreamTitle='\xe9';");
        assert!(of("/admin/metadata?mount=/a&mode=updinfo&song=%e2%82%ac&charset=UTF-8").is_none());
        assert!(of("/admin/metadata?mount=/a&mode=updinfo&song=x&charset=KOI8-R").is_none());
        assert!(of("/admin/metadata?mount=/a&mode=other&song=x").is_none());
        assert!(of("/admin/stats").is_none());
    }
}
