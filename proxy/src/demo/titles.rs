//! The demo's titles: numbered, so that one that is missing or comes twice shows.

use std::collections::BTreeMap;

/// What is in `StreamTitle` while title `number` is in force.
pub(super) fn text(number: u64) -> String {
    format!("Demo - title {number}")
}

fn number(text: &[u8]) -> Option<u64> {
    std::str::from_utf8(text)
        .ok()?
        .strip_prefix("Demo - title ")?
        .parse()
        .ok()
}

/// Which titles a listener was shown.
#[derive(Debug, Default)]
pub(super) struct Titles {
    seen: BTreeMap<u64, u64>,
    foreign: u64,
    last: Option<u64>,
    disorder: u64,
}

impl Titles {
    /// A title was shown.
    pub(super) fn shown(&mut self, text: &[u8]) {
        let Some(number) = number(text) else {
            self.foreign += 1;
            return;
        };
        *self.seen.entry(number).or_default() += 1;
        self.disorder += u64::from(self.last.is_some_and(|last| last > number));
        self.last = Some(number);
    }

    /// Different titles that were shown.
    pub(super) fn seen(&self) -> u64 {
        self.seen.len() as u64
    }

    /// Titles since the first one shown, of which the newest is `newest`, that were not shown.
    pub(super) fn missing(&self, newest: u64) -> u64 {
        match self.seen.keys().next() {
            None => newest,
            Some(first) => (*first..=newest)
                .filter(|number| !self.seen.contains_key(number))
                .count() as u64,
        }
    }

    /// Times that a title was shown again, out of order, or was none of ours.
    pub(super) fn wrong(&self) -> u64 {
        self.seen.values().map(|times| times - 1).sum::<u64>() + self.disorder + self.foreign
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(numbers: &[u64]) -> Titles {
        let mut titles = Titles::default();
        numbers
            .iter()
            .for_each(|number| titles.shown(text(*number).as_bytes()));
        titles
    }

    #[test]
    fn every_title_once_is_what_is_wanted() {
        let titles = shown(&[3, 4, 5]);
        assert_eq!(
            (titles.seen(), titles.missing(5), titles.wrong()),
            (3, 0, 0)
        );
    }

    #[test]
    fn missing_repeated_and_foreign_titles_show() {
        assert_eq!(shown(&[3, 5]).missing(6), 2);
        assert_eq!(shown(&[3, 3, 4]).wrong(), 1);
        assert_eq!(shown(&[3, 5, 4]).wrong(), 1);
        assert_eq!(shown(&[]).missing(2), 2);
        let mut titles = shown(&[]);
        titles.shown(b"advertisement");
        assert_eq!(titles.wrong(), 1);
    }
}
