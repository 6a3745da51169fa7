//! Frames of the relay feed (R-FEED-2): written, and read leniently enough to say what is wrong with them.

/// The media type.
pub const MEDIA_TYPE: &str = "application/vnd.icecast-ext.relay";
/// A value is at most this long (R-FEED-3).
pub const MAX_VALUE: u64 = 1 << 20;

/// A frame.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Frame {
    /// The epoch, the next byte, the tick in milliseconds, and field lines.
    Format {
        /// 16 octets.
        epoch: [u8; 16],
        /// The offset of the byte that comes next.
        at: u64,
        /// Milliseconds.
        tick: u64,
        /// `Name: value` with line ends.
        fields: String,
    },
    /// Codec headers for those who join from there on.
    Prelude(u64, Vec<u8>),
    /// Canonical bytes.
    Data(u64, Vec<u8>),
    /// The text of an ICY block.
    Title(u64, Vec<u8>),
    /// When the byte there arrived, in milliseconds since 1970.
    Time(u64, u64),
    /// Nothing new.
    Keepalive(u64),
    /// The epoch ends; what follows.
    Splice {
        /// Bit 0.
        declared: bool,
        /// Where it ends.
        at: u64,
        /// The next epoch.
        epoch: [u8; 16],
        /// The target in it.
        target: u64,
    },
    /// A type that this edition does not have.
    Unknown(u64, Vec<u8>),
}

/// What is wrong with a feed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{0}")]
pub struct Wrong(pub String);

/// Writes a number in the shortest way (RFC 9000 section 16).
pub fn varint(value: u64, out: &mut Vec<u8>) {
    let octets = value.to_be_bytes();
    match value {
        0..=63 => out.push(octets[7]),
        64..=16_383 => out.extend_from_slice(&[octets[6] | 0x40, octets[7]]),
        16_384..=0x3fff_ffff => {
            out.push(octets[4] | 0x80);
            out.extend_from_slice(&octets[5..]);
        }
        _ => {
            out.push(octets[0] | 0xc0);
            out.extend_from_slice(&octets[1..]);
        }
    }
}

/// Reads a number; what follows. `None`: more has to come.
fn number(octets: &[u8]) -> Option<(u64, &[u8])> {
    let first = *octets.first()?;
    let length = 1_usize << (first >> 6);
    if octets.len() < length {
        return None;
    }
    let mut value = u64::from(first & 0x3f);
    for octet in &octets[1..length] {
        value = value << 8 | u64::from(*octet);
    }
    Some((value, &octets[length..]))
}

impl Frame {
    /// The octets: type, length, value.
    #[must_use]
    pub fn octets(&self) -> Vec<u8> {
        let mut value = Vec::new();
        let kind = match self {
            Self::Format {
                epoch,
                at,
                tick,
                fields,
            } => {
                value.extend_from_slice(epoch);
                varint(*at, &mut value);
                varint(*tick, &mut value);
                value.extend_from_slice(fields.as_bytes());
                0
            }
            Self::Prelude(at, octets) | Self::Data(at, octets) | Self::Title(at, octets) => {
                varint(*at, &mut value);
                value.extend_from_slice(octets);
                match self {
                    Self::Prelude(..) => 1,
                    Self::Data(..) => 2,
                    _ => 3,
                }
            }
            Self::Time(at, ms) => {
                varint(*at, &mut value);
                varint(*ms, &mut value);
                4
            }
            Self::Keepalive(at) => {
                varint(*at, &mut value);
                5
            }
            Self::Splice {
                declared,
                at,
                epoch,
                target,
            } => {
                value.push(u8::from(*declared));
                varint(*at, &mut value);
                value.extend_from_slice(epoch);
                varint(*target, &mut value);
                6
            }
            Self::Unknown(kind, octets) => {
                value.extend_from_slice(octets);
                *kind
            }
        };
        Self::raw(kind, &value)
    }

    /// A frame of any type with any value.
    #[must_use]
    pub fn raw(kind: u64, value: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        varint(kind, &mut out);
        varint(value.len() as u64, &mut out);
        out.extend_from_slice(value);
        out
    }

    /// Reads the first frame; how long it is. `None`: more has to come.
    ///
    /// # Errors
    /// If its length or its value is not as the grammar says.
    pub fn parse(octets: &[u8]) -> Result<Option<(Self, usize)>, Wrong> {
        let Some((kind, rest)) = number(octets) else {
            return Ok(None);
        };
        let Some((length, rest)) = number(rest) else {
            return Ok(None);
        };
        if length > MAX_VALUE {
            return Err(Wrong(format!("a value of {length} octets (R-FEED-3)")));
        }
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        if rest.len() < length {
            return Ok(None);
        }
        let whole = octets.len() - rest.len() + length;
        let value = &rest[..length];
        let frame = Self::value(kind, value).ok_or_else(|| {
            Wrong(format!(
                "a value of type {kind} that is not as the grammar says: {value:02x?}"
            ))
        })?;
        Ok(Some((frame, whole)))
    }

    /// How long the first frame is, whatever its value; `None` if its head or its value has not come, or is too long.
    #[must_use]
    pub fn length(octets: &[u8]) -> Option<usize> {
        let (_, rest) = number(octets)?;
        let (length, rest) = number(rest)?;
        let length = usize::try_from(length)
            .ok()
            .filter(|_| length <= MAX_VALUE)?;
        (rest.len() >= length).then_some(octets.len() - rest.len() + length)
    }

    fn value(kind: u64, value: &[u8]) -> Option<Self> {
        if kind > 6 {
            return Some(Self::Unknown(kind, value.to_vec()));
        }
        let (flags, value) = match kind {
            6 => (*value.first()?, value.get(1..)?),
            _ => (0, value),
        };
        let (mut epoch, mut value) = ([0; 16], value);
        if kind == 0 {
            epoch.copy_from_slice(value.get(..16)?);
            value = &value[16..];
        }
        let (at, rest) = number(value)?;
        let frame = match kind {
            0 => {
                let (tick, fields) = number(rest)?;
                let fields = String::from_utf8(fields.to_vec()).ok()?;
                return Some(Self::Format {
                    epoch,
                    at,
                    tick,
                    fields,
                });
            }
            1 => return Some(Self::Prelude(at, rest.to_vec())),
            2 => return Some(Self::Data(at, rest.to_vec())),
            3 => return Some(Self::Title(at, rest.to_vec())),
            4 => {
                let (ms, rest) = number(rest)?;
                (Self::Time(at, ms), rest)
            }
            5 => (Self::Keepalive(at), rest),
            _ => {
                epoch.copy_from_slice(rest.get(..16)?);
                let (target, rest) = number(&rest[16..])?;
                let declared = flags & 1 == 1;
                (
                    Self::Splice {
                        declared,
                        at,
                        epoch,
                        target,
                    },
                    rest,
                )
            }
        };
        frame.1.is_empty().then_some(frame.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_come_back() {
        let frames = [
            Frame::Format {
                epoch: [7; 16],
                at: 1000,
                tick: 250,
                fields: "Content-Type: audio/mpeg\r\n".to_owned(),
            },
            Frame::Prelude(0, vec![1, 2]),
            Frame::Data(70_000, vec![3; 100]),
            Frame::Title(1 << 31, b"StreamTitle='x';".to_vec()),
            Frame::Time(5, 1_760_000_000_000),
            Frame::Keepalive(999_999_999_999_999),
            Frame::Splice {
                declared: true,
                at: 9,
                epoch: [1; 16],
                target: 417,
            },
            Frame::Unknown(64, vec![1]),
        ];
        for frame in frames {
            let octets = frame.octets();
            assert_eq!(Frame::parse(&octets), Ok(Some((frame, octets.len()))));
            assert_eq!(Frame::parse(&octets[..octets.len() - 1]), Ok(None));
        }
    }

    #[test]
    fn the_spec_s_feed_in_bytes() {
        let feeds = icecast_ext_spec::vector::feeds().unwrap();
        for case in feeds.feeds {
            let octets = case.input.hex().unwrap();
            let mut rest = &octets[..];
            let mut count = 0;
            while let Ok(Some((frame, length))) = Frame::parse(rest) {
                count += usize::from(!matches!(frame, Frame::Unknown(..)));
                rest = &rest[length..];
            }
            // The suite reads on where a receiver ends the feed by the order of frames.
            assert!(count >= case.expect.unwrap().frames.len(), "{}", case.id);
        }
    }
}
