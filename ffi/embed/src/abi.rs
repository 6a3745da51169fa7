//! Do header and library mean the same?

use std::ffi::{c_char, c_int};
use std::sync::atomic::{AtomicBool, Ordering};

use crate::result::{Failure, ICECAST_EXT_OK, ICECAST_EXT_WRONG_ABI, guard};

/// The version of this interface. Another one means other structs or other calls; what is added at a struct's end, and new calls
/// and numbers, leave it as it is.
pub const ICECAST_EXT_ABI: u32 = 1;

/// What goes into `User-Agent`.
pub(crate) const AGENT: &str = concat!("icecast-ext/", env!("CARGO_PKG_VERSION"));

static READY: AtomicBool = AtomicBool::new(false);

/// To be called first, as `icecast_ext_init(ICECAST_EXT_ABI)`: the number is the header's. `ICECAST_EXT_WRONG_ABI` if the library
/// speaks another version; then nothing can be made. May be called again.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_init(abi: u32) -> c_int {
    guard(|| {
        if abi != ICECAST_EXT_ABI {
            return Err(Failure::new(
                ICECAST_EXT_WRONG_ABI,
                format_args!(
                    "the header is of ABI {abi}, the library of ABI {ICECAST_EXT_ABI}: build against the header that came with it"
                ),
            ));
        }
        crate::arena::panics_outside();
        READY.store(true, Ordering::Release);
        Ok(ICECAST_EXT_OK)
    })
}

/// The library's `ICECAST_EXT_ABI`.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_abi() -> u32 {
    ICECAST_EXT_ABI
}

/// The library's version, for people. Never NULL.
#[unsafe(no_mangle)]
pub extern "C" fn icecast_ext_version() -> *const c_char {
    const VERSION: &std::ffi::CStr = match std::ffi::CStr::from_bytes_with_nul(
        concat!(env!("CARGO_PKG_VERSION"), "\0").as_bytes(),
    ) {
        Ok(version) => version,
        Err(_) => panic!("a version has no NUL"),
    };
    VERSION.as_ptr()
}

/// Whoever makes something has asked before.
pub(crate) fn ready() -> Result<(), Failure> {
    match READY.load(Ordering::Acquire) {
        true => Ok(()),
        false => Err(Failure::new(
            ICECAST_EXT_WRONG_ABI,
            "call icecast_ext_init(ICECAST_EXT_ABI) first",
        )),
    }
}
