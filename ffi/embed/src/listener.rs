//! A listener: from its request's head to the bytes that it is sent. The host has the socket.

mod answer;

use std::ffi::{c_char, c_int};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf as _, Bytes};
use icecast_ext_core::address::Session;
use icecast_ext_core::answer::Answer;
use icecast_ext_core::buffer::{MAX_PIECES, Then, Turn};
use icecast_ext_core::head::{Method, Request, Version};
use icecast_ext_core::plan::{Cursor, End};

use crate::handle::{Alone, Table};
use crate::mount::{Mount, Shared};
use crate::record::{Record, bytes, name, put, text, write};
use crate::result::{
    Failure, ICECAST_EXT_END, ICECAST_EXT_END_RESET, ICECAST_EXT_INVALID, ICECAST_EXT_OK,
    ICECAST_EXT_WAIT, guard,
};
use answer::{Held, Now};

/// One connection that was asked something, whatever it is answered.
pub struct Listener;

static LISTENERS: Table<Listener, Alone<Answering>> = Table::new(3);

/// Bytes of one turn, at most.
const TURN: usize = 256 << 10;

/// Bytes to send; laid out as POSIX's `struct iovec`, and so for ever.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Piece {
    /// Where they are.
    pub bytes: *const u8,
    /// How many.
    pub length: usize,
}

/// What `icecast_ext_listener_state` says.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct ListenerState {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// Of its answer; 0 while it is held.
    pub status: u32,
    /// Not 0: it is sent the stream, or the feed.
    pub streams: u32,
    /// Canonical bytes sent.
    pub audio: u64,
    /// The next byte.
    pub offset: u64,
    /// 22 characters and a NUL; empty if it is sent no stream.
    pub epoch: [c_char; 24],
}

// SAFETY: `repr(C)`, begins with its size, and holds numbers alone.
unsafe impl Record for ListenerState {
    const FIRST: usize = size_of::<Self>();
}

/// What there is to send.
enum Stage {
    /// Its start is not here yet (R-AHEAD-1).
    Held(Box<Held>),
    /// The stream, once `rest` is sent.
    Streams(Box<Streams>),
    /// Nothing, once `rest` is sent.
    Ends { reset: bool },
}

struct Streams {
    mount: Shared,
    cursor: Cursor,
    turn: Turn,
    /// The turn has what comes next.
    filled: bool,
    over: Arc<AtomicBool>,
    session: Option<Session>,
}

struct Answering {
    status: u16,
    /// To be sent before anything else.
    rest: Bytes,
    stage: Stage,
    audio: u64,
}

impl Drop for Streams {
    fn drop(&mut self) {
        let alive = self.session.filter(|_| !self.over.load(Ordering::Relaxed));
        if let (Some(session), Ok(mut station)) = (alive, self.mount.lock()) {
            station.forget(session);
        }
    }
}

/// Answers a request: the stream, from where it is to begin, or a short answer that says why not. What to send, and when to
/// close, `icecast_ext_listener_pieces` says. Whoever may not listen is not to be answered by this, but by `icecast_ext_refuse`.
/// `mount`: NULL if there is none at that path. `now`: milliseconds since 1970, as all calls with this mount have it.
///
/// # Safety
/// `head` points to `length` bytes; `listener` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_answer(
    mount: *mut Mount,
    head: *const u8,
    length: usize,
    now: u64,
    listener: *mut *mut Listener,
) -> c_int {
    guard(|| {
        crate::abi::ready()?;
        // SAFETY: the caller's.
        unsafe { put(listener, std::ptr::null_mut(), "listener") }?;
        // SAFETY: the caller's.
        let head = unsafe { bytes(head, length, "head") }?;
        let mount = if mount.is_null() {
            None
        } else {
            Some(crate::mount::of(mount)?)
        };
        let handle = LISTENERS.insert(Alone::new(answer::of(mount, head, Now(now))?))?;
        // SAFETY: the caller's.
        unsafe { put(listener, handle, "listener") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// A short answer of the host's: `status` from 400 to 599, and a line of text that says what to do. 401 asks for a login.
///
/// # Safety
/// `head` points to `length` bytes, the request's; `why` ends with a NUL; `listener` may be written to.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_refuse(
    head: *const u8,
    length: usize,
    status: u32,
    why: *const c_char,
    now: u64,
    listener: *mut *mut Listener,
) -> c_int {
    guard(|| {
        crate::abi::ready()?;
        // SAFETY: the caller's.
        unsafe { put(listener, std::ptr::null_mut(), "listener") }?;
        // SAFETY: the caller's.
        let head = unsafe { bytes(head, length, "head") }?;
        // SAFETY: the caller's.
        let why = unsafe { text(why, "why") }?.unwrap_or_default();
        let status = u16::try_from(status)
            .ok()
            .filter(|status| (400..600).contains(status));
        let status = status.ok_or_else(|| Failure::invalid("status can be 400 to 599"))?;
        let refusal = match status {
            401 => Answer::unauthorized(),
            status => Answer::new(status, format!("{why}\n")),
        };
        let (version, head_only) = match Request::parse(head) {
            Ok(Some((request, _))) => (request.version, request.method == Method::Head),
            _ => (Version::Http11, false),
        };
        let answering = answer::short(&refusal, version, head_only, Now(now));
        let handle = LISTENERS.insert(Alone::new(answering))?;
        // SAFETY: the caller's.
        unsafe { put(listener, handle, "listener") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// What to send next: at most `room` pieces into `pieces`, and into `count` how many they are. `ICECAST_EXT_OK`: send them, say how
/// much was sent, and call again, or when the socket takes more. `ICECAST_EXT_WAIT`: nothing until the mount's next tick.
/// `ICECAST_EXT_END`, `ICECAST_EXT_END_RESET`: it was all; close.
///
/// # Safety
/// `pieces` has room for `room` pieces, at least one; `count` may be written to. The bytes stay until the next call with this
/// listener.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_listener_pieces(
    listener: *mut Listener,
    now: u64,
    pieces: *mut Piece,
    room: usize,
    count: *mut usize,
) -> c_int {
    with(listener, |answering| {
        // SAFETY: the caller's.
        unsafe { put(count, 0, "count") }?;
        if pieces.is_null() {
            return Err(Failure::null("pieces"));
        }
        if room == 0 {
            return Err(Failure::new(
                ICECAST_EXT_INVALID,
                "room is 0: nothing could ever be sent",
            ));
        }
        let (result, to_send) = answering.next(Now(now))?;
        let mut n = 0;
        for piece in to_send.iter().take(room) {
            let piece = Piece {
                bytes: piece.as_ptr(),
                length: piece.len(),
            };
            // SAFETY: within the caller's room; it need not be aligned.
            unsafe { pieces.add(n).write_unaligned(piece) };
            n += 1;
        }
        // SAFETY: the caller's.
        unsafe { put(count, n, "count") }?;
        Ok(result)
    })
}

/// The socket took so many bytes of what `icecast_ext_listener_pieces` gave last.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_listener_sent(listener: *mut Listener, sent: usize) -> c_int {
    with(listener, |answering| {
        if !answering.sent(sent) {
            return Err(Failure::invalid(format_args!(
                "{sent} bytes are more than there were to send"
            )));
        }
        Ok(ICECAST_EXT_OK)
    })
}

/// Where it is.
///
/// # Safety
/// `state` points to a struct whose `size` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_listener_state(
    listener: *mut Listener,
    state: *mut ListenerState,
) -> c_int {
    with(listener, |answering| {
        let at = match &answering.stage {
            Stage::Streams(streams) => Some(streams.cursor.at()),
            Stage::Held(_) | Stage::Ends { .. } => None,
        };
        let told = ListenerState {
            size: 0,
            status: answering.status.into(),
            streams: at.is_some().into(),
            audio: answering.audio,
            offset: at.map_or(0, |at| at.offset.get()),
            epoch: name(at.map(|at| at.epoch)),
        };
        // SAFETY: the caller's.
        unsafe { write(state, &told, "state") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// Frees a listener, whose connection is closed or will be. NULL is nothing.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_listener_free(listener: *mut Listener) -> c_int {
    guard(|| LISTENERS.remove(listener).map(|()| ICECAST_EXT_OK))
}

fn with(
    listener: *mut Listener,
    call: impl FnOnce(&mut Answering) -> Result<c_int, Failure>,
) -> c_int {
    guard(|| call(&mut *LISTENERS.get(listener)?.enter()?))
}

impl Answering {
    /// The result, and the pieces to send.
    fn next(&mut self, now: Now) -> Result<(c_int, &[Bytes]), Failure> {
        if let Stage::Held(held) = &self.stage
            && let Some(decided) = held.decide(now)?
        {
            *self = decided;
        }
        if !self.rest.is_empty() {
            return Ok((ICECAST_EXT_OK, std::slice::from_ref(&self.rest)));
        }
        if let Stage::Streams(streams) = &mut self.stage
            && let Some(reset) = streams.fill(now)?
        {
            self.stage = Stage::Ends { reset };
        }
        Ok(match &self.stage {
            Stage::Held(_) => (ICECAST_EXT_WAIT, &[]),
            Stage::Ends { reset: true } => (ICECAST_EXT_END_RESET, &[]),
            Stage::Ends { reset: false } => (ICECAST_EXT_END, &[]),
            Stage::Streams(streams) => match streams.turn.pieces() {
                [] => (ICECAST_EXT_WAIT, &[]),
                pieces => (ICECAST_EXT_OK, pieces),
            },
        })
    }

    /// False if there was not so much.
    fn sent(&mut self, sent: usize) -> bool {
        if !self.rest.is_empty() {
            if sent > self.rest.len() {
                return false;
            }
            self.rest.advance(sent);
            return true;
        }
        match &mut self.stage {
            Stage::Streams(streams) if sent <= streams.turn.bytes() => {
                if sent > 0 {
                    let settled = streams.turn.settle(streams.cursor, sent);
                    streams.cursor = settled.cursor;
                    streams.filled = false;
                    self.audio += settled.audio;
                    self.rest = settled.rest.unwrap_or_default();
                    streams.turn.clear();
                }
                true
            }
            _ => sent == 0,
        }
    }
}

impl Streams {
    /// Fills the turn, if there is something. `Some` if the response ends, with an RST or without.
    fn fill(&mut self, now: Now) -> Result<Option<bool>, Failure> {
        if self.over.load(Ordering::Relaxed) {
            return Ok(Some(false));
        }
        if self.filled {
            return Ok(None);
        }
        let mount = self.mount.clone();
        let station = mount.lock()?;
        // What moves on without a byte is gone over at once.
        for _ in 0..MAX_PIECES {
            self.turn.clear();
            if station
                .buffer
                .plan(self.cursor, station.ticks, TURN, &mut self.turn)
                .is_err()
            {
                return Ok(Some(false));
            }
            if self.turn.bytes() > 0 {
                self.filled = true;
                return Ok(None);
            }
            let settled = self.turn.settle(self.cursor, 0);
            let resets = self.cursor.resets();
            self.cursor = settled.cursor;
            match settled.then {
                Some(Then::End(end)) => return Ok(Some(resets && end != End::Complete)),
                Some(Then::More) => {}
                Some(Then::Wait) | None if station.over(now.0) => return Ok(Some(resets)),
                Some(Then::Wait) | None => {
                    // What waits needs no room.
                    self.turn = Turn::default();
                    return Ok(None);
                }
            }
        }
        Ok(None)
    }
}
