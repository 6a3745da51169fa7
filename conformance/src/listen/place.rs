//! What the position of an answer means beside the one that was asked for (R-RESUME-6).

use crate::field::{Position, StreamOffset};
use crate::http::Head;
use crate::reference::names::is_name;
use crate::structured::item;

/// What is lost before an answer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Loss {
    /// So many bytes.
    Bytes(u64),
    /// Nobody knows how many.
    Unknown,
}

/// `Stream-Offset` of an answer; `None` if there is none, or one that is malformed (R-FIELD-8).
pub(super) fn read(head: &Head, bug: Option<&'static str>) -> Option<StreamOffset> {
    let value = head.field("Stream-Offset")?;
    let known = ["epoch", "prelude", "session", "spliced", "lost"];
    let strict = StreamOffset::parse(&value).filter(|here| {
        is_name(&here.at.epoch)
            && here.session.as_deref().is_none_or(is_name)
            && !(here.spliced && here.lost.is_some())
    });
    match bug {
        Some("guesses-offsets") => strict.or_else(|| guess(&value)),
        Some("unknown-is-malformed") => strict.filter(|_| {
            item(&value).is_some_and(|(_, parameters)| {
                let name = |(name, _): &(String, _)| known.contains(&name.as_str());
                parameters.iter().all(name)
            })
        }),
        _ => strict,
    }
}

/// Digits, and what stands in the first quotes.
fn guess(value: &str) -> Option<StreamOffset> {
    let digits = value.find(|c: char| !c.is_ascii_digit())?;
    Some(StreamOffset {
        at: Position::new(value.split('"').nth(1)?, value[..digits].parse().ok()?),
        prelude: 0,
        session: None,
        spliced: false,
        lost: None,
    })
}

/// What an answer means for who asked for a position: what is lost (R-MISS-10, R-MISS-11).
pub(super) fn loss(asked: &Position, here: &StreamOffset) -> Option<Loss> {
    if here.at == *asked || here.spliced {
        return None;
    }
    if let Some(lost) = here.lost {
        return Some(Loss::Bytes(lost));
    }
    if here.at.epoch != asked.epoch {
        return Some(Loss::Unknown);
    }
    // One that goes back has lost nothing (R-RESUME-9).
    let ahead = here.at.offset.checked_sub(asked.offset)?;
    Some(Loss::Bytes(ahead))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn losses_are_what_lies_between() {
        let asked = Position::new("a", 100);
        let of = |value: &str| loss(&asked, &StreamOffset::parse(value).unwrap());
        assert_eq!(of("100;epoch=\"a\""), None);
        assert_eq!(of("5;epoch=\"b\";spliced"), None);
        assert_eq!(of("50;epoch=\"a\""), None);
        assert_eq!(of("150;epoch=\"a\""), Some(Loss::Bytes(50)));
        assert_eq!(of("150;epoch=\"b\";lost=7"), Some(Loss::Bytes(7)));
        assert_eq!(of("150;epoch=\"b\""), Some(Loss::Unknown));
    }
}
