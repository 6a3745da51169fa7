//! libssl's: what goes through them is a client's, or a loop's by now.

use std::ffi::{c_int, c_void};

use super::{is_inside, with_client};
use crate::client::{Client, Done};
use crate::module::{self, Module};
use crate::real::real;
use crate::tls;

/// # Safety
/// As SSL_set_fd(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn SSL_set_fd(ssl: *mut c_void, fd: c_int) -> c_int {
    let Some(functions) = real().ssl else {
        return 0;
    };
    // SAFETY: the caller's arguments.
    let set = unsafe { (functions.set_fd)(ssl, fd) };
    if let Some(slot) = module::get().and_then(|module| module.table.tracked(fd))
        && let Some(client) = slot.lock().as_mut()
    {
        let ssl = ssl.expose_provenance();
        tls::tie(ssl, fd);
        client.wire.ssl = Some(ssl);
    }
    set
}

/// A call of the server's on a TLS connection.
fn with_ssl(ssl: *mut c_void, body: impl FnOnce(&mut Client, &Module) -> Done) -> Option<c_int> {
    if is_inside() {
        return None;
    }
    let ssl = ssl.addr();
    let done = with_client(tls::descriptor(ssl)?, body)?;
    Some(tls::result(ssl, done))
}

/// # Safety
/// As SSL_read(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn SSL_read(
    ssl: *mut c_void,
    buffer: *mut c_void,
    len: c_int,
) -> c_int {
    if !buffer.is_null() {
        let room = usize::try_from(len).unwrap_or(0);
        // SAFETY: SSL_read may write all of it.
        let bytes = unsafe { std::slice::from_raw_parts_mut(buffer.cast::<u8>(), room) };
        if let Some(done) = with_ssl(ssl, |client, module| client.receive(module, bytes)) {
            return done;
        }
    }
    let Some(functions) = real().ssl else {
        return -1;
    };
    // SAFETY: the caller's arguments.
    unsafe { (functions.read)(ssl, buffer, len) }
}

/// # Safety
/// As SSL_write(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn SSL_write(
    ssl: *mut c_void,
    buffer: *const c_void,
    len: c_int,
) -> c_int {
    if !buffer.is_null() {
        let held = usize::try_from(len).unwrap_or(0);
        // SAFETY: SSL_write may read all of it.
        let bytes = unsafe { std::slice::from_raw_parts(buffer.cast::<u8>(), held) };
        if let Some(done) = with_ssl(ssl, |client, module| client.send(module, bytes)) {
            return done;
        }
    }
    let Some(functions) = real().ssl else {
        return -1;
    };
    // SAFETY: the caller's arguments.
    unsafe { (functions.write)(ssl, buffer, len) }
}

/// # Safety
/// As SSL_get_error(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn SSL_get_error(ssl: *const c_void, value: c_int) -> c_int {
    if !is_inside()
        && let Some(error) = tls::take_error(ssl.addr())
    {
        return error;
    }
    let Some(functions) = real().ssl else {
        return 1;
    };
    // SAFETY: the caller's arguments.
    unsafe { (functions.get_error)(ssl, value) }
}

/// # Safety
/// As SSL_shutdown(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn SSL_shutdown(ssl: *mut c_void) -> c_int {
    if !tls::may_shut_down(ssl.addr()) {
        return 1;
    }
    let Some(functions) = real().ssl else {
        return -1;
    };
    // SAFETY: the caller's argument.
    unsafe { (functions.shutdown)(ssl) }
}

/// # Safety
/// As SSL_free(3).
#[cfg_attr(not(test), unsafe(no_mangle))]
pub(crate) unsafe extern "C" fn SSL_free(ssl: *mut c_void) {
    if tls::may_free(ssl.addr())
        && let Some(functions) = real().ssl
    {
        // SAFETY: the caller's argument.
        unsafe { (functions.free)(ssl) };
    }
}
