//! A feed: frames in order, as they arrive.

use bytes::{Buf, Bytes, BytesMut};

use super::wire::{self, FORMAT, Head};
use super::{Frame, FrameError};
use crate::address::{Epoch, Offset};

/// Cuts a feed into frames, in any split, and holds it to the order of section "Relay feed": FORMAT first, DATA
/// contiguous, events neither before the last byte sent nor out of order, SPLICE followed by its FORMAT. Unknown types
/// are skipped (R-FEED-6). Holds at most [`MAX_FRAME`](super::MAX_FRAME) bytes; DATA is neither held nor copied.
#[derive(Debug, Default)]
pub struct Decoder {
    state: State,
    order: Order,
    failed: Option<FrameError>,
}

#[derive(Debug)]
enum State {
    /// The head's bytes so far: less than 24.
    Head(Vec<u8>),
    /// A value that comes in parts.
    Value {
        kind: u64,
        left: usize,
        held: BytesMut,
    },
    Data {
        left: u64,
    },
    Skip {
        left: u64,
    },
}

impl Default for State {
    fn default() -> Self {
        Self::Head(Vec::new())
    }
}

impl Decoder {
    /// Feeds bytes; frames come out in order. DATA comes out in parts as it arrives, so that a long frame delays nobody.
    ///
    /// # Errors
    /// The first error stays. The frames before it are in `out`, and good (R-FEED-15).
    pub fn feed(&mut self, mut input: Bytes, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        while !input.is_empty() {
            if let Err(error) = self.step(&mut input, out) {
                self.failed = Some(error.clone());
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes at least one byte.
    fn step(&mut self, input: &mut Bytes, out: &mut Vec<Frame>) -> Result<(), FrameError> {
        match &mut self.state {
            State::Head(held) => {
                if let Some(head) = take_head(held, input)? {
                    self.state = self.begin(head)?;
                }
            }
            State::Value { kind, left, held } => {
                let kind = *kind;
                let part = input.split_to(input.len().min(*left));
                *left -= part.len();
                let value = if *left > 0 {
                    held.extend_from_slice(&part);
                    return Ok(());
                } else if held.is_empty() {
                    part
                } else {
                    held.extend_from_slice(&part);
                    std::mem::take(held).freeze()
                };
                self.state = State::default();
                let frame = wire::value(kind, &value)?;
                self.order.frame(&frame)?;
                out.push(frame);
            }
            State::Data { left } => {
                let bytes = split_at_most(input, *left);
                *left -= bytes.len() as u64;
                if *left == 0 {
                    self.state = State::default();
                }
                let offset = self.order.next;
                self.order.next = offset.saturating_add(bytes.len() as u64);
                out.push(Frame::Data { offset, bytes });
            }
            State::Skip { left } => {
                *left -= split_at_most(input, *left).len() as u64;
                if *left == 0 {
                    self.state = State::default();
                }
            }
        }
        Ok(())
    }

    fn begin(&mut self, head: Head) -> Result<State, FrameError> {
        match head {
            Head::Data { offset, len } => {
                self.order.data(offset)?;
                Ok(State::Data { left: len })
            }
            Head::Other { kind, len } => {
                self.order.begins(kind == FORMAT)?;
                Ok(State::Value {
                    kind,
                    left: len,
                    held: BytesMut::new(),
                })
            }
            Head::Unknown { len: 0 } => Ok(State::default()),
            Head::Unknown { len } => Ok(State::Skip { left: len }),
        }
    }
}

fn split_at_most(input: &mut Bytes, most: u64) -> Bytes {
    input.split_to(usize::try_from(most).map_or(input.len(), |most| most.min(input.len())))
}

/// A head from what is held of it and `input`; `None` if all of `input` is held now.
fn take_head(held: &mut Vec<u8>, input: &mut Bytes) -> Result<Option<Head>, FrameError> {
    if held.is_empty() {
        if let Some((head, len)) = wire::head(input)? {
            input.advance(len);
            return Ok(Some(head));
        }
        held.extend_from_slice(input);
        input.clear();
        return Ok(None);
    }
    while !input.is_empty() {
        held.push(input.get_u8());
        if let Some((head, _)) = wire::head(held)? {
            return Ok(Some(head));
        }
    }
    Ok(None)
}

/// Which frames may stand here.
#[derive(Debug, Default)]
struct Order {
    phase: Phase,
    /// The byte that comes next.
    next: Offset,
    /// The last PRELUDE, TITLE and TIME of this run.
    prelude: Offset,
    title: Offset,
    time: Offset,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// FORMAT must come.
    #[default]
    Start,
    /// No DATA since FORMAT: events may lie before the first byte.
    Begun,
    Running,
    /// FORMAT of this epoch must come.
    Spliced(Epoch),
}

impl Order {
    fn begins(&self, format: bool) -> Result<(), FrameError> {
        match (self.phase, format) {
            (Phase::Start, false) => Err(FrameError::OutOfOrder(
                "a feed that does not begin with FORMAT",
            )),
            (Phase::Spliced(_), false) => Err(FrameError::OutOfOrder(
                "SPLICE that is not followed by FORMAT",
            )),
            (Phase::Begun | Phase::Running, true) => {
                Err(FrameError::OutOfOrder("FORMAT without SPLICE"))
            }
            _ => Ok(()),
        }
    }

    fn data(&mut self, offset: Offset) -> Result<(), FrameError> {
        self.begins(false)?;
        self.is_next(offset, "DATA that is not contiguous")?;
        self.phase = Phase::Running;
        Ok(())
    }

    fn is_next(&self, offset: Offset, why: &'static str) -> Result<(), FrameError> {
        if offset == self.next {
            Ok(())
        } else {
            Err(FrameError::OutOfOrder(why))
        }
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), FrameError> {
        match *frame {
            Frame::Format { epoch, offset, .. } => {
                if matches!(self.phase, Phase::Spliced(said) if said != epoch) {
                    return Err(FrameError::OutOfOrder(
                        "FORMAT of another epoch than SPLICE said",
                    ));
                }
                *self = Self {
                    phase: Phase::Begun,
                    next: offset,
                    ..Self::default()
                };
            }
            Frame::Prelude { at, .. } => self.prelude = self.event(at, self.prelude)?,
            Frame::Title { at, .. } => self.title = self.event(at, self.title)?,
            Frame::Time { at, .. } => self.time = self.event(at, self.time)?,
            Frame::Keepalive { next } => self.is_next(next, "KEEPALIVE of another edge")?,
            Frame::Splice { end, to, .. } => {
                self.is_next(end, "SPLICE that is not where the epoch ends")?;
                self.phase = Phase::Spliced(to.epoch);
            }
            Frame::Data { offset, .. } => self.data(offset)?,
        }
        Ok(())
    }

    fn event(&self, at: Offset, last: Offset) -> Result<Offset, FrameError> {
        if self.phase == Phase::Running && at < self.next {
            Err(FrameError::OutOfOrder(
                "an event that lies before the last byte",
            ))
        } else if at < last {
            Err(FrameError::OutOfOrder(
                "an event that lies before an earlier one",
            ))
        } else {
            Ok(at)
        }
    }
}
