//! What a journal's segments are made of.
//!
//! Payloads are this crate's own, not relay frames: they also hold sync points, a run's end and where the format of its
//! bytes was known from, so that a timeline that is loaded equals the one that was written.

use bytes::Bytes;
use icecast_ext_core::address::{Offset, Position};
use icecast_ext_core::buffer::{Batch, RunStart};

use crate::journal::wire::{
    self, Read, put_bytes, put_event, put_placed, put_run, put_u32, put_u64,
};

/// Something that happened to a mount, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Record {
    /// A segment begins here.
    Snapshot(Box<Snapshot>),
    /// A run begins.
    Begin(RunStart),
    /// Bytes.
    Batch(Batch),
    /// [`crate::Mount::splice_to`]
    SpliceTo(Position, bool),
    /// The run has ended.
    End,
}

/// Where the current run stands, and what is in force there: enough to go on without earlier segments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The run; `first` is where it stands.
    pub(crate) run: RunStart,
    /// In force.
    pub(crate) prelude: Option<(Offset, Bytes)>,
    /// The one in force, and those before it that are still known; the oldest first.
    pub(crate) titles: Vec<(Offset, Bytes)>,
    /// The last that is known.
    pub(crate) time: Option<(Offset, u64)>,
    /// The run has ended there.
    pub(crate) ended: bool,
}

impl Record {
    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        wire::frame(out, |out| self.put(out));
    }

    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Snapshot(snapshot) => {
                out.push(0);
                put_run(out, &snapshot.run);
                put_placed(out, snapshot.prelude.as_ref());
                let (in_force, earlier) = match snapshot.titles.split_last() {
                    Some((last, earlier)) => (Some(last), earlier),
                    None => (None, &[][..]),
                };
                put_placed(out, in_force);
                match snapshot.time {
                    Some((at, ms)) => {
                        out.push(1);
                        put_u64(out, at.get());
                        put_u64(out, ms);
                    }
                    None => out.push(0),
                }
                out.push(u8::from(snapshot.ended));
                put_u32(out, earlier.len());
                for title in earlier {
                    put_placed(out, Some(title));
                }
            }
            Self::Begin(run) => {
                out.push(1);
                put_run(out, run);
            }
            Self::Batch(batch) => {
                out.push(2);
                put_u64(out, batch.at.get());
                put_u64(out, batch.ms);
                put_u32(out, batch.events.len());
                for event in &batch.events {
                    put_event(out, event);
                }
                put_bytes(out, &batch.bytes);
            }
            Self::SpliceTo(to, seamless) => {
                out.push(if *seamless { 5 } else { 3 });
                out.extend_from_slice(to.epoch.as_bytes());
                put_u64(out, to.offset.get());
            }
            Self::End => out.push(4),
        }
    }

    /// The first record of `input`, and how long it is; `None` if it is torn or damaged.
    pub(crate) fn decode(input: &Bytes) -> Option<(Self, usize)> {
        let (mut read, len) = wire::unframe(input)?;
        let record = match read.u8()? {
            0 => Self::Snapshot(Box::new(snapshot(&mut read)?)),
            1 => Self::Begin(read.run()?),
            2 => Self::Batch(Batch {
                at: read.offset()?,
                ms: read.u64()?,
                events: (0..read.u32()?)
                    .map(|_| read.event())
                    .collect::<Option<_>>()?,
                bytes: read.bytes()?,
            }),
            kind @ (3 | 5) => {
                let to = Position::new(read.epoch()?, read.offset()?);
                Self::SpliceTo(to, kind == 5)
            }
            4 => Self::End,
            _ => return None,
        };
        read.is_empty().then_some((record, len))
    }
}

fn snapshot(read: &mut Read) -> Option<Snapshot> {
    let (run, prelude, in_force) = (read.run()?, read.placed()?, read.placed()?);
    let time = match read.u8()? {
        0 => None,
        _ => Some((read.offset()?, read.u64()?)),
    };
    let ended = read.u8()? != 0;
    let mut titles = Vec::new();
    // Earlier versions wrote the one in force alone.
    if !read.is_empty() {
        for _ in 0..read.u32()? {
            titles.push(read.placed()??);
        }
    }
    titles.extend(in_force);
    Some(Snapshot {
        run,
        prelude,
        titles,
        time,
        ended,
    })
}

#[cfg(test)]
mod tests {
    use icecast_ext_core::address::Epoch;
    use icecast_ext_core::codec::Format;

    use super::*;
    use icecast_ext_core::buffer::Event;

    fn offset(n: u64) -> Offset {
        Offset::new(n).unwrap()
    }

    fn run() -> RunStart {
        RunStart {
            epoch: Epoch::from_bytes([9; 16]),
            first: offset(77),
            declared: true,
            format: Format::Ogg,
            fields: "Content-Type: audio/ogg\r\n".into(),
            prelude: Some("headers".into()),
        }
    }

    #[test]
    fn records_round_trip_and_every_strict_prefix_is_torn() {
        let records = [
            Record::Snapshot(Box::new(Snapshot {
                run: run(),
                prelude: Some((offset(3), "p".into())),
                titles: vec![(offset(4), "s".into()), (offset(5), "t".into())],
                time: Some((offset(6), 1234)),
                ended: true,
            })),
            Record::Begin(run()),
            Record::Batch(Batch {
                at: offset(80),
                bytes: "abcdef".into(),
                ms: 99,
                events: vec![
                    Event::Sync(offset(80)),
                    Event::Prelude(offset(81), "x".into()),
                    Event::Title(offset(82), "y".into()),
                    Event::Time(offset(83), 7),
                ],
            }),
            Record::SpliceTo(Position::new(run().epoch, offset(4)), false),
            Record::SpliceTo(Position::new(run().epoch, offset(4)), true),
            Record::End,
        ];
        for record in records {
            let mut out = Vec::new();
            record.encode(&mut out);
            let out = Bytes::from(out);
            assert_eq!(Record::decode(&out), Some((record, out.len())));
            for len in 0..out.len() {
                assert_eq!(Record::decode(&out.slice(..len)), None);
            }
            for at in 0..out.len() {
                let mut damaged = out.to_vec();
                damaged[at] ^= 0x10;
                assert_eq!(Record::decode(&damaged.into()), None, "byte {at}");
            }
        }
    }
}
