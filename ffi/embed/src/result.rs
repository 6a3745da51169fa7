//! What every call returns: zero or more is good, less is not. A number never gets another meaning.

use std::cell::RefCell;
use std::ffi::{c_char, c_int};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Done.
pub const ICECAST_EXT_OK: c_int = 0;
/// There is nothing of what was asked for: no event, no new bytes.
pub const ICECAST_EXT_NONE: c_int = 1;
/// More bytes are needed: call again with what came before and what came since.
pub const ICECAST_EXT_INCOMPLETE: c_int = 2;
/// Nothing to send now: look again after the mount's next tick.
pub const ICECAST_EXT_WAIT: c_int = 3;
/// The response, or the source's body, is complete: shut the connection down.
pub const ICECAST_EXT_END: c_int = 4;
/// The response ends here, and the player is to come back: close with an RST (`SO_LINGER` 0) once all is acknowledged
/// (R-STOCK-21).
pub const ICECAST_EXT_END_RESET: c_int = 5;

/// A pointer that must not be is NULL.
pub const ICECAST_EXT_NULL_POINTER: c_int = -1;
/// A struct is smaller than its first version, or has fields set that this library does not know.
pub const ICECAST_EXT_WRONG_SIZE: c_int = -2;
/// The handle is of another kind, was freed, or never was.
pub const ICECAST_EXT_WRONG_HANDLE: c_int = -3;
/// Another thread is in a call with this handle.
pub const ICECAST_EXT_BUSY: c_int = -4;
/// A bug of this library. The handle is of no more use; free it.
pub const ICECAST_EXT_PANIC: c_int = -5;
/// The library speaks another version of this interface, or was not asked yet: [`icecast_ext_init`](crate::icecast_ext_init).
pub const ICECAST_EXT_WRONG_ABI: c_int = -6;
/// An argument has a value that it cannot have: `icecast_ext_last_error` says which.
pub const ICECAST_EXT_INVALID: c_int = -7;
/// What came over the network is not what it should be: `icecast_ext_last_error` says how.
pub const ICECAST_EXT_MALFORMED: c_int = -8;
/// No memory, or no room for one more handle.
pub const ICECAST_EXT_NO_MEMORY: c_int = -9;
/// The operating system gives no random bytes.
pub const ICECAST_EXT_NO_RANDOM: c_int = -10;
/// The call does not fit what was called before: a body without a source.
pub const ICECAST_EXT_OUT_OF_ORDER: c_int = -11;

/// Bytes of a thread's last error, with the NUL.
const LAST: usize = 256;

thread_local! {
    static LAST_ERROR: RefCell<[u8; LAST]> = const { RefCell::new([0; LAST]) };
}

/// A call that went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Failure(pub(crate) c_int);

/// What a call comes to.
pub(crate) type Outcome = Result<c_int, Failure>;

impl Failure {
    /// With words for whoever reads `icecast_ext_last_error`.
    pub(crate) fn new(code: c_int, why: impl std::fmt::Display) -> Self {
        say(&why);
        Self(code)
    }

    pub(crate) fn null(what: &str) -> Self {
        Self::new(ICECAST_EXT_NULL_POINTER, format_args!("{what} is NULL"))
    }

    pub(crate) fn invalid(why: impl std::fmt::Display) -> Self {
        Self::new(ICECAST_EXT_INVALID, why)
    }
}

/// Runs a call; a panic becomes a result.
pub(crate) fn guard(call: impl FnOnce() -> Outcome) -> c_int {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(Ok(result) | Err(Failure(result))) => result,
        Err(_) => {
            say(&"a bug of this library: please report what it said on standard error");
            ICECAST_EXT_PANIC
        }
    }
}

/// Keeps what fits of it; allocates nothing.
fn say(why: &dyn std::fmt::Display) {
    struct Text<'a>(&'a mut [u8; LAST], usize);
    impl std::fmt::Write for Text<'_> {
        fn write_str(&mut self, text: &str) -> std::fmt::Result {
            let room = LAST - 1 - self.1;
            let mut most = text.len().min(room);
            while !text.is_char_boundary(most) {
                most -= 1;
            }
            self.0[self.1..self.1 + most].copy_from_slice(&text.as_bytes()[..most]);
            self.1 += most;
            if most < text.len() {
                Err(std::fmt::Error)
            } else {
                Ok(())
            }
        }
    }
    LAST_ERROR.with_borrow_mut(|last| {
        last.fill(0);
        let mut text = Text(last, 0);
        // What does not fit is left out.
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!("{why}"));
    });
}

/// What this thread's last failed call had to say, for people; empty if none failed. Valid until this thread's next call.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_last_error() -> *const c_char {
    LAST_ERROR.with_borrow(|last| last.as_ptr().cast())
}

/// A result in words, for people. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_result_text(result: c_int) -> *const c_char {
    let text = match result {
        ICECAST_EXT_OK => c"done",
        ICECAST_EXT_NONE => c"nothing of that",
        ICECAST_EXT_INCOMPLETE => c"more bytes are needed",
        ICECAST_EXT_WAIT => c"nothing to send now",
        ICECAST_EXT_END => c"complete: shut the connection down",
        ICECAST_EXT_END_RESET => c"complete: close the connection with an RST",
        ICECAST_EXT_NULL_POINTER => c"a pointer is NULL",
        ICECAST_EXT_WRONG_SIZE => c"a struct has a size that this library does not know",
        ICECAST_EXT_WRONG_HANDLE => c"the handle is of another kind, was freed, or never was",
        ICECAST_EXT_BUSY => c"another thread is in a call with this handle",
        ICECAST_EXT_PANIC => c"a bug of this library; free the handle",
        ICECAST_EXT_WRONG_ABI => {
            c"header and library are of different versions, or icecast_ext_init was not called"
        }
        ICECAST_EXT_INVALID => c"an argument has a value that it cannot have",
        ICECAST_EXT_MALFORMED => c"what came over the network is malformed",
        ICECAST_EXT_NO_MEMORY => c"no memory, or no room for one more handle",
        ICECAST_EXT_NO_RANDOM => c"the operating system gives no random bytes",
        ICECAST_EXT_OUT_OF_ORDER => c"the call does not fit what was called before",
        _ => c"a result of a later version",
    };
    text.as_ptr()
}
