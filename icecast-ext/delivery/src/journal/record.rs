//! What a journal's segments are made of: `u32` length, `u32` CRC-32, payload; big-endian throughout.
//!
//! Payloads are this crate's own, not relay frames: they also hold sync points, a run's end and where the format of its
//! bytes was known from, so that a timeline that is loaded equals the one that was written.

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::codec::Format;

use crate::config::RunStart;
use crate::writer::{Batch, Event};

/// No payload is longer: one tick's bytes.
pub(crate) const MAX_RECORD: usize = 64 << 20;

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
    SpliceTo(Position),
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
    /// In force.
    pub(crate) title: Option<(Offset, Bytes)>,
    /// The last that is known.
    pub(crate) time: Option<(Offset, u64)>,
    /// The run has ended there.
    pub(crate) ended: bool,
}

impl Record {
    /// Appends the record.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        let head = out.len();
        out.extend_from_slice(&[0; 8]);
        match self {
            Self::Snapshot(snapshot) => {
                out.push(0);
                put_run(out, &snapshot.run);
                put_placed(out, snapshot.prelude.as_ref());
                put_placed(out, snapshot.title.as_ref());
                match snapshot.time {
                    Some((at, ms)) => {
                        out.push(1);
                        put_u64(out, at.get());
                        put_u64(out, ms);
                    }
                    None => out.push(0),
                }
                out.push(u8::from(snapshot.ended));
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
            Self::SpliceTo(to) => {
                out.push(3);
                out.extend_from_slice(to.epoch.as_bytes());
                put_u64(out, to.offset.get());
            }
            Self::End => out.push(4),
        }
        let payload = &out[head + 8..];
        let (len, crc) = (payload.len() as u32, crc32fast::hash(payload));
        out[head..head + 4].copy_from_slice(&len.to_be_bytes());
        out[head + 4..head + 8].copy_from_slice(&crc.to_be_bytes());
    }

    /// The first record of `input`, and how long it is; `None` if it is torn or damaged.
    pub(crate) fn decode(input: &Bytes) -> Option<(Self, usize)> {
        let len = u32::from_be_bytes(input.get(..4)?.try_into().ok()?) as usize;
        let crc = u32::from_be_bytes(input.get(4..8)?.try_into().ok()?);
        if len > MAX_RECORD || input.len() < 8 + len {
            return None;
        }
        let payload = input.slice(8..8 + len);
        if crc32fast::hash(&payload) != crc {
            return None;
        }
        let mut read = Read(payload);
        let record = match read.u8()? {
            0 => Self::Snapshot(Box::new(Snapshot {
                run: read.run()?,
                prelude: read.placed()?,
                title: read.placed()?,
                time: match read.u8()? {
                    0 => None,
                    _ => Some((read.offset()?, read.u64()?)),
                },
                ended: read.u8()? != 0,
            })),
            1 => Self::Begin(read.run()?),
            2 => Self::Batch(Batch {
                at: read.offset()?,
                ms: read.u64()?,
                events: (0..read.u32()?)
                    .map(|_| read.event())
                    .collect::<Option<_>>()?,
                bytes: read.bytes()?,
            }),
            3 => Self::SpliceTo(Position::new(read.epoch()?, read.offset()?)),
            4 => Self::End,
            _ => return None,
        };
        read.0.is_empty().then_some((record, 8 + len))
    }
}

fn put_u32(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_be_bytes());
}

fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_be_bytes());
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

fn put_placed(out: &mut Vec<u8>, placed: Option<&(Offset, Bytes)>) {
    match placed {
        Some((at, bytes)) => {
            out.push(1);
            put_u64(out, at.get());
            put_bytes(out, bytes);
        }
        None => out.push(0),
    }
}

fn put_run(out: &mut Vec<u8>, run: &RunStart) {
    out.extend_from_slice(run.epoch.as_bytes());
    put_u64(out, run.first.get());
    out.push(u8::from(run.declared));
    out.push(match run.format {
        Format::Mpeg => 0,
        Format::Adts => 1,
        Format::Ogg => 2,
        Format::Webm => 3,
        Format::Opaque => 4,
    });
    put_bytes(out, &run.fields);
    match &run.prelude {
        Some(prelude) => {
            out.push(1);
            put_bytes(out, prelude);
        }
        None => out.push(0),
    }
}

fn put_event(out: &mut Vec<u8>, event: &Event) {
    let (tag, text) = match event {
        Event::Sync(_) => (0, None),
        Event::Prelude(_, bytes) => (1, Some(bytes)),
        Event::Title(_, text) => (2, Some(text)),
        Event::Time(..) => (3, None),
    };
    out.push(tag);
    put_u64(out, event.at().get());
    if let Some(text) = text {
        put_bytes(out, text);
    }
    if let Event::Time(_, ms) = event {
        put_u64(out, *ms);
    }
}

/// Reads a payload; `None` where it ends too early.
struct Read(Bytes);

impl Read {
    fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn u32(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take(4)?[..].try_into().ok()?) as usize)
    }

    fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?[..].try_into().ok()?))
    }

    fn offset(&mut self) -> Option<Offset> {
        Offset::new(self.u64()?)
    }

    fn epoch(&mut self) -> Option<Epoch> {
        Some(Epoch::from_bytes(self.take(16)?[..].try_into().ok()?))
    }

    /// A copy: what is kept must not hold a whole segment in memory.
    fn bytes(&mut self) -> Option<Bytes> {
        let len = self.u32()?;
        self.take(len).map(|bytes| Bytes::copy_from_slice(&bytes))
    }

    fn placed(&mut self) -> Option<Option<(Offset, Bytes)>> {
        match self.u8()? {
            0 => Some(None),
            _ => Some(Some((self.offset()?, self.bytes()?))),
        }
    }

    fn run(&mut self) -> Option<RunStart> {
        Some(RunStart {
            epoch: self.epoch()?,
            first: self.offset()?,
            declared: self.u8()? != 0,
            format: match self.u8()? {
                0 => Format::Mpeg,
                1 => Format::Adts,
                2 => Format::Ogg,
                3 => Format::Webm,
                4 => Format::Opaque,
                _ => return None,
            },
            fields: self.bytes()?,
            prelude: match self.u8()? {
                0 => None,
                _ => Some(self.bytes()?),
            },
        })
    }

    fn event(&mut self) -> Option<Event> {
        let tag = self.u8()?;
        let at = self.offset()?;
        Some(match tag {
            0 => Event::Sync(at),
            1 => Event::Prelude(at, self.bytes()?),
            2 => Event::Title(at, self.bytes()?),
            3 => Event::Time(at, self.u64()?),
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
                title: Some((offset(5), "t".into())),
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
            Record::SpliceTo(Position::new(run().epoch, offset(4))),
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
