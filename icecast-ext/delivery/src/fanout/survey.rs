//! What a loop says of its listeners when it is asked.

use super::Fanout;
use crate::survey::{PARTS, Ruler, Survey};

impl Fanout {
    /// Counts where listeners stand.
    pub(super) fn survey(&mut self, survey: &Survey) {
        for group in self.groups.iter_mut().flatten() {
            group.settle();
            if !survey.wants_places() {
                continue;
            }
            let ruler = group.mount.with(Ruler::of);
            let mut places = [0; PARTS];
            for &key in &group.members {
                if let Some(Some(listener)) = self.listeners.get(key as usize)
                    && let Some(part) = ruler.part(&listener.cursor)
                {
                    places[part] += 1;
                }
            }
            survey.add(group.mount.id(), &places);
        }
        survey.answered(self.index);
    }
}
