//! Texts that many listeners have in common, kept once: agents, request lines.

use std::collections::HashSet;
use std::sync::Arc;

/// So many are kept in common; with more, each listener has its own.
const MAX: usize = 8192;

#[derive(Debug, Default)]
pub(super) struct Names {
    known: HashSet<Arc<str>>,
    /// Texts that found no place since those out of use were last thrown out.
    crowded: usize,
}

impl Names {
    /// The text, shared with whoever has the same.
    pub(super) fn one(&mut self, text: &str) -> Arc<str> {
        if let Some(known) = self.known.get(text) {
            return known.clone();
        }
        let name: Arc<str> = text.into();
        if self.known.len() >= MAX {
            if self.crowded == 0 {
                self.known.retain(|name| Arc::strong_count(name) > 1);
            }
            self.crowded = (self.crowded + 1) % MAX;
        }
        if self.known.len() < MAX {
            self.known.insert(name.clone());
        }
        name
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
        assert!(names.known.len() <= MAX);
        assert!(Arc::ptr_eq(&vlc, &names.one("VLC")));
        drop(many);
        for n in 0..3 * MAX {
            names.one(&format!("x{n}"));
        }
        assert!(names.known.len() <= MAX);
        assert!(Arc::ptr_eq(&names.one("y"), &names.one("y")) || names.known.len() == MAX);
    }
}
