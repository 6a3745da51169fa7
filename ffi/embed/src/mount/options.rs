//! How a mount holds its stream.

use std::ffi::{c_char, c_int};
use std::num::NonZeroU32;
use std::time::Duration;

use icecast_ext_core::stock::Level;

use crate::record::{Record, text, texts, write};
use crate::result::{Failure, ICECAST_EXT_OK, guard};

/// Players that know nothing of the extension do not resume: `Range` is ignored.
pub const ICECAST_EXT_LEVEL_OFF: u32 = 0;
/// They resume, where they can without a length.
pub const ICECAST_EXT_LEVEL_RANGES: u32 = 1;
/// All resume; many show a seek bar.
pub const ICECAST_EXT_LEVEL_FULL: u32 = 2;

/// How a mount holds its stream. Call `icecast_ext_mount_options_init` first, then set what is to be other.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MountOptions {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// The mount's path, decoded: `/live.mp3`.
    pub path: *const c_char,
    /// The value of `Server`; NULL: this library's.
    pub server: *const c_char,
    /// Base URLs of other relays that have the stream at the same path, without a slash at the end; NULL: none.
    pub relays: *const *const c_char,
    /// How many.
    pub relay_count: usize,
    /// How long bytes are held, in ms. 120000
    pub window: u32,
    /// How often `icecast_ext_mount_publish` will be called, in ms: 10 to 10000. Relays are told. 250
    pub tick: u32,
    /// Never more bytes than this are held. 67108864
    pub max_bytes: u64,
    /// Bytes before the edge at which a live listener begins. 65536
    pub burst: u64,
    /// Bytes between two ICY blocks: 256 to 16000000. 16000
    pub metaint: u32,
    /// One of `ICECAST_EXT_LEVEL_…`. Ranges
    pub level: u32,
    /// Listeners that wait at once for the next byte, for 10 s at most; others are answered 503. 1000
    pub held: u32,
    /// 0
    pub reserved: u32,
}

// SAFETY: `repr(C)`, begins with its size, and holds pointers and numbers alone.
unsafe impl Record for MountOptions {
    const FIRST: usize = size_of::<Self>();
}

/// Options that can be.
pub(crate) struct Checked {
    pub(crate) path: String,
    pub(crate) server: String,
    pub(crate) relays: Vec<String>,
    pub(crate) window: Duration,
    pub(crate) tick: Duration,
    pub(crate) max_bytes: u64,
    pub(crate) burst: u64,
    pub(crate) metaint: NonZeroU32,
    pub(crate) level: Level,
    pub(crate) held: usize,
}

/// Sets all options but `size` to their defaults.
///
/// # Safety
/// `options` points to a struct whose `size` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_mount_options_init(options: *mut MountOptions) -> c_int {
    guard(|| {
        // SAFETY: the caller's.
        unsafe { write(options, &MountOptions::unset(), "options") }?;
        Ok(ICECAST_EXT_OK)
    })
}

impl MountOptions {
    /// The defaults.
    pub(super) const fn unset() -> Self {
        Self {
            size: 0,
            path: std::ptr::null(),
            server: std::ptr::null(),
            relays: std::ptr::null(),
            relay_count: 0,
            window: 120_000,
            tick: 250,
            max_bytes: 64 << 20,
            burst: 65_536,
            metaint: 16_000,
            level: ICECAST_EXT_LEVEL_RANGES,
            held: 1_000,
            reserved: 0,
        }
    }

    /// # Safety
    /// The strings are strings.
    pub(super) unsafe fn checked(&self) -> Result<Checked, Failure> {
        // SAFETY: the caller's.
        let path =
            unsafe { text(self.path, "path") }?.ok_or_else(|| Failure::null("options: path"))?;
        if !path.starts_with('/') || path.len() < 2 {
            return Err(Failure::invalid(format_args!(
                "options: {path:?} is no mount such as /live.mp3"
            )));
        }
        let in_line = |what: &str, text: &str| match text.bytes().all(|b| matches!(b, b' '..=b'~'))
        {
            true => Ok(()),
            false => Err(Failure::invalid(format_args!(
                "options: {what} has what no field line can have"
            ))),
        };
        // SAFETY: the caller's.
        let server = unsafe { text(self.server, "server") }?.unwrap_or(crate::abi::AGENT);
        in_line("server", server)?;
        // SAFETY: the caller's.
        let relays = unsafe { texts(self.relays, self.relay_count, "relays") }?;
        for relay in &relays {
            in_line("relays", relay)?;
        }
        if !(10..=10_000).contains(&self.tick) {
            return Err(Failure::invalid(format_args!(
                "options: tick is {}; it can be 10 to 10000",
                self.tick
            )));
        }
        if self.held == 0 {
            return Err(Failure::invalid(
                "options: held is 0, and whoever asks for the next byte has to wait for it",
            ));
        }
        let metaint = NonZeroU32::new(self.metaint)
            .filter(|metaint| (256..=16_000_000).contains(&metaint.get()));
        Ok(Checked {
            path: path.to_owned(),
            server: server.to_owned(),
            relays,
            window: Duration::from_millis(self.window.into()),
            tick: Duration::from_millis(self.tick.into()),
            max_bytes: self.max_bytes,
            burst: self.burst,
            held: usize::try_from(self.held).unwrap_or(usize::MAX),
            metaint: metaint.ok_or_else(|| {
                Failure::invalid(format_args!(
                    "options: metaint is {}; it can be 256 to 16000000",
                    self.metaint
                ))
            })?,
            level: match self.level {
                ICECAST_EXT_LEVEL_OFF => Level::Off,
                ICECAST_EXT_LEVEL_RANGES => Level::Ranges,
                ICECAST_EXT_LEVEL_FULL => Level::Full,
                other => {
                    return Err(Failure::invalid(format_args!(
                        "options: {other} is no level"
                    )));
                }
            },
        })
    }
}
