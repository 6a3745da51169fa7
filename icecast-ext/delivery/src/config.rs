//! What a mount is told, and what it tells: how it holds, who listens.

use std::time::Duration;

/// What the loops may do.
#[derive(Clone, Debug)]
pub struct EngineConfig {
    /// Loops, at most 64; zero: one a core.
    pub loops: usize,
    /// A socket that takes no byte for so long while bytes wait is cut. Lag alone never cuts.
    pub stuck: Duration,
    /// At most about so many bytes for one listener before the next has its turn.
    pub turn: usize,
    /// Whoever says that it has nothing more to say is sent to all the same. Else a FIN means that it has hung up: no player
    /// closes one half.
    pub half_closed: bool,
    /// How long a response's end waits for the peer's FIN, and [`crate::Engine::part`] for a listener that gets nothing more.
    pub linger: Duration,
    /// The kernel holds four ticks of audio unsent, and at least so many bytes.
    pub send_buffer: usize,
    /// All back buffers together hold no more bytes than this; zero: a quarter of the machine's memory. Beyond it mounts without
    /// listeners shrink first.
    pub memory: u64,
}

impl Default for EngineConfig {
    fn default() -> Self {
        Self {
            loops: 0,
            stuck: Duration::from_secs(15),
            turn: 256 << 10,
            half_closed: false,
            linger: Duration::from_secs(2),
            send_buffer: 64 << 10,
            memory: 0,
        }
    }
}

/// How a mount holds and publishes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MountConfig {
    /// How often bytes are published. At least 10 ms.
    pub tick: Duration,
    /// How much is held, by arrival time.
    pub window: Duration,
    /// Never more bytes than this are held (and one tick's).
    pub cap: u64,
    /// Bytes before the edge at which a live join starts.
    pub burst: u64,
    /// Publishes what has come of an MPEG or ADTS frame, too: for whoever must not be behind another sender.
    pub cut_frames: bool,
}

impl Default for MountConfig {
    fn default() -> Self {
        Self {
            tick: Duration::from_millis(250),
            window: Duration::from_secs(120),
            cap: 64 << 20,
            burst: 65_536,
            cut_frames: false,
        }
    }
}

/// Listeners of a mount.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Listeners {
    /// Without ICY.
    pub plain: usize,
    /// With ICY.
    pub icy: usize,
    /// Relays.
    pub feed: usize,
}

impl Listeners {
    /// All of them.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.plain + self.icy + self.feed
    }
}
