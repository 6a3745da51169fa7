//! Titles: each one once for each epoch and place, in the order of their places (R-ICY-8).

use std::collections::HashSet;

use crate::icy;

/// Titles that were said already.
#[derive(Debug, Default)]
pub(super) struct Titles {
    said: HashSet<(Option<String>, Option<u64>, Vec<u8>)>,
}

/// So many are remembered.
const MOST: usize = 4096;

impl Titles {
    /// The new ones in a block's text, in order; `epoch` is that of the answer.
    pub(super) fn new_ones(
        &mut self,
        text: &[u8],
        epoch: Option<&str>,
        bug: Option<&'static str>,
    ) -> Vec<Vec<u8>> {
        let text = match bug {
            Some("stops-at-unknown-keys") => known(text),
            _ => text,
        };
        let mut found = icy::titles(text);
        if bug != Some("titles-newest-first") {
            found.sort_by_key(|(_, at)| *at);
        }
        if self.said.len() > MOST {
            self.said.clear();
        }
        found.retain(|(title, at)| {
            // A title with a place is known by its place.
            let text = if at.is_some() {
                Vec::new()
            } else {
                title.clone()
            };
            let is_new = self.said.insert((epoch.map(str::to_owned), *at, text));
            is_new || bug == Some("says-titles-again")
        });
        found.into_iter().map(|(title, _)| title).collect()
    }
}

/// A text, if it begins with a key that is known.
fn known(text: &[u8]) -> &[u8] {
    match text.starts_with(b"Stream") {
        true => text,
        false => b"",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_title_comes_once_and_in_order() {
        let mut titles = Titles::default();
        let both = b"StreamTitle='b';StreamAt='20';StreamTitle='a';StreamAt='10';";
        let mut new_ones = |text, epoch| titles.new_ones(text, Some(epoch), None);
        assert_eq!(new_ones(&both[..], "e"), [b"a", b"b"]);
        assert!(new_ones(&both[..], "e").is_empty());
        assert_eq!(new_ones(b"StreamTitle='a';StreamAt='10';", "f"), [b"a"]);
    }
}
