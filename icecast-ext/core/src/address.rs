//! The address of a byte: which epoch, which offset.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// 128 bits that are written as 22 characters of base64url.
fn token(text: &str) -> Option<[u8; 16]> {
    let mut out = [0; 18];
    if text.len() != 22 {
        return None;
    }
    match URL_SAFE_NO_PAD.decode_slice(text, &mut out) {
        Ok(16) => out[..16].try_into().ok(),
        _ => None,
    }
}

macro_rules! token_type {
    ($(#[$doc:meta])* $name:ident, $error:ident, $what:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash)]
        pub struct $name([u8; 16]);

        impl $name {
            /// From 16 bytes, which the caller drew at random.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(bytes)
            }

            /// The 16 bytes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; 16] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&URL_SAFE_NO_PAD.encode(self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = $error;
            fn from_str(text: &str) -> Result<Self, $error> {
                token(text).map(Self).ok_or($error)
            }
        }

        /// The text is not 22 characters of base64url that stand for 16 bytes.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
        #[error("{} is 22 characters of base64url without padding", $what)]
        pub struct $error;
    };
}

token_type!(
    /// One unbroken run of a mount's bytes, named by 16 random bytes that are never reused (R-ADDR-1).
    Epoch,
    ParseEpochError,
    "an epoch"
);

token_type!(
    /// Names a client's connection, so that its next one can close it (R-SESS-1).
    Session,
    ParseSessionError,
    "a session"
);

/// Counts the canonical bytes of an epoch: what a listener without ICY who was there from its start
/// received. At most [`Offset::MAX`], the largest Structured Fields integer (R-ADDR-2).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Offset(u64);

impl Offset {
    /// The first byte of an epoch.
    pub const ZERO: Self = Self(0);
    /// 10^15 - 1 (RFC 9651 section 3.3.1).
    pub const MAX: Self = Self(999_999_999_999_999);

    /// `None` above [`Offset::MAX`].
    #[must_use]
    pub const fn new(bytes: u64) -> Option<Self> {
        if bytes <= Self::MAX.0 {
            Some(Self(bytes))
        } else {
            None
        }
    }

    /// Bytes since the epoch's start.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The offset `bytes` later; `None` past [`Offset::MAX`].
    #[must_use]
    pub const fn checked_add(self, bytes: u64) -> Option<Self> {
        match self.0.checked_add(bytes) {
            Some(sum) => Self::new(sum),
            None => None,
        }
    }

    /// The offset `bytes` later, at most [`Offset::MAX`].
    #[must_use]
    pub const fn saturating_add(self, bytes: u64) -> Self {
        match self.checked_add(bytes) {
            Some(sum) => sum,
            None => Self::MAX,
        }
    }

    /// The offset `bytes` earlier, at least zero.
    #[must_use]
    pub const fn saturating_sub(self, bytes: u64) -> Self {
        Self(self.0.saturating_sub(bytes))
    }

    /// Bytes from `earlier` to here; `None` if that is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> Option<u64> {
        self.0.checked_sub(earlier.0)
    }
}

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// The address of a byte that all relays of a stream share.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Position {
    /// Which run of bytes.
    pub epoch: Epoch,
    /// How far into it.
    pub offset: Offset,
}

impl Position {
    /// A position.
    #[must_use]
    pub const fn new(epoch: Epoch, offset: Offset) -> Self {
        Self { epoch, offset }
    }
}

impl PartialOrd for Position {
    /// Positions compare only within one epoch.
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self.epoch == other.epoch).then(|| self.offset.cmp(&other.offset))
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.epoch, self.offset)
    }
}

/// What a back buffer holds of one epoch: `[first, next)`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Window {
    /// The oldest byte held.
    pub first: Offset,
    /// The edge: the byte that will arrive next.
    pub next: Offset,
}

impl Window {
    /// Bytes held.
    #[must_use]
    pub const fn len(self) -> u64 {
        self.next.get().saturating_sub(self.first.get())
    }

    /// Nothing held.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// True for a byte that is held, and for the edge itself.
    #[must_use]
    pub fn reaches(self, offset: Offset) -> bool {
        self.first <= offset && offset <= self.next
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_epoch_is_22_characters_and_round_trips() {
        let epoch = Epoch::from_bytes([0xfb; 16]);
        let text = epoch.to_string();
        assert_eq!(text.len(), 22);
        assert_eq!(text.parse(), Ok(epoch));
        for bad in [
            "",
            "AAAA",
            &"A".repeat(21),
            &"A".repeat(23),
            &"=".repeat(22),
            "AAAAAAAAAAAAAAAAAAAAAB",
        ] {
            assert_eq!(bad.parse::<Epoch>(), Err(ParseEpochError), "{bad}");
        }
    }

    #[test]
    fn offsets_end_at_the_largest_field_integer() {
        assert_eq!(Offset::new(1_000_000_000_000_000), None);
        assert_eq!(Offset::MAX.checked_add(1), None);
        assert_eq!(Offset::ZERO.checked_add(u64::MAX), None);
    }

    #[test]
    fn positions_of_two_epochs_have_no_order() {
        let a = Position::new(Epoch::from_bytes([1; 16]), Offset::ZERO);
        let b = Position::new(Epoch::from_bytes([2; 16]), Offset::MAX);
        assert_eq!(a.partial_cmp(&b), None);
        assert!(
            a < Position {
                offset: Offset::MAX,
                ..a
            }
        );
    }
}
