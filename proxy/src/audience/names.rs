//! What many listeners have in common, kept once: agents, request lines, and whole requests.

use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

/// So many are kept in common; with more, each listener has its own.
const MAX: usize = 8192;

/// What a listener's request said. Most of a mount's have one of a few.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Asked {
    /// Decoded path.
    pub(crate) mount: Arc<str>,
    /// Empty if unknown.
    pub(crate) agent: Arc<str>,
    /// Empty if unknown.
    pub(crate) referer: Arc<str>,
    /// Of Basic authentication.
    pub(crate) user: Option<Arc<str>>,
    /// Method, target without query, version.
    pub(crate) line: Arc<str>,
}

#[derive(Debug)]
struct Common<T: ?Sized> {
    known: HashSet<Arc<T>>,
    /// Those that found no place since what is out of use was last thrown out.
    crowded: usize,
}

impl<T: ?Sized> Default for Common<T> {
    fn default() -> Self {
        Self {
            known: HashSet::new(),
            crowded: 0,
        }
    }
}

impl<T: ?Sized + Eq + Hash> Common<T> {
    /// The value, shared with whoever has the same; `own` makes it.
    fn one(&mut self, value: &T, own: impl FnOnce() -> Arc<T>) -> Arc<T> {
        if let Some(known) = self.known.get(value) {
            return known.clone();
        }
        let own = own();
        if self.known.len() >= MAX {
            if self.crowded == 0 {
                self.known.retain(|known| Arc::strong_count(known) > 1);
            }
            self.crowded = (self.crowded + 1) % MAX;
        }
        if self.known.len() < MAX {
            self.known.insert(own.clone());
        }
        own
    }
}

#[derive(Debug, Default)]
pub(super) struct Names {
    texts: Common<str>,
    asked: Common<Asked>,
}

impl Names {
    /// The text, shared with whoever has the same.
    pub(super) fn one(&mut self, text: &str) -> Arc<str> {
        self.texts.one(text, || text.into())
    }

    /// The same of a whole request, whose texts are shared already.
    pub(super) fn asked(&mut self, asked: Asked) -> Arc<Asked> {
        self.asked.one(&asked, || Arc::new(asked.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_common_is_kept_once_and_what_is_not_does_not_pile_up() {
        let mut names = Names::default();
        let vlc = names.one("VLC");
        let many: Vec<_> = (0..3 * MAX).map(|n| names.one(&n.to_string())).collect();
        assert!(names.texts.known.len() <= MAX);
        assert!(Arc::ptr_eq(&vlc, &names.one("VLC")));
        drop(many);
        for n in 0..3 * MAX {
            names.one(&format!("x{n}"));
        }
        assert!(names.texts.known.len() <= MAX);
        assert!(Arc::ptr_eq(&names.one("y"), &names.one("y")) || names.texts.known.len() == MAX);
    }
}
