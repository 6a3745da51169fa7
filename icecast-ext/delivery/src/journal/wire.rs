//! How records are written: `u32` length, `u32` CRC-32, payload; big-endian throughout.

use bytes::Bytes;
use icecast_ext_core::address::{Epoch, Offset};
use icecast_ext_core::buffer::{Event, RunStart};
use icecast_ext_core::codec::Format;

/// No payload is longer: one tick's bytes, or a run's preludes.
const MAX_RECORD: usize = 128 << 20;

/// Appends a record whose payload `put` appends.
pub(crate) fn frame(out: &mut Vec<u8>, put: impl FnOnce(&mut Vec<u8>)) {
    let head = out.len();
    out.extend_from_slice(&[0; 8]);
    put(out);
    let payload = &out[head + 8..];
    let (len, crc) = (payload.len() as u32, crc32fast::hash(payload));
    out[head..head + 4].copy_from_slice(&len.to_be_bytes());
    out[head + 4..head + 8].copy_from_slice(&crc.to_be_bytes());
}

/// The payload of the first record of `input`, and how long the record is; `None` if it is torn or damaged.
pub(crate) fn unframe(input: &Bytes) -> Option<(Read, usize)> {
    let len = u32::from_be_bytes(input.get(..4)?.try_into().ok()?) as usize;
    let crc = u32::from_be_bytes(input.get(4..8)?.try_into().ok()?);
    if len > MAX_RECORD || input.len() < 8 + len {
        return None;
    }
    let payload = input.slice(8..8 + len);
    (crc32fast::hash(&payload) == crc).then_some((Read(payload), 8 + len))
}

pub(crate) fn put_u32(out: &mut Vec<u8>, n: usize) {
    out.extend_from_slice(&(n as u32).to_be_bytes());
}

pub(crate) fn put_u64(out: &mut Vec<u8>, n: u64) {
    out.extend_from_slice(&n.to_be_bytes());
}

pub(crate) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_u32(out, bytes.len());
    out.extend_from_slice(bytes);
}

pub(crate) fn put_placed(out: &mut Vec<u8>, placed: Option<&(Offset, Bytes)>) {
    match placed {
        Some((at, bytes)) => {
            out.push(1);
            put_u64(out, at.get());
            put_bytes(out, bytes);
        }
        None => out.push(0),
    }
}

pub(crate) fn put_format(out: &mut Vec<u8>, format: Format) {
    out.push(match format {
        Format::Mpeg => 0,
        Format::Adts => 1,
        Format::Ogg => 2,
        Format::Webm => 3,
        Format::Opaque => 4,
    });
}

pub(crate) fn put_run(out: &mut Vec<u8>, run: &RunStart) {
    out.extend_from_slice(run.epoch.as_bytes());
    put_u64(out, run.first.get());
    out.push(u8::from(run.declared));
    put_format(out, run.format);
    put_bytes(out, &run.fields);
    match &run.prelude {
        Some(prelude) => {
            out.push(1);
            put_bytes(out, prelude);
        }
        None => out.push(0),
    }
}

pub(crate) fn put_event(out: &mut Vec<u8>, event: &Event) {
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
#[derive(Debug)]
pub(crate) struct Read(Bytes);

impl Read {
    /// All was read.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn take(&mut self, len: usize) -> Option<Bytes> {
        (len <= self.0.len()).then(|| self.0.split_to(len))
    }

    pub(crate) fn u8(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    pub(crate) fn u32(&mut self) -> Option<usize> {
        Some(u32::from_be_bytes(self.take(4)?[..].try_into().ok()?) as usize)
    }

    pub(crate) fn u64(&mut self) -> Option<u64> {
        Some(u64::from_be_bytes(self.take(8)?[..].try_into().ok()?))
    }

    pub(crate) fn offset(&mut self) -> Option<Offset> {
        Offset::new(self.u64()?)
    }

    pub(crate) fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    pub(crate) fn format(&mut self) -> Option<Format> {
        Some(match self.u8()? {
            0 => Format::Mpeg,
            1 => Format::Adts,
            2 => Format::Ogg,
            3 => Format::Webm,
            4 => Format::Opaque,
            _ => return None,
        })
    }

    pub(crate) fn epoch(&mut self) -> Option<Epoch> {
        Some(Epoch::from_bytes(self.take(16)?[..].try_into().ok()?))
    }

    /// A copy: what is kept must not hold a whole segment in memory.
    pub(crate) fn bytes(&mut self) -> Option<Bytes> {
        let len = self.u32()?;
        self.take(len).map(|bytes| Bytes::copy_from_slice(&bytes))
    }

    pub(crate) fn placed(&mut self) -> Option<Option<(Offset, Bytes)>> {
        match self.u8()? {
            0 => Some(None),
            _ => Some(Some((self.offset()?, self.bytes()?))),
        }
    }

    pub(crate) fn run(&mut self) -> Option<RunStart> {
        Some(RunStart {
            epoch: self.epoch()?,
            first: self.offset()?,
            declared: self.u8()? != 0,
            format: self.format()?,
            fields: self.bytes()?,
            prelude: match self.u8()? {
                0 => None,
                _ => Some(self.bytes()?),
            },
        })
    }

    pub(crate) fn event(&mut self) -> Option<Event> {
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
