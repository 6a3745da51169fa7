//! What a pull can say of the bytes that it has, to an upstream that does not know their epoch (R-RELAY-8).

use std::time::Duration;

use icecast_ext_core::address::Offset;
use icecast_ext_core::anchor::{Collector, Evidence, MEMORY};

use super::Memory;
use crate::station::Station;

/// Of the buffer's end no more is looked at: two minutes at half a megabit.
const MOST: usize = 8 << 20;

/// From the bytes that are held, as they came; nothing if the last of them were not live when they came.
pub(super) fn of(station: &Station, memory: &Memory) -> Option<Evidence> {
    let age = memory.last_byte.filter(|_| memory.live)?.elapsed();
    let next = station.mount.received()?;
    let (first, times) = station.mount.with(|timeline| {
        let run = timeline.runs().last()?;
        let last = run.times.back()?.1;
        let memory = u64::try_from(MEMORY.as_millis()).unwrap_or(u64::MAX);
        let from = last.saturating_sub(memory);
        let recent = run.times.iter().filter(|(_, ms)| *ms >= from).copied();
        (run.epoch == next.epoch).then(|| (run.window.first, recent.collect::<Vec<_>>()))
    })?;
    let from = times.first()?.0.max(first);
    let tail = usize::try_from(next.offset.since(from)?).ok()?.min(MOST);
    let tail = station.mount.tail(tail);
    // More may have come meanwhile only if somebody else fed the mount.
    (station.mount.received() == Some(next)).then_some(())?;
    collect(&tail, next.offset, &times, age)
}

/// `bytes` end at `next`; of `times`, each is when the byte at an offset came, in milliseconds.
fn collect(bytes: &[u8], next: Offset, times: &[(Offset, u64)], age: Duration) -> Option<Evidence> {
    let mut collector = Collector::default();
    let mut rest = bytes;
    let mut now = Duration::ZERO;
    for (index, (_, ms)) in times.iter().enumerate() {
        now = Duration::from_millis(*ms);
        let end = times.get(index + 1).map_or(next, |(at, _)| *at);
        let left = usize::try_from(next.since(end)?).ok()?;
        let (piece, after) = rest.split_at(rest.len().saturating_sub(left));
        collector.feed(piece, now);
        rest = after;
    }
    collector.evidence(now + age, Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_a_listener_would_have_collected() {
        let bytes: Vec<u8> = (0_u32..40_000)
            .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
            .collect();
        let at = |offset: usize| Offset::ZERO.saturating_add(1000 + offset as u64);
        let times: Vec<(Offset, u64)> = (0..100).map(|n| (at(n * 1600), 100 * n as u64)).collect();
        let mut heard = Collector::default();
        for (n, piece) in bytes.chunks(1600).enumerate() {
            heard.feed(piece, Duration::from_millis(100 * n as u64));
        }
        let age = Duration::from_secs(3);
        let said = collect(&bytes, at(bytes.len()), &times, age);
        let now = Duration::from_millis(9_900) + age;
        assert_eq!(said, heard.evidence(now, Duration::ZERO));
        assert_eq!(said.map(|said| said.age), Some(age));
        assert_eq!(collect(&[], at(0), &[], age), None);
    }
}
