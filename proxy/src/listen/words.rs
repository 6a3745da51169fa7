//! An event in words, and as an object.

use icecast_ext_client::{Event, Proven};
use icecast_ext_core::address::Position;
use serde_json::{Value, json};

use crate::demo::screen::grouped;

/// An event for people.
pub(super) fn words(event: &Event) -> Option<String> {
    Some(match event {
        Event::Joined {
            url,
            at,
            content_type,
        } => format!(
            "joined {url} ({}){}",
            content_type
                .as_deref()
                .map_or_else(|| "no type".to_owned(), |kind| readable(kind.as_bytes())),
            at.map_or_else(
                || ", which knows no offsets".to_owned(),
                |at| format!(" at {at}")
            )
        ),
        Event::Title(title) => format!("title: {}", readable(&title.text)),
        Event::Moved(moved) => format!(
            "moved from {} to {} after {} ms: {}",
            moved.from,
            moved.to,
            moved.took.as_millis(),
            moved.proof.map_or_else(
                || "nothing proves that it goes on there".to_owned(),
                |proof| format!("proven by {proof}")
            )
        ),
        Event::Stayed { url, why } => format!("not moved to {url}: {why}"),
        Event::Spliced { from, to } => {
            format!("a new epoch follows: {from} -> {to}, nothing is lost")
        }
        Event::Anchored { at, by } => {
            let by = match by {
                Proven::Alias => "knows by an alias",
                _ => "has proven by content",
            };
            format!("the relay {by} that it goes on at {at}")
        }
        Event::Stitched { .. } => "continued, as the bytes prove".to_owned(),
        Event::Lost(loss) => format!(
            "LOST {}: {}{}",
            loss.bytes.map_or_else(
                || "an unknown number of bytes".to_owned(),
                |bytes| format!("{} bytes", grouped(bytes))
            ),
            loss.why,
            loss.at
                .map_or_else(String::new, |at| format!("; going on at {at}"))
        ),
        Event::Cut { url, why } => format!("cut at {url}: {why}"),
        Event::Refused { url, why } => format!("{url}: {why}"),
        Event::Waiting { why, pause } => {
            format!("trying again in {:.1} s ({why})", pause.as_secs_f64())
        }
        Event::Note(note) => format!("the relay errs, without harm: {note:?}"),
        _ => return None,
    })
}

/// An event for scripts.
pub(super) fn object(event: &Event) -> Option<Value> {
    Some(match event {
        Event::Joined {
            url,
            at,
            content_type,
        } => {
            json!({"event": "joined", "url": url, "at": place(*at), "content_type": content_type})
        }
        Event::Prelude(bytes) => json!({"event": "prelude", "bytes": bytes.len()}),
        Event::Title(title) => json!({
            "event": "title",
            "at": place(title.at),
            "text": text(&title.text),
            "url": title.url.as_deref().map(text),
        }),
        Event::Moved(moved) => json!({
            "event": "moved",
            "from": moved.from,
            "url": moved.to,
            "proof": moved.proof.map(|proof| proof.to_string()),
            "ms": u64::try_from(moved.took.as_millis()).unwrap_or(u64::MAX),
        }),
        Event::Stayed { url, why } => {
            json!({"event": "stayed", "url": url, "why": why.to_string()})
        }
        Event::Spliced { from, to } => {
            json!({"event": "spliced", "from": place(Some(*from)), "to": place(Some(*to))})
        }
        Event::Anchored { at, by } => json!({
            "event": "anchored",
            "at": place(Some(*at)),
            "by": by.to_string(),
        }),
        Event::Stitched { at } => json!({"event": "stitched", "at": place(*at)}),
        Event::Lost(loss) => json!({
            "event": "lost",
            "after": place(loss.after),
            "at": place(loss.at),
            "bytes": loss.bytes,
            "why": loss.why.to_string(),
        }),
        Event::Cut { url, why } => json!({"event": "cut", "url": url, "why": why.to_string()}),
        Event::Refused { url, why } => {
            json!({"event": "refused", "url": url, "why": why.to_string()})
        }
        Event::Waiting { why, pause } => {
            json!({"event": "waiting", "seconds": pause.as_secs_f64(), "why": why.to_string()})
        }
        Event::Note(note) => json!({"event": "note", "what": format!("{note:?}")}),
        _ => return None,
    })
}

pub(super) fn place(at: Option<Position>) -> Value {
    at.map_or(
        Value::Null,
        |at| json!({"epoch": at.epoch.to_string(), "offset": at.offset.get()}),
    )
}

/// UTF-8, or else Latin-1.
fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|byte| char::from(*byte)).collect(),
    }
}

/// Text from the network for a terminal: nothing in it moves the cursor.
pub(super) fn readable(bytes: &[u8]) -> String {
    text(bytes)
        .chars()
        .map(|c| if c.is_control() { '\u{fffd}' } else { c })
        .collect()
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use std::time::Duration;

    use icecast_ext_client::{Loss, Move, Proven, Title, Why};
    use icecast_ext_core::address::{Epoch, Offset};

    use super::*;

    fn at(offset: u64) -> Position {
        Position::new(Epoch::from_bytes([0; 16]), Offset::new(offset).unwrap())
    }

    fn loss() -> Event {
        Event::Lost(Loss {
            after: Some(at(10)),
            at: Some(at(1210)),
            bytes: Some(1200),
            why: Why::Gone,
        })
    }

    #[test]
    fn a_loss_is_told_with_its_size_and_place() {
        let line = words(&loss()).unwrap();
        assert!(
            line.starts_with("LOST 1 200 bytes") && line.ends_with("AAAAAAAAAAAAAAAAAAAAAA.1210"),
            "{line}"
        );
        let object = object(&loss()).unwrap();
        assert_eq!(
            (&object["bytes"], &object["at"]["offset"]),
            (&json!(1200), &json!(1210))
        );
    }

    #[test]
    fn a_move_says_from_where_to_where_how_fast_and_what_proves_it() {
        let moved = |proof| {
            Event::Moved(Move {
                from: "http://a/x".into(),
                to: "http://b/x".into(),
                proof,
                lost: None,
                took: Duration::from_millis(312),
            })
        };
        let anchor = moved(Some(Proven::Anchor));
        assert_eq!(
            words(&anchor).unwrap(),
            "moved from http://a/x to http://b/x after 312 ms: proven by anchor"
        );
        assert_eq!(
            object(&anchor).unwrap(),
            json!({"event": "moved", "from": "http://a/x", "url": "http://b/x", "proof": "anchor", "ms": 312})
        );
        assert!(words(&moved(None)).unwrap().contains("nothing proves"));
        assert_eq!(object(&moved(None)).unwrap()["proof"], Value::Null);
    }

    #[test]
    fn a_title_from_the_network_cannot_move_the_cursor() {
        let title = Event::Title(Title {
            at: None,
            text: Bytes::from_static(b"a\x1b[2J\xe9\r\n"),
            url: None,
        });
        let line = words(&title).unwrap();
        assert!(
            !line.chars().any(char::is_control) && line.contains('é'),
            "{line:?}"
        );
        assert!(!object(&title).unwrap().to_string().contains('\n'));
    }
}
