//! What a client is told when it is made.

use std::ffi::{c_char, c_int};
use std::time::Duration;

use icecast_ext_core::address::{Epoch, Offset, Position};
use icecast_ext_core::client::{MAX_RELAYS, Options, Start};
use icecast_ext_core::field::Miss;

use crate::record::{Record, texts, write};
use crate::result::{Failure, ICECAST_EXT_OK, guard};

/// If the position is gone everywhere: from the oldest byte that is held.
pub const ICECAST_EXT_MISS_OLDEST: u32 = 0;
/// From live.
pub const ICECAST_EXT_MISS_LIVE: u32 = 1;
/// The client ends rather than lose a byte.
pub const ICECAST_EXT_MISS_FAIL: u32 = 2;

/// How a client behaves. Call `icecast_ext_client_options_init` first: it sets what suits a desktop. A radio sets `history` to 0,
/// `max_prelude` to what its decoder takes, and `max_relays` and `max_url` to what it wants to afford.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ClientOptions {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// URLs of one stream, the preferred one first: `http://user:password@host:port/mount`.
    pub relays: *const *const c_char,
    /// How many.
    pub relay_count: usize,
    /// `User-Agent`; NULL: this library's.
    pub agent: *const c_char,
    /// Random, so that a thousand clients do not come back in step.
    pub seed: u64,
    /// Where to begin: an epoch as `icecast_ext_client_stats` gave it; NULL: live.
    pub epoch: *const c_char,
    /// And the offset there.
    pub offset: u64,
    /// One of `ICECAST_EXT_MISS_…`
    pub miss: u32,
    /// Not 0: ask for titles.
    pub titles: u32,
    /// `max-lag` in ms: so far behind live at a resume, and it goes on live; 0: however far.
    pub max_lag: u32,
    /// So many ms without a byte, and the relay is left. 5000
    pub silence: u32,
    /// So many ms without audio from anywhere, and the client ends; 0: never. 60000
    pub give_up: u32,
    /// Relays known at once, those learned from `Link` included: 1 to 16. 16
    pub max_relays: u32,
    /// The longest URL, in bytes: 16 to 2048. 2048
    pub max_url: u32,
    /// Bytes remembered to stitch by content at servers that have no offsets; 0: never stitch. 524288
    pub history: u32,
    /// The longest prelude that is accepted, in bytes. 1048576
    pub max_prelude: u32,
    /// Not 0: relays that share no epoch are told what was heard, and may prove where it goes on. Then `now` must go on while the
    /// device sleeps: CLOCK_BOOTTIME on Linux. 0
    pub evidence: u32,
}

// SAFETY: `repr(C)`, begins with its size, and holds pointers and numbers alone.
unsafe impl Record for ClientOptions {
    const FIRST: usize = size_of::<Self>();
}

/// What no option adds to: an answer's head, taken apart; one piece of its body, and what is told of it.
const FIXED: usize = 56 << 10;
/// A relay besides its URL, which is held twice, and what it said last.
const RELAY: usize = 512;
/// What was heard last, and the field that says it.
const EVIDENCE: usize = 16 << 10;
/// A burst in which the history is looked for, while it grows.
const STITCH: usize = 1 << 20;

/// Sets all options but `size` to their defaults.
///
/// # Safety
/// `options` points to a struct whose `size` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_options_init(options: *mut ClientOptions) -> c_int {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { write(options, &ClientOptions::unset(), "options") }?;
        Ok(ICECAST_EXT_OK)
    })
}

impl ClientOptions {
    /// The defaults.
    pub(super) const fn unset() -> Self {
        Self {
            size: 0,
            relays: std::ptr::null(),
            relay_count: 0,
            agent: std::ptr::null(),
            seed: 0,
            epoch: std::ptr::null(),
            offset: 0,
            miss: ICECAST_EXT_MISS_OLDEST,
            titles: 0,
            max_lag: 0,
            silence: 5000,
            give_up: 60_000,
            max_relays: 16,
            max_url: 2048,
            history: 512 << 10,
            max_prelude: 1 << 20,
            evidence: 0,
        }
    }

    /// Bytes that are enough.
    pub(super) fn memory(&self) -> Result<usize, Failure> {
        let within = |name: &str, value: u32, least: u32, most: u32| {
            if (least..=most).contains(&value) {
                return Ok(value as usize);
            }
            Err(Failure::invalid(format_args!(
                "options: {name} is {value}; it can be {least} to {most}"
            )))
        };
        let relays = within("max_relays", self.max_relays, 1, MAX_RELAYS as u32)?;
        let url = within("max_url", self.max_url, 16, 2048)?;
        let history = within("history", self.history, 0, 4 << 20)?;
        let prelude = within("max_prelude", self.max_prelude, 0, 8 << 20)?;
        within("silence", self.silence, 100, u32::MAX)?;
        let stitch = if history > 0 { STITCH + 2 * history } else { 0 };
        let evidence = if self.evidence != 0 { EVIDENCE } else { 0 };
        Ok(FIXED + relays * (RELAY + 2 * url) + 2 * prelude + stitch + evidence)
    }

    /// The relays, and the agent.
    ///
    /// # Safety
    /// The strings are strings.
    pub(super) unsafe fn strings(&self) -> Result<(Vec<String>, String), Failure> {
        // SAFETY: the caller's.
        let relays = unsafe { texts(self.relays, self.relay_count, "relays") }?;
        // SAFETY: the caller's.
        let agent = unsafe { crate::record::text(self.agent, "agent") }?;
        Ok((relays, agent.unwrap_or(crate::abi::AGENT).to_owned()))
    }

    pub(super) fn core(&self) -> Result<Options, Failure> {
        let ms = |ms: u32| (ms > 0).then(|| Duration::from_millis(ms.into()));
        // SAFETY: the caller of whoever made us.
        let start = match unsafe { crate::record::text(self.epoch, "epoch") }? {
            None => Start::Live,
            Some(epoch) => {
                let epoch: Epoch = epoch.parse().map_err(Failure::invalid)?;
                let offset = Offset::new(self.offset);
                let offset =
                    offset.ok_or_else(|| Failure::invalid("options: offset has over 15 digits"))?;
                Start::At(Position::new(epoch, offset))
            }
        };
        Ok(Options {
            start,
            miss: match self.miss {
                ICECAST_EXT_MISS_OLDEST => Miss::Oldest,
                ICECAST_EXT_MISS_LIVE => Miss::Live,
                ICECAST_EXT_MISS_FAIL => Miss::Fail,
                other => {
                    return Err(Failure::invalid(format_args!(
                        "options: {other} is no miss"
                    )));
                }
            },
            max_lag: ms(self.max_lag),
            icy: self.titles != 0,
            silence: Duration::from_millis(self.silence.into()),
            give_up_after: ms(self.give_up),
            history: self.history as usize,
            max_prelude: self.max_prelude as usize,
            max_relays: self.max_relays as usize,
            max_url: self.max_url as usize,
            evidence: self.evidence != 0,
            ..Options::default()
        })
    }
}
