//! Request heads, for hosts that have no parser of their own.

use std::ffi::{c_char, c_int};

use icecast_ext_core::head::{Method, Request as Head, Target};

use crate::record::{Record, bytes, write};
use crate::result::{
    Failure, ICECAST_EXT_INCOMPLETE, ICECAST_EXT_MALFORMED, ICECAST_EXT_OK, guard,
};

/// GET, HEAD or OPTIONS: hand it to `icecast_ext_answer`, with the mount at `path`, or with NULL if there is none.
pub const ICECAST_EXT_REQUEST_LISTEN: u32 = 1;
/// PUT or SOURCE: check `user` and `password`, send `greeting`, call `icecast_ext_mount_source`, then give the body to
/// `icecast_ext_mount_body`.
pub const ICECAST_EXT_REQUEST_SOURCE: u32 = 2;
/// Another method: `icecast_ext_answer` says 405.
pub const ICECAST_EXT_REQUEST_OTHER: u32 = 3;

/// A request's head, as far as a host needs it.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Request {
    /// `sizeof` this struct, set by the caller.
    pub size: usize,
    /// One of `ICECAST_EXT_REQUEST_…`
    pub kind: u32,
    /// Not 0: `Authorization: Basic` is there, and could be decoded.
    pub authorized: u32,
    /// Bytes of the head; the body begins after them.
    pub length: usize,
    /// To be sent to a source that is taken, before its body; NULL: nothing. Never freed.
    pub greeting: *const c_char,
    /// To be sent to a source whose body is complete; NULL: nothing. Never freed.
    pub farewell: *const c_char,
    /// Decoded, with a NUL.
    pub path: [c_char; 512],
    /// Of `Authorization: Basic`, with a NUL.
    pub user: [c_char; 128],
    /// As well.
    pub password: [c_char; 128],
}

// SAFETY: `repr(C)`, begins with its size, and holds pointers and numbers alone.
unsafe impl Record for Request {
    const FIRST: usize = size_of::<Self>();
}

/// Reads a request's head from the first bytes of a connection. `ICECAST_EXT_INCOMPLETE`: read on, and call again with all of it;
/// no head is longer than 8192 bytes. `ICECAST_EXT_MALFORMED`: answer 400, which is what `icecast_ext_answer` does with it.
///
/// # Safety
/// `head` points to `length` bytes; `request` to a struct whose `size` is set.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn icecast_ext_request_read(
    head: *const u8,
    length: usize,
    request: *mut Request,
) -> c_int {
    guard(|| {
        // SAFETY: the caller's.
        let head = unsafe { bytes(head, length, "head") }?;
        let malformed = |why: &dyn std::fmt::Display| Failure::new(ICECAST_EXT_MALFORMED, why);
        let parsed = Head::parse(head).map_err(|error| malformed(&error))?;
        let Some((head, length)) = parsed else {
            return Ok(ICECAST_EXT_INCOMPLETE);
        };
        let target = Target::parse(head.target).map_err(|error| malformed(&error))?;
        let (user, password) = match head.basic_auth() {
            Some((user, password)) => (Some(user), Some(password)),
            None => (None, None),
        };
        let too_long = |what: &str| malformed(&format_args!("{what} is too long"));
        let (greeting, farewell) = words(&head);
        let told = Request {
            size: 0,
            kind: match head.method {
                Method::Get | Method::Head | Method::Options => ICECAST_EXT_REQUEST_LISTEN,
                Method::Put | Method::Source => ICECAST_EXT_REQUEST_SOURCE,
                Method::Other(_) => ICECAST_EXT_REQUEST_OTHER,
            },
            authorized: user.is_some().into(),
            length,
            greeting: greeting.map_or(std::ptr::null(), std::ffi::CStr::as_ptr),
            farewell: farewell.map_or(std::ptr::null(), std::ffi::CStr::as_ptr),
            path: fixed(target.path.as_bytes()).ok_or_else(|| too_long("the path"))?,
            user: fixed(&user.unwrap_or_default()).ok_or_else(|| too_long("the user"))?,
            password: fixed(&password.unwrap_or_default())
                .ok_or_else(|| too_long("the password"))?,
        };
        // SAFETY: the caller's.
        unsafe { write(request, &told, "request") }?;
        Ok(ICECAST_EXT_OK)
    })
}

/// What a source is told before its body and after it, as Icecast does.
fn words(
    head: &Head<'_>,
) -> (
    Option<&'static std::ffi::CStr>,
    Option<&'static std::ffi::CStr>,
) {
    const DONE: &std::ffi::CStr =
        c"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    match head.method {
        Method::Put if head.expects_continue() => {
            (Some(c"HTTP/1.1 100 Continue\r\n\r\n"), Some(DONE))
        }
        Method::Put => (None, Some(DONE)),
        Method::Source => (Some(c"HTTP/1.0 200 OK\r\n\r\n"), None),
        _ => (None, None),
    }
}

/// Text without a NUL in it, and one at its end. `None`: it does not fit.
fn fixed<const N: usize>(text: &[u8]) -> Option<[c_char; N]> {
    if text.len() >= N || text.contains(&0) {
        return None;
    }
    let mut out = [0; N];
    for (to, from) in out.iter_mut().zip(text) {
        *to = *from as c_char;
    }
    Some(out)
}
