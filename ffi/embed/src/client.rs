//! The resuming client: bytes in; audio, titles, losses and the next request out. The host has the connection and the clock.

mod event;
mod options;
mod step;

use std::ffi::{c_char, c_int};
use std::mem::ManuallyDrop;
use std::time::Duration;

use icecast_ext_core::client::http::HttpClient;
use icecast_ext_core::client::{self as core, ClientError};

use crate::arena::Block;
use crate::handle::{Alone, Table};
use crate::record::{bytes, name, put, read, text, write};
use crate::result::{Failure, ICECAST_EXT_NO_MEMORY, ICECAST_EXT_NONE, ICECAST_EXT_OK, guard};

pub use event::*;
pub use options::*;
pub use step::*;

/// One listener of one stream, on whatever relay.
pub struct Client;

static CLIENTS: Table<Client, Alone<Held>> = Table::new(1);

/// A client and its memory.
struct Held {
    inner: ManuallyDrop<Inner>,
    block: Block,
}

/// All of it lives in the block.
struct Inner {
    http: HttpClient,
    /// What the last step points to.
    step: step::Words,
    /// What the last event points to.
    event: event::Words,
}

impl Drop for Held {
    fn drop(&mut self) {
        let inner = &mut self.inner;
        // SAFETY: it is not used after this.
        self.block.run(|| unsafe { ManuallyDrop::drop(inner) });
    }
}

/// What has happened so far, and the memory that it took.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ClientStats {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// Canonical bytes given out, in bytes.
    pub audio: u64,
    /// Accepted connections that ended, epoch ends included.
    pub cuts: u64,
    /// Changes of relay.
    pub moves: u64,
    /// Declared splices followed: nothing is lost there.
    pub splices: u64,
    /// Continuations that content proved, at servers without offsets.
    pub stitches: u64,
    /// Titles.
    pub titles: u64,
    /// Holes in the audio.
    pub losses: u64,
    /// Those among them whose size nobody knows.
    pub unknown_losses: u64,
    /// Bytes lost in the others.
    pub lost: u64,
    /// Where the byte after the last audio event taken stands; `epoch` is empty where that is unknown.
    pub offset: u64,
    /// 22 characters and a NUL.
    pub epoch: [c_char; 24],
    /// The client's memory: bytes taken when it was made.
    pub memory: usize,
    /// And the most that was in use of them.
    pub memory_peak: usize,
    /// Bytes that did not fit and came from the system, all in all: a bug, if it is not 0.
    pub memory_over: usize,
}

// SAFETY: `repr(C)`, begins with its size, and holds numbers alone.
unsafe impl crate::record::Record for ClientStats {
    const FIRST: usize = size_of::<Self>();
}

/// Bytes that `icecast_ext_client_new` takes in one piece, and all that the client ever has.
///
/// # Safety
/// `options` points to options; `memory` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_memory(
    options: *const ClientOptions,
    memory: *mut usize,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's.
        let options = unsafe { read(options, ClientOptions::unset(), "options") }?;
        // SAFETY: the caller's.
        unsafe { put(memory, options.memory()?, "memory") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// Makes a client; nothing is sent yet. Strings are copied. Needs `icecast_ext_init`.
///
/// # Safety
/// `options` points to options, whose strings end with a NUL; `client` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_new(
    options: *const ClientOptions,
    client: *mut *mut Client,
) -> c_int {
    guard(|| {
        crate::abi::ready()?;
        // SAFETY: the caller's.
        unsafe { put(client, std::ptr::null_mut(), "client") }?;
        // SAFETY: the caller's.
        let options = unsafe { read(options, ClientOptions::unset(), "options") }?;
        let size = options.memory()?;
        let no_memory = || {
            Failure::new(
                ICECAST_EXT_NO_MEMORY,
                format_args!("there are no {size} bytes in one piece"),
            )
        };
        let block = Block::new(size).ok_or_else(no_memory)?;
        let inner = block.run(|| {
            // SAFETY: the caller's.
            let (relays, agent) = unsafe { options.strings() }?;
            let client = core::Client::new(relays, options.core()?, options.seed)
                .map_err(|error: ClientError| Failure::invalid(error))?;
            Ok(Inner {
                http: HttpClient::new(client, &agent),
                step: step::Words::default(),
                event: event::Words::default(),
            })
        })?;
        let held = Held {
            inner: ManuallyDrop::new(inner),
            block,
        };
        let handle = CLIENTS.insert(Alone::new(held))?;
        // SAFETY: the caller's.
        unsafe { put(client, handle, "client") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// What to do now. `now`: milliseconds by a clock of the host's that never goes back, since whenever.
///
/// # Safety
/// `step` points to a struct whose `size` is set. What it points to stays until the next call with this client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_poll(
    client: *mut Client,
    now: u64,
    step: *mut ClientStep,
) -> c_int {
    within(client, |inner| {
        let told = inner
            .step
            .tell(inner.http.poll(Duration::from_millis(now)), &inner.http);
        // SAFETY: the caller's.
        unsafe { write(step, &told, "step") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// Bytes of the connection, TLS removed. `taken`: how many of them were taken; take the events out, then give the rest.
///
/// # Safety
/// `data` points to `length` bytes; `taken` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_received(
    client: *mut Client,
    now: u64,
    data: *const u8,
    length: usize,
    taken: *mut usize,
) -> c_int {
    within(client, |inner| {
        // SAFETY: the caller's.
        let data = unsafe { bytes(data, length, "data") }?;
        // SAFETY: the caller's.
        unsafe { put(taken, 0, "taken") }?;
        let used = inner.http.received(Duration::from_millis(now), data);
        // SAFETY: the caller's.
        unsafe { put(taken, used, "taken") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// The server has closed the connection as it should: `recv` gave 0.
///
/// # Safety
/// None beyond those of any call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_closed(client: *mut Client, now: u64) -> c_int {
    within(client, |inner| {
        inner.http.closed(Duration::from_millis(now));
        Ok(ICECAST_EXT_OK)
    })
}

/// There is no connection, or it broke. `why`: for the events' text; NULL if nobody knows.
///
/// # Safety
/// `why` is NULL or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_failed(
    client: *mut Client,
    now: u64,
    why: *const c_char,
) -> c_int {
    /// No longer reason is kept.
    const LONGEST: usize = 128;
    within(client, |inner| {
        // SAFETY: the caller's.
        let why = unsafe { text(why, "why") }?.unwrap_or("it broke");
        let why: String = why.chars().take(LONGEST).collect();
        inner.http.failed(Duration::from_millis(now), why);
        Ok(ICECAST_EXT_OK)
    })
}

/// Moves to the relay of this URL, or to the best of the others if it is NULL: the next step connects there, and an event of kind
/// `ICECAST_EXT_EVENT_MOVED` or `ICECAST_EXT_EVENT_STAYED` tells how it ended. `ICECAST_EXT_INVALID` if there is no such relay.
///
/// # Safety
/// `url` is NULL or ends with a NUL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_move(
    client: *mut Client,
    now: u64,
    url: *const c_char,
) -> c_int {
    within(client, |inner| {
        // SAFETY: the caller's.
        let url = unsafe { text(url, "url") }?;
        let moved = inner.http.move_to(Duration::from_millis(now), url);
        moved.map_err(Failure::invalid)?;
        Ok(ICECAST_EXT_OK)
    })
}

/// What happened next, or `ICECAST_EXT_NONE`. To be called until then after each other call.
///
/// # Safety
/// `event` points to a struct whose `size` is set. What it points to stays until the next call with this client.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_event(
    client: *mut Client,
    event: *mut ClientEvent,
) -> c_int {
    within(client, |inner| {
        let next = inner.http.poll_event();
        let some = next.is_some();
        let told = inner.event.tell(next);
        // SAFETY: the caller's.
        unsafe { write(event, &told, "event") }?;
        Ok(if some {
            ICECAST_EXT_OK
        } else {
            ICECAST_EXT_NONE
        })
    })
}

/// What has happened so far.
///
/// # Safety
/// `stats` points to a struct whose `size` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_stats(
    client: *mut Client,
    stats: *mut ClientStats,
) -> c_int {
    guard(|| {
        let held = CLIENTS.get(client)?;
        let held = held.enter()?;
        let usage = held.block.usage();
        let client = held.inner.http.client();
        let (so_far, at) = (client.stats(), client.position());
        let told = ClientStats {
            size: 0,
            audio: so_far.audio_bytes,
            cuts: so_far.cuts,
            moves: so_far.moves,
            splices: so_far.splices,
            stitches: so_far.stitches,
            titles: so_far.titles,
            losses: so_far.losses,
            unknown_losses: so_far.unknown_losses,
            lost: so_far.lost_bytes,
            offset: at.map_or(0, |at| at.offset.get()),
            epoch: name(at.map(|at| at.epoch)),
            memory: usage.size,
            memory_peak: usage.peak,
            memory_over: usage.over,
        };
        // SAFETY: the caller's.
        unsafe { write(stats, &told, "stats") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// Frees a client. NULL is nothing.
///
/// # Safety
/// None beyond those of any call.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_client_free(client: *mut Client) -> c_int {
    guard(|| CLIENTS.remove(client).map(|()| ICECAST_EXT_OK))
}

/// A call with a client, whose memory is its own.
fn within(client: *mut Client, call: impl FnOnce(&mut Inner) -> Result<c_int, Failure>) -> c_int {
    guard(|| {
        let held = CLIENTS.get(client)?;
        let mut held = held.enter()?;
        let Held { inner, block } = &mut *held;
        block.run(|| call(inner))
    })
}
