//! A mount: a source's bytes, or a parent relay's, with their addresses, for as long as the window holds them.
//!
//! Calls with a mount may come from any thread at any time; each waits for the one before.

mod feed;
mod options;
mod station;

use std::ffi::c_int;
use std::sync::{Arc, Mutex, MutexGuard};

use icecast_ext_core::head::Request;

use crate::handle::Table;
use crate::record::{bytes, name, put, read, write};
use crate::result::{
    Failure, ICECAST_EXT_END, ICECAST_EXT_MALFORMED, ICECAST_EXT_NONE, ICECAST_EXT_OK,
    ICECAST_EXT_OUT_OF_ORDER, ICECAST_EXT_PANIC, guard,
};

pub use options::*;
pub(crate) use station::{Station, epoch, fresh};

/// A stream under one path.
pub struct Mount;

static MOUNTS: Table<Mount, Shared> = Table::new(2);

/// What a mount and its listeners share.
#[derive(Clone)]
pub(crate) struct Shared(Arc<Mutex<Station>>);

impl Shared {
    /// Refused after a panic: what the station holds may be wrong, and wrong bytes are worse than none.
    pub(crate) fn lock(&self) -> Result<MutexGuard<'_, Station>, Failure> {
        let lock = self.0.lock();
        lock.map_err(|_| {
            Failure::new(
                ICECAST_EXT_PANIC,
                "an earlier call with this mount met a bug of this library: free it",
            )
        })
    }
}

/// What `icecast_ext_mount_state` says.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MountState {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// Not 0 while a source or a parent feeds it.
    pub live: u32,
    /// 0
    pub reserved: u32,
    /// The oldest byte held of the current epoch.
    pub first: u64,
    /// The byte that is published next.
    pub next: u64,
    /// Bytes held, of all epochs.
    pub held: u64,
    /// Bytes a second; 0 while that is not known.
    pub rate: u64,
    /// Of the byte that a parent is asked for next, published or not: what `Resume-Offset` wants. Equal to `next` or more.
    pub received: u64,
    /// 22 characters and a NUL; empty before the first source.
    pub epoch: [std::ffi::c_char; 24],
}

// SAFETY: `repr(C)`, begins with its size, and holds numbers alone.
unsafe impl crate::record::Record for MountState {
    const FIRST: usize = size_of::<Self>();
}

/// Makes a mount that holds nothing yet. Strings are copied. Needs `icecast_ext_init`.
///
/// # Safety
/// `options` points to options, whose strings end with a NUL; `mount` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_mount_new(
    options: *const MountOptions,
    mount: *mut *mut Mount,
) -> c_int {
    guard(|| {
        crate::abi::ready()?;
        // SAFETY: the caller's.
        unsafe { put(mount, std::ptr::null_mut(), "mount") }?;
        // SAFETY: the caller's.
        let options = unsafe { read(options, MountOptions::unset(), "options") }?;
        // SAFETY: the caller's.
        let station = Station::new(unsafe { options.checked() }?);
        let handle = MOUNTS.insert(Shared(Arc::new(Mutex::new(station))))?;
        // SAFETY: the caller's.
        unsafe { put(mount, handle, "mount") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// A source begins: `head` is its whole request head (PUT or SOURCE), whose fields become the listeners'. A new epoch begins,
/// and follows the one before, if there is one. `now`: milliseconds since 1970.
///
/// # Safety
/// `head` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_mount_source(
    mount: *mut Mount,
    head: *const u8,
    length: usize,
    now: u64,
) -> c_int {
    with(mount, |station| {
        // SAFETY: the caller's.
        let head = unsafe { bytes(head, length, "head") }?;
        let malformed = |why: &dyn std::fmt::Display| Failure::new(ICECAST_EXT_MALFORMED, why);
        let parsed = Request::parse(head).map_err(|error| malformed(&error))?;
        let (request, _) = parsed.ok_or_else(|| malformed(&"the head is not whole"))?;
        station.source(&request, epoch()?, now);
        Ok(ICECAST_EXT_OK)
    })
}

/// Bytes of the source's body, as they came: chunks and the end are found. `ICECAST_EXT_END`: it is complete, and the source is
/// gone. `now`: milliseconds since 1970, by a clock that does not jump.
///
/// # Safety
/// `data` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_mount_body(
    mount: *mut Mount,
    data: *const u8,
    length: usize,
    now: u64,
) -> c_int {
    with(mount, |station| {
        // SAFETY: the caller's.
        let data = unsafe { bytes(data, length, "data") }?;
        match station.body(data, now) {
            Some(Ok(false)) => Ok(ICECAST_EXT_OK),
            Some(Ok(true)) => Ok(ICECAST_EXT_END),
            Some(Err(error)) => Err(Failure::new(ICECAST_EXT_MALFORMED, error)),
            None => Err(Failure::new(
                ICECAST_EXT_OUT_OF_ORDER,
                "there is no source: call icecast_ext_mount_source before",
            )),
        }
    })
}

/// A title, from the next byte on: the text alone, as the encoder named it, in any encoding.
///
/// # Safety
/// `title` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_mount_title(
    mount: *mut Mount,
    title: *const u8,
    length: usize,
) -> c_int {
    with(mount, |station| {
        // SAFETY: the caller's.
        let title = unsafe { bytes(title, length, "title") }?;
        if !station.title(title) {
            return Err(Failure::new(
                ICECAST_EXT_OUT_OF_ORDER,
                "there is no source that could have a title",
            ));
        }
        Ok(ICECAST_EXT_OK)
    })
}

/// A connection to a parent relay begins, whose body is the relay feed. `spliced`: what its `Stream-Offset` says of that, 0 or 1.
/// Ask with `Accept: application/vnd.icecast-ext.relay`, and, after the first time, with `Resume-Offset` as
/// `icecast_ext_mount_state` has it.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_mount_feed(mount: *mut Mount, spliced: c_int) -> c_int {
    with(mount, |station| {
        station.feed(spliced != 0);
        Ok(ICECAST_EXT_OK)
    })
}

/// Bytes of the feed, transfer coding removed. What came before a malformed frame counts.
///
/// # Safety
/// `data` points to `length` bytes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_mount_fed(
    mount: *mut Mount,
    data: *const u8,
    length: usize,
) -> c_int {
    with(mount, |station| {
        // SAFETY: the caller's.
        let data = unsafe { bytes(data, length, "data") }?;
        match station.fed(data) {
            Some(Ok(())) => Ok(ICECAST_EXT_OK),
            Some(Err(error)) => Err(Failure::new(ICECAST_EXT_MALFORMED, error)),
            None => Err(Failure::new(
                ICECAST_EXT_OUT_OF_ORDER,
                "there is no feed: call icecast_ext_mount_feed before",
            )),
        }
    })
}

/// The source, or the feed, is gone. Listeners get what is held; if none comes back within 5 s, their responses end.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_mount_gone(mount: *mut Mount, now: u64) -> c_int {
    with(mount, |station| {
        station.gone(now);
        Ok(ICECAST_EXT_OK)
    })
}

/// Publishes what has come, and lets go of what is older than the window. To be called once a tick; then look at all listeners.
/// `ICECAST_EXT_NONE`: nothing came; relays are told so all the same.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_mount_publish(mount: *mut Mount, now: u64) -> c_int {
    with(mount, |station| {
        let news = station.tick(now);
        Ok(if news {
            ICECAST_EXT_OK
        } else {
            ICECAST_EXT_NONE
        })
    })
}

/// What the mount holds.
///
/// # Safety
/// `state` points to a struct whose `size` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_mount_state(
    mount: *mut Mount,
    state: *mut MountState,
) -> c_int {
    with(mount, |station| {
        let window = station.buffer.timeline.window();
        let received = station.received();
        let told = MountState {
            size: 0,
            live: station.live().into(),
            reserved: 0,
            first: window.map_or(0, |window| window.window.first.get()),
            next: window.map_or(0, |window| window.window.next.get()),
            held: station.buffer.ring.held(),
            rate: window.and_then(|window| window.rate).unwrap_or(0),
            received: received.map_or(0, |at| at.offset.get()),
            epoch: name(received.map(|at| at.epoch)),
        };
        // SAFETY: the caller's.
        unsafe { write(state, &told, "state") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// Frees a mount. Its listeners go on with what it holds until they are freed. NULL is nothing.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_mount_free(mount: *mut Mount) -> c_int {
    guard(|| {
        if !mount.is_null() {
            // A broken one is freed all the same.
            if let Ok(mut station) = MOUNTS.get(mount)?.lock() {
                station.close();
            }
        }
        MOUNTS.remove(mount).map(|()| ICECAST_EXT_OK)
    })
}

/// The mount of this handle.
pub(crate) fn of(mount: *mut Mount) -> Result<Shared, Failure> {
    MOUNTS.get(mount).map(|shared| Shared::clone(&shared))
}

fn with(mount: *mut Mount, call: impl FnOnce(&mut Station) -> Result<c_int, Failure>) -> c_int {
    guard(|| call(&mut *MOUNTS.get(mount)?.lock()?))
}
