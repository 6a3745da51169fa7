//! A document with the true counts.

use std::collections::HashMap;

use super::ledger::{Share, Total};
use super::places::{Edits, Places, What, count};

/// What a document is to say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Books {
    /// Of `listenurl`; `None` leaves the server's own.
    pub(crate) base: Option<String>,
    /// By the mounts' names in the document; those that are not here stay as they are.
    pub(crate) mounts: HashMap<String, Share>,
    pub(crate) total: Total,
}

impl Share {
    fn listeners(&self, up: u64) -> u64 {
        up.saturating_sub(self.pulls).saturating_add(self.listeners)
    }
}

/// `document` as `books` have it. A count that cannot be is taken for zero; a mount that is listed twice has our listeners once.
pub(crate) fn fill(document: &[u8], places: &Places, mut books: Books) -> Vec<u8> {
    let mut edits = Edits::default();
    let base = books.base.take().map(|base| escape(&base));
    let mut put = |at: &std::ops::Range<usize>, new: &dyn Fn(u64) -> u64| {
        let old = document.get(at.clone()).unwrap_or_default();
        let new = new(count(old).unwrap_or(0));
        if count(old) != Some(new) {
            edits.put(at.clone(), new.to_string());
        }
    };
    for source in &places.sources {
        let Some(share) = books.mounts.remove(&source.mount) else {
            continue;
        };
        let now = share.listeners(source.count(document, What::Listeners).unwrap_or(0));
        for place in &source.places {
            match place.what {
                What::Listeners => put(&place.at, &|up| share.listeners(up)),
                What::Peak => put(&place.at, &|up| {
                    up.saturating_sub(share.peak_pulls).max(share.peak).max(now)
                }),
                What::Slow => put(&place.at, &|up| up.saturating_add(share.slow)),
                What::Sent => put(&place.at, &|up| {
                    up.saturating_sub(share.received).saturating_add(share.sent)
                }),
                What::Base | What::Clients | What::Connections | What::Joins => {}
            }
        }
    }
    let total = books.total;
    for place in &places.server {
        let change = |up: u64, less: u64, more: u64| up.saturating_sub(less).saturating_add(more);
        match place.what {
            What::Listeners | What::Clients => {
                put(&place.at, &|up| change(up, total.pulls, total.listeners));
            }
            What::Connections => put(&place.at, &|up| change(up, total.made, total.accepted)),
            What::Joins => put(&place.at, &|up| change(up, total.pulled, total.joined)),
            What::Peak | What::Slow | What::Sent | What::Base => {}
        }
    }
    if let Some(base) = base {
        let of = |source: &super::places::Source| source.places.clone();
        for place in places.sources.iter().flat_map(of) {
            if place.what == What::Base {
                edits.put(place.at, base.as_bytes());
            }
        }
    }
    edits.apply(document)
}

/// For text in XML and a string in JSON alike: a base is a URL, and these do not stand in one as they are.
fn escape(base: &str) -> String {
    base.replace('&', "%26")
        .replace('<', "%3C")
        .replace('>', "%3E")
        .replace('"', "%22")
        .replace('\\', "%5C")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::overlay::{json, xml};

    fn books() -> Books {
        let share = Share {
            pulls: 1,
            listeners: 4,
            peak: 6,
            peak_pulls: 1,
            slow: 2,
            received: 100,
            sent: 700,
        };
        let total = Total {
            pulls: 1,
            listeners: 4,
            made: 10,
            accepted: 12,
            pulled: 2,
            joined: 5,
        };
        Books {
            base: Some("https://radio.example".to_owned()),
            mounts: HashMap::from([("/a.mp3".to_owned(), share)]),
            total,
        }
    }

    fn json_with(listeners: &str) -> String {
        let json = format!(
            "{{\"icestats\":{{\"source\":[{{\"listener_peak\":9,\"listeners\":{listeners},\"listenurl\":\"http://h:8000/a.mp3\"}},{{\"listeners\":3,\"listenurl\":\"http://h:8000/b.mp3\"}}]}}}}"
        );
        let places = json::places(json.as_bytes()).unwrap();
        String::from_utf8(fill(json.as_bytes(), &places, books())).unwrap()
    }

    #[test]
    fn ours_are_added_and_our_pull_is_not_counted() {
        assert_eq!(
            json_with("3"),
            "{\"icestats\":{\"source\":[{\"listener_peak\":8,\"listeners\":6,\"listenurl\":\"https://radio.example/a.mp3\"},{\"listeners\":3,\"listenurl\":\"https://radio.example/b.mp3\"}]}}"
        );
    }

    #[test]
    fn a_server_that_lies_yields_no_nonsense() {
        for lie in [
            "-5",
            "1000000000000000000000000000000",
            "\"x\"",
            "null",
            "0",
            "1e99",
            "",
        ] {
            let text = json_with(lie);
            assert!(
                text.contains("\"listener_peak\":8,\"listeners\":")
                    && (lie.is_empty() || text.contains(":4,") || text.contains("\"4\"")),
                "{lie}: {text}"
            );
        }
    }

    #[test]
    fn a_mount_that_is_listed_twice_counts_ours_once() {
        let one = "{\"listeners\":1,\"listenurl\":\"http://h/a.mp3\"}";
        let json = format!("{{\"icestats\":{{\"source\":[{one},{one}]}}}}");
        let places = json::places(json.as_bytes()).unwrap();
        let text = String::from_utf8(fill(json.as_bytes(), &places, books())).unwrap();
        assert!(
            text.contains("\"listeners\":4,") && text.contains("\"listeners\":1,"),
            "{text}"
        );
    }

    #[test]
    fn the_server_counts_as_if_it_had_them_all() {
        let xml = "<icestats><client_connections>20</client_connections><clients>9</clients><connections>25</connections><listener_connections>7</listener_connections><listeners>3</listeners><source mount=\"/a.mp3\"><listener_peak>2</listener_peak><listeners>2</listeners><slow_listeners>1</slow_listeners><total_bytes_sent>150</total_bytes_sent></source></icestats>";
        let places = xml::places(xml.as_bytes()).unwrap();
        let text = String::from_utf8(fill(xml.as_bytes(), &places, books())).unwrap();
        assert_eq!(
            text,
            "<icestats><client_connections>22</client_connections><clients>12</clients><connections>27</connections><listener_connections>10</listener_connections><listeners>6</listeners><source mount=\"/a.mp3\"><listener_peak>6</listener_peak><listeners>5</listeners><slow_listeners>3</slow_listeners><total_bytes_sent>750</total_bytes_sent></source></icestats>"
        );
    }
}
