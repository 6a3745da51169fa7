//! `relay-feed.json`: frames.

use serde::Deserialize;

use super::{Case, Parts};

/// The file.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feeds {
    /// Feeds in hexadecimal.
    pub feeds: Vec<Case<Parts, Feed>>,
}

/// What a receiver makes of a feed.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Feed {
    /// The whole frames before the end or the error, unknown ones left out.
    pub frames: Vec<Frame>,
    /// The requirement by which the receiver ends the feed; none if it does not.
    pub error: Option<String>,
    /// A sender that encodes the frames writes these octets.
    #[serde(default)]
    pub canonical: bool,
}

/// A frame.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Frame {
    /// Type 0.
    #[serde(rename_all = "kebab-case")]
    Format {
        /// The epoch.
        epoch: String,
        /// The byte that comes next.
        offset: u64,
        /// The sender's tick.
        tick_ms: u32,
        /// Field lines.
        fields: String,
    },
    /// Type 1.
    Prelude {
        /// In force from here on.
        at: u64,
        /// Hexadecimal.
        hex: Parts,
    },
    /// Type 2.
    Data {
        /// Of its first byte.
        offset: u64,
        /// Hexadecimal.
        hex: Parts,
    },
    /// Type 3.
    Title {
        /// In force from here on.
        at: u64,
        /// Each character is an octet.
        text: Parts,
    },
    /// Type 4.
    Time {
        /// The byte.
        at: u64,
        /// Its arrival.
        ms: u64,
    },
    /// Type 5.
    Keepalive {
        /// The edge.
        next: u64,
    },
    /// Type 6.
    Splice {
        /// By the minter.
        declared: bool,
        /// By content.
        #[serde(default)]
        seamless: bool,
        /// Where the epoch ends.
        end: u64,
        /// The next epoch.
        epoch: String,
        /// The splice's target in it.
        offset: u64,
    },
}
