//! Anchors of stock players, and which byte of a stream is byte N of a body.

use super::names;
use super::timeline::{Run, Then, Timeline};
use crate::icy;

/// `(epoch, body, offset, metaint)` of a join: byte `body` of the body is the byte at `offset`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Anchor {
    /// Names the body from its first byte on.
    pub join: [u8; 6],
    /// The epoch.
    pub epoch: [u8; 16],
    /// Bytes of body before the byte at `offset`, below 2^48.
    pub body: u64,
    /// Below 2^56.
    pub offset: u64,
    /// Audio between blocks, below 2^24; 0 without blocks.
    pub metaint: u64,
}

impl Anchor {
    /// The token of 58 characters.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = vec![1];
        out.extend_from_slice(&self.join);
        out.extend_from_slice(&self.epoch);
        out.extend_from_slice(&self.body.to_be_bytes()[2..]);
        out.extend_from_slice(&self.offset.to_be_bytes()[1..]);
        out.extend_from_slice(&self.metaint.to_be_bytes()[5..]);
        let sum = crc32fast::hash(&out);
        out.extend_from_slice(&sum.to_be_bytes());
        names::encode(&out)
    }

    /// Reads a token; `None` if its version, length or checksum is wrong.
    #[must_use]
    pub fn decode(token: &str) -> Option<Self> {
        let octets = names::octets(token)?;
        let (said, sum) = octets.split_at_checked(39)?;
        if sum != crc32fast::hash(said).to_be_bytes() || said[0] != 1 {
            return None;
        }
        Self::unchecked(said)
    }

    /// Reads the octets without looking at version and checksum.
    pub(crate) fn unchecked(octets: &[u8]) -> Option<Self> {
        let number = |from: usize, to: usize| {
            octets.get(from..to).map(|part| {
                part.iter()
                    .fold(0, |all, octet| all << 8 | u64::from(*octet))
            })
        };
        let anchor = Self {
            join: octets.get(1..7)?.try_into().ok()?,
            epoch: octets.get(7..23)?.try_into().ok()?,
            body: number(23, 29)?,
            offset: number(29, 36)?,
            metaint: number(36, 39)?,
        };
        (anchor.offset <= 999_999_999_999_999).then_some(anchor)
    }

    /// The join, as it is written.
    #[must_use]
    pub fn name(&self) -> String {
        names::encode(&self.join)
    }
}

/// Where a body goes on.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Place {
    pub(crate) run: u64,
    pub(crate) at: u64,
    /// What stands before that byte: the rest of a block or of a prelude.
    pub(crate) owed: Vec<u8>,
    /// With ICY: audio before the next block, and the place of the title named last.
    pub(crate) icy: Option<(u64, Option<u64>)>,
}

/// The byte that an anchor makes of byte N; `None` if it is unknown.
pub(crate) fn find(timeline: &Timeline, anchor: &Anchor, n: u64) -> Option<Place> {
    let run = timeline
        .runs
        .iter()
        .rev()
        .find(|run| run.epoch == anchor.epoch && run.begins <= anchor.offset)?;
    if n < anchor.body {
        let prelude = run.scan.prelude(anchor.offset);
        let left = usize::try_from(anchor.body - n).ok()?;
        let owed = prelude
            .len()
            .checked_sub(left)
            .map(|from| prelude[from..].to_vec())?;
        return Some(Place {
            run: run.id,
            at: anchor.offset,
            owed,
            icy: None,
        });
    }
    let further = n - anchor.body;
    match anchor.metaint {
        0 => plain(timeline, run, anchor.offset + further),
        metaint => blocks(run, anchor.offset, metaint, further),
    }
}

fn plain(timeline: &Timeline, run: &Run, at: u64) -> Option<Place> {
    let (mut run, mut at) = (run, at);
    while at >= run.next() && run.then == Then::Declared {
        let further = at - run.next();
        let next = timeline.after(run.id)?;
        let entry = run.target.or(next.entry())?;
        let prelude = next.scan.prelude(entry);
        if further < prelude.len() as u64 {
            let owed = prelude[usize::try_from(further).ok()?..].to_vec();
            return Some(Place {
                run: next.id,
                at: entry,
                owed,
                icy: None,
            });
        }
        at = entry + further - prelude.len() as u64;
        run = next;
    }
    let known = at <= run.next() || matches!(run.then, Then::Running | Then::Unknown);
    known.then(|| Place {
        run: run.id,
        at,
        owed: Vec::new(),
        icy: None,
    })
}

fn blocks(run: &Run, offset: u64, metaint: u64, further: u64) -> Option<Place> {
    let (mut at, mut left, mut named) = (offset, further, None);
    loop {
        if left < metaint {
            let icy = Some((metaint - left, named));
            return Some(Place {
                run: run.id,
                at: at + left,
                owed: Vec::new(),
                icy,
            });
        }
        left -= metaint;
        at += metaint;
        if at > run.next() {
            return None;
        }
        let title = run
            .title(at)
            .filter(|(from, _)| named.is_none_or(|named| named < *from));
        let text = title.map_or(&[][..], |(_, text)| text);
        named = title.map(|(from, _)| *from).or(named);
        let block = icy::block(text);
        if left < block.len() as u64 {
            let owed = block[usize::try_from(left).ok()?..].to_vec();
            return Some(Place {
                run: run.id,
                at,
                owed,
                icy: Some((metaint, named)),
            });
        }
        left -= block.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use icecast_ext_spec::vector;

    use super::*;

    #[test]
    fn tokens_are_read_and_written_as_the_vectors_say() {
        for case in vector::stock().unwrap().anchor {
            let read = Anchor::decode(&case.input.text());
            match case.expect {
                Err(_) => assert_eq!(read, None, "{}", case.id),
                Ok(expected) => {
                    let read = read.unwrap();
                    assert_eq!(read.name(), expected.join, "{}", case.id);
                    assert_eq!(names::encode(&read.epoch), expected.epoch, "{}", case.id);
                    assert_eq!(
                        (read.body, read.offset),
                        (expected.body, expected.offset),
                        "{}",
                        case.id
                    );
                    assert_eq!(read.encode(), case.input.text(), "{}", case.id);
                }
            }
        }
    }
}
