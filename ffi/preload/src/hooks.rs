//! The functions that stand in front of the server's: each asks whether the descriptor is ours to know, and else does what it
//! always did.
//!
//! A panic never leaves one: the connection concerned goes on with the server's own bytes, or ends. What the module itself calls
//! within a hook goes through ([`inside`]). `errno` is the real call's.

use std::cell::Cell;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{iovec, sockaddr, socklen_t};

use crate::client::{Client, Done, Stage};
use crate::module::{self, Module};
use crate::real::real;
use crate::start;

mod ogg;
mod ssl;

thread_local! {
    static INSIDE: Cell<bool> = const { Cell::new(false) };
}

/// Our own calls are nobody's business.
pub(crate) fn inside<R>(body: impl FnOnce() -> R) -> R {
    let before = INSIDE.replace(true);
    let result = body();
    INSIDE.set(before);
    result
}

fn is_inside() -> bool {
    INSIDE.get()
}

/// Is this thread one of the loops, which close sockets of listeners?
fn is_loop() -> bool {
    let current = std::thread::current();
    current
        .name()
        .is_some_and(|name| name.starts_with("fanout-"))
}

fn set_errno(error: &io::Error) {
    // SAFETY: errno is the calling thread's.
    unsafe { *libc::__errno_location() = error.raw_os_error().unwrap_or(libc::EIO) };
}

/// Keeps `errno` over what we do after the real call.
fn keeping_errno<R>(body: impl FnOnce() -> R) -> R {
    // SAFETY: errno is the calling thread's.
    let before = unsafe { *libc::__errno_location() };
    let result = body();
    // SAFETY: as above.
    unsafe { *libc::__errno_location() = before };
    result
}

/// A call on a client's descriptor. `None`: it is none of ours, or something went wrong here; the real function is to be called.
fn with_client(fd: RawFd, body: impl FnOnce(&mut Client, &Module) -> Done) -> Option<Done> {
    if INSIDE.get() {
        return None;
    }
    let module = module::get()?;
    let slot = module.table.tracked(fd)?;
    let mut guard = slot.lock();
    let client = guard.as_mut()?;
    let done = guarded(client, |client| body(client, module));
    if matches!(client.stage, Stage::Left) && !client.loop_has && client.wire.ssl.is_none() {
        slot.forget(&mut guard);
    }
    Some(done)
}

/// No panic leaves this: the connection goes on as the server has it; or it ends, if a loop has begun what the server cannot go
/// on with.
fn guarded(client: &mut Client, body: impl FnOnce(&mut Client) -> Done) -> Done {
    let called = catch_unwind(AssertUnwindSafe(|| inside(|| body(client))));
    called.unwrap_or_else(|_| {
        INSIDE.set(false);
        let served = client.loop_has;
        tracing::error!(
            peer = client.peer,
            served,
            "a fault of ours: the connection goes on as the server has it, or ends"
        );
        let (stage, errno) = match served {
            true => (Stage::Over, libc::EPIPE),
            false => (Stage::Left, libc::EAGAIN),
        };
        client.stage = stage;
        Err(io::Error::from_raw_os_error(errno))
    })
}

fn result(done: Done) -> isize {
    match done {
        Ok(bytes) => isize::try_from(bytes).unwrap_or(isize::MAX),
        Err(error) => {
            set_errno(&error);
            -1
        }
    }
}

/// The server listens: from now on we are at work.
///
/// # Safety
/// As listen(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn listen(fd: c_int, backlog: c_int) -> c_int {
    let Some(libc) = real().libc else { return -1 };
    let backlog = match catch_unwind(start::at_listen) {
        Ok(true) => backlog.max(start::backlog()),
        _ => backlog,
    };
    // SAFETY: the caller's arguments.
    unsafe { (libc.listen)(fd, backlog) }
}

/// # Safety
/// As accept(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn accept(
    fd: c_int,
    address: *mut sockaddr,
    len: *mut socklen_t,
) -> c_int {
    let Some(libc) = real().libc else { return -1 };
    // SAFETY: the caller's arguments.
    let accepted = unsafe { (libc.accept)(fd, address, len) };
    if accepted >= 0
        && !INSIDE.get()
        && let Some(module) = module::get()
    {
        keeping_errno(|| {
            let _ = catch_unwind(AssertUnwindSafe(|| {
                inside(|| module.accepted(accepted, peer(accepted)))
            }));
        });
    }
    accepted
}

fn peer(fd: RawFd) -> String {
    // SAFETY: accept has just opened it, and the server does not know it yet.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    let name = rustix::net::getpeername(fd).ok().flatten();
    let address = name.and_then(|name| std::net::SocketAddr::try_from(name).ok());
    address.map_or_else(String::new, |address| address.to_string())
}

/// # Safety
/// As recv(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn recv(
    fd: c_int,
    buffer: *mut c_void,
    len: usize,
    flags: c_int,
) -> isize {
    if flags & libc::MSG_PEEK == 0 && !buffer.is_null() {
        // SAFETY: recv may write all of it. It may hold nothing yet: it is only written to.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), len) };
        if let Some(done) = with_client(fd, |client, module| client.receive(module, bytes)) {
            return result(done);
        }
    }
    let Some(libc) = real().libc else { return -1 };
    // SAFETY: the caller's arguments.
    unsafe { (libc.recv)(fd, buffer, len, flags) }
}

/// # Safety
/// As send(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn send(
    fd: c_int,
    buffer: *const c_void,
    len: usize,
    flags: c_int,
) -> isize {
    if !buffer.is_null() {
        // SAFETY: send may read all of it.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), len) };
        if let Some(done) = with_client(fd, |client, module| client.send(module, bytes)) {
            return result(done);
        }
        if bytes.starts_with(b"GET ")
            && !INSIDE.get()
            && let Some(module) = module::get()
        {
            let _ = catch_unwind(AssertUnwindSafe(|| inside(|| module.called(fd, bytes))));
        }
    }
    let Some(libc) = real().libc else { return -1 };
    // SAFETY: the caller's arguments.
    unsafe { (libc.send)(fd, buffer, len, flags) }
}

/// # Safety
/// As writev(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn writev(fd: c_int, pieces: *const iovec, count: c_int) -> isize {
    let tracked =
        !INSIDE.get() && module::get().is_some_and(|module| module.table.tracked(fd).is_some());
    if tracked && !pieces.is_null() {
        // SAFETY: writev may read so many of them.
        let pieces =
            unsafe { std::slice::from_raw_parts(pieces, usize::try_from(count).unwrap_or(0)) };
        let mut bytes = Vec::new();
        for piece in pieces.iter().filter(|piece| !piece.iov_base.is_null()) {
            // SAFETY: writev may read all of it.
            let piece =
                unsafe { std::slice::from_raw_parts(piece.iov_base.cast::<u8>(), piece.iov_len) };
            bytes.extend_from_slice(piece);
        }
        if let Some(done) = with_client(fd, |client, module| client.send(module, &bytes)) {
            return result(done);
        }
    }
    let Some(libc) = real().libc else { return -1 };
    // SAFETY: the caller's arguments.
    unsafe { (libc.writev)(fd, pieces, count) }
}

/// # Safety
/// As close(2).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn close(fd: c_int) -> c_int {
    let Some(libc) = real().libc else { return -1 };
    let Some(module) = module::get() else {
        // SAFETY: the caller's argument.
        return unsafe { (libc.close)(fd) };
    };
    if let Some(slot) = module.table.tracked(fd) {
        if INSIDE.get() {
            // A socket that we made of the server's descriptor, and could not hand over: it stays the server's.
            return 0;
        }
        let mut guard = slot.lock();
        if let Some(client) = guard.as_mut() {
            let served = client.loop_has;
            if is_loop() {
                client.loop_has = false;
            } else {
                let closing = catch_unwind(AssertUnwindSafe(|| inside(|| client.close(module))));
                if closing.is_err() {
                    INSIDE.set(false);
                    client.closed = true;
                }
            }
            // Whoever comes last really closes: until then nobody else gets the number.
            if !client.closed || client.loop_has {
                debug_assert!(served, "only a loop shares a descriptor");
                return 0;
            }
            slot.forget(&mut guard);
        }
    }
    // SAFETY: the caller's argument.
    unsafe { (libc.close)(fd) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reading::Reading;
    use crate::wire::Wire;

    #[test]
    fn a_panic_ends_within_and_leaves_the_connection_to_the_server_unless_a_loop_has_it() {
        let mut client = Client {
            wire: Wire { fd: -1, ssl: None },
            peer: String::new(),
            generation: 1,
            loop_has: false,
            closed: false,
            stage: Stage::Reading(Reading::default()),
        };
        let fault = |_: &mut Client| -> Done { panic!("a fault") };
        let again = guarded(&mut client, fault).unwrap_err();
        assert_eq!(again.kind(), io::ErrorKind::WouldBlock);
        assert!(matches!(client.stage, Stage::Left));
        client.loop_has = true;
        let ended = guarded(&mut client, fault).unwrap_err();
        assert_eq!(ended.kind(), io::ErrorKind::BrokenPipe);
        assert!(matches!(client.stage, Stage::Over));
        assert!(!INSIDE.get(), "our own calls are over");
    }
}
