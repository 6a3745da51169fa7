//! Profiles: what kind of server (or client, or library) a case is for.

use serde::{Deserialize, Serialize};

/// A group of cases that apply together.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// What stock Icecast does: the base that every extended server keeps.
    Icecast,
    /// The extension, for listeners.
    Resume,
    /// The relay feed, two servers of one stream, and servers below the suite.
    Relay,
    /// Players that know nothing, and resume by `Range`.
    Players,
    /// The suite is the server, and judges a client.
    Client,
    /// The suite loads a shared object.
    Abi,
}

impl Profile {
    /// All of them, the base first.
    pub const ALL: [Self; 6] = [
        Self::Icecast,
        Self::Resume,
        Self::Relay,
        Self::Players,
        Self::Client,
        Self::Abi,
    ];

    /// As it stands in ids and on the command line.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Icecast => "icecast",
            Self::Resume => "resume",
            Self::Relay => "relay",
            Self::Players => "players",
            Self::Client => "client",
            Self::Abi => "abi",
        }
    }

    /// The one of that name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|profile| profile.name() == name)
    }

    /// What it is about, in a line.
    #[must_use]
    pub fn does(self) -> &'static str {
        match self {
            Self::Icecast => "what stock Icecast does",
            Self::Resume => "positions, resuming, titles, splices",
            Self::Relay => "the relay feed, and several servers of one stream",
            Self::Players => "stock players that resume by Range",
            Self::Client => "what a client asks for, plays and reports",
            Self::Abi => "the C interface of a shared object",
        }
    }
}

/// Whether a profile applies to what is judged.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Applies {
    /// Which.
    pub profile: Profile,
    /// Whether its cases ran.
    pub applies: bool,
    /// How that was found out.
    pub why: String,
}
