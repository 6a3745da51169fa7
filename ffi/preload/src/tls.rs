//! The server's TLS: OpenSSL's connections, which a loop goes on with where the server has stopped.

use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::RawFd;
use std::sync::{OnceLock, PoisonError, RwLock};

use icecast_ext_delivery::Seal;

use crate::real::{Ssl, real};

const SSL_ERROR_WANT_READ: c_int = 2;
const SSL_ERROR_WANT_WRITE: c_int = 3;
const SSL_ERROR_SYSCALL: c_int = 5;
const SSL_ERROR_ZERO_RETURN: c_int = 6;
const SSL_CTRL_MODE: c_int = 33;
/// Partial writes, from a buffer that may have moved.
const SSL_MODES: std::ffi::c_long = 1 | 2;

/// A connection of the server's.
#[derive(Debug, Clone, Copy)]
struct Entry {
    fd: RawFd,
    /// A loop drives it.
    sealed: bool,
    /// The server is done with it.
    freed: bool,
    /// What `SSL_get_error` says next, if the call before it was not OpenSSL's.
    error: Option<c_int>,
}

type Entries = RwLock<HashMap<usize, Entry>>;

fn entries() -> &'static Entries {
    static ENTRIES: OnceLock<Entries> = OnceLock::new();
    ENTRIES.get_or_init(Entries::default)
}

fn with<R>(ssl: usize, look: impl FnOnce(&mut Entry) -> R) -> Option<R> {
    let mut entries = entries().write().unwrap_or_else(PoisonError::into_inner);
    entries.get_mut(&ssl).map(look)
}

/// The server ties a connection to a descriptor.
pub(crate) fn tie(ssl: usize, fd: RawFd) {
    let entry = Entry {
        fd,
        sealed: false,
        freed: false,
        error: None,
    };
    let mut entries = entries().write().unwrap_or_else(PoisonError::into_inner);
    entries.insert(ssl, entry);
}

/// Its descriptor.
pub(crate) fn descriptor(ssl: usize) -> Option<RawFd> {
    let entries = entries().read().unwrap_or_else(PoisonError::into_inner);
    entries.get(&ssl).map(|entry| entry.fd)
}

/// What the server is told of a call of its own.
pub(crate) fn result(ssl: usize, done: io::Result<usize>) -> c_int {
    let (value, error) = match done {
        Ok(0) => (0, Some(SSL_ERROR_ZERO_RETURN)),
        Ok(bytes) => (c_int::try_from(bytes).unwrap_or(c_int::MAX), None),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => (-1, Some(SSL_ERROR_WANT_READ)),
        Err(_) => (-1, Some(SSL_ERROR_SYSCALL)),
    };
    if error.is_some() {
        with(ssl, |entry| entry.error = error);
    }
    value
}

/// What the server's last call came to, if OpenSSL does not know.
pub(crate) fn take_error(ssl: usize) -> Option<c_int> {
    with(ssl, |entry| entry.error.take()).flatten()
}

/// The server says goodbye: false if a loop will.
pub(crate) fn may_shut_down(ssl: usize) -> bool {
    with(ssl, |entry| !entry.sealed).unwrap_or(true)
}

/// The server is done with it: false if a loop is not.
pub(crate) fn may_free(ssl: usize) -> bool {
    let sealed = with(ssl, |entry| {
        entry.freed = true;
        entry.sealed
    });
    if sealed == Some(true) {
        return false;
    }
    let mut entries = entries().write().unwrap_or_else(PoisonError::into_inner);
    entries.remove(&ssl);
    true
}

fn pointer(ssl: usize) -> *mut c_void {
    std::ptr::with_exposed_provenance_mut(ssl)
}

fn functions() -> io::Result<&'static Ssl> {
    let ssl = real().ssl.as_ref();
    ssl.ok_or_else(|| io::ErrorKind::Unsupported.into())
}

fn outcome(functions: &Ssl, ssl: usize, value: c_int) -> io::Result<usize> {
    if let Ok(bytes @ 1..) = usize::try_from(value) {
        return Ok(bytes);
    }
    // SAFETY: the connection lives until both the server and the loop are done with it ([`may_free`]).
    match unsafe { (functions.get_error)(pointer(ssl), value) } {
        SSL_ERROR_WANT_READ | SSL_ERROR_WANT_WRITE => Err(io::ErrorKind::WouldBlock.into()),
        SSL_ERROR_ZERO_RETURN => Ok(0),
        _ => Err(io::Error::from_raw_os_error(libc::ECONNRESET)),
    }
}

pub(crate) fn read(ssl: usize, buffer: &mut [u8]) -> io::Result<usize> {
    let functions = functions()?;
    let len = c_int::try_from(buffer.len()).unwrap_or(c_int::MAX);
    // SAFETY: the buffer is ours for its length; the connection lives, and one thread at a time uses it: the server's under our
    // table's lock, or the loop's from when it is sealed.
    let value = unsafe {
        (functions.clear_error)();
        (functions.read)(pointer(ssl), buffer.as_mut_ptr().cast(), len)
    };
    outcome(functions, ssl, value)
}

pub(crate) fn write(ssl: usize, bytes: &[u8]) -> io::Result<usize> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let functions = functions()?;
    let len = c_int::try_from(bytes.len()).unwrap_or(c_int::MAX);
    // SAFETY: as for `read`.
    let value = unsafe {
        (functions.clear_error)();
        (functions.write)(pointer(ssl), bytes.as_ptr().cast(), len)
    };
    match outcome(functions, ssl, value) {
        Ok(0) => Err(io::Error::from_raw_os_error(libc::EPIPE)),
        done => done,
    }
}

/// Says goodbye, best effort.
pub(crate) fn shutdown(ssl: usize) {
    if let Ok(functions) = functions() {
        // SAFETY: as for `read`.
        unsafe {
            (functions.clear_error)();
            (functions.shutdown)(pointer(ssl));
        }
    }
}

/// For a loop.
pub(crate) fn seal(ssl: usize) -> Box<dyn Seal> {
    with(ssl, |entry| entry.sealed = true);
    if let Ok(functions) = functions() {
        // SAFETY: as for `read`; SSL_set_mode is this call.
        unsafe {
            (functions.ctrl)(pointer(ssl), SSL_CTRL_MODE, SSL_MODES, std::ptr::null_mut());
        }
    }
    Box::new(OpenSsl(ssl))
}

/// A connection that a loop has.
#[derive(Debug)]
struct OpenSsl(usize);

impl Seal for OpenSsl {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        write(self.0, bytes)
    }

    fn read(&mut self, scrap: &mut [u8]) -> io::Result<usize> {
        read(self.0, scrap)
    }

    fn close(&mut self) {
        shutdown(self.0);
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let freed = with(self.0, |entry| {
            entry.sealed = false;
            entry.freed
        });
        if freed == Some(true) {
            let mut entries = entries().write().unwrap_or_else(PoisonError::into_inner);
            entries.remove(&self.0);
            drop(entries);
            if let Ok(functions) = functions() {
                // SAFETY: the server has freed it before, which was put off for us; nobody has it any more.
                unsafe { (functions.free)(pointer(self.0)) };
            }
        }
    }
}
