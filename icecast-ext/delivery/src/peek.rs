//! The newest bytes of a mount, published or not: for whoever has to find where other bytes belong.

use icecast_ext_core::address::Position;

use crate::mount::{Mount, lock};

impl Mount {
    /// True if the bytes from `at` on, of the current run, are these, and all of them have come.
    #[must_use]
    pub fn holds(&self, at: Position, bytes: &[u8]) -> bool {
        let writing = lock(&self.writing);
        let Some(writing) = writing.as_ref().filter(|w| w.next().epoch == at.epoch) else {
            return false;
        };
        let (pending, next) = (writing.bytes(), writing.next().offset);
        let edge = next.saturating_sub(pending.len() as u64);
        if let Some(skip) = at.offset.since(edge) {
            let held = usize::try_from(skip)
                .ok()
                .and_then(|skip| pending.get(skip..));
            return held.is_some_and(|held| held.starts_with(bytes));
        }
        let buffer = self.read();
        let Some(run) = buffer.timeline.runs().next_back() else {
            return false;
        };
        let mut pieces = Vec::new();
        let len = bytes.len() as u64;
        let got = buffer
            .ring
            .collect(run.id, at.offset, len, usize::MAX, &mut pieces);
        let mut left = bytes;
        for piece in pieces {
            let Some(rest) = left.strip_prefix(&piece[..]) else {
                return false;
            };
            left = rest;
        }
        got > 0 && pending.starts_with(left)
    }

    /// The last `max` bytes of the current run, and where they begin. `None` between runs.
    #[must_use]
    pub fn tail_with_place(&self, max: usize) -> Option<(Position, Vec<u8>)> {
        let writing = lock(&self.writing);
        let writing = writing.as_ref()?;
        let pending = writing.bytes();
        let kept = &pending[pending.len().saturating_sub(max)..];
        let mut tail = self.read().tail((max - kept.len()) as u64);
        tail.extend_from_slice(kept);
        let next = writing.next();
        let at = next.offset.saturating_sub(tail.len() as u64);
        Some((Position::new(next.epoch, at), tail))
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use icecast_ext_core::address::{Epoch, Offset};
    use icecast_ext_core::codec::Format;

    use super::*;
    use crate::config::MountConfig;
    use icecast_ext_core::buffer::RunStart;

    #[test]
    fn finds_bytes_on_either_side_of_the_edge() {
        let mount = Mount::new("/x", MountConfig::default());
        let epoch = Epoch::from_bytes([7; 16]);
        let at = |n| Position::new(epoch, Offset::new(n).unwrap());
        assert_eq!(mount.tail_with_place(9), None);
        mount.begin(RunStart {
            epoch,
            first: Offset::ZERO,
            declared: false,
            format: Format::Opaque,
            fields: Bytes::new(),
            prelude: None,
        });
        mount.append(b"0123456789", None);
        mount.flush();
        mount.append(b"abcdef", None);
        assert!(mount.holds(at(3), b"345"));
        assert!(mount.holds(at(8), b"89ab"));
        assert!(mount.holds(at(12), b"cdef"));
        assert!(!mount.holds(at(12), b"cdefgh"), "not all have come");
        assert!(!mount.holds(at(3), b"346"));
        assert!(!mount.holds(at(8), b"89ax"));
        assert!(!mount.holds(at(16), b"g"));
        assert!(!mount.holds(
            Position::new(Epoch::from_bytes([8; 16]), Offset::ZERO),
            b"0"
        ));
        assert_eq!(
            mount.tail_with_place(8),
            Some((at(8), b"89abcdef".to_vec()))
        );
        assert_eq!(mount.tail_with_place(99).unwrap().0, at(0));
    }
}
