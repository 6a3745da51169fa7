//! The functions that ours stand in front of, as the object after us has them.

use std::ffi::{CStr, c_char, c_int, c_long, c_void};
use std::sync::OnceLock;

use libc::{iovec, sockaddr, socklen_t};

/// libc's.
#[derive(Clone, Copy)]
pub(crate) struct Libc {
    pub(crate) listen: unsafe extern "C" fn(c_int, c_int) -> c_int,
    pub(crate) accept: unsafe extern "C" fn(c_int, *mut sockaddr, *mut socklen_t) -> c_int,
    pub(crate) recv: unsafe extern "C" fn(c_int, *mut c_void, usize, c_int) -> isize,
    pub(crate) send: unsafe extern "C" fn(c_int, *const c_void, usize, c_int) -> isize,
    pub(crate) writev: unsafe extern "C" fn(c_int, *const iovec, c_int) -> isize,
    pub(crate) close: unsafe extern "C" fn(c_int) -> c_int,
}

/// libssl's.
#[derive(Clone, Copy)]
pub(crate) struct Ssl {
    pub(crate) set_fd: unsafe extern "C" fn(*mut c_void, c_int) -> c_int,
    pub(crate) read: unsafe extern "C" fn(*mut c_void, *mut c_void, c_int) -> c_int,
    pub(crate) write: unsafe extern "C" fn(*mut c_void, *const c_void, c_int) -> c_int,
    pub(crate) get_error: unsafe extern "C" fn(*const c_void, c_int) -> c_int,
    pub(crate) shutdown: unsafe extern "C" fn(*mut c_void) -> c_int,
    pub(crate) free: unsafe extern "C" fn(*mut c_void),
    pub(crate) clear_error: unsafe extern "C" fn(),
    pub(crate) ctrl: unsafe extern "C" fn(*mut c_void, c_int, c_long, *mut c_void) -> c_long,
}

/// libogg's.
#[derive(Clone, Copy)]
pub(crate) struct Ogg {
    pub(crate) pageout: unsafe extern "C" fn(*mut c_void, *mut Page) -> c_int,
    pub(crate) flush: unsafe extern "C" fn(*mut c_void, *mut Page) -> c_int,
}

/// `ogg_page`, of libogg's stable interface.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Page {
    pub(crate) header: *const u8,
    pub(crate) header_len: c_long,
    pub(crate) body: *const u8,
    pub(crate) body_len: c_long,
}

/// What the host has. `None`: it does not have all of them.
#[derive(Clone, Copy)]
pub(crate) struct Real {
    pub(crate) libc: Option<Libc>,
    pub(crate) ssl: Option<Ssl>,
    pub(crate) ogg: Option<Ogg>,
}

/// Looked up once.
pub(crate) fn real() -> &'static Real {
    static REAL: OnceLock<Real> = OnceLock::new();
    REAL.get_or_init(|| Real {
        libc: libc(),
        ssl: ssl(),
        ogg: ogg(),
    })
}

/// A function of the objects after this one, by name.
fn next(name: &CStr) -> Option<*mut c_void> {
    let name: *const c_char = name.as_ptr();
    // SAFETY: the name ends in NUL, and RTLD_NEXT is a handle that dlsym knows.
    let found = unsafe { libc::dlsym(libc::RTLD_NEXT, name) };
    (!found.is_null()).then_some(found)
}

/// The function of this name; its type is that of where it goes.
macro_rules! function {
    ($name:literal) => {
        // SAFETY: what stands under this name in every version of its library has the type of the field that it is put into.
        unsafe { std::mem::transmute::<*mut c_void, _>(next($name)?) }
    };
}

#[expect(
    clippy::missing_transmute_annotations,
    reason = "the field says the type"
)]
fn libc() -> Option<Libc> {
    Some(Libc {
        listen: function!(c"listen"),
        accept: function!(c"accept"),
        recv: function!(c"recv"),
        send: function!(c"send"),
        writev: function!(c"writev"),
        close: function!(c"close"),
    })
}

#[expect(
    clippy::missing_transmute_annotations,
    reason = "the field says the type"
)]
fn ssl() -> Option<Ssl> {
    Some(Ssl {
        set_fd: function!(c"SSL_set_fd"),
        read: function!(c"SSL_read"),
        write: function!(c"SSL_write"),
        get_error: function!(c"SSL_get_error"),
        shutdown: function!(c"SSL_shutdown"),
        free: function!(c"SSL_free"),
        // libcrypto's.
        clear_error: function!(c"ERR_clear_error"),
        ctrl: function!(c"SSL_ctrl"),
    })
}

#[expect(
    clippy::missing_transmute_annotations,
    reason = "the field says the type"
)]
fn ogg() -> Option<Ogg> {
    Some(Ogg {
        pageout: function!(c"ogg_stream_pageout"),
        flush: function!(c"ogg_stream_flush"),
    })
}
