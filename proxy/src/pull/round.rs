//! Which upstream a pull asks next, and what those that were asked have said.

use super::body::Ended;
use crate::upstream::UpstreamError;

/// What an upstream says of a mount that it does not give.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    /// There is no such mount.
    None,
    /// Nothing that counts for long.
    Lost,
    /// It is not for us.
    Refused,
}

impl Said {
    /// `new`: the mount has given nothing yet, so it may be something that is never fanned out.
    pub(super) fn of(ended: &Ended, new: bool) -> Self {
        match ended {
            Ended::Status(404) => Self::None,
            Ended::Status(401 | 403) => Self::Refused,
            Ended::File | Ended::Upstream(UpstreamError::Loop) if new => Self::Refused,
            _ => Self::Lost,
        }
    }
}

/// The upstreams in turn, each once: who has lost one goes on to the next at once, and waits when all have been asked.
#[derive(Debug)]
pub(super) struct Round {
    /// Who is asked.
    pub(super) at: usize,
    failed: usize,
    said: Said,
}

impl Round {
    /// Begins with `at`.
    pub(super) fn new(at: usize) -> Self {
        Self {
            at,
            failed: 0,
            said: Said::None,
        }
    }

    /// This one gives nothing; `live`: it did until now. What all have said, if that was the last of `count`: that there is none
    /// only if each says so.
    pub(super) fn failed(&mut self, said: Said, live: bool, count: usize) -> Option<Said> {
        if live || self.failed == 0 {
            *self = Self::new(self.at);
        }
        self.at = (self.at + 1) % count.max(1);
        self.failed += 1;
        self.said = self.said.max(said);
        if self.failed < count {
            return None;
        }
        self.failed = 0;
        Some(self.said)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_asked_before_there_is_none() {
        let mut round = Round::new(1);
        assert_eq!(round.failed(Said::None, false, 3), None);
        assert_eq!(round.at, 2);
        assert_eq!(round.failed(Said::None, false, 3), None);
        assert_eq!(round.failed(Said::None, false, 3), Some(Said::None));
        assert_eq!(round.at, 1);
        assert_eq!(round.failed(Said::None, false, 3), None);
        assert_eq!(round.failed(Said::Lost, false, 3), None);
        assert_eq!(round.failed(Said::None, false, 3), Some(Said::Lost));
        // One that gave something begins a round anew, and what was said before counts no more.
        assert_eq!(round.failed(Said::Refused, false, 2), None);
        assert_eq!(round.failed(Said::Lost, true, 2), None);
        assert_eq!(round.failed(Said::None, false, 2), Some(Said::Lost));
        assert_eq!(round.failed(Said::None, false, 1), Some(Said::None));
    }
}
